"""The demo's queue: 50,000 tasks of the last two weeks, with workers alive and dead."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from support.queues import video

TASKS = 50_000
# What has become of the tasks by now; some workers died hours ago with tasks in hand.
MAKE = """
PRAGMA synchronous = OFF;
BEGIN;
CREATE TEMP TABLE age AS
  SELECT (julianday('now') - julianday(max(created_at_utc))) || ' days' AS age FROM task_queue;
UPDATE task_queue
   SET created_at_utc = datetime(created_at_utc, age), run_after_utc = datetime(run_after_utc, age),
       updated_at_utc = datetime(updated_at_utc, age),
       processing_started_utc = datetime(processing_started_utc, age),
       finished_at_utc = datetime(finished_at_utc, age)
  FROM age;
UPDATE task_logs SET at_utc = datetime(at_utc, age) FROM age;
UPDATE task_queue
   SET created_at_utc = moment, run_after_utc = moment, updated_at_utc = moment
  FROM (SELECT id AS number, datetime('now', -(5 + id % 180) || ' minutes') AS moment
          FROM task_queue WHERE status = 'queued')
 WHERE id = number;
INSERT INTO workers(worker_id, capabilities, heartbeat_utc)
  SELECT worker, json_object('memory_gb', 16),
         datetime('now', iif(number % 8 = 3, (-3 * number) || ' hours', '0 hours'))
    FROM (SELECT DISTINCT locked_by AS worker, CAST(substr(locked_by, 8) AS INTEGER) AS number
            FROM task_queue WHERE locked_by IS NOT NULL);
UPDATE task_queue
   SET reserved_at_utc = datetime(heartbeat_utc, -(id % 240) || ' seconds'),
       lease_until_utc = datetime(heartbeat_utc, '+10 minutes')
  FROM workers WHERE locked_by = worker_id;
COMMIT;
ANALYZE;
"""


def make(path: Path) -> int:
    """Makes it; how many tasks it has."""
    tasks = video.make(path, TASKS * video.BYTES_A_TASK).tasks
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(MAKE)
    connection.close()
    return tasks
