"""Putting a file that was pulled into the backup directory: whole, durable, over nothing.

# How

It is fetched into a directory of its own inside the backup directory, checked there, and then gets
its name by a link, which fails where there is something already. File systems without links get it
by a rename behind a file that was made exclusively.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from queuekeeper import _likeness as likeness
from queuekeeper.errors import SQLITE_FULL
from queuekeeper.offsite.errors import OffsiteError, usage

#: Such a directory is left by a pull that died, and removed by the next, which has the lock.
STAGING = ".queuekeeper-pull-"


@contextlib.contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """A directory for what is on its way."""
    for old in directory.glob(STAGING + "*"):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=directory) as place:
        yield Path(place)


def require(directory: Path, needed: int) -> None:
    """Refuses at once what will not fit."""
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise OffsiteError(
            f"'{directory}' has {free:,} bytes left, and this needs {needed:,}; nothing was "
            "fetched; make room, or pull into another directory",
            SQLITE_FULL,
        )


def put(staged: Path, target: Path, like: Path | None) -> None:
    """Gives a file its name, and the permissions and owner of its database."""
    descriptor = os.open(staged, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        found = likeness.of(like) or likeness.private(target.parent)
        if found is not None:
            found.give(descriptor, target.parent)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(staged, target)
    except FileExistsError:
        raise usage(f"'{target}' has just been made by somebody else; it was left alone") from None
    except OSError:
        _rename(staged, target)
    _sync(target.parent)


def _rename(staged: Path, target: Path) -> None:
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, likeness.PRIVATE))
    except FileExistsError:
        raise usage(f"'{target}' has just been made by somebody else; it was left alone") from None
    staged.replace(target)


def _sync(directory: Path) -> None:
    """Makes a new name durable, where a directory can be opened for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
