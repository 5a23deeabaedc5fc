"""Opening files that others may have put there.

# Promise

Whoever writes a directory puts pipes, links and devices there, and another thing a moment after it
was looked at. No reader waits for a pipe, and none opens a database that this process has open:
closing it would take SQLite's locks away. What is no file is an error before it is opened.

# How

Where there is `/proc`, what is looked at and what is opened are one file: it is first held by a
descriptor that opens nothing, whose closing drops no lock. Elsewhere it is looked at by its name,
and again after it was opened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

CLOSED_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
#: Neither waits for a pipe nor for a device.
CAREFULLY = CLOSED_ON_EXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
HOLD = getattr(os, "O_PATH", None)
#: What this process has open.
FILES = Path("/proc/self/fd")
LOCKS = Path("/proc/locks")
#: How often that list is read for one file.
READINGS = 2
#: What SQLite has open, besides a database itself.
BESIDE = ("", "-wal", "-shm", "-journal")


def opened(path: Path, flags: int = os.O_RDONLY, *, database: Path | None = None) -> int:
    """The descriptor of a regular file that is there, and is none of a live database's."""
    if HOLD is not None and FILES.is_dir():
        held = os.open(path, HOLD | NO_FOLLOW | CLOSED_ON_EXEC)
        try:
            _check(path, os.fstat(held), database, held)
            return os.open(FILES / str(held), flags | CAREFULLY)
        finally:
            os.close(held)
    before = path.lstat()
    _check(path, before, database)
    descriptor = os.open(path, flags | NO_FOLLOW | CAREFULLY)
    if not os.path.samestat(before, os.fstat(descriptor)):
        os.close(descriptor)
        raise OSError(errno.EPERM, "somebody puts other files in its place", str(path))
    return descriptor


def read(path: Path, most: int, *, database: Path | None = None) -> bytes:
    """What such a file holds, or its beginning of so many bytes."""
    with open(opened(path, database=database), "rb") as file:
        return file.read(most)


def _check(path: Path, found: os.stat_result, database: Path | None, held: int = -1) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "this is a link, or no file; move it away", str(path))
    if (
        _is_of(found, database)
        or (found.st_nlink > 1 and _is_open(found, held))
        or (held >= 0 and _is_locked_here(found, held))
    ):
        raise OSError(errno.EINVAL, "this is a database that is open; move it away", str(path))


def _is_of(found: os.stat_result, database: Path | None) -> bool:
    for suffix in BESIDE if database is not None else ():
        with contextlib.suppress(OSError):
            if os.path.samestat(found, Path(f"{database}{suffix}").stat()):
                return True
    return False


def _is_open(found: os.stat_result, held: int) -> bool:
    """Whether this process has a file open, but for what holds it here."""
    for place in (FILES, Path("/dev/fd")):
        if place.is_dir():
            others = (int(each.name) for each in place.iterdir())
            return any(_is_file(found, each) for each in others if each != held)
    return False


def _is_locked_here(found: os.stat_result, held: int) -> bool:
    """Whether SQLite has locks on a file in this process."""
    # The list is of the whole system, and as long as anybody makes it; while others take and drop
    # locks, one that is held may be passed over.
    return _is_open(found, held) and any(_is_listed_as_own(found, held) for _ in range(READINGS))


def _is_listed_as_own(found: os.stat_result, held: int) -> bool:
    try:
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return False
    own = str(Path("/proc/self").readlink())
    places = [
        fields[5].rpartition(":")[0]
        for fields in map(str.split, lines)
        if fields[1:2] == ["POSIX"] and fields[4] == own and fields[5].endswith(f":{found.st_ino}")
    ]
    return bool(places) and not {*places}.isdisjoint(_devices(found, held))


def _devices(found: os.stat_result, held: int) -> Iterator[str]:
    """What a lock may call the file system of a file: not every one has the device that `stat`
    gives (btrfs)."""
    yield f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    told = Path(f"/proc/self/fdinfo/{held}").read_text().splitlines()
    mount = next((line.split()[1] for line in told if line.startswith("mnt_id:")), None)
    for fields in map(str.split, Path("/proc/self/mountinfo").read_text().splitlines()):
        if fields[0] == mount:
            yield ":".join(f"{int(number):02x}" for number in fields[2].split(":"))


def _is_file(found: os.stat_result, descriptor: int) -> bool:
    try:
        return os.path.samestat(found, os.fstat(descriptor))
    except OSError:
        return False
