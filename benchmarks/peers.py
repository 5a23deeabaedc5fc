"""What a user would take instead of queuekeeper, on the same file.

Programs are timed from start to end, Python's Connection.backup() around the call alone, as ours
is. A peer whose program is not installed is left out, and the page says so. None of the compressing
programs syncs what it wrote, while ours does; that is to their advantage, and left so.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from benchmarks.measure import MeasureError, Run, chain, program

AT_ONCE = "Connection.backup()"
PACED = "Connection.backup(pages=100, sleep=0.1)"

PYTHON_BACKUP = Path(__file__).with_name("peer_backup.py")

#: Every program that a peer needs, and whether it is there.
PROGRAMS = ("cp", "sync", "zstd", "gzip", "sha256sum", "sqlite3", "sqlite3_rsync")


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def has(*names: str) -> bool:
    """Whether all of these are there."""
    return all(shutil.which(name) is not None for name in names)


def copy(database: Path, target: Path) -> Run:
    """The file at rest, copied and on disk: the least that any full backup can do."""
    return chain(lambda: program(["cp", database, target]), lambda: program(["sync", target]))


def zstd(file: Path, target: Path, level: int) -> Run:
    return program(["zstd", "-q", "-f", f"-{level}", "-T0", file, "-o", target])


def gzip(file: Path, target: Path, *options: str) -> Run:
    return program(["gzip", "-c", *options, file], output=target)


def sha256(file: Path) -> Run:
    return program(["sha256sum", file])


def sql(database: Path, statement: str, limit: float | None = None) -> Run:
    """One statement or command in the sqlite3 shell."""
    return program(["sqlite3", "-batch", "-bail", database, statement], limit=limit)


def check(database: Path, pragma: str) -> Run:
    """One of SQLite's own checks, which must be content."""
    run = sql(database, f"PRAGMA {pragma}")
    if run.found["printed"] != "ok":
        raise MeasureError(f"{pragma} of {database}: {run.found['printed']}")
    return run


def quoted(path: Path) -> str:
    """The path as the shell and SQL read it."""
    return "'" + str(path).replace("'", "''") + "'"


def backup(database: Path, target: Path, limit: float | None = None) -> Run:
    """The shell's own backup, which starts anew whenever another process commits."""
    return sql(database, f".backup {quoted(target)}", limit)


def vacuum_into(database: Path, target: Path, limit: float | None = None) -> Run:
    return sql(database, f"VACUUM INTO {quoted(target)}", limit)


def python_backup(database: Path, target: Path, pages: int, pause: float, limit: float) -> Run:
    """Python's Connection.backup(), stopped at the limit; then `found` says how far it was."""
    numbers = (str(pages), str(pause), str(limit))
    run = program([sys.executable, PYTHON_BACKUP, database, target, *numbers])
    run.found = json.loads(run.found["printed"])
    run.seconds = run.found.pop("seconds")
    return run


def rsync(database: Path, target: Path, limit: float | None = None) -> Run:
    return program(["sqlite3_rsync", database, target], limit=limit)
