"""How long other writers wait while 60,000 stale leases among 1,500,000 tasks are requeued.

    .venv/bin/python python-tests/measure_requeue.py [DIRECTORY]

No test, since figures depend on the machine. Two other processes each commit up to 100 times a
second; what is printed is how long they waited at most for the write lock (BEGIN IMMEDIATE), and
how long their slowest transaction took with its COMMIT: first with nothing else going on, then
while the leases are requeued in batches, then, to compare, while that is done in one transaction.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from hosts import Session, find_host
from support.queues import SCHEMA
from support.writers import writing

TASKS = 1_500_000
LEASES = 60_000
WRITERS = 2
RATE = 100
LIBRARY = Path(__file__).parents[1] / "target" / "release" / "libqueuekeeper.so"

FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO task_queue(type, priority, payload, status)
SELECT 'type-' || i % 5, 100, json_object('format', 'mp4', 'number', i),
       CASE i % 4 WHEN 0 THEN 'queued' WHEN 1 THEN 'failed' ELSE 'completed' END
FROM n
"""
# Dead workers' tasks lie scattered among the others.
CLAIM = """
UPDATE task_queue SET status = 'leased', locked_by = 'worker-' || id % 7, attempts = 1,
       lease_until_utc = datetime('now', '-1 hour'), reserved_at_utc = datetime('now', '-2 hours')
WHERE id % ? = 0
"""


def make(path: Path) -> None:
    """The queue, by the schema that the project ships."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(SCHEMA.read_text("utf-8"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(FILL, (TASKS,))
    claim(connection)
    connection.close()


def claim(connection: sqlite3.Connection) -> None:
    """Makes the stale leases."""
    assert connection.execute(CLAIM, (TASKS // LEASES,)).rowcount == LEASES
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def measure(what: str, path: Path, session: Session, statements: list[str]) -> None:
    """Runs the statements while others write; with none, lets these write for a while."""
    with writing(path, WRITERS, RATE) as writers:
        time.sleep(1)
        began = time.monotonic()
        for statement in statements:
            session.rows(statement)
        took = time.monotonic() - began
        time.sleep(1 if statements else 10)
    waited = max(report.longest_wait_seconds for report in writers.reports)
    slowest = max(report.longest_seconds for report in writers.reports)
    commits = sum(report.commits for report in writers.reports)
    errors = [error for report in writers.reports for error in report.errors]
    print(
        f"{what}: {took:.1f} s; others: {commits} commits, waited up to {waited * 1000:.0f} ms, "
        f"slowest commit {slowest * 1000:.0f} ms, errors {errors}",
        flush=True,
    )


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=directory) as place:
        path = Path(place) / "queue.db"
        make(path)
        print(f"{path.stat().st_size / 2**20:.0f} MB, {TASKS} tasks, {LEASES} stale leases")
        session = find_host("apsw").open(str(path))
        session.load(LIBRARY)
        requeue = "SELECT queue_requeue_stale(60)"
        measure("nothing else", path, session, [])
        measure("in batches", path, session, [requeue])
        assert session.value("SELECT count(*) FROM queue_stale(60)") == 0
        connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        claim(connection)
        connection.close()
        measure("in one transaction", path, session, ["BEGIN IMMEDIATE", requeue, "COMMIT"])
        session.close()


if __name__ == "__main__":
    main()
