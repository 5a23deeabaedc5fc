"""The same backups while two workers commit a hundred times a second each.

# How

Every run has its own workers, who begin some seconds before it: their commits until then are
"before", those that overlap the run are "during", in the same minute on the same machine. A commit
counts with all that it waited. Between two runs the workers are gone, so that each starts with an
empty WAL.

Two peers copy a little at a time and start over whenever somebody commits, so they never end; they
are stopped after a minute, once, and what counts is how far they were.
"""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import data, peers, tasks
from benchmarks.idle import incremental_name
from benchmarks.measure import MeasureError, Run, size_of, watching
from benchmarks.rounds import Line, Step
from benchmarks.setting import Setting, timed

GROUP = "load"

WRITERS = 2
RATE = 100.0
WRITER = Path(__file__).with_name("writer.py")
#: After that, a backup counts as one that never ends.
LIMIT_SECONDS = 60.0

Span = tuple[float, float]
Commit = tuple[float, float]


class Workers:
    """Two processes that write; `commits` is there once they have ended."""

    def __init__(self, database: Path) -> None:
        self.commits: list[Commit] = []
        self.processes = [
            subprocess.Popen(
                [sys.executable, str(WRITER), str(database), f"worker-{number}", str(RATE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(WRITERS)
        ]

    def wait(self) -> None:
        """Until each has committed once."""
        for process in self.processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                complaint = process.communicate()[1].strip()
                raise MeasureError(f"a worker did not start: {complaint}")

    def finish(self) -> None:
        for process in self.processes:
            printed, complaint = process.communicate(timeout=LIMIT_SECONDS * 2)
            if process.returncode != 0:
                raise MeasureError(f"a worker failed: {complaint.strip()}")
            self.commits += [(ended, seconds) for ended, seconds in json.loads(printed)]

    def kill(self) -> None:
        for process in self.processes:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()


@contextlib.contextmanager
def working(database: Path) -> Iterator[Workers]:
    """Runs the workers for as long as the block; then their commits are known."""
    workers = Workers(database)
    try:
        workers.wait()
        yield workers
        workers.finish()
    finally:
        workers.kill()


def within(commits: list[Commit], span: Span) -> list[float]:
    """The seconds of every commit that overlaps the span."""
    first, last = span
    return [seconds for ended, seconds in commits if ended >= first and ended - seconds <= last]


def microseconds(values: list[float]) -> list[int]:
    return [round(value * 1e6) for value in values]


def under_load(setting: Setting, action: Callable[[], Run]) -> Run:
    """One run between the commits of others."""
    wal = Path(f"{setting.database}-wal")
    with working(setting.database) as workers:
        begun = time.monotonic()
        time.sleep(setting.alone_seconds)
        before = (begun, time.monotonic())
        with watching(functools.partial(size_of, wal), 0.02) as highest:
            run = action()
    # Without the start of the program around the call, in which the workers are as idle as before.
    during = (run.ended - run.seconds, run.ended)
    run.found["before_us"] = microseconds(within(workers.commits, before))
    run.found["during_us"] = microseconds(within(workers.commits, during))
    run.found["wal_bytes"] = highest[0]
    return run


def step(name: str, setting: Setting, action: Callable[[], Run]) -> Step:
    return name, functools.partial(under_load, setting, action)


def full(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("full", setting, setting.backup)


def incremental(setting: Setting, turn: int) -> Iterator[Step]:
    setting.backup()
    data.change(setting.database, 0.01, turn)
    action = functools.partial(setting.backup, type="incremental")
    yield step(incremental_name(0.01), setting, action)


def zstd(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("zstd", setting, functools.partial(setting.backup, compression="zstd"))


def gzip(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("gzip", setting, functools.partial(setting.backup, compression="gzip"))


def snapshot(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("snapshot", setting, functools.partial(setting.backup, type="snapshot"))


def copy(setting: Setting, _turn: int) -> Iterator[Step]:
    """No backup, since it mixes pages of different moments: only what the disk does to commits."""
    target = setting.scratch / "copy.db"
    yield step("cp, sync", setting, lambda: peers.copy(setting.database, target))


def vacuum_into(setting: Setting, _turn: int) -> Iterator[Step]:
    if peers.has("sqlite3"):
        target = setting.scratch / "vacuumed.db"
        yield step("VACUUM INTO", setting, lambda: peers.vacuum_into(setting.database, target))


def python_at_once(setting: Setting, _turn: int) -> Iterator[Step]:
    database, target = setting.database, setting.scratch / "python.db"
    yield step(
        peers.AT_ONCE,
        setting,
        lambda: peers.python_backup(database, target, -1, 0, LIMIT_SECONDS),
    )


def rsync(setting: Setting, _turn: int) -> Iterator[Step]:
    if peers.has("sqlite3_rsync"):
        target = setting.scratch / "rsync.db"
        yield step("sqlite3_rsync", setting, lambda: peers.rsync(setting.database, target))


def shell_backup(setting: Setting, _turn: int) -> Iterator[Step]:
    target = setting.scratch / "backup.db"

    def run() -> Run:
        with watching(functools.partial(size_of, target), 0.05) as highest:
            done = peers.backup(setting.database, target, LIMIT_SECONDS)
        done.found["finished"] = "killed" not in done.found
        done.found["share"] = 1.0 if done.found["finished"] else highest[0] / setting.queue.bytes
        return done

    if peers.has("sqlite3"):
        yield step(".backup", setting, run)


def python_paced(setting: Setting, _turn: int) -> Iterator[Step]:
    database, target = setting.database, setting.scratch / "paced.db"

    def run() -> Run:
        done = peers.python_backup(database, target, 100, 0.1, LIMIT_SECONDS)
        done.found["share"] = done.found["pages_done"] / max(1, done.found["page_count"])
        return done

    yield step(peers.PACED, setting, run)


def requeue(setting: Setting, turn: int) -> Iterator[Step]:
    """In batches, as it works by itself, and in one transaction of the caller's."""
    leases = tasks.most(setting)

    def at_once() -> Run:
        session = setting.open()
        try:
            session.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            run = timed(session, tasks.REQUEUE)
            session.execute("COMMIT")
            run.ended = time.monotonic()
            run.seconds = run.ended - begun
            return run
        finally:
            session.close()

    tasks.claim(setting.database, leases, turn)
    yield step(f"requeue {leases:,}", setting, lambda: setting.call(tasks.REQUEUE))
    tasks.claim(setting.database, leases, turn)
    yield step(f"requeue {leases:,} in one transaction", setting, at_once)


OURS: Line = (full, incremental, zstd, gzip, snapshot)
PEERS: Line = (copy, vacuum_into, python_at_once, rsync)
REQUEUE: Line = (requeue,)
#: Once, since they take the whole minute.
ENDLESS: Line = (shell_backup, python_paced)
