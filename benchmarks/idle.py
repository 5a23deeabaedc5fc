"""Backups, verifications and restores of a queue that nobody else uses."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peers
from benchmarks.measure import MIB, MeasureError, Run, here, read_through
from benchmarks.rounds import Line, Step
from benchmarks.setting import Setting
from support.queues import video

GROUP = "idle"

#: How much of the database changes between two incrementals.
SHARES = (0.001, 0.01, 0.1)
#: For what cannot go on for ever when nobody disturbs it.
LIMIT_SECONDS = 600.0


def incremental_name(share: float) -> str:
    return f"incremental {share * 100:g} %"


def write_bytes(path: Path, piece: bytes, size: int) -> None:
    """So many bytes in large pieces, and a sync: what the disk can do."""
    with path.open("wb", buffering=0) as file:
        for start in range(0, size, len(piece)):
            file.write(piece[: size - start])
        os.fsync(file.fileno())


def hash_bytes(path: Path) -> None:
    buffer = bytearray(MIB)
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(memoryview(buffer)[:count])


def limits(setting: Setting, _turn: int) -> Iterator[Step]:
    """What memory, disk and a hash can do with as many bytes as the database has."""
    database, target = setting.database, setting.scratch / "written"
    # Random, so that no disk makes them smaller.
    piece = random.Random(setting.label).randbytes(8 * MIB)
    yield "read memory", lambda: here(lambda: read_through(database))
    yield "write disk", lambda: here(lambda: write_bytes(target, piece, setting.queue.bytes))
    yield "SHA-256", lambda: here(lambda: hash_bytes(database))


def copy(setting: Setting, _turn: int) -> Iterator[Step]:
    yield "cp, sync", lambda: peers.copy(setting.database, setting.scratch / "copy.db")


def full(setting: Setting, turn: int) -> Iterator[Step]:
    """A full backup, and incrementals on it."""
    yield "full", setting.backup
    for share in SHARES:
        video.change(setting.database, share, turn)
        yield incremental_name(share), functools.partial(setting.backup, type="incremental")


def shell_backup(setting: Setting, _turn: int) -> Iterator[Step]:
    """Kept for what users do next with it."""
    if peers.has("sqlite3"):
        target = setting.kept / "backup.db"
        yield ".backup", lambda: peers.backup(setting.database, target)


def python_at_once(setting: Setting, _turn: int) -> Iterator[Step]:
    target = setting.scratch / "python.db"
    database = setting.database
    yield peers.AT_ONCE, lambda: peers.python_backup(database, target, -1, 0, LIMIT_SECONDS)


def python_paced(setting: Setting, _turn: int) -> Iterator[Step]:
    """The old backend's way. It only sleeps when it finds the database locked."""
    target = setting.scratch / "paced.db"
    database = setting.database
    yield peers.PACED, lambda: peers.python_backup(database, target, 100, 0.1, LIMIT_SECONDS)


def rsync(setting: Setting, _turn: int) -> Iterator[Step]:
    if peers.has("sqlite3_rsync"):
        yield "sqlite3_rsync", lambda: peers.rsync(setting.database, setting.scratch / "rsync.db")


def zstd_program(setting: Setting, _turn: int) -> Iterator[Step]:
    if peers.has("zstd"):
        target = setting.scratch / "copy.zst"
        yield "zstd -1 -T0", lambda: peers.zstd(setting.database, target, 1)


def zstd_quick(setting: Setting, _turn: int) -> Iterator[Step]:
    yield "zstd level 1", functools.partial(setting.backup, compression="zstd", level=1)


def gzip_program(setting: Setting, _turn: int) -> Iterator[Step]:
    if peers.has("gzip"):
        target = setting.scratch / "copy.gz"
        yield "gzip -1", lambda: peers.gzip(setting.database, target, "-1")


def gzip_ours(setting: Setting, _turn: int) -> Iterator[Step]:
    yield "gzip", functools.partial(setting.backup, compression="gzip")
    yield "gzip level 1", functools.partial(setting.backup, compression="gzip", level=1)


def vacuum_into(setting: Setting, _turn: int) -> Iterator[Step]:
    if peers.has("sqlite3"):
        target = setting.scratch / "vacuumed.db"
        yield "VACUUM INTO", lambda: peers.vacuum_into(setting.database, target)


def snapshot(setting: Setting, _turn: int) -> Iterator[Step]:
    yield "snapshot", functools.partial(setting.backup, type="snapshot")


def backup_and_more(setting: Setting, _turn: int) -> Iterator[Step]:
    """What users do with the file that .backup has left, for the same end as ours."""
    file = setting.kept / "backup.db"
    if not file.exists():
        return
    if peers.has("zstd"):
        target = setting.scratch / "backup.zst"
        yield "then zstd -3 -T0", lambda: peers.zstd(file, target, 3)
    if peers.has("sha256sum"):
        yield "then sha256sum", lambda: peers.sha256(file)


def and_integrity_check(setting: Setting, _turn: int) -> Iterator[Step]:
    file = setting.kept / "backup.db"
    if file.exists():
        yield "then integrity_check", lambda: peers.check(file, "integrity_check")


def and_gzip(setting: Setting, _turn: int) -> Iterator[Step]:
    """By itself, like all that is dear: what there is no time for can be left out alone."""
    file = setting.kept / "backup.db"
    if file.exists() and peers.has("gzip"):
        yield "then gzip", lambda: peers.gzip(file, setting.scratch / "backup.gz")


def checked(run: Run) -> Run:
    """A verification's answer is short, and must be good."""
    if json.loads(run.found["answer"])["status"] != "ok":
        raise MeasureError(f"a verification failed: {run.found['answer']}")
    run.found = {}
    return run


def zstd_ours(setting: Setting, _turn: int) -> Iterator[Step]:
    """A compressed backup with the default level, kept for what later blocks do with it."""
    backups = setting.kept / "zstd"
    yield "zstd", functools.partial(setting.backup, backups, compression="zstd")
    for level in ("checksum", "quick"):
        yield f"verify {level}", functools.partial(verify, setting, backups, level)


def verify(setting: Setting, directory: Path, level: str) -> Run:
    (path,) = directory.glob("*.zst")
    return checked(setting.call("SELECT queue_verify(?, ?)", str(path), level))


def verify_full(setting: Setting, _turn: int) -> Iterator[Step]:
    backups = setting.kept / "zstd"
    # Not there if the block that makes it has been left out for want of time.
    if backups.exists():
        yield "verify full", functools.partial(verify, setting, backups, "full")


def restores(setting: Setting, _turn: int) -> Iterator[Step]:
    target = str(setting.scratch / "restored.db")
    for path in map(str, (setting.kept / "zstd").glob("*.zst")):
        to_file = ("SELECT queue_restore(?, ?)", path, target)
        yield "restore to a file", functools.partial(quietly, setting, *to_file)
        live = ("SELECT queue_restore(?)", path)
        yield "restore live", functools.partial(quietly, setting, *live)


def quietly(setting: Setting, sql: str, *params: str) -> Run:
    """Without the answer, which is long and the same each time."""
    run = setting.call(sql, *params)
    run.found = {}
    return run


def quick_check(setting: Setting, _turn: int) -> Iterator[Step]:
    if peers.has("sqlite3"):
        yield "PRAGMA quick_check", lambda: peers.check(setting.database, "quick_check")


#: What most goals are about.
FIRM = frozenset(
    {
        "copy",
        "full",
        "shell_backup",
        "zstd_program",
        "zstd_quick",
        "zstd_ours",
        "backup_and_more",
        "quick_check",
    }
)

#: What is measured on the queues that only show how things grow.
GROWTH: list[Line] = [(copy, full, shell_backup), (zstd_ours,), (restores, limits)]

LINES: list[Line] = [
    (copy, full, shell_backup, python_at_once),
    (zstd_program, zstd_quick),
    (backup_and_more, zstd_ours, quick_check),
    (and_integrity_check, and_gzip, verify_full),
    (restores,),
    (gzip_program, gzip_ours),
    (vacuum_into, snapshot),
    (python_paced, rsync, limits),
]
