"""What can go wrong, as exceptions that carry SQLite's result code."""

from __future__ import annotations

SQLITE_ERROR = 1
SQLITE_BUSY = 5
SQLITE_LOCKED = 6
SQLITE_READONLY = 8
SQLITE_INTERRUPT = 9
SQLITE_CORRUPT = 11
SQLITE_FULL = 13
SQLITE_CANTOPEN = 14
SQLITE_MISUSE = 21
SQLITE_NOTADB = 26


class Error(Exception):
    """An operation failed: the message says what, on which path, and what to do.

    `code` is SQLite's result code, extended where there is one; `primary_code` its low byte.
    """

    def __init__(self, message: str, code: int = SQLITE_ERROR) -> None:
        super().__init__(message)
        self.code = code

    @property
    def primary_code(self) -> int:
        """The result code without its extension, such as 5 for SQLITE_BUSY."""
        return self.code & 0xFF


class BindingError(Error):
    """There is no SQLite that the library could run on here without endangering files."""


class UnavailableError(Error):
    """The library is missing, or is another version that lacks what was asked for."""


class BusyError(Error):
    """Somebody else holds a lock (SQLITE_BUSY, SQLITE_LOCKED); trying again may help."""


class ReadOnlyError(Error):
    """The database, or its directory, cannot be written (SQLITE_READONLY)."""


class InterruptError(Error):
    """The work was asked to end; the message says what stays done (SQLITE_INTERRUPT)."""


class CorruptError(Error):
    """A file is damaged, or is no database (SQLITE_CORRUPT, SQLITE_NOTADB)."""


class FullError(Error):
    """A disk is full, or would become so (SQLITE_FULL)."""


class CantOpenError(Error):
    """A file is not there, or cannot be opened (SQLITE_CANTOPEN)."""


class MisuseError(Error):
    """The call makes no sense, such as one on a queue that was closed (SQLITE_MISUSE)."""


_CLASSES: dict[int, type[Error]] = {
    SQLITE_BUSY: BusyError,
    SQLITE_LOCKED: BusyError,
    SQLITE_READONLY: ReadOnlyError,
    SQLITE_INTERRUPT: InterruptError,
    SQLITE_CORRUPT: CorruptError,
    SQLITE_NOTADB: CorruptError,
    SQLITE_FULL: FullError,
    SQLITE_CANTOPEN: CantOpenError,
    SQLITE_MISUSE: MisuseError,
}


def from_code(code: int, message: str) -> Error:
    """The exception for a result code."""
    return _CLASSES.get(code & 0xFF, Error)(message, code)
