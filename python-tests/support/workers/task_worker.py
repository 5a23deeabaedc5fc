"""A worker on the queue: task_worker DATABASE COMMITS_A_SECOND NAME, until its input ends.

The gaps between its commits are random (exponential), as those of workers are that know nothing of
each other: with equal gaps, it would be a matter of luck whether two of them meet all the time or
never. The name decides which they are.

One transaction enqueues a task, the next claims it, the next completes it, as PrismQ's workers do,
in WAL mode with synchronous=NORMAL. Says "ready" after the first commit, and at the end one JSON
array: of each transaction when it ended (time.monotonic(), which all processes share) and how many
seconds it took, waiting for its turn included.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import sys
import threading
import time

from support.workers import told

BUSY_TIMEOUT_SECONDS = 60.0

ENQUEUE = """
INSERT INTO task_queue(type, payload, compatibility)
VALUES ('video.transcode', :payload, '{"region":"eu-central","gpu":true}')
"""
CLAIM = """
UPDATE task_queue SET status = 'leased', locked_by = :worker, attempts = attempts + 1,
  reserved_at_utc = datetime('now'), lease_until_utc = datetime('now', '+1 hour'),
  updated_at_utc = datetime('now')
WHERE id = :id
"""
COMPLETE = """
UPDATE task_queue SET status = 'completed', locked_by = NULL, lease_until_utc = NULL,
  finished_at_utc = datetime('now'), updated_at_utc = datetime('now')
WHERE id = :id
"""
STEPS = (ENQUEUE, CLAIM, COMPLETE)


class Worker:
    def __init__(self, path: str, name: str) -> None:
        self.chance = random.Random(name)
        self.connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        self.connection.execute("PRAGMA synchronous=NORMAL")
        payload = json.dumps({"format": "mp4", "source": "s3://media-ingest/live.mov"})
        self.values = {"worker": name, "payload": payload, "id": 0}
        self.commits: list[tuple[float, float]] = []

    def transaction(self, sql: str) -> None:
        begun = time.monotonic()
        self.connection.execute("BEGIN IMMEDIATE")
        cursor = self.connection.execute(sql, self.values)
        if sql is ENQUEUE:
            self.values["id"] = cursor.lastrowid or 0
        self.connection.execute("COMMIT")
        ended = time.monotonic()
        self.commits.append((ended, ended - begun))

    def work(self, rate: float, stop: threading.Event) -> None:
        due = time.monotonic()
        while not stop.is_set():
            self.transaction(STEPS[len(self.commits) % len(STEPS)])
            if len(self.commits) == 1:
                print("ready", flush=True)
            # After a long wait it goes on at its pace: a burst would not be the rate asked for.
            due = max(due + self.chance.expovariate(rate), time.monotonic() - 1 / rate)
            stop.wait(max(0.0, due - time.monotonic()))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path, rate, name = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    stop = told.to_stop()
    worker = Worker(path, name)
    worker.work(rate, stop)
    worker.connection.close()
    print(json.dumps(worker.commits), flush=True)


if __name__ == "__main__":
    main()
