"""Queue databases made for a test, with the SQLite of the Python that runs the tests.

That Python never loads the library, so opening and closing a database here takes no lock away from
a host: each host is another process.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parents[3] / "sql" / "schema.sql"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

# The tasks that are no leases, in these shares of the whole.
PLAIN_STATUSES = ("queued", "completed", "failed", "dead_letter")


@dataclass(frozen=True)
class Shape:
    """What a test wants of its queue."""

    tasks: int = 40
    stale_leased: int = 0
    stale_processing: int = 0
    live_leases: int = 0
    page_size: int = 4096
    journal_mode: str = "wal"
    overdue_seconds: int = 3600


@dataclass(frozen=True)
class Queue:
    """A queue database on disk."""

    path: Path
    shape: Shape = field(default_factory=Shape)

    @property
    def directory(self) -> Path:
        """Where the database lies, and its backups/ beside it."""
        return self.path.parent

    @property
    def backups(self) -> Path:
        """The default directory for backups."""
        return self.directory / "backups"

    @contextlib.contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """A connection of the tests' own, in autocommit."""
        connection = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def query(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement, by the tests' own connection."""
        with self.connect() as connection:
            return connection.execute(sql, params).fetchall()

    def snapshot(self) -> list[tuple[Any, ...]]:
        """All that the queue holds, to compare before and after."""
        return self.query("SELECT * FROM task_queue ORDER BY id")

    def files(self) -> list[str]:
        """Everything below the queue's directory, except SQLite's own files beside it."""
        passing = ("-wal", "-shm", "-journal")
        paths = sorted(self.directory.rglob("*"))
        names = [path.relative_to(self.directory).as_posix() for path in paths]
        return [name for name in names if not name.endswith(passing)]


def utc(offset_seconds: int) -> str:
    """A time in the queue's form, that long from now."""
    moment = datetime.now(timezone.utc) + timedelta(seconds=offset_seconds)
    return moment.strftime(TIME_FORMAT)


def leases(shape: Shape) -> Iterator[tuple[str, str]]:
    """The status and the end of the lease of each task that a worker holds."""
    for _ in range(shape.stale_leased):
        yield "leased", utc(-shape.overdue_seconds)
    for _ in range(shape.stale_processing):
        yield "processing", utc(-shape.overdue_seconds)
    for number in range(shape.live_leases):
        yield ("leased", "processing")[number % 2], utc(3600)


def insert_tasks(connection: sqlite3.Connection, shape: Shape) -> None:
    """Tasks in every status, each with 100 to give away by the writers, in one transaction."""
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO task_queue(type, priority, payload, status) VALUES (?, 100, ?, ?)",
        (
            (f"type-{number % 5}", f'{{"format": "mp4", "number": {number}}}', status)
            for number in range(shape.tasks)
            for status in (PLAIN_STATUSES[number % len(PLAIN_STATUSES)],)
        ),
    )
    connection.executemany(
        "INSERT INTO task_queue(type, priority, status, lease_until_utc, reserved_at_utc, "
        "processing_started_utc, locked_by, attempts) "
        "VALUES ('leased-work', 100, ?, ?, ?, ?, 'worker-1', 1)",
        ((status, until, utc(-7200), utc(-7100)) for status, until in leases(shape)),
    )
    connection.execute("COMMIT")


def make_queue(path: Path, shape: Shape) -> Queue:
    """A queue database of that shape, by the schema that the project ships."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nothing is to survive a crash of the test.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"PRAGMA page_size={shape.page_size}")
        connection.executescript(SCHEMA.read_text("utf-8"))
        (mode,) = connection.execute(f"PRAGMA journal_mode={shape.journal_mode}").fetchone()
        assert mode == shape.journal_mode
        # "persist" and "truncate" are a connection's own choice; the file knows WAL or not WAL.
        insert_tasks(connection, shape)
    finally:
        connection.close()
    return Queue(path, shape)


def grow(queue: Queue, megabytes: int) -> None:
    """Fills the queue's database up to about that size, quickly."""
    connection = sqlite3.connect(queue.path, isolation_level=None)
    try:
        # Nothing needs to be synced or journalled either.
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, content BLOB)")
        connection.execute("BEGIN")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO ballast SELECT i, zeroblob(1048576 - 1000) FROM n",
            (megabytes,),
        )
        # Small marks among the zeros, so that a page out of place would be seen.
        connection.execute("UPDATE ballast SET content = CAST(id AS BLOB) WHERE id % 50 = 0")
        connection.execute("COMMIT")
        connection.execute(f"PRAGMA journal_mode={queue.shape.journal_mode}")
    finally:
        connection.close()
