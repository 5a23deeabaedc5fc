"""The same backups while two workers commit a hundred times a second each.

# How

Every run has its own workers, who begin some seconds before it: their commits until then are
"before", those that overlap the run are "during", in the same minute on the same machine. A commit
counts with all that it waited. Between two runs the workers are gone, so that each starts with an
empty WAL.

A call that takes less time than the workers were alone is made again until all of its calls took as
long, since a hundred commits have no p99. The run's time is the median of its calls; what has to be
done between two of them counts neither as before nor as during.

Two peers copy a little at a time and start over whenever somebody commits, so they never end; they
are stopped after a minute, once, and what counts is how far they were.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import peers, tasks
from benchmarks.idle import incremental_name
from benchmarks.measure import MeasureError, Run, size_of, watching
from benchmarks.rounds import Line, Step
from benchmarks.setting import Setting, timed
from support import workers
from support.queues import video
from support.workers import Commit, WorkerError, Workers

GROUP = "load"

WRITERS = 2
RATE = 100.0
#: After that, a backup counts as one that never ends.
LIMIT_SECONDS = 60.0

Span = tuple[float, float]


@contextlib.contextmanager
def working(database: Path) -> Iterator[Workers]:
    """Two workers for as long as the block; then their commits are known."""
    try:
        with workers.working(database, WRITERS, RATE) as those:
            yield those
    except WorkerError as error:
        raise MeasureError(str(error)) from error


def within(commits: list[Commit], *spans: Span) -> list[float]:
    """The seconds of every commit that overlaps one of the spans."""
    return [
        seconds
        for ended, seconds in commits
        if any(ended >= first and ended - seconds <= last for first, last in spans)
    ]


def microseconds(values: list[float]) -> list[int]:
    return [round(value * 1e6) for value in values]


def repeated(
    setting: Setting, action: Callable[[], Run], between: Callable[[], None] | None
) -> list[Run]:
    """The call, and more of it until they are long enough, if it can be made again."""
    wal = Path(f"{setting.database}-wal")
    runs: list[Run] = []
    while not runs or (between and sum(run.seconds for run in runs) < setting.alone_seconds):
        if runs and between:
            between()
            os.sync()
        with watching(functools.partial(size_of, wal), 0.02) as highest:
            runs.append(action())
        runs[-1].found["wal_bytes"] = highest[0]
    return runs


def under_load(
    setting: Setting, action: Callable[[], Run], between: Callable[[], None] | None
) -> Run:
    """One run between the commits of others."""
    with working(setting.database) as busy:
        begun = time.monotonic()
        time.sleep(setting.alone_seconds)
        before = (begun, time.monotonic())
        runs = repeated(setting, action, between)
    run = sorted(runs, key=lambda one: one.seconds)[(len(runs) - 1) // 2]
    # Without the start of the program around the call, in which the workers are as idle as before.
    calls = [(one.ended - one.seconds, one.ended) for one in runs]
    run.found["before_us"] = microseconds(within(busy.commits, before))
    run.found["during_us"] = microseconds(within(busy.commits, *calls))
    run.found["wal_bytes"] = max(one.found["wal_bytes"] for one in runs)
    return run


def step(
    name: str,
    setting: Setting,
    action: Callable[[], Run],
    between: Callable[[], None] | None = None,
) -> Step:
    """A run; `between` is what must be done before the call can be made again."""
    return name, functools.partial(under_load, setting, action, between)


def full(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("full", setting, setting.backup, setting.clear)


def incremental(setting: Setting, turn: int) -> Iterator[Step]:
    changes = itertools.count(turn)

    def change() -> None:
        video.change(setting.database, 0.01, next(changes))

    setting.backup()
    change()
    action = functools.partial(setting.backup, type="incremental")
    yield step(incremental_name(0.01), setting, action, change)


def zstd(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("zstd", setting, functools.partial(setting.backup, compression="zstd"))


def gzip(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("gzip", setting, functools.partial(setting.backup, compression="gzip"))


def snapshot(setting: Setting, _turn: int) -> Iterator[Step]:
    yield step("snapshot", setting, functools.partial(setting.backup, type="snapshot"))


def copy(setting: Setting, _turn: int) -> Iterator[Step]:
    """No backup, since it mixes pages of different moments: only what the disk does to commits."""
    target = setting.scratch / "copy.db"
    yield step("cp, sync", setting, lambda: peers.copy(setting.database, target), setting.clear)


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
        setting.clear,
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
        with setting.open() as session:
            session.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            run = timed(session, tasks.REQUEUE)
            session.execute("COMMIT")
            run.ended = time.monotonic()
            run.seconds = run.ended - begun
            return run

    tasks.claim(setting.database, leases, turn)
    yield step(f"requeue {leases:,}", setting, lambda: setting.call(tasks.REQUEUE))
    tasks.claim(setting.database, leases, turn)
    yield step(f"requeue {leases:,} in one transaction", setting, at_once)


OURS: Line = (full, incremental, zstd, gzip, snapshot)
PEERS: Line = (copy, vacuum_into, python_at_once, rsync)
REQUEUE: Line = (requeue,)
#: Once, since they take the whole minute.
ENDLESS: Line = (shell_backup, python_paced)
