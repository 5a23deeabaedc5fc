/*
** What queuekeeper does for a live queue, in a minute: scripts/demo runs this
** while other processes commit. sql/demo.sql shows every function and table
** (scripts/demo --all), and says how to run either on a queue of your own.
*/

PRAGMA busy_timeout = 10000;

-- 1. How deep is the queue, and who died with tasks in hand?
SELECT status, tasks FROM queue_depth() ORDER BY tasks DESC;
SELECT locked_by, count(*) AS tasks FROM queue_stale(300) GROUP BY locked_by ORDER BY tasks DESC LIMIT 3;
SELECT queue_requeue_stale(300) AS requeued;

-- 2. A backup of one snapshot while the writers go on, read back before the call returns.
WITH made(backup) AS MATERIALIZED (SELECT queue_backup(NULL, '{"name": "daily", "verify": "quick"}'))
SELECT json_extract(backup, '$.backup_type') AS type, json_extract(backup, '$.size_bytes') AS bytes,
       json_extract(backup, '$.verified_level') AS verified, json_extract(backup, '$.duration_ms') AS ms FROM made;

-- 3. Then only what changed since, compressed.
WITH made(backup) AS MATERIALIZED (SELECT queue_backup(NULL, '{"name": "daily", "type": "incremental", "compression": "zstd"}'))
SELECT json_extract(backup, '$.backup_type') AS type, json_extract(backup, '$.size_bytes') AS bytes,
       json_extract(backup, '$.pages_stored') AS pages, json_extract(backup, '$.duration_ms') AS ms FROM made;

-- 4. The chain is rebuilt, checked, and restored beside the queue. Without a target it would go into the live one.
SELECT json_extract(queue_verify('latest', 'full'), '$.status') AS verified;
WITH done(it) AS MATERIALIZED
  (SELECT queue_restore('latest', (SELECT path || '-restored.db' FROM queue_stats())))
SELECT json_extract(it, '$.page_count') AS pages, json_extract(it, '$.duration_ms') AS ms FROM done;

-- 5. What would be kept of these, and why?
SELECT decision, reasons FROM queue_rotation('7/4/12');

-- 6. What else should be done? One call a minute from cron does what is due.
SELECT metric, level, action FROM queue_health() WHERE level <> 'ok';
SELECT job, cron, next_due_utc FROM queue_schedule();
