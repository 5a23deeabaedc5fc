"""What looks at tasks instead of pages: requeuing, counting, health; and loading the library."""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MeasureError, Run, peak_of
from benchmarks.rounds import Line, Step
from benchmarks.setting import LIMIT_SECONDS, Setting
from support.queues.video import spread

GROUP = "tasks"

LEASES = (1_000, 10_000, 60_000)
REQUEUE = "SELECT queue_requeue_stale(300)"
CLAIM = """
UPDATE task_queue SET status = 'leased', locked_by = 'worker-gone', lease_until_utc =
  '2026-01-01 00:00:00', reserved_at_utc = '2025-12-31 23:00:00' WHERE id = ?
"""
LOADING = "load the extension"
TABLES = ("queue_stats", "queue_depth", "queue_health")


def possible(setting: Setting) -> list[int]:
    """The numbers of leases that the queue has enough tasks for."""
    return [count for count in LEASES if count * 10 <= setting.queue.tasks] or [
        setting.queue.tasks // 10
    ]


def most(setting: Setting) -> int:
    return possible(setting)[-1]


def claim(database: Path, leases: int, turn: int) -> None:
    """Makes that many leases of dead workers, scattered over the queue."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=60)
    try:
        (tasks,) = connection.execute("SELECT max(id) FROM task_queue").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(CLAIM, spread(tasks, leases, turn))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def requeue_one(setting: Setting, leases: int, turn: int) -> Iterator[Step]:
    def run() -> Run:
        done = setting.call(REQUEUE)
        if done.found["answer"] != leases:
            raise MeasureError(f"{done.found['answer']} of {leases} leases were requeued")
        return done

    claim(setting.database, leases, turn)
    yield f"requeue {leases:,}", run


def requeue(setting: Setting, turn: int) -> Iterator[Step]:
    for leases in possible(setting)[:-1]:
        yield from requeue_one(setting, leases, turn)


def requeue_most(setting: Setting, turn: int) -> Iterator[Step]:
    """By itself, since it takes so much longer than the others."""
    yield from requeue_one(setting, most(setting), turn)


def tables(setting: Setting, _turn: int) -> Iterator[Step]:
    for name in TABLES:
        yield f"{name}()", functools.partial(setting.call, f"SELECT * FROM {name}()")


def loading(setting: Setting, _turn: int) -> Iterator[Step]:
    """From the call of load_extension() in a fresh process until it returns."""

    def run() -> Run:
        session = setting.host.open_python(str(setting.database))
        session.limit_seconds = LIMIT_SECONDS
        begun = time.monotonic()
        session.load(setting.library)
        seconds = time.monotonic() - begun
        peak = peak_of(session.process.pid)
        session.close()
        return Run(seconds, peak=peak)

    yield LOADING, run


LINES: list[Line] = [(requeue,), (tables, loading)]
#: Fewer rounds.
DEAR: list[Line] = [(requeue_most,)]
