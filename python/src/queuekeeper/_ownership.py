"""Whose the files are that are made for a database, and who may read and write them.

The rules are the library's (`src/files/ownership/mod.rs`). A file has the permission bits of its
database. Root gives it to the database's owner too, as SQLite does with `-wal`, but only to an
owner who may write the directory anyway. A lock or a directory is closed to others only where it
is the owner's. Only what was just made is given away, by its descriptor, and judged by that of the
directory in which it was made: no path is looked up twice, so nobody swaps what it leads to. Where
a system has no owners, or refuses, the file is used as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: More would make a program of a file, or let it run as another user.
READ_AND_WRITE = 0o666
#: The mode of a file without a database whose mode it could take: its owner's alone.
PRIVATE = 0o600
ROOT = 0
#: More are a circle, as for the system.
MOST_LINKS = 40
#: No user has this number.
SEVERAL = -1
#: Elsewhere a file is its maker's, and permissions work in another way.
POSIX = hasattr(os, "fchown")


def _is_root() -> bool:
    return POSIX and os.geteuid() == ROOT


@dataclass(frozen=True)
class Ownership:
    """What files that are made for a database have in common with it."""

    mode: int
    owner: int
    group: int
    #: The owner gets the file whatever directory it lies in.
    anywhere: bool = False

    def give(self, descriptor: int, directory: os.stat_result) -> None:
        """Gives a file that was just made in a directory the bits and, as root, the owner."""
        if POSIX:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, self.mode)
            self.give_away(descriptor, directory)

    def give_away(self, descriptor: int, directory: os.stat_result) -> None:
        """As root, gives the owner what was just made in a directory, if it may be."""
        if not _is_root() or self.owner == ROOT or not self.may_be_given(directory):
            return
        with contextlib.suppress(OSError):
            inherited = directory.st_mode & stat.S_ISGID
            os.fchown(descriptor, self.owner, -1 if inherited else self.group)

    def may_be_given(self, directory: os.stat_result) -> bool:
        """Whether the owner may put a file into a directory, and take any out of it."""
        if self.anywhere:
            return True
        mode = directory.st_mode
        if directory.st_uid == self.owner:
            return bool(mode & stat.S_IWUSR)
        by_group = directory.st_gid == self.group and mode & stat.S_IWGRP
        return not mode & stat.S_ISVTX and bool(by_group or mode & stat.S_IWOTH)

    def fits(self, found: os.stat_result) -> bool:
        """Whether with these bits everybody may use a file who may use the database."""
        grouped = self.mode & (stat.S_IRGRP | stat.S_IWGRP)
        return found.st_uid == self.owner and (not grouped or found.st_gid == self.group)


def of(database: Path | None) -> Ownership | None:
    """That of a database, which is only looked at."""
    if database is None:
        return None
    try:
        found = database.stat()
    except OSError:
        return None
    return Ownership(found.st_mode & READ_AND_WRITE, found.st_uid, found.st_gid)


def heir(database: Path | None) -> int | None:
    """Who gets to read what root passes on for a database: its owner, and who may put a file of
    another owner in its place for the moment of this look; SEVERAL, if those are several, and root
    where its mode alone lets others write its rows."""
    if database is None or not _is_root():
        return None
    like = of(database)
    users = {like.owner} - {ROOT} if like is not None else set()
    for found in _way(database):
        shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if stat.S_ISDIR(found.st_mode) and shared:
            users.add(SEVERAL)
        elif found.st_uid != ROOT:
            users.add(found.st_uid)
    if not users and like is not None and like.mode & 0o022:
        return ROOT
    return next(iter(users), None) if len(users) < 2 else SEVERAL


def _way(path: Path) -> Iterator[os.stat_result]:
    """Every directory in which a name of a path is looked up, and every link on the way."""
    end, links = Path("/"), 0
    ahead = [*path.absolute().parts[::-1]]
    while ahead:
        step = ahead.pop()
        if step == "..":
            end = end.parent
        elif step == "/":
            end = Path("/")
        else:
            with contextlib.suppress(OSError):
                yield end.stat()
            end /= step
            with contextlib.suppress(OSError):
                target = end.readlink() if links < MOST_LINKS else None
                if target is not None:
                    yield end.lstat()
                    links, end = links + 1, end.parent
                    ahead += target.parts[::-1]


def is_kept_from_readers(file: os.stat_result, database: Path) -> bool:
    """Whether a file is closed to some who may read a database whose rows not only its owner
    writes."""
    try:
        found = database.stat()
    except OSError:
        return True
    bits = found.st_mode & (stat.S_IRGRP | stat.S_IROTH) if found.st_mode & 0o022 else 0
    others = file.st_mode & stat.S_IROTH
    grouped = file.st_mode & stat.S_IRGRP and (others or file.st_gid == found.st_gid)
    return bool((bits & stat.S_IROTH and not others) or (bits & stat.S_IRGRP and not grouped))


def umask_of(database: Path | None) -> int:
    """With which another program makes what only those may read who may read a database; -1 where
    its own umask will do."""
    like = of(database)
    if like is None or like.mode & stat.S_IROTH:
        return -1
    return 0o027 if like.mode & stat.S_IRGRP else 0o077


def beside(database: Path) -> Ownership | None:
    """The same for a file that belongs beside its database, wherever that lies."""
    like = of(database)
    return like and Ownership(like.mode, like.owner, like.group, anywhere=True)


def of_writers(directory: Path) -> Ownership | None:
    """For a file that all who may write a directory share."""
    like = of(directory)
    if like is None:
        return None
    writable = like.mode & 0o222
    return Ownership(writable | writable << 1, like.owner, like.group)


def private(directory: Path) -> Ownership | None:
    """For a file in a directory whose database is not there: its owner's alone."""
    like = of(directory)
    return like and Ownership(PRIVATE, like.owner, like.group)


def make_lock(path: Path, like: Ownership | None, flags: int) -> int:
    """Makes a lock file, where there is nothing of that name; its descriptor."""
    flags |= os.O_CREAT | os.O_EXCL
    if not POSIX:
        return os.open(path, flags, PRIVATE)
    with opened(path.parent) as parent:
        descriptor = os.open(path.name, flags, PRIVATE, dir_fd=parent)
        if like is not None:
            like.give_away(descriptor, os.fstat(parent))
            if like.fits(os.fstat(descriptor)):
                with contextlib.suppress(OSError):
                    os.fchmod(descriptor, like.mode | PRIVATE)
        return descriptor


def make_directories(directory: Path, like: Ownership | None) -> None:
    """Makes a directory, and what is missing above it, for the owner of a database."""
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    if not POSIX or not missing:
        directory.mkdir(parents=True, exist_ok=True)
        return
    with contextlib.ExitStack() as stack:
        parent = stack.enter_context(opened(missing[-1].parent))
        for place in reversed(missing):
            try:
                _make_directory(place.name, like, parent)
                parent = stack.enter_context(opened(place.name, parent))
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(place)) from None


def _make_directory(name: str, like: Ownership | None, parent: int) -> None:
    """Makes a directory in one that is open, and gives it away by its own descriptor."""
    around = os.fstat(parent)
    given = like is not None and _is_root() and like.may_be_given(around)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700 if given else 0o777, dir_fd=parent)
        if like is not None and (given or not _is_root()):
            # The directory is there and can be used; what is refused leaves it as it is.
            with contextlib.suppress(OSError):
                _give_directory(name, like, parent, around)


def _give_directory(name: str, like: Ownership, parent: int, around: os.stat_result) -> None:
    with opened_to_list(name, parent) as descriptor:
        found = os.fstat(descriptor)
        # Nothing that somebody put in its place is given away.
        contents = os.listdir(descriptor)  # noqa: PTH208 - by the descriptor, not by a name
        if found.st_uid != os.geteuid() or contents:
            return
        if _is_root() and found.st_mode & 0o777 != 0o700:
            return
        like.give_away(descriptor, around)
        found = os.fstat(descriptor)
        if _is_root() or like.fits(found):
            entered = (like.mode & 0o444) >> 2
            os.fchmod(descriptor, like.mode | entered | 0o700 | found.st_mode & stat.S_ISGID)


def opened(
    directory: str | Path, parent: int | None = None
) -> contextlib.AbstractContextManager[int]:
    """A directory by which names in it are found; in one that is open, no link to one."""
    flags = getattr(os, "O_PATH", os.O_RDONLY) | (0 if parent is None else os.O_NOFOLLOW)
    return _open_directory(directory, flags, parent)


def opened_to_list(
    directory: str | Path, parent: int | None = None
) -> contextlib.AbstractContextManager[int]:
    """A directory that is no link, whose names can be listed."""
    return _open_directory(directory, os.O_RDONLY | os.O_NOFOLLOW, parent)


@contextlib.contextmanager
def _open_directory(directory: str | Path, flags: int, parent: int | None) -> Iterator[int]:
    descriptor = os.open(directory, flags | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_own(directory: Path) -> Iterator[int]:
    """A directory that was just made for this user alone, and not one that somebody has put in its
    place; -1 where directories cannot be opened."""
    if not POSIX:
        yield -1
        return
    swapped = OSError(
        errno.EPERM,
        "somebody who may write the directory around it, which belongs to user "
        f"{directory.parent.stat().st_uid}, has put something else in its place",
        str(directory),
    )
    with contextlib.ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opened_to_list(directory))
        except OSError:
            raise swapped from None
        found = os.fstat(descriptor)
        listed = os.listdir(descriptor)  # noqa: PTH208 - by the descriptor, not by a name
        if found.st_uid != os.geteuid() or found.st_mode & 0o077 or listed:
            raise swapped
        yield descriptor


def others_rename(directory: Path) -> bool:
    """Whether anybody but this user and root may rename what lies in a directory."""
    if not POSIX:
        return False
    found = directory.stat()
    shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return bool(shared) or found.st_uid not in (ROOT, os.geteuid())
