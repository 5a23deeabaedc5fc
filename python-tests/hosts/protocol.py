"""What every host session can do, whatever SQLite sits behind it."""

from __future__ import annotations

import abc
import contextlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Union

Value = Union[None, int, float, str, bytes]
Row = tuple[Value, ...]
S = TypeVar("S", bound="Session")

# Longer than any single call may take on a slow machine: past it, the host hangs.
CALL_LIMIT_SECONDS = 120.0

# The result codes that the tests name; the lower eight bits of an extended code.
SQLITE_ERROR = 1
SQLITE_INTERNAL = 2
SQLITE_BUSY = 5
SQLITE_LOCKED = 6
SQLITE_NOMEM = 7
SQLITE_READONLY = 8
SQLITE_INTERRUPT = 9
SQLITE_IOERR = 10
SQLITE_CORRUPT = 11
SQLITE_FULL = 13
SQLITE_CANTOPEN = 14
SQLITE_TOOBIG = 18
SQLITE_MISUSE = 21
SQLITE_NOTADB = 26


class HostDiedError(Exception):
    """The process of a host ended, or stopped answering, when nobody had asked it to."""


def end(process: subprocess.Popen[str]) -> int:
    """Ends the input of a host, and waits for its exit status."""
    try:
        assert process.stdin is not None
        process.stdin.close()
        return process.wait(CALL_LIMIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        process.kill()
        raise HostDiedError(f"the host did not end: {error}") from error


@dataclass
class SqlError(Exception):
    """What the host's SQLite answered instead of rows."""

    message: str
    code: int | None
    class_name: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.class_name} {self.code}: {self.message}"

    @property
    def primary_code(self) -> int | None:
        """The result code without its extension, which not every host tells."""
        return None if self.code is None else self.code & 0xFF


@dataclass(frozen=True)
class Result:
    """The rows of one statement."""

    columns: list[str]
    rows: list[Row]
    seconds: float

    def dicts(self) -> list[dict[str, Value]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row)) for row in self.rows]


class Session(abc.ABC):
    """One process of a host with one database open (and perhaps others beside it)."""

    process: subprocess.Popen[str]
    #: Whether a statement can be left half-read while another one runs.
    has_cursors = True

    @abc.abstractmethod
    def load(self, library: Path, entry: str = "") -> None:
        """Loads the extension, or raises SqlError; by its default entry point if none is named."""

    @abc.abstractmethod
    def start(self, sql: str, *params: Value) -> None:
        """Begins a statement without waiting for its result."""

    @abc.abstractmethod
    def result(self) -> Result:
        """Waits for the statement that start() began; raises SqlError."""

    @abc.abstractmethod
    def interrupt(self) -> None:
        """sqlite3_interrupt() from another thread, or Ctrl-C in the shell."""

    @abc.abstractmethod
    def reopen(self, path: str) -> None:
        """Closes the last connection of the process, and opens one again."""

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the database and ends the process; raises HostDiedError if that crashes."""

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        # What has gone wrong is told, and not that it ended the host, too.
        self.process.kill()
        with contextlib.suppress(HostDiedError):
            self.close()

    def execute(self, sql: str, *params: Value) -> Result:
        """Runs one statement to its end."""
        self.start(sql, *params)
        return self.result()

    def rows(self, sql: str, *params: Value) -> list[Row]:
        """The rows of one statement."""
        return self.execute(sql, *params).rows

    def dicts(self, sql: str, *params: Value) -> list[dict[str, Value]]:
        """The rows of one statement, by column name."""
        return self.execute(sql, *params).dicts()

    def value(self, sql: str, *params: Value) -> Any:
        """The only value of a statement that has one row with one column."""
        rows = self.rows(sql, *params)
        assert len(rows) == 1, f"{len(rows)} rows from {sql}"
        assert len(rows[0]) == 1, f"{len(rows[0])} columns from {sql}"
        return rows[0][0]

    def object(self, sql: str, *params: Value) -> dict[str, Any]:
        """The JSON object that a statement returns as its only value."""
        parsed = json.loads(self.value(sql, *params))
        assert isinstance(parsed, dict), parsed
        return parsed

    def error(self, sql: str, *params: Value) -> SqlError:
        """The error of a statement that must fail."""
        try:
            result = self.execute(sql, *params)
        except SqlError as error:
            return error
        raise AssertionError(f"no error, but {result.rows!r} from {sql} {params!r}")
