"""Puts a pulled file into the backup directory: whole, durable, over nothing; opens one to send.

# Promise

Whoever owns the backup directory can rename everything in it at any time, and put links there. So
rclone never works on a path that the owner can redirect: nothing is written outside of the
directory, and no other file is sent.

# How

It is fetched into a directory of its own inside the backup directory, checked there, and then gets
its name by a link, which fails where there is something already. File systems without links get it
by a rename behind a file that was made exclusively.

That directory is for this user alone, and its path goes by its descriptor (`/proc/PID/fd/N`), which
no renaming changes; without `/proc` (macOS, Windows) it goes by its name. What is to be sent is
linked into it first, if anybody else may rename what lies in the backup directory, or copied where
that cannot be done.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from queuekeeper import _ownership as ownership
from queuekeeper._files import NO_FOLLOW, opened
from queuekeeper.errors import SQLITE_FULL
from queuekeeper.offsite.errors import OffsiteError, usage

#: Such a directory is left by a pull that died, and removed by the next, which has the lock.
STAGING = ".queuekeeper-pull-"


@contextlib.contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """A directory for what is on its way."""
    for old in directory.glob(STAGING + "*"):
        _remove(old)
    made = Path(tempfile.mkdtemp(prefix=STAGING, dir=directory))
    try:
        with ownership.opened_own(made) as descriptor:
            way = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
            yield way if way.is_dir() else made
    finally:
        _remove(made)


def _remove(directory: Path) -> None:
    """Removes a directory of ours. It has only files: one with directories in it stays."""
    if not ownership.POSIX:
        shutil.rmtree(directory, ignore_errors=True)
        return
    with contextlib.suppress(OSError), ownership.opened_to_list(directory) as descriptor:
        for name in os.listdir(descriptor):  # noqa: PTH208 - by the descriptor, not by a name
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=descriptor)
    with contextlib.suppress(OSError):
        directory.rmdir()


@contextlib.contextmanager
def to_send(directory: Path) -> Iterator[Callable[[str], Path]]:
    """The way to a file of the backup directory by its name, on which no link is met."""
    if not ownership.others_rename(directory):
        yield lambda name: directory / name
        return
    with staging(directory) as staged:

        def way(name: str) -> Path:
            with contextlib.suppress(FileNotFoundError):
                _take(directory / name, staged / name)
            return staged / name

        yield way


def _take(path: Path, target: Path) -> None:
    """Gives a regular file another name, or copies it."""
    with contextlib.suppress(FileExistsError):
        try:
            os.link(path, target, follow_symlinks=False)
        except (PermissionError, NotImplementedError, OSError) as error:
            if isinstance(error, (FileExistsError, FileNotFoundError)):
                raise
            with os.fdopen(opened(path), "rb") as read, target.open("xb") as written:
                shutil.copyfileobj(read, written)


def require(directory: Path, needed: int) -> None:
    """Refuses at once what will not fit."""
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise OffsiteError(
            f"'{directory}' has {free:,} bytes left, and this needs {needed:,}; nothing was "
            "fetched; make room, or pull into another directory",
            SQLITE_FULL,
        )


def put(staged: Path, target: Path, like: Path | None) -> os.stat_result:
    """Gives a file its name, and the permissions and owner of its database; which file it is."""
    with _place_of(target) as (parent, name):
        descriptor = os.open(staged, os.O_RDWR | getattr(os, "O_BINARY", 0) | NO_FOLLOW)
        try:
            found = ownership.of(like) or ownership.private(target.parent)
            if found is not None and parent is not None:
                found.give(descriptor, os.fstat(parent))
            os.fsync(descriptor)
            made = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        try:
            _name(staged, name, parent)
        except FileExistsError:
            raise usage(
                f"'{target}' has just been made by somebody else; it was left alone"
            ) from None
    _sync(target.parent)
    return made


def take_back(target: Path, made: os.stat_result) -> None:
    """Takes the name of a file that was just put there, unless it is another's by now."""
    with contextlib.suppress(OSError), _place_of(target) as (parent, name):
        if os.path.samestat(os.lstat(name, dir_fd=parent), made):
            os.unlink(name, dir_fd=parent)


@contextlib.contextmanager
def _place_of(target: Path) -> Iterator[tuple[int | None, str]]:
    """The descriptor of a file's directory, and its name in that."""
    if not ownership.POSIX:
        yield None, str(target)
        return
    with ownership.opened(target.parent) as parent:
        yield parent, target.name


def _name(staged: Path, name: str, parent: int | None) -> None:
    """Gives a file a name that is free, in a directory that is open."""
    try:
        os.link(staged, name, dst_dir_fd=parent)
    except FileExistsError:
        raise
    except OSError:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(name, flags, ownership.PRIVATE, dir_fd=parent))
        os.replace(staged, name, dst_dir_fd=parent)


def _sync(directory: Path) -> None:
    """Makes a new name durable, where a directory can be opened for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
