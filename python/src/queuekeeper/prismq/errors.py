"""The errors, which the backend's own `except QueueDatabaseError` must catch.

# How

The backend's class is not known before there is a database object. It is looked for by its name in
the module of that object's class, and in the packages around it. What is raised is then of a class
that is made from both, ours and the backend's.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

from queuekeeper.errors import Error

BASE_NAME = "QueueDatabaseError"


class QueueDatabaseError(Exception):
    """The base of the errors here, where no backend is in sight."""


class QueueBackupError(QueueDatabaseError):
    """A backup operation failed."""


class QueueMaintenanceError(QueueDatabaseError):
    """A maintenance operation failed."""


_registered: type[BaseException] | None = None
_classes: dict[tuple[type, type], type[QueueDatabaseError]] = {}


def register_base(base: type[BaseException] | None) -> None:
    """Names the class that all errors are to be instances of, too; None: look for it again."""
    global _registered
    _registered = base


@contextlib.contextmanager
def translated(db: Any, kind: type[QueueDatabaseError], what: str) -> Iterator[None]:
    """Raises the library's errors, and those of files and of SQLite, as the backend knows them."""
    try:
        yield
    except (Error, OSError, sqlite3.Error) as error:
        raise made(db, kind, f"{what}: {error}") from error


def made(db: Any, kind: type[QueueDatabaseError], message: str) -> QueueDatabaseError:
    """An error of that kind, which is one of the backend's as well."""
    base = _registered or _base_of(type(db))
    if base is None or issubclass(kind, base):
        return kind(message)
    if (kind, base) not in _classes:
        members = {"__module__": kind.__module__, "__doc__": kind.__doc__}
        _classes[kind, base] = type(kind.__name__, (kind, base), members)
    return _classes[kind, base](message)


def _base_of(database: type) -> type[BaseException] | None:
    for each in database.__mro__:
        name = each.__module__
        while name:
            found = getattr(sys.modules.get(name), BASE_NAME, None)
            if isinstance(found, type) and issubclass(found, BaseException):
                return found
            name = name.rpartition(".")[0]
    return None
