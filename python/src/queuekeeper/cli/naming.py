"""What an argument names: a backup, or the queue.

Where nothing names a database, `verify FILE` and `restore FILE` mean a backup if its name says that
it is compressed, a catalog beside it has its name, or it has no backups beside it itself and is not
in WAL mode, in which no backup is made. An empty name is an error: a shell puts it where a variable
is not set, and nothing else is meant instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from queuekeeper.configuration import Configuration
from queuekeeper.errors import Error
from queuekeeper.offsite import bounds
from queuekeeper.offsite.catalog import MANIFEST
from queuekeeper.offsite.local import DEFAULT_DIRECTORY

LATEST = "latest"
ALL = "all"
#: An option whose value was left out; no argument of a process can be this.
ANY = "\0"
COMPRESSED = (".gz", ".zst")
#: Where a database file says how it is written and read, and what it says in WAL mode.
MODE_AT, WAL_MODE = 18, b"\2\2"


class Name(click.Path):
    """What names a file, a directory or a remote."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, if there is one."""
        if not value:
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


def names_file(backup: str) -> bool:
    """Whether a backup is named by its path, so that no database is needed to find it."""
    return "/" in backup or "\\" in backup or backup.endswith((".db", *COMPRESSED))


def environment_names_one(env_file: str | None = None) -> bool:
    """Whether the environment, or the file `.env`, names the queue."""
    try:
        return Configuration(env_file=env_file).text("database") is not None
    except (Error, OSError):
        # Said when the database is opened; a question for help goes unharmed.
        return True


def is_backup(word: str) -> bool:
    """Whether an argument that may be the queue or a backup is a backup."""
    if word in (LATEST, ALL) or word.endswith(COMPRESSED):
        return True
    path = Path(word)
    if not names_file(word) or path.is_dir():
        return False
    if _is_listed(path):
        return True
    return not (path.parent / DEFAULT_DIRECTORY).is_dir() and not _is_in_wal_mode(path)


def _is_listed(path: Path) -> bool:
    """Whether a catalog beside it has the file's name. It is searched only, as anybody's may be."""
    try:
        return path.name.encode() in bounds.read(path.parent / MANIFEST, "the catalog")
    except (OSError, Error, ValueError):
        return False


def _is_in_wal_mode(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(MODE_AT + len(WAL_MODE))[MODE_AT:] == WAL_MODE
    except OSError:
        return False
