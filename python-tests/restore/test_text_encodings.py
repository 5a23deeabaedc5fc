"""A backup of another text encoding would make all open connections of a live target fail."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts.protocol import SQLITE_ERROR
from support import artifacts
from support.queues import Queue

ENCODINGS = ("UTF-8", "UTF-16le", "UTF-16be")


def database(path: Path, encoding: str, *statements: str) -> Path:
    """A database of that encoding."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA encoding='{encoding}'")
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize("own", ENCODINGS)
@pytest.mark.parametrize("other", ENCODINGS)
def test_only_the_targets_own_encoding_is_restored_live(
    other: str, own: str, queue: Queue, open_python: OpenPython
) -> None:
    made = ("CREATE TABLE t(x)", "INSERT INTO t VALUES ('ä')")
    target = database(queue.directory / "target.db", own, *made)
    source = database(queue.directory / "source.db", other, *made, "INSERT INTO t VALUES ('ö')")
    worker, session = open_python(target, load=False), open_python(target)
    assert worker.value("SELECT count(*) FROM t") == 1
    if own == other:
        session.object("SELECT queue_restore(?)", str(source))
        assert worker.value("SELECT count(*) FROM t") == 2
        return
    error = session.error("SELECT queue_restore(?)", str(source))
    assert error.primary_code == SQLITE_ERROR, error
    assert own in error.message, error
    assert other in error.message, error
    assert worker.rows("SELECT x FROM t") == [("ä",)]
    assert not (queue.directory / "backups").exists()
    new = queue.directory / "new.db"
    session.object("SELECT queue_restore(?, ?)", str(source), str(new))
    assert artifacts.query(new, "SELECT x FROM t") == [("ä",), ("ö",)]


def test_a_target_in_which_nothing_was_made_takes_any(
    queue: Queue, open_python: OpenPython
) -> None:
    target = database(queue.directory / "target.db", "UTF-8", "PRAGMA journal_mode=wal")
    source = database(queue.directory / "source.db", "UTF-16le", "CREATE TABLE t(x)")
    worker, session = open_python(target, load=False), open_python(target)
    assert worker.value("SELECT count(*) FROM sqlite_schema") == 0
    session.object("SELECT queue_restore(?)", str(source))
    assert worker.value("SELECT count(*) FROM t") == 0
