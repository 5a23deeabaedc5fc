"""One way to talk to a database, be it through the sqlite3 module or through apsw.

The demo's child processes use this. Each of them runs in an interpreter that the
demo chose for its SQLite, and is told on its command line which module that is.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = tuple[Any, ...]


class Database:
    """A connection in autocommit mode."""

    def __init__(self, path: str, module: str) -> None:
        # By name, because only one of the two need exist.
        self._module: Any = importlib.import_module(module)
        self.Error: type[Exception] = self._module.Error
        if module == "apsw":
            self._connection: Any = self._module.Connection(path)
        else:
            self._connection = self._module.connect(path, isolation_level=None)
        self.run("PRAGMA busy_timeout = 10000")

    def run(
        self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()
    ) -> tuple[list[str], list[Row]]:
        """Runs one statement; a result without rows has no column names either."""
        columns: list[str] = []
        rows: list[Row] = []
        cursor = self._connection.cursor()
        for row in cursor.execute(sql, values):
            # apsw knows the columns only while there are rows.
            columns = columns or [column[0] for column in cursor.description]
            rows.append(tuple(row))
        return columns, rows

    def run_for_each(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.cursor().executemany(sql, rows)

    def run_script(self, sql: str) -> None:
        if hasattr(self._connection, "executescript"):
            self._connection.executescript(sql)
        else:
            # apsw runs a statement only when its rows are asked for.
            for _ in self._connection.cursor().execute(sql):
                pass

    def load(self, library: str) -> None:
        self._connection.enable_load_extension(True)
        self._connection.load_extension(library)
        self._connection.enable_load_extension(False)

    def close(self) -> None:
        self._connection.close()
