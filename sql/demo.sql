/*
** A tour of what queuekeeper does for a live queue.
**
******************************************************************************
**
** USAGE
**
** "scripts/demo --all" makes a queue, keeps it busy, and runs this file in it. To run
** it on a queue of your own (made with, or shaped like, sql/schema.sql):
**
**     sqlite3 queue.db
**     .load ./target/release/libqueuekeeper
**     .mode box
**     .read sql/demo.sql
**
** Mind that it acts: it requeues the tasks of dead workers, writes backups into
** the directory "backups" beside the database, restores one of them into a new
** file beside it, and then keeps only the newest two backups in there.
**
** Plain SQL with no dot commands, so that any program that can load an
** extension can run it. What it relies on:
**
**     queue_version()                    TEXT
**     queue_stats()                      as a table: one row; as a function: JSON
**     queue_depth()                      table, a row a status
**     queue_stale([secs])                table, a row a lease that ended
**     queue_requeue_stale(secs)          INTEGER, tasks put back
**     queue_backup([path [, options]])   JSON, the entry in the catalog
**     queue_backups([dir])               table, a row a backup
**     queue_verify(backup [, level])     JSON, ok or what is wrong
**     queue_restore(backup [, target])   JSON, what was restored where
**     queue_delete_backup(backup)        JSON, what was deleted
**     queue_rotation(keep [, dir])       table, what queue_rotate would do
**     queue_rotate(keep [, dir])         INTEGER, backups deleted
**     queue_health()                     table, a row a metric and what to do
**     queue_set(name, value)             the value; queue_settings() shows all
**     queue_checkpoint([mode])           JSON, as PRAGMA wal_checkpoint counts
**     queue_analyze([table])             JSON, what was analyzed
**     queue_vacuum()                     JSON, what was won
**     queue_optimize([full])             JSON, before and after
**     queue_integrity([level])           table, SQLite's findings
**     queue_run_due([now | options])     JSON, the jobs that were due and ran
**     queue_schedule(), queue_history()  tables, a row a job; a row a step
**
** Functions act and tables show: everything after FROM only reads, and composes
** with WHERE, JOIN, ORDER BY and the JSON functions like any other table.
*/

-- Others are writing: wait up to ten seconds for a lock instead of failing.
PRAGMA busy_timeout = 10000;

-- 1. What is here

SELECT queue_version();

-- The database file, measured: its pages, its free pages, its write-ahead log.
SELECT * FROM queue_stats();

-- The same as one JSON value, for a monitor or a log line.
SELECT queue_stats();

-- How deep is the queue, and since when does the oldest task of a status wait?
SELECT * FROM queue_depth();

-- The views need no extension: schema.sql makes them.
SELECT * FROM task_status_summary ORDER BY tasks DESC;

SELECT * FROM task_type_summary ORDER BY tasks DESC;

SELECT * FROM task_failure_summary ORDER BY failures DESC LIMIT 5;

-- Generated columns: the JSON inside the tasks, queried through an index.
SELECT region, count(*) AS tasks FROM task_queue GROUP BY region;

-- 2. Dead workers hold tasks that nobody will ever finish

-- Whose heartbeat is old, and who still holds leases that ended long ago?
SELECT * FROM worker_summary ORDER BY heartbeat_utc LIMIT 8;

-- Leases that ended more than 300 seconds ago.
SELECT count(*) AS stale FROM queue_stale(300);

SELECT * FROM queue_stale(300) ORDER BY overdue_seconds DESC LIMIT 5;

-- What is stuck? A table-valued function joins like a table.
SELECT task.type, task.region, count(*) AS stuck, max(stale.overdue_seconds) / 3600 AS hours
  FROM queue_stale(300) AS stale
  JOIN task_queue AS task ON task.id = stale.task_id
 GROUP BY task.type, task.region
 ORDER BY stuck DESC
 LIMIT 5;

-- Put them back. Leases of living workers stay as they are.
SELECT queue_requeue_stale(300) AS requeued;

SELECT count(*) AS stale FROM queue_stale(300);

-- 3. Backups, while the writers keep committing

-- One snapshot in one pass, into the directory "backups" beside the database.
SELECT queue_backup();

-- A named series, read back and checked before the call returns.
SELECT queue_backup(NULL, '{"name":"daily","verify":"quick"}');

-- The answer is JSON, so json_each() can lay it out. (As the argument of a table
-- the call is made once. In a subquery that is used twice, it would be made twice.)
SELECT key, value FROM json_each(queue_backup())
 WHERE key IN ('id', 'backup_path', 'created_at', 'size_bytes', 'page_count', 'checksum');

-- The catalog of the directory, newest first.
SELECT created_at, name, size_bytes, page_count, duration_ms, verified_level,
       substr(checksum, 1, 12) AS sha256
  FROM queue_backups();

-- 4. Only what changed, compressed; verified; restored into a file of its own

SELECT key, value FROM json_each(queue_backup(NULL, '{"type":"incremental","compression":"zstd"}'))
 WHERE key IN ('backup_type', 'parent_id', 'note', 'size_bytes', 'pages_stored', 'page_count');

-- The whole chain, rebuilt aside and checked.
SELECT queue_verify('latest', 'full');

-- Without a target it would go into the live database, as one transaction.
SELECT queue_restore('latest', (SELECT path || '-restored.db' FROM queue_stats()));

SELECT queue_delete_backup('latest');

-- 5. Keep the newest two

-- First the plan, and why: rotation and this table share it.
SELECT decision, reasons, backup_path FROM queue_rotation('7/4/12');

SELECT decision, reasons, backup_path FROM queue_rotation(2);

SELECT queue_rotate(2) AS deleted;

SELECT name, backup_path FROM queue_backups() ORDER BY created_at;

-- 6. How healthy is it, and what is to be done?

-- Each metric with its thresholds; NULL where there is nothing to do.
SELECT metric, value, unit, level, action FROM queue_health();

-- Thresholds are settings, and stay in the database.
SELECT queue_set('wal_mb_warning', 64);

SELECT name, value, default_value FROM queue_settings()
 WHERE value <> default_value OR name LIKE 'keep%' OR name LIKE 'backup_hours%';

-- 7. Upkeep

SELECT queue_checkpoint();

-- Statistics for the planner, which open connections use at once.
SELECT queue_analyze();

-- Writers wait while the file is rewritten; the answer says what it was worth.
SELECT queue_vacuum();

SELECT queue_optimize();

SELECT * FROM queue_integrity('quick');

-- 8. The schedule: one call from cron does whatever is due

SELECT job, cron, last_run_utc, next_due_utc FROM queue_schedule();

-- Never run, so all of them are due. (In a WITH, as here, the call is made once.)
WITH ran(result) AS MATERIALIZED (SELECT queue_run_due())
SELECT json_array_length(result) AS jobs, json_extract(result, '$[0].job') AS first FROM ran;

SELECT job, last_status, next_due_utc FROM queue_schedule();

SELECT job, step, status, finished_utc FROM queue_history() LIMIT 6;

-- 9. Tables compose: one JSON document for the dashboard

SELECT json_object(
         'waiting', (SELECT tasks FROM queue_depth() WHERE status = 'queued'),
         'stale', (SELECT count(*) FROM queue_stale(300)),
         'database_mb', (SELECT round(total_size_mb, 1) FROM queue_stats()),
         'backups', (SELECT json_group_array(json_object('at', created_at, 'bytes', size_bytes))
                       FROM (SELECT created_at, size_bytes FROM queue_backups()
                              WHERE backup_type = 'full'
                              ORDER BY created_at DESC, id))
       ) AS dashboard;
