/*
** Hourly upkeep of a live queue.
**
******************************************************************************
**
** USAGE
**
**     sqlite3 queue.db < sql/hourly.sql
**
** with SQLite's own shell, 3.37 or newer. It finds the library where the system
** finds libraries (/usr/local/lib after ldconfig, or a directory in LD_LIBRARY_PATH;
** on Windows in PATH, copied as libqueuekeeper.dll). Anywhere else, name it:
**
**     sqlite3 -cmd ".load ./target/release/libqueuekeeper" queue.db < sql/hourly.sql
**
** Copies the write-ahead log into the database, and puts the tasks of dead workers
** back into the queue.
**
** It acts at once, whenever it is run, and needs no schedule. Where something can be
** called every minute, SELECT queue_run_due() is better: it does the same as its job
** "hourly" when that is due, retries what failed, and keeps a history. Use one of the two,
** not both.
**
** The exit status is 0, or 1 at the first failure, which ends it; the error says
** what failed.
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

-- 1. Copy what can be copied of the write-ahead log, waiting for no reader.
WITH done(result) AS MATERIALIZED (SELECT queue_checkpoint())
SELECT json_extract(result, '$.mode') AS checkpoint,
       json_extract(result, '$.log') AS frames,
       json_extract(result, '$.checkpointed') AS copied
  FROM done;

-- 2. Put back the tasks of workers that died: setting stale_secs, 300 by default.
SELECT queue_requeue_stale(:stale_secs) AS requeued;
