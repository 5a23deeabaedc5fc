"""A delta that claims more than it holds is refused before anything is made of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts.protocol import SQLITE_CORRUPT, SQLITE_FULL
from hosts.python_host import PythonSession
from support import artifacts
from support.artifacts.kinds import forge
from support.queues import Queue

#: Some fit the disk, some do not.
CLAIMS = [10_000, 1_000_000, 2**31, 2**32 - 1]
MOST_SECONDS = 5.0


def claim(delta: Path, pages: int, keep_pages: bool) -> None:
    """Makes the delta, and the catalog with it, say that its database has so many pages."""
    with closing(sqlite3.connect(delta, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("UPDATE delta_meta SET value = ? WHERE key = 'page_count'", (pages,))
        if not keep_pages:
            connection.execute("DELETE FROM delta_page")
        (stored,) = connection.execute("SELECT count(*) FROM delta_page").fetchone()
    delta.with_name(delta.name + ".hashes").unlink()
    forge(
        delta,
        delta.read_bytes(),
        page_count=pages,
        pages_stored=stored,
        hash_file_checksum=None,
        content_digest=None,
    )


def refuse(session: PythonSession, sql: str, *params: str) -> None:
    """It is refused at once: for the pages that are not there, or for the space of all of them."""
    error = session.error(sql, *params)
    assert error.seconds < MOST_SECONDS
    if error.primary_code != SQLITE_FULL:
        assert error.primary_code == SQLITE_CORRUPT, error
        assert "lacks pages" in error.message


@pytest.mark.parametrize("keep_pages", [True, False])
@pytest.mark.parametrize("pages", CLAIMS)
def test_a_delta_of_few_pages_makes_no_large_database(
    pages: int, keep_pages: bool, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    delta = grown(session, queue)
    claim(delta, pages, keep_pages)
    files, content = queue.files(), queue.snapshot()
    target = str(queue.directory / "new.db")
    refuse(session, "SELECT queue_restore(?, ?)", str(delta), target)
    refuse(session, "SELECT queue_restore(?)", str(delta))
    if pages == CLAIMS[0]:
        report = session.object("SELECT queue_verify(?, 'full')", str(delta))
        assert report["status"] == "corrupted"
        assert "lacks pages" in str(report["details"])
    assert (queue.files(), queue.snapshot()) == (files, content)
    assert artifacts.temporaries_in(queue.backups) == []


@pytest.mark.parametrize("pages", [100, 100_000])
def test_a_delta_of_another_shape_than_its_entry_says_is_refused_before_it_is_applied(
    pages: int, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = grown(session, queue)
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("UPDATE delta_meta SET value = ? WHERE key = 'page_count'", (pages,))
        connection.execute(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO delta_page SELECT i, zeroblob(4096) FROM n WHERE true "
            "ON CONFLICT DO NOTHING",
            (min(pages, 1000),),
        )
    believed(made)
    error = session.error("SELECT queue_restore(?, ?)", str(made), str(queue.directory / "new.db"))
    assert error.primary_code == SQLITE_CORRUPT, error
    assert "another shape" in error.message, error


@pytest.mark.parametrize("column", ["pgno", "content"])
def test_a_delta_that_computes_its_pages_is_none(
    column: str, queue: Queue, open_python: OpenPython
) -> None:
    """A few bytes for each page that it would write, and any time."""
    session = open_python(queue.path)
    made = grown(session, queue)
    generated = {
        "pgno": "k INTEGER PRIMARY KEY, content BLOB, pgno AS (k)",
        "content": "pgno INTEGER PRIMARY KEY, kept BLOB, content AS (zeroblob(4096))",
    }[column]
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("ALTER TABLE delta_page RENAME TO old")
        connection.execute(f"CREATE TABLE delta_page({generated})")
        connection.execute("INSERT INTO delta_page SELECT * FROM old")
        connection.execute("DROP TABLE old")
    believed(made)
    error = session.error("SELECT queue_restore(?, ?)", str(made), str(queue.directory / "new.db"))
    assert error.primary_code == SQLITE_CORRUPT, error
    assert "generated columns" in error.message, error


def grown(session: PythonSession, queue: Queue) -> Path:
    """A full backup, and an incremental of some changed pages."""
    session.rows("SELECT queue_backup()")
    session.rows("UPDATE task_queue SET priority = priority + 1")
    made = session.object('SELECT queue_backup(NULL, \'{"type": "incremental"}\')')
    return Path(made["backup_path"])


def believed(delta: Path) -> None:
    """Makes the catalog agree with a file that was changed."""
    delta.with_name(delta.name + ".hashes").unlink()
    forge(delta, delta.read_bytes(), hash_file_checksum=None, content_digest=None)
