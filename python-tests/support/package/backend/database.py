"""The backend's database object, as far as its classes for backups and maintenance use it.

It stands in for a module of the backend's: a connection that is made when it is first asked for,
that lives on until `close()`, and that opens transactions by itself, as Python's do.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path


class QueueDatabaseError(Exception):
    """The base of all that the backend raises."""


class QueueDatabase:
    """A queue's database file, and one connection to it for all threads."""

    def __init__(self, db_path: str | None = None) -> None:
        self.db_path = Path(db_path or os.environ["PRISMQ_QUEUE_DB_PATH"])
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def get_connection(self) -> sqlite3.Connection:
        with self._lock:
            if self._connection is None:
                connection = sqlite3.connect(str(self.db_path), timeout=5, check_same_thread=False)
                try:
                    connection.execute("PRAGMA journal_mode=WAL")
                except sqlite3.Error as error:
                    connection.close()
                    raise QueueDatabaseError(f"Failed to connect to database: {error}") from error
                connection.row_factory = sqlite3.Row
                self._connection = connection
            return self._connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self.get_connection()
        with self._lock:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
