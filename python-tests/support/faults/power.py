"""What a disk would hold after a loss of power, by a log of what was written and synced.

POSIX promises only what was synced: the bytes of a file by fsync of the file, names by fsync of
their directory. What was not synced may be there or not, the one without the other. So each
moment has several possible outcomes, of which three extremes are made: see Kept.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.faults import (
    ALLOCATE,
    CREATE,
    LINK,
    MKDIR,
    OTHER,
    PERMIT,
    RENAME,
    RMDIR,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
    Operation,
)

#: Nobody syncs it, and SQLite makes it anew when nobody has the database open.
PASSING = "-shm"


class Kept(enum.Enum):
    """What the disk has kept of what was not synced."""

    NOTHING = "nothing that was not synced"
    NAMES = "all names, but no bytes that were not synced"
    BYTES = "all bytes, but no names that were not synced"


@dataclass
class File:
    """A file's bytes, as written and as synced."""

    written: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


@dataclass
class Directory:
    """A directory's names, as changed and as synced."""

    names: dict[str, File | Directory] = field(default_factory=dict)
    synced: dict[str, File | Directory] = field(default_factory=dict)


Tree = dict[str, bytes | None]


class Disk:
    """A directory, from a beginning at which all was synced."""

    def __init__(self, top: Path, inodes: dict[int, str], original: Path) -> None:
        self.top = top
        self.root = Directory()
        self.files: dict[int, File] = {}
        for path in sorted(original.rglob("*")):
            parent, name = self.find(top / path.relative_to(original))
            if path.is_dir():
                parent.names[name] = Directory()
            else:
                content = path.read_bytes()
                parent.names[name] = File(bytearray(content), content)
        for inode, name in inodes.items():
            parent, last = self.find(top / name)
            found = parent.names[last]
            assert isinstance(found, File)
            self.files[inode] = found
        self.sync_names(self.root)

    def sync_names(self, directory: Directory) -> None:
        """All names below are synced."""
        directory.synced = dict(directory.names)
        for found in directory.names.values():
            if isinstance(found, Directory):
                self.sync_names(found)

    def find(self, path: str | Path) -> tuple[Directory, str]:
        """The directory of a path, and its name there."""
        parts = Path(path).relative_to(self.top).parts
        directory = self.root
        for part in parts[:-1]:
            found = directory.names[part]
            assert isinstance(found, Directory)
            directory = found
        return directory, parts[-1]

    def directory(self, path: str) -> Directory | None:
        """The directory at a path."""
        if Path(path) == self.top:
            return self.root
        parent, name = self.find(path)
        found = parent.names.get(name)
        return found if isinstance(found, Directory) else None

    def apply(self, operation: Operation) -> None:
        """One more operation."""
        kind, path = operation.kind, operation.path
        if kind == CREATE:
            self.create(operation)
        elif kind == WRITE:
            content = self.files[operation.inode].written
            content.extend(bytes(max(0, operation.offset - len(content))))
            content[operation.offset : operation.offset + len(operation.data)] = operation.data
        elif kind in (TRUNCATE, ALLOCATE):
            content = self.files[operation.inode].written
            if kind == TRUNCATE:
                del content[operation.offset :]
            content.extend(bytes(max(0, operation.offset - len(content))))
        elif kind == SYNC:
            synced = self.directory(path) if operation.inode not in self.files else None
            if synced is not None:
                synced.synced = dict(synced.names)
            else:
                file = self.files[operation.inode]
                file.synced = bytes(file.written)
        elif kind == MKDIR:
            parent, name = self.find(path)
            parent.names[name] = Directory()
        elif kind in (UNLINK, RMDIR):
            parent, name = self.find(path)
            del parent.names[name]
        elif kind in (RENAME, LINK):
            parent, name = self.find(path)
            found = parent.names[name] if kind == LINK else parent.names.pop(name)
            to, new = self.find(operation.other)
            to.names[new] = found
        else:
            assert kind != OTHER, f"{operation} is not known to the model"
            assert kind == PERMIT

    def create(self, operation: Operation) -> None:
        """A file that was opened with O_CREAT or O_TRUNC; the offset is its size by then."""
        parent, name = self.find(operation.path)
        if name not in parent.names:
            parent.names[name] = File()
        file = parent.names[name]
        assert isinstance(file, File)
        self.files[operation.inode] = file
        del file.written[operation.offset :]

    def left(self, kept: Kept) -> Tree:
        """What a loss of power would leave, by path; None is a directory."""
        tree: Tree = {}

        def walk(directory: Directory, prefix: str) -> None:
            names = directory.names if kept is Kept.NAMES else directory.synced
            for name, found in names.items():
                if isinstance(found, Directory):
                    tree[prefix + name] = None
                    walk(found, f"{prefix}{name}/")
                elif not name.endswith(PASSING):
                    written = kept is Kept.BYTES
                    tree[prefix + name] = bytes(found.written) if written else found.synced

        walk(self.root, "")
        return tree

    def now(self) -> Tree:
        """What is there without a loss of power."""
        files = list(self.files.values())
        before = [file.synced for file in files]
        for file in files:
            file.synced = bytes(file.written)
        tree = self.left(Kept.NAMES)
        for file, synced in zip(files, before):
            file.synced = synced
        return tree


def inodes_below(top: Path) -> dict[int, str]:
    """The files in a directory by inode."""
    paths = (path for path in top.rglob("*") if path.is_file())
    return {path.stat().st_ino: path.relative_to(top).as_posix() for path in paths}


def tree_below(top: Path) -> Tree:
    """What really lies in a directory, in the same form."""
    return {
        path.relative_to(top).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(top.rglob("*"))
        if not path.name.endswith(PASSING)
    }


def put(top: Path, tree: Tree) -> None:
    """Writes such a tree into an empty directory."""
    top.mkdir()
    for name, content in sorted(tree.items()):
        if content is None:
            (top / name).mkdir()
        else:
            (top / name).write_bytes(content)
            os.chmod(top / name, 0o644)  # noqa: PTH101


def losses(disk: Disk, log: list[Operation]) -> Iterator[tuple[int, Kept, Tree]]:
    """The different outcomes of a loss of power after each operation."""
    seen: list[Tree] = []
    for number in range(len(log) + 1):
        if number > 0:
            disk.apply(log[number - 1])
        for kept in Kept:
            tree = disk.left(kept)
            if tree not in seen:
                seen.append(tree)
                yield number, kept, tree
