/*
** Weekly upkeep of a live queue.
**
******************************************************************************
**
** USAGE
**
**     sqlite3 queue.db < sql/weekly.sql
**
** with SQLite's own shell, 3.37 or newer. It finds the library where the system
** finds libraries (/usr/local/lib after ldconfig, or a directory in LD_LIBRARY_PATH;
** on Windows in PATH, copied as libqueuekeeper.dll). Anywhere else, name it:
**
**     sqlite3 -cmd ".load ./target/release/libqueuekeeper" queue.db < sql/weekly.sql
**
** Makes a backup, checks the whole database, rewrites it without its free pages (VACUUM;
** nobody can write meanwhile, a minute for some GB), gathers the statistics anew, and
** checks the result. Where VACUUM may give rows new rowids that something refers to, it is
** left out with a note, unless the setting 'vacuum_moves_rowids' is 1.
**
** It acts at once, whenever it is run, and needs no schedule. Where something can be
** called every minute, SELECT queue_run_due() is better: it does the same as its job
** "weekly" when that is due, retries what failed, and keeps a history. Use one of the two,
** not both.
**
** The exit status is 0, or 1 at the first failure, which ends it; the error says
** what failed. Nothing is rewritten when the backup fails or the database is damaged.
*/

.bail on
.timeout 10000

-- The library, unless it is loaded already.
SELECT NULL
 WHERE CASE WHEN EXISTS (SELECT 1 FROM pragma_function_list WHERE name = 'queue_version')
            THEN NULL ELSE load_extension('libqueuekeeper') END IS NOT NULL;

.headers on
.mode line

-- The settings, as parameters: a statement that acts should read no table, not even a temporary one,
-- since it would then hold on to the state of the database that it began with.
.parameter init
INSERT INTO temp.sqlite_parameters SELECT ':' || name, value FROM queue_settings();

CREATE TEMP TABLE verdict(
  findings INTEGER CONSTRAINT "the database is damaged, see above; SELECT queue_restore('latest') brings back the newest backup"
           CHECK (findings = 0)
);

-- 1. A backup first. A snapshot is the copy of a VACUUM, see above.
WITH done(result) AS MATERIALIZED (
       SELECT queue_backup(NULL, json_object('name', 'weekly', 'verify', 'quick',
                                             'type', iif(:job_backup_type = 'snapshot' AND :vacuum_moves_rowids, 'snapshot', 'full'),
                                             'compression', :job_compression))
     )
SELECT json_extract(result, '$.backup_path') AS backup,
       json_extract(result, '$.backup_type') AS type,
       json_extract(result, '$.size_bytes') AS bytes,
       json_extract(result, '$.verified_level') AS verified
  FROM done;

-- 2. Every page, every index, every constraint.
CREATE TEMP TABLE before AS SELECT message FROM queue_integrity();

SELECT message AS integrity FROM temp.before;

-- A damaged database ends the script here: VACUUM might make things worse.
INSERT INTO temp.verdict SELECT count(*) FROM temp.before WHERE message <> 'ok' AND message NOT LIKE 'not checked%';

-- 3. VACUUM and statistics.
WITH done(result) AS MATERIALIZED (SELECT queue_optimize(1))
SELECT round(json_extract(result, '$.stats_before.total_size_mb'), 2) AS mb_before,
       round(json_extract(result, '$.stats_after.total_size_mb'), 2) AS mb_after,
       json_extract(result, '$.stats_after.freelist_count') AS free_pages,
       json_extract(result, '$.note') AS note
  FROM done;

-- 4. Is the rewritten database sound?
CREATE TEMP TABLE after AS SELECT message FROM queue_integrity();

SELECT message AS integrity FROM temp.after;

INSERT INTO temp.verdict SELECT count(*) FROM temp.after WHERE message <> 'ok' AND message NOT LIKE 'not checked%';
