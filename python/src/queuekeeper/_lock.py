"""A lock that the system drops with its process, and a few words that lie in its file.

The file stays when the lock is released: to delete it would let two others lock two files of one
name. What is no file of our own making, such as a link that leads to the live database, is refused
before it is opened: closing it would take SQLite's locks away.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from queuekeeper._bounds import LOCK_BYTES
from queuekeeper._data import loaded
from queuekeeper._files import opened
from queuekeeper._ownership import Ownership, make_lock

ATTEMPTS = 16


class Held:
    """A lock that is held."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def words(self) -> dict[str, Any]:
        """What was kept in the file; nothing, if that cannot be understood."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        try:
            found = loaded(os.read(self._descriptor, LOCK_BYTES) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def keep(self, words: dict[str, Any]) -> None:
        """Keeps these words, and no others."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        if words:
            os.write(self._descriptor, json.dumps(words).encode())


@contextlib.contextmanager
def locked(path: Path, like: Ownership | None = None) -> Iterator[Held | None]:
    """Holds the lock; None if another process does. A file that is made is like `like`."""
    descriptor = _open(path, like)
    try:
        yield Held(descriptor) if _take(descriptor) else None
    finally:
        os.close(descriptor)


def _open(path: Path, like: Ownership | None) -> int:
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    # Somebody else may make it, or delete it, between the two.
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise OSError(errno.EEXIST, "this is a link, or no file; delete it", str(path))
            return opened(path, os.O_RDWR)
        with contextlib.suppress(FileExistsError):
            return make_lock(path, like, flags)
    raise OSError(errno.ENOENT, "it disappears as soon as it is made", str(path))


if sys.platform == "win32":
    import msvcrt

    #: Beyond the words, which others may want to read.
    PLACE = 1 << 20

    def _take(descriptor: int) -> bool:
        os.lseek(descriptor, PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
