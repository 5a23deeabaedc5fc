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
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import queuekeeper
from queuekeeper import Queue
from queuekeeper._data import loaded
from queuekeeper.cli.shared import MEMORY, database_of
from queuekeeper.configuration import Configuration
from queuekeeper.errors import Error
from queuekeeper.offsite import bounds, source
from queuekeeper.offsite.catalog import BEFORE_RESTORE, MANIFEST, Entry, newest_first
from queuekeeper.offsite.local import DEFAULT_DIRECTORY

LATEST = "latest"
#: The catalog's pointers to what was put into other directories.
POINTERS = MANIFEST + ".elsewhere"


@dataclass(frozen=True)
class Lost:
    """A database that is gone, and the directory of its backups."""

    queue: Queue
    directory: str
    database: Path

    def own(self) -> list[Entry]:
        """Its backups, the newest first."""
        return source.of_path(self.database, self._listed(self.directory))

    def latest(self) -> str:
        """The path of its newest backup."""
        own = [each for each in self.own() if self._is_source_of(each)]
        regular = [each for each in own if each.get("name") != BEFORE_RESTORE]
        found = newest_first([*itertools.islice(self._elsewhere(), 1), *regular]) or own
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

    def _elsewhere(self) -> Iterator[Entry]:
        """Its backups that were put into other directories and are there, the newest first."""
        for pointer in newest_first(filter(self._is_source_of, self._pointers())):
            path = Path(pointer["backup_path"])
            for each in self._listed(str(path.parent)) if path.is_file() else []:
                if each["id"] == pointer["id"] and self._is_source_of(each):
                    # Its place is the one in the order of this directory.
                    yield {**each, "sequence": pointer["sequence"]}

    def _pointers(self) -> list[Entry]:
        """The hints that the catalog has; none where they are damaged."""
        path = Path(self.directory) / POINTERS
        try:
            content = bounds.read(path, f"'{path}'")
            bounds.check(content, f"'{path}'")
            found = loaded(content)
        except (OSError, Error, ValueError):
            return []
        whole = {"id", "source_path", "backup_path", "created_at", "sequence"}
        listed = found if isinstance(found, list) else []
        return [each for each in listed if isinstance(each, dict) and whole <= each.keys()]


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
def looking(db: str | None, directory: str | None, *, needed: bool = True) -> Iterator[Look]:
    """Opens the database, if it is there; `needed` says whether one must be named."""
    named = needed or db or Configuration().text("database")
    path = database_of(db) if named else MEMORY
    if path == MEMORY or not is_gone(path):
        with queuekeeper.open(path) as queue:
            yield Look(queue, directory)
        return
    # As SQLite would call it: the catalog has its name without links.
    lost = Path(os.path.realpath(path))
    place = directory or str(lost.parent / DEFAULT_DIRECTORY)
    with queuekeeper.open(MEMORY) as queue:
        yield Look(queue, place, Lost(queue, place, lost))


def is_gone(path: str) -> bool:
    """Whether there is no such file, for sure."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
