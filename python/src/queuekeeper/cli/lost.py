"""Backups of a database that may be gone, for the commands that look at backups, or restore them.

# Promise

- What looks at backups needs no database, and makes none. Where its file is gone, the backups are
  those of its default directory, `backups` beside it, unless another one is named; a setting
  `backup_dir` is gone with it.
- `latest` is the newest backup that was made of the file at this path, also one that was put
  elsewhere. Where there is none, the error lists whose there are; nothing is guessed. Without any
  database named, the library decides, which takes what is of the only source there.
- What cannot be looked at is not gone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from queuekeeper import Queue
from queuekeeper._data import loaded
from queuekeeper.cli import show
from queuekeeper.cli.grammar import asked
from queuekeeper.cli.naming import LATEST
from queuekeeper.cli.shared import MEMORY, database, opened, warn
from queuekeeper.configuration import Configuration
from queuekeeper.errors import Error
from queuekeeper.offsite import bounds, source
from queuekeeper.offsite.catalog import BEFORE_RESTORE, MANIFEST, Entry, newest_first
from queuekeeper.offsite.local import DEFAULT_DIRECTORY

#: The catalog's pointers to what was put into other directories.
POINTERS = MANIFEST + ".elsewhere"
TEXTS = ("id", "source_path", "backup_path", "created_at")


@dataclass(frozen=True)
class Lost:
    """A database that is gone, and the directory of its backups."""

    queue: Queue
    directory: str
    database: Path
    #: Whether that is the directory where the queue's backups are by default.
    is_default: bool

    def own(self) -> list[Entry]:
        """Its backups, the newest first."""
        return source.of_path(self.database, self._listed(self.directory))

    def latest(self) -> str:
        """The path of its newest backup."""
        own = [each for each in self.own() if self._is_source_of(each)]
        found = [each for each in own if each.get("name") != BEFORE_RESTORE] or own
        for pointer in newest_first(self._pointers()):
            if found and newest_first([found[0], pointer])[0] is not pointer:
                break
            if self._leads_to_one(pointer):
                return str(pointer["backup_path"])
            shown = show.cell(pointer["backup_path"])
            warn(f"a newer backup was put elsewhere and is not there: '{shown}'")
        if found:
            return str(found[0]["backup_path"])
        others = self._listed(self.directory)
        if not others:
            raise Error(f"'{self.directory}' holds no backups; say with --dir where they are")
        raise Error(
            f"'{self.database}' is gone, and '{self.directory}' holds no backups of it, only of "
            f"others: {source.listed(others)}; pass the path or the id of a backup"
        )

    def _is_source_of(self, entry: Entry) -> bool:
        return bool(entry["source_path"] == str(self.database))

    def _listed(self, directory: str) -> list[Entry]:
        listed = self.queue.backups(directory)
        return [dict(each.raw) for each in listed if each.is_kept and each.backup_type != "adopted"]

    def _leads_to_one(self, pointer: Entry) -> bool:
        """Whether the catalog beside the file has it as the backup that the pointer means."""
        path = Path(pointer["backup_path"])
        try:
            listed = self._listed(str(path.parent)) if path.is_file() else []
        except Error:
            return False
        return any(each["id"] == pointer["id"] and self._is_source_of(each) for each in listed)

    def _pointers(self) -> list[Entry]:
        """Where its backups were put besides the default directory; none if that cannot be read."""
        path = Path(self.directory) / POINTERS
        if not self.is_default:
            return []
        try:
            content = bounds.read(path, f"'{path}'")
            bounds.check(content, f"'{path}'")
            found = loaded(content)
        except (OSError, Error, ValueError):
            return []
        return [
            each
            for each in (found if isinstance(found, list) else [])
            if isinstance(each, dict)
            and all(isinstance(each.get(name), str) for name in TEXTS)
            and self._is_source_of(each)
        ]


@dataclass(frozen=True)
class Look:
    """What there is to look with."""

    queue: Queue
    #: Whose catalog; None is the queue's own.
    directory: str | None
    lost: Lost | None = None

    @property
    def made(self) -> Path | None:
        """Which database a restore makes; None if the queue's own is there."""
        return None if self.lost is None else self.lost.database

    def named(self, backup: str) -> str:
        """What the library is to be asked for."""
        return self.lost.latest() if backup == LATEST and self.lost is not None else backup


@contextlib.contextmanager
def looking(
    aside: str | None = None, *, needed: bool = True, present: bool = False
) -> Iterator[Look]:
    """Opens the database, if it is there, or `aside` where none is named.

    `needed` says whether one must be named, `present` whether it must be there.
    """
    is_named = asked().db or Configuration().text("database")
    path = database() if is_named or (needed and aside is None) else aside or MEMORY
    if path == MEMORY or present or not is_gone(path):
        with opened(path) as queue:
            yield Look(queue, asked().directory)
        return
    # As the catalog calls it: without links, except on Windows.
    lost = Path(os.path.abspath(path) if os.name == "nt" else os.path.realpath(path))  # noqa: PTH100
    place = asked().directory or str(lost.parent / DEFAULT_DIRECTORY)
    with opened(MEMORY) as queue:
        yield Look(queue, place, Lost(queue, place, lost, asked().directory is None))


def is_gone(path: str) -> bool:
    """Whether there is no such file, for sure."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
