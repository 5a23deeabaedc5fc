"""The demo's background writer: a producer and a worker in one, until its input ends.

    demo_writer.py MODULE DATABASE

Commits about a hundred times a second: one transaction enqueues a task, the next
claims one, the next completes it. Says "ready" after the first commit, and at the
end one JSON object: {"commits": [[when, seconds it took], ...], "error": null or text}.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from typing import Any

from demo_sqlite import Database

COMMITS_PER_SECOND = 100
VALUES = {
    "worker": "worker-demo",
    "payload": json.dumps({"format": "mp4", "source": "s3://media/live.mov", "height": 1080}),
}

# The log row goes into the same transaction as its task. So in every true snapshot there
# are exactly as many "enqueued" rows as tasks that the writer added.
ENQUEUE = [
    """INSERT INTO task_queue(type, payload, compatibility)
       VALUES ('video.transcode', :payload, '{"region":"eu-central"}')""",
    "INSERT INTO task_logs(task_id, message) VALUES (last_insert_rowid(), 'enqueued')",
]
CLAIM = [
    """UPDATE task_queue
          SET status = 'leased', locked_by = :worker, attempts = attempts + 1,
              reserved_at_utc = datetime('now'), updated_at_utc = datetime('now'),
              lease_until_utc = datetime('now', '+10 minutes')
        WHERE id = (SELECT id FROM task_queue
                     WHERE status = 'queued' AND run_after_utc <= datetime('now')
                     ORDER BY priority, run_after_utc, id LIMIT 1)""",
    """INSERT INTO workers(worker_id) VALUES (:worker)
         ON CONFLICT(worker_id) DO UPDATE SET heartbeat_utc = datetime('now')""",
]
COMPLETE = [
    """UPDATE task_queue
          SET status = 'completed', locked_by = NULL, lease_until_utc = NULL,
              finished_at_utc = datetime('now'), updated_at_utc = datetime('now')
        WHERE status = 'leased' AND locked_by = :worker""",
]


class Writer:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.commits: list[tuple[float, float]] = []
        # WAL with NORMAL, as a busy queue would have it: no fsync at each commit.
        database.run("PRAGMA synchronous = NORMAL")

    def transaction(self, statements: list[str]) -> None:
        start = time.time()
        self.database.run("BEGIN IMMEDIATE")
        for sql in statements:
            self.database.run(sql, VALUES)
        self.database.run("COMMIT")
        self.commits.append((time.time(), time.time() - start))

    def work(self, stop: threading.Event) -> None:
        steps = [ENQUEUE, CLAIM, COMPLETE]
        due = time.monotonic()
        while not stop.is_set():
            self.transaction(steps[len(self.commits) % len(steps)])
            if len(self.commits) == 1:
                print("ready", flush=True)
            # After a long wait for a lock, go on at the usual pace instead of catching up.
            due = max(due + 1 / COMMITS_PER_SECOND, time.monotonic())
            stop.wait(due - time.monotonic())


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, path = sys.argv[1:]
    stop = threading.Event()

    def wait_for_end_of_input() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    database = Database(path, module)
    writer = Writer(database)
    report: dict[str, Any] = {"error": None}
    try:
        writer.work(stop)
    except database.Error as error:
        report["error"] = str(error)
    report["commits"] = writer.commits
    print(json.dumps(report), flush=True)
    database.close()


if __name__ == "__main__":
    main()
