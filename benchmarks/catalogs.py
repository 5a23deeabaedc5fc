"""A directory with many backups: what a backup, a listing and a rotation cost in it.

# How

Ten thousand backups are not made but copied: one real one of a queue of a few pages, under as many
names, an hour apart, with a catalog whose digests are right. To the library they are like others.
"""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.rounds import Block, Line, Step
from benchmarks.setting import Setting
from support.artifacts import CATALOG
from support.artifacts.kinds import write_catalog
from support.queues.video import Queue

GROUP = LABEL = "catalogs"

COUNTS = (10, 100, 1_000, 10_000)


def small_queue(path: Path) -> Queue:
    """A database of a few pages."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status TEXT)")
    connection.execute("INSERT INTO task_queue(status) VALUES ('queued')")
    connection.close()
    return Queue(path, path.stat().st_size, path.stat().st_size // 4096, 1)


def names(count: int, newest: datetime) -> Iterator[tuple[str, str]]:
    """The stem of each copy and its time in the catalog, the newest first."""
    for number in range(1, count + 1):
        when = newest - timedelta(hours=number)
        yield f"queue_backup_{when:%Y%m%d_%H%M%S}.db", f"{when:%Y-%m-%dT%H:%M:%SZ}"


def multiply(directory: Path, count: int) -> None:
    """Makes so many backups of the only one in the directory."""
    entry: dict[str, Any] = json.loads((directory / CATALOG).read_text("utf-8"))[0]
    artifact = directory / entry["backup_path"]
    hashes = Path(f"{artifact}.hashes")
    entries = []
    for name, created_at in names(count, datetime.now(timezone.utc)):
        shutil.copyfile(artifact, directory / name)
        shutil.copyfile(hashes, directory / f"{name}.hashes")
        own = {"id": str(uuid.uuid4()), "backup_path": name, "created_at": created_at}
        entries.append({**entry, **own})
    artifact.unlink()
    hashes.unlink()
    # The order in which they would have been made.
    write_catalog(directory, reversed(entries))


def block_for(count: int) -> Block:
    """One more backup, listing, planning, and the rotation that takes the oldest away again."""

    def run(setting: Setting, _turn: int) -> Iterator[Step]:
        # Made once, since the rotation leaves as many as there were.
        directory = setting.database.parent / f"catalog-{count}"
        if not directory.exists():
            setting.backup(directory)
            multiply(directory, count)
        place = str(directory)
        yield f"backup {count:,}", functools.partial(setting.backup, directory)
        listing = "SELECT count(*) FROM queue_backups(?)"
        yield f"list {count:,}", functools.partial(setting.call, listing, place)
        plan = "SELECT count(*) FROM queue_rotation('7/4/12', ?)"
        yield f"plan {count:,}", functools.partial(setting.call, plan, place)
        rotate = "SELECT queue_rotate(?, ?)"
        one = functools.partial(setting.call, rotate, count, place)
        yield f"rotate one of {count:,}", one

    run.__name__ = f"catalog of {count:,}"
    return run


def sweep(count: int) -> Block:
    """A rotation that leaves a few of that many."""

    def run(setting: Setting, _turn: int) -> Iterator[Step]:
        directory = setting.scratch / "backups"
        setting.backup(directory)
        multiply(directory, count)
        rotate = "SELECT queue_rotate('7/4/12', ?)"
        yield f"rotate {count:,} by 7/4/12", functools.partial(setting.call, rotate, str(directory))

    run.__name__ = f"rotation of {count:,}"
    return run


def lines(largest: int) -> list[Line]:
    """The catalogs up to that many backups."""
    return [[block_for(count) for count in COUNTS if count <= largest]]


def largest(size: int) -> int:
    """How many backups the largest catalog has when the main queue has so many bytes."""
    return next(count for count in reversed(COUNTS) if count == COUNTS[0] or size >= count * 10**5)
