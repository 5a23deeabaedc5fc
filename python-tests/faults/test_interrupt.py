"""sqlite3_interrupt(), or Ctrl-C in the shell, ends the work and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, SqlError
from hosts.protocol import SQLITE_INTERRUPT
from support import artifacts
from support.eventually import threads, until_threads, until_writing
from support.faults.interrupts import interrupted
from support.queues import Queue, Shape, grow, make_queue

# Large enough that its copy is still going on when the interrupt comes.
MEGABYTES = 400
# An interrupt is heard within a fraction of a second; a busy machine may take longer.
LONGEST_SECONDS = 5.0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """One large queue for all tests here, since it takes a while to make."""
    queue = make_queue(tmp_path_factory.mktemp("large") / "queue.db", Shape(tasks=100))
    grow(queue, MEGABYTES)
    yield queue
    queue.path.unlink()


@pytest.mark.parametrize("options", ["{}", '{"verify": "full"}'])
def test_an_interrupted_backup_ends_at_once_and_leaves_nothing(
    options: str, able_host: Host, large: Queue, open_session: OpenSession
) -> None:
    files = large.files()
    session = open_session(able_host, large.path)
    session.start(f"SELECT queue_backup(NULL, '{options}')")
    until_writing(large.backups)
    error = interrupted(session, LONGEST_SECONDS)
    assert "interrupt" in error.message
    # Neither the temporary file nor the directory that was made for it.
    assert large.files() == files


@pytest.mark.parametrize("least", [1, 200 << 20, MEGABYTES << 20])
def test_at_whatever_moment_it_comes(least: int, large: Queue, open_python: OpenPython) -> None:
    """No thread goes on with it."""
    files = large.files()
    session = open_python(large.path)
    before = threads(session)
    session.start('SELECT queue_backup(NULL, \'{"verify": "full"}\')')
    until_writing(large.backups, least)
    session.interrupt()
    with pytest.raises(SqlError) as error:
        session.result()
    assert error.value.primary_code == SQLITE_INTERRUPT
    until_threads(session, before)
    assert large.files() == files


def test_after_an_interrupt_the_connection_works_on(
    host: Host, large: Queue, open_session: OpenSession
) -> None:
    if host.name == "shell":
        pytest.skip("the shell ends after Ctrl-C when it reads a script")
    session = open_session(host, large.path)
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE task_queue SET priority = priority WHERE id = 1")
    session.start("SELECT queue_backup()")
    until_writing(large.backups)
    session.interrupt()
    with pytest.raises(SqlError):
        session.result()
    # SQLite rolls back a transaction whose writing statement is interrupted; this one only read.
    session.rows("COMMIT")
    assert session.object("SELECT queue_stats()")["page_size"] == 4096
    answer = session.object("SELECT queue_backup()")
    copy = Path(answer["backup_path"])
    assert artifacts.query(copy, "SELECT sum(priority) FROM task_queue") == [(10_000,)]
    for path in large.backups.iterdir():
        path.unlink()
    large.backups.rmdir()


def test_an_interrupt_ends_the_wait_for_a_lock(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(journal_mode="delete"))
    holder, session = open_python(queue.path), open_python(queue.path)
    # A connection that has not read the schema waits for it before it calls anything.
    session.rows("SELECT count(*) FROM task_queue")
    session.rows("PRAGMA busy_timeout=20000")
    holder.rows("BEGIN EXCLUSIVE")
    session.start("SELECT queue_backup()")
    time.sleep(0.3)
    interrupted(session, LONGEST_SECONDS)
    assert queue.files() == ["queue.db"]


def test_a_restore_that_a_backups_trigger_keeps_busy(
    make: MakeQueue, open_python: OpenPython, tmp_path: Path
) -> None:
    queue = make(Shape(tasks=10, stale_leased=3))
    session = open_python(queue.path)
    session.rows(
        "CREATE TRIGGER endless AFTER UPDATE ON task_queue BEGIN SELECT count(*) FROM "
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n); END"
    )
    made = session.object("SELECT queue_backup()")
    target = tmp_path / "restored" / "queue.db"
    target.parent.mkdir()
    session.start(
        f"SELECT queue_restore('{made['id']}', '{target}', '{{\"requeue_leases\": true}}')"
    )
    time.sleep(1.0)
    interrupted(session, LONGEST_SECONDS)
    assert list(target.parent.iterdir()) == []
