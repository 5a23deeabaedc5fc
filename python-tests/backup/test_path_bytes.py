"""A directory whose name is no UTF-8: what results show of its paths is text, and never opened."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import SQLITE_BUSY, SqlError
from hosts.python_host import PythonSession
from support import artifacts
from support.queues import Queue, Shape
from support.schedules import NOON, detail, only, run_due, statuses

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have text for names")

DIRECTORY = b"caf\xe9"


def connect(path: Path) -> sqlite3.Connection:
    uri = "file:" + urllib.parse.quote(os.fsencode(path))
    return sqlite3.connect(uri, uri=True, timeout=20, isolation_level=None)


@pytest.fixture
def odd(make: MakeQueue, tmp_path: Path) -> Queue:
    """A queue in such a directory."""
    queue = make(Shape(tasks=20))
    directory = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + DIRECTORY))
    directory.mkdir()
    shutil.copy(queue.path, directory / "queue.db")
    return Queue(directory / "queue.db")


@pytest.fixture
def session(odd: Queue, open_python: OpenPython) -> PythonSession:
    return open_python(odd.path)


def counted(queue: Queue) -> int:
    return len(artifacts.backups_in(queue.backups))


@pytest.mark.parametrize("kind", ["full", "incremental", "snapshot"])
def test_jobs_back_up_verify_and_rotate_there(
    kind: str, odd: Queue, session: PythonSession
) -> None:
    only(session, "daily")
    session.rows("SELECT queue_set('keep', 2), queue_set('job_backup_type', ?)", kind)
    for day in range(1, 5):
        (daily,) = run_due(session, NOON.replace(day=day))
        assert set(statuses(daily).values()) == {"ok"}, daily
        assert "note" not in detail(daily, "verify")
        assert r"caf\xe9" in detail(daily, "backup")["backup_path"]
    assert counted(odd) == (2 if kind != "incremental" else 4)
    assert not (odd.backups / "backup_manifest.json.elsewhere").exists()


def test_a_step_that_was_done_is_not_done_again(odd: Queue, session: PythonSession) -> None:
    only(session, "daily")
    session.rows("SELECT queue_set('keep', 9)")
    # The step requeue fails each time: there is no such table.
    session.rows("SELECT queue_set('stale_needs_dead_worker', 1)")
    session.rows("DROP TABLE workers")
    first = run_due(session, NOON)
    again = run_due(session, NOON.replace(hour=13))
    assert statuses(first[0])["requeue"] == statuses(again[0])["requeue"] == "failed"
    assert detail(first[0], "backup")["id"] == detail(again[0], "backup")["id"]
    assert counted(odd) == 1


@contextlib.contextmanager
def committing(queue: Queue) -> Iterator[None]:
    """Commits as often as it can, for as long as the block."""
    over = threading.Event()

    def commit() -> None:
        connection = connect(queue.path)
        while not over.is_set():
            connection.execute("UPDATE task_queue SET priority = priority + 1 WHERE id = 1")
        connection.close()

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_safety_backups_that_others_have_outdated_are_deleted_there(
    odd: Queue, session: PythonSession
) -> None:
    session.rows("PRAGMA journal_mode=DELETE")
    taken = session.object("SELECT queue_backup()")
    with committing(odd):
        for made in range(1, 5):
            try:
                restored = session.object("SELECT queue_restore('latest')")
                assert r"caf\xe9" in restored["safety_backup"]
            except SqlError as error:
                assert error.primary_code == SQLITE_BUSY, error
            assert counted(odd) <= made + 1
    assert session.object("SELECT queue_verify(?)", taken["id"])["status"] == "ok"
    assert session.object("SELECT queue_delete_backup(?)", taken["id"])["deleted"] == 1


def test_adopted_files_are_rotated_away_there(odd: Queue, session: PythonSession) -> None:
    session.rows("SELECT queue_backup()")
    shutil.copy(odd.path, odd.backups / "queue_2015-11-05.db")
    policy = '{"keep_last": 1, "adopted": true}'
    assert session.value("SELECT queue_rotate(?)", policy) == 1
    assert not (odd.backups / "queue_2015-11-05.db").exists()


def test_two_such_directories_are_two_sources(
    odd: Queue, session: PythonSession, open_python: OpenPython, tmp_path: Path
) -> None:
    other = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe8"))
    other.mkdir()
    shutil.copy(odd.path, other / "queue.db")
    shared = tmp_path / "shared"
    shared.mkdir()
    second = open_python(other / "queue.db")
    for one in (session, second):
        one.rows("SELECT queue_set('backup_dir', ?)", str(shared))
        one.rows("SELECT queue_backup()")
    assert second.value("SELECT queue_rotate(1)") == 0
    assert len(artifacts.backups_in(shared)) == 2
    connection = connect(other / "queue.db")
    connection.execute("DELETE FROM task_queue")
    connection.close()
    second.rows("SELECT queue_backup()")
    session.object("SELECT queue_restore('latest')")
    assert session.value("SELECT count(*) FROM task_queue") == 20


def test_a_copy_of_what_lies_there_is_known_for_one(
    odd: Queue, session: PythonSession, make: MakeQueue, open_python: OpenPython, tmp_path: Path
) -> None:
    session.rows("SELECT queue_set('queue_name', 'orders')")
    session.rows("SELECT queue_set('backup_dir', ?)", str(tmp_path / "shared"))
    session.rows("SELECT queue_backup()")
    session.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / "copy").mkdir()
    shutil.copy(odd.path, tmp_path / "copy" / "queue.db")
    copy = open_python(tmp_path / "copy" / "queue.db")
    for sql in ("SELECT queue_backup()", "SELECT queue_restore('latest')"):
        assert "is '" in copy.error(sql).message
        assert r"caf\xe9" in copy.error(sql).message
    # Once the original has gone, the copy is the queue.
    session.close()
    odd.path.unlink()
    copy.rows("SELECT queue_backup()")
