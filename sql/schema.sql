/*
** The task queue that queuekeeper looks after: tables, indexes and views.
**
******************************************************************************
**
** USAGE
**
**     sqlite3 queue.db < sql/schema.sql
**
** Needs SQLite 3.37 or later with the JSON functions. It may be run again at
** any time: what exists already is left as it is, tasks included. Nothing in
** here needs the extension; a program without it can use the same queue.
**
** TABLE task_queue, one row a task
**
**     id                      in order of arrival; an id is never used twice
**     type                    what kind of work it is, e.g. 'video.transcode'
**     priority                smaller runs first, 100 unless said otherwise
**     payload                 JSON: what the worker needs to know
**     compatibility           JSON: what a worker must offer to take the task
**     status                  one of the six below
**     attempts, max_attempts  times it was claimed, and how many are allowed
**     run_after_utc           not to be claimed before this
**     lease_until_utc         the claim holds until then
**     reserved_at_utc         when it was claimed
**     processing_started_utc  when the worker began
**     finished_at_utc         when it ended, well or badly
**     locked_by               the worker that claimed it
**     error_message           why the last attempt failed
**     idempotency_key         NULL, or unique: enqueued twice, it is there once
**     created_at_utc, updated_at_utc
**     region                  generated: '$.region' of compatibility
**     format                  generated: '$.format' of payload
**
** Statuses:
**
**     queued ---> leased ---> processing ---> completed
**       ^           |             |
**       |           +-------------+---------> failed, dead_letter
**       |           |             |
**       +-----------+-------------+  retried, or rescued from a dead worker
**
** "leased" and "processing" are both leases: the task belongs to locked_by
** until lease_until_utc. After that nobody works on it any more, and nobody
** else may claim it either, until queue_requeue_stale() puts it back. One that
** was claimed max_attempts times becomes "dead_letter" instead, finished then,
** with an error_message: so whoever claims a task must count it in attempts.
**
** All times are TEXT, 'YYYY-MM-DD HH:MM:SS' in UTC, as datetime('now') gives
** them. In this form the order of the text is the order of the times, so plain
** comparisons and the indexes work; a 'T' or a zone in it would break both.
**
** region and format are VIRTUAL: they take no room in the row, only in their
** indexes, and always agree with the JSON that they come from.
**
** TABLE workers     worker_id, capabilities (JSON), heartbeat_utc
** TABLE task_logs   log_id, task_id, at_utc, level, message, details (JSON);
**                   a deleted task takes its logs with it if the connection
**                   has PRAGMA foreign_keys=ON
**
** VIEW task_status_summary    a row a status that has tasks
** VIEW task_type_summary      a row a type, a column a status
** VIEW worker_summary         a row a worker: its last heartbeat, the tasks that
**                             it holds, the end of its oldest lease. Workers
**                             that hold tasks but never registered are in it,
**                             with heartbeat_utc NULL: they are the ones that
**                             would otherwise be overlooked
** VIEW task_failure_summary   a row a type and error message, over the tasks
**                             that ended as failed or dead_letter
**
** No table or view is named queue_...: a real table would hide a table-valued
** function of the same name.
*/

/* Outside the transaction, because the journal mode cannot change within one.
** With WAL, backups and the queries above don't make the workers wait. */
PRAGMA journal_mode=WAL;

BEGIN;

CREATE TABLE IF NOT EXISTS task_queue(
  id                     INTEGER PRIMARY KEY AUTOINCREMENT,
  type                   TEXT NOT NULL,
  priority               INTEGER NOT NULL DEFAULT 100,
  payload                TEXT NOT NULL DEFAULT '{}' CHECK( json_valid(payload) ),
  compatibility          TEXT NOT NULL DEFAULT '{}' CHECK( json_valid(compatibility) ),
  status                 TEXT NOT NULL DEFAULT 'queued' CHECK( status IN
    ('queued', 'leased', 'processing', 'completed', 'failed', 'dead_letter') ),
  attempts               INTEGER NOT NULL DEFAULT 0,
  max_attempts           INTEGER NOT NULL DEFAULT 5,
  run_after_utc          TEXT NOT NULL DEFAULT (datetime('now')),
  lease_until_utc        TEXT,
  reserved_at_utc        TEXT,
  processing_started_utc TEXT,
  finished_at_utc        TEXT,
  locked_by              TEXT,
  error_message          TEXT,
  idempotency_key        TEXT,
  created_at_utc         TEXT NOT NULL DEFAULT (datetime('now')),
  updated_at_utc         TEXT NOT NULL DEFAULT (datetime('now')),
  region TEXT GENERATED ALWAYS AS (json_extract(compatibility, '$.region')) VIRTUAL,
  format TEXT GENERATED ALWAYS AS (json_extract(payload, '$.format')) VIRTUAL
);

/* Claiming: the next task of a status is the first entry of this index. */
CREATE INDEX IF NOT EXISTS task_queue_claim
  ON task_queue(status, priority, run_after_utc, id);
CREATE INDEX IF NOT EXISTS task_queue_type   ON task_queue(type, status);
CREATE INDEX IF NOT EXISTS task_queue_region ON task_queue(region);
CREATE INDEX IF NOT EXISTS task_queue_format ON task_queue(format);

/* Partial, so that the many tasks without a key cost nothing. */
CREATE UNIQUE INDEX IF NOT EXISTS task_queue_idempotency
  ON task_queue(idempotency_key) WHERE idempotency_key IS NOT NULL;

/* WITHOUT ROWID, because the key is text: there is no hidden rowid that a
** VACUUM could renumber. */
CREATE TABLE IF NOT EXISTS workers(
  worker_id     TEXT PRIMARY KEY,
  capabilities  TEXT NOT NULL DEFAULT '{}' CHECK( json_valid(capabilities) ),
  heartbeat_utc TEXT NOT NULL DEFAULT (datetime('now'))
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS task_logs(
  log_id  INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id INTEGER REFERENCES task_queue(id) ON DELETE CASCADE,
  at_utc  TEXT NOT NULL DEFAULT (datetime('now')),
  level   TEXT NOT NULL DEFAULT 'INFO',
  message TEXT NOT NULL,
  /* Older versions of json_valid() answer 0 to a NULL, and not NULL. */
  details TEXT CHECK( details IS NULL OR json_valid(details) )
);
CREATE INDEX IF NOT EXISTS task_logs_task ON task_logs(task_id);

CREATE VIEW IF NOT EXISTS task_status_summary AS
  SELECT status,
         count(*)            AS tasks,
         min(created_at_utc) AS oldest_created_utc,
         max(updated_at_utc) AS last_updated_utc
    FROM task_queue
   GROUP BY status;

CREATE VIEW IF NOT EXISTS task_type_summary AS
  SELECT type,
         count(*)                    AS tasks,
         sum(status = 'queued')      AS queued,
         sum(status = 'leased')      AS leased,
         sum(status = 'processing')  AS processing,
         sum(status = 'completed')   AS completed,
         sum(status = 'failed')      AS failed,
         sum(status = 'dead_letter') AS dead_letter
    FROM task_queue
   GROUP BY type;

CREATE VIEW IF NOT EXISTS worker_summary AS
  WITH held(worker_id, tasks, oldest_lease_until_utc) AS (
         SELECT locked_by, count(*), min(lease_until_utc)
           FROM task_queue
          WHERE status IN ('leased', 'processing') AND locked_by IS NOT NULL
          GROUP BY locked_by
       ),
       named(worker_id) AS (
         SELECT worker_id FROM workers UNION SELECT worker_id FROM held
       )
  SELECT named.worker_id       AS worker_id,
         workers.heartbeat_utc AS heartbeat_utc,
         ifnull(held.tasks, 0) AS tasks_held,
         held.oldest_lease_until_utc AS oldest_lease_until_utc
    FROM named
    LEFT JOIN workers ON workers.worker_id = named.worker_id
    LEFT JOIN held ON held.worker_id = named.worker_id;

CREATE VIEW IF NOT EXISTS task_failure_summary AS
  SELECT type,
         error_message,
         count(*) AS failures,
         max(ifnull(finished_at_utc, updated_at_utc)) AS last_seen_utc
    FROM task_queue
   WHERE status IN ('failed', 'dead_letter')
   GROUP BY type, error_message;

COMMIT;
