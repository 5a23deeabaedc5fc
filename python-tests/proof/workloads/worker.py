"""A worker that works, dawdles or dies: worker DATABASE NAME SEED LEASE DEATHS.

It claims tasks, for LEASE seconds each, and prints "TASK NAME" for each that it has completed,
after the COMMIT. Now and then it renews its lease, or sleeps longer than it may, and in a share
DEATHS of its tasks it kills itself while it holds one. It shows that it lives by a heartbeat,
except when it dawdles. A line on standard input makes it work without any of that; the input's end
stops it.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import threading
import time

BUSY_TIMEOUT_SECONDS = 30.0
CLAIM = (
    "UPDATE task_queue SET status = 'leased', locked_by = ?, attempts = attempts + 1, "
    "reserved_at_utc = datetime('now'), lease_until_utc = datetime('now', ?) "
    "WHERE id = (SELECT id FROM task_queue WHERE status = 'queued' ORDER BY random() LIMIT 1) "
    "RETURNING id"
)
HELD = " WHERE id = ? AND locked_by = ? AND status IN ('leased', 'processing') RETURNING id"
RENEW = "UPDATE task_queue SET status = 'processing', lease_until_utc = datetime('now', ?)" + HELD
FINISH = "UPDATE task_queue SET status = 'completed', finished_at_utc = datetime('now')" + HELD
BEAT = (
    "INSERT INTO workers(worker_id, capabilities, heartbeat_utc) VALUES (?, '{}', datetime('now')) "
    "ON CONFLICT(worker_id) DO UPDATE SET heartbeat_utc = excluded.heartbeat_utc"
)


def die() -> None:
    """At once, with nothing closed."""
    if sys.platform == "win32":
        os._exit(9)
    os.kill(os.getpid(), signal.SIGKILL)


class Worker:
    """One worker, and its connection."""

    def __init__(self, path: str, name: str, seed: str, lease: float) -> None:
        self.connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        self.connection.execute("PRAGMA wal_autocheckpoint=0")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.name, self.lease = name, lease
        self.chance = random.Random(seed)

    def commit(self, sql: str, *values: object) -> list[tuple[int, ...]]:
        """One transaction, however long others keep it waiting; what it returned."""
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                rows = self.connection.execute(sql, values).fetchall()
                self.connection.execute("COMMIT")
                return rows
            except sqlite3.OperationalError as error:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                if "database is locked" not in str(error):
                    raise

    def until(self) -> str:
        """The end of a lease, as a modifier of now."""
        return f"+{self.lease} seconds"

    def work(self, task: int, deaths: float) -> None:
        """Does a task, or not."""
        fate = self.chance.random()
        if fate < deaths:
            die()
        elif fate < 2 * deaths:
            # Longer than the lease, and whoever rescues may have waited for that.
            time.sleep(self.lease + self.chance.uniform(0, 4))
        elif fate < 4 * deaths:
            for _ in range(self.chance.randint(1, 4)):
                time.sleep(self.lease * 0.6)
                self.commit(BEAT, self.name)
                if not self.commit(RENEW, self.until(), task, self.name):
                    return
        if self.commit(FINISH, task, self.name):
            os.write(1, f"{task} {self.name}\n".encode())
        else:
            os.write(1, b"late\n")


def main() -> None:
    path, name, seed = sys.argv[1:4]
    lease, deaths = float(sys.argv[4]), float(sys.argv[5])
    calm, stop = threading.Event(), threading.Event()

    def listen() -> None:
        if sys.stdin.readline():
            calm.set()
        sys.stdin.read()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    worker = Worker(path, name, seed, lease)
    worker.commit(BEAT, name)
    os.write(1, b"ready\n")
    while not stop.is_set():
        try:
            worker.commit(BEAT, name)
            claimed = worker.commit(CLAIM, name, worker.until())
            if claimed:
                worker.work(claimed[0][0], 0 if calm.is_set() else deaths)
            else:
                time.sleep(0.02)
        except sqlite3.Error as error:
            os.write(1, f"! {error}\n".encode())
        time.sleep(worker.chance.uniform(0, 0.02))


if __name__ == "__main__":
    main()
