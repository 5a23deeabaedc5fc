"""Restoring into the caller's own database when it, or somebody else, is in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import SQLITE_BUSY
from hosts.python_host import PythonSession
from support import artifacts
from support.artifacts.kinds import back_up, change, state
from support.queues import Queue, Shape
from support.queues.content import content_of_live

pytestmark = pytest.mark.rule(5)

OWN_STATES = [
    ("wal", ["BEGIN IMMEDIATE"]),
    ("delete", ["BEGIN IMMEDIATE"]),
    ("wal", ["BEGIN", "UPDATE task_queue SET priority = 7 WHERE id = 1"]),
    ("delete", ["SAVEPOINT s", "UPDATE task_queue SET priority = 7 WHERE id = 1"]),
    ("delete", ["BEGIN", "SELECT count(*) FROM task_queue"]),
    ("wal", ["PRAGMA locking_mode=EXCLUSIVE", "SELECT count(*) FROM task_queue"]),
    ("delete", ["PRAGMA locking_mode=EXCLUSIVE", "SELECT count(*) FROM task_queue"]),
]


@pytest.mark.parametrize(("journal", "enter"), OWN_STATES)
def test_a_caller_that_is_in_the_way_is_told_at_once(
    journal: str, enter: list[str], make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(journal_mode=journal))
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    for sql in enter:
        session.rows(sql)
    before = state(queue.directory)
    error = session.error("SELECT queue_restore(?)", made)
    assert error.primary_code == SQLITE_BUSY
    assert error.seconds < 1
    assert state(queue.directory) == before
    if "locking_mode" in enter[0]:
        session.close()
        session = open_python(queue.path)
    else:
        session.rows("ROLLBACK")
    session.object("SELECT queue_restore(?)", made)


def half_read(session: PythonSession) -> list[object]:
    """The first rows of a statement that is left where it is."""
    return list(session.fetch("SELECT id FROM task_queue ORDER BY id", 2))


def test_a_half_read_statement_with_a_rollback_journal_is_in_the_way(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(journal_mode="delete"))
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    half_read(session)
    before = state(queue.directory)
    error = session.error("SELECT queue_restore(?)", made)
    assert error.primary_code == SQLITE_BUSY
    assert error.seconds < 1
    assert state(queue.directory) == before
    assert len(session.finish()) == 38
    session.object("SELECT queue_restore(?)", made)


def test_a_half_read_statement_in_wal_mode_keeps_its_snapshot(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    with queue.connect() as connection:
        connection.execute("DELETE FROM task_queue WHERE id <= 20")
    half_read(session)
    session.object("SELECT queue_restore(?)", made)
    assert len(session.finish()) == 30
    assert session.value("SELECT count(*) FROM task_queue") == 52


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_result_that_is_inserted_is_refused(
    journal: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(journal_mode=journal))
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    session.rows("CREATE TABLE results(x)")
    before = state(queue.directory)
    error = session.error("INSERT INTO results SELECT queue_restore(?)", made)
    assert error.primary_code == SQLITE_BUSY
    assert error.seconds < 1
    assert state(queue.directory) == before


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_target_that_another_process_has_locked_keeps_its_content(
    journal: str, make: MakeQueue, open_python: OpenPython, tmp_path: Path
) -> None:
    queue = make(Shape(journal_mode=journal))
    session, other = open_python(queue.path), open_python(queue.path, load=False)
    made = back_up(session)["backup_path"]
    change(queue)
    before = content_of_live(queue.path, tmp_path / "copy.db")
    session.rows("PRAGMA busy_timeout=300")
    other.rows("BEGIN IMMEDIATE")
    error = session.error("SELECT queue_restore(?)", made)
    assert error.primary_code == SQLITE_BUSY
    assert 0.25 < error.seconds < 3
    other.rows("ROLLBACK")
    assert content_of_live(queue.path, tmp_path / "copy.db") == before
    assert artifacts.temporaries_in(queue.directory) == []
    session.object("SELECT queue_restore(?)", made)


@pytest.mark.skipif(os.name == "nt", reason="VFSes of Unix")
@pytest.mark.parametrize("vfs", ["unix-dotfile", "unix-excl"])
def test_a_restore_by_locks_that_keep_readers_out(
    vfs: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(journal_mode="delete"))
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    session.close()
    content = queue.snapshot()
    change(queue)
    changed = queue.snapshot()
    session = open_python(f"file:{queue.path}?vfs={vfs}")
    answer = session.object("SELECT queue_restore(?)", made)
    session.object("SELECT queue_restore(?, ?)", answer["safety_backup"], str(queue.path) + "2")
    session.close()
    assert queue.snapshot() == content
    assert Queue(Path(f"{queue.path}2")).snapshot() == changed
