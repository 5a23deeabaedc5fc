/*
** Monthly upkeep of a live queue.
**
******************************************************************************
**
** USAGE
**
**     sqlite3 queue.db < sql/monthly.sql
**
** with SQLite's own shell, 3.37 or newer. It finds the library where the system
** finds libraries (/usr/local/lib after ldconfig, or a directory in LD_LIBRARY_PATH;
** on Windows in PATH, copied as libqueuekeeper.dll). Anywhere else, name it:
**
**     sqlite3 -cmd ".load ./target/release/libqueuekeeper" queue.db < sql/monthly.sql
**
** Makes a backup and verifies it in full (integrity, foreign keys, the number of tasks of
** each status), and rewrites the database without its free pages if these are more than
** the setting 'fragmentation_pct_critical' says (20 percent). Where VACUUM may give rows new
** rowids that something refers to, it is left out with a note, unless the setting
** 'vacuum_moves_rowids' is 1.
**
** It acts at once, whenever it is run, and needs no schedule. Where something can be
** called every minute, SELECT queue_run_due() is better: it does the same as its job
** "monthly" when that is due, retries what failed, and keeps a history. Use one of the two,
** not both.
**
** The exit status is 0, or 1 at the first failure, which ends it; the error says
** what failed. Nothing is rewritten when the backup fails.
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

-- 1. A backup that is kept for a year, so it is checked as thoroughly as can be. A snapshot is the copy of
-- a VACUUM, see above.
WITH done(result) AS MATERIALIZED (
       SELECT queue_backup(NULL, json_object('name', 'monthly', 'verify', 'full',
                                             'type', iif(:job_backup_type = 'snapshot' AND :vacuum_moves_rowids, 'snapshot', 'full'),
                                             'compression', :job_compression))
     )
SELECT json_extract(result, '$.backup_path') AS backup,
       json_extract(result, '$.backup_type') AS type,
       json_extract(result, '$.size_bytes') AS bytes,
       json_extract(result, '$.verified_level') AS verified
  FROM done;

-- 2. VACUUM, if it is worth while.
INSERT INTO temp.sqlite_parameters SELECT ':free_pages_pct', fragmentation_pct FROM queue_stats();

SELECT round(:free_pages_pct, 1) AS free_pages_pct, :fragmentation_pct_critical AS bearable,
       iif(:free_pages_pct > :fragmentation_pct_critical, 'yes', 'no') AS vacuum;

WITH done(result) AS MATERIALIZED (
       SELECT queue_optimize(1) WHERE :free_pages_pct > :fragmentation_pct_critical
     )
SELECT json_extract(result, '$.stats_before.size_bytes') AS bytes_before,
       json_extract(result, '$.stats_after.size_bytes') AS bytes_after,
       json_extract(result, '$.note') AS note
  FROM done;
