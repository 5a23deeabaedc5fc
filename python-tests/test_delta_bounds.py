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
from support.engine_artifacts import forge
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
    session.rows("SELECT queue_backup()")
    session.rows("UPDATE task_queue SET priority = priority + 1")
    made = session.object('SELECT queue_backup(NULL, \'{"type": "incremental"}\')')
    delta = Path(made["backup_path"])
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
