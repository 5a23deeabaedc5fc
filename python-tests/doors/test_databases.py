"""Every kind of database works, or the error explains why not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host
from hosts.protocol import SQLITE_READONLY
from support import artifacts
from support.queues import SCHEMA, Queue, Shape, grow
from support.users.privileges import drop_override

JOURNALS = ("delete", "truncate", "persist")


@pytest.mark.parametrize("path", [":memory:", ""])
def test_a_database_without_a_file_is_measured_rescued_and_backed_up(
    path: str, host: Host, tmp_path: Path, open_session: OpenSession
) -> None:
    session = open_session(host, path)
    create_small_queue(session.rows)
    (stats,) = session.dicts("SELECT * FROM queue_stats()")
    assert (stats["path"], stats["free_disk_bytes"], stats["wal_mode"]) == (None, None, 0)
    assert session.rows("SELECT status, tasks FROM queue_depth()") == [("leased", 1)]
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    answer = session.object("SELECT queue_backup(?)", str(tmp_path / "copy.db"))
    assert answer["source_path"] == ""
    copy = tmp_path / "copy.db"
    artifacts.assert_sound(copy)
    assert artifacts.query(copy, "SELECT id, status FROM task_queue") == [(1, "queued")]


@pytest.mark.parametrize("path", [":memory:", ""])
def test_a_database_without_a_file_has_no_default_directory(
    path: str, host: Host, open_session: OpenSession
) -> None:
    session = open_session(host, path)
    for call in ("queue_backup()", "queue_rotate(3)"):
        message = session.error(f"SELECT {call}").message
        assert "no default backup directory" in message
        assert "pass a path" in message
    assert "no default" in session.error("SELECT * FROM queue_backups()").message


def create_small_queue(run: Callable[[str], object]) -> None:
    """The project's schema, statement by statement, with one dead worker's lease."""
    text, statement = SCHEMA.read_text("utf-8"), ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            run(statement.strip().rstrip(";"))
            statement = ""
    run(
        "INSERT INTO task_queue(type, status, lease_until_utc, locked_by) "
        "VALUES ('x', 'leased', '2020-01-01 00:00:00', 'worker-1')"
    )


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_rollback_journal_database_is_served_in_every_call(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(stale_leased=3, journal_mode=journal))
    session = open_session(host, queue.path)
    assert session.value(f"PRAGMA journal_mode={journal}") == journal
    assert session.object("SELECT queue_stats()")["journal_mode"] == journal
    assert session.object("SELECT queue_stats()")["wal_mode"] == 0
    assert session.value("SELECT count(*) FROM queue_stale(60)") == 3
    assert session.value("SELECT queue_requeue_stale(60)") == 3
    answer = session.object("SELECT queue_backup()")
    artifacts.assert_sound(Path(answer["backup_path"]))
    assert session.value("SELECT queue_rotate(1)") == 0


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_read_only_connection_reads_and_backs_up_but_changes_nothing(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(stale_leased=3, journal_mode=journal))
    before = queue.snapshot()
    session = open_session(host, queue.path, readonly=True)
    assert session.object("SELECT queue_stats()")["page_size"] == 4096
    assert session.value("SELECT count(*) FROM queue_stale(60)") == 3
    error = session.error("SELECT queue_requeue_stale(60)")
    assert error.primary_code == SQLITE_READONLY
    assert "cannot requeue" in error.message
    assert "open the database for writing" in error.message
    answer = session.object("SELECT queue_backup()")
    artifacts.assert_sound(Path(answer["backup_path"]))
    assert session.value("SELECT queue_rotate(1)") == 0
    assert queue.snapshot() == before


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_read_only_file_in_a_read_only_directory_can_be_backed_up_elsewhere(
    journal: str,
    apsw: Host,
    library: Path,
    make: MakeQueue,
    open_python: OpenPython,
    tmp_path: Path,
) -> None:
    queue = make(Shape(stale_leased=3, journal_mode=journal))
    # Without somebody who keeps -wal and -shm there, SQLite itself cannot read such a database.
    open_python(queue.path, load=False).rows("SELECT * FROM task_queue")
    for path in queue.directory.iterdir():
        path.chmod(0o444)
    queue.directory.chmod(0o555)
    session = apsw.open(str(queue.path), preexec=drop_override())
    try:
        session.load(library)
        assert session.object("SELECT queue_stats()")["wal_mode"] == int(journal == "wal")
        error = session.error("SELECT queue_backup()")
        assert "cannot create the directory" in error.message
        assert str(queue.backups) in error.message
        assert session.error("SELECT queue_requeue_stale(60)").primary_code == SQLITE_READONLY
        copy = tmp_path / "copy.db"
        session.object("SELECT queue_backup(?)", str(copy))
        assert artifacts.masked(copy.read_bytes()) == artifacts.masked(queue.path.read_bytes())
    finally:
        session.close()
        queue.directory.chmod(0o755)
    assert queue.files() == ["queue.db"]


def test_a_backup_opens_in_a_read_only_directory(
    apsw: Host, library: Path, queue: Queue, open_python: OpenPython
) -> None:
    copy = Path(open_python(queue.path).object("SELECT queue_backup()")["backup_path"])
    queue.backups.chmod(0o555)
    session = apsw.open(str(copy), readonly=True, preexec=drop_override())
    try:
        session.load(library)
        assert session.value("SELECT count(*) FROM task_queue") == 52
        assert session.value("PRAGMA integrity_check") == "ok"
    finally:
        session.close()
        queue.backups.chmod(0o755)


@pytest.mark.parametrize("journal", ["wal", *JOURNALS])
def test_inside_begin_immediate_the_backup_is_the_last_commit_and_says_so(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(journal_mode=journal))
    session = open_session(host, queue.path)
    session.rows(f"PRAGMA journal_mode={journal}")
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE task_queue SET priority = 7")
    answer = session.object("SELECT queue_backup()")
    assert "uncommitted changes" in answer["note"]
    copy = Path(answer["backup_path"])
    assert artifacts.query(copy, "SELECT DISTINCT priority FROM task_queue") == [(100,)]
    session.rows("COMMIT")
    assert queue.query("SELECT DISTINCT priority FROM task_queue") == [(7,)]
    assert "note" not in session.object("SELECT queue_backup()")


def test_with_an_attached_database_only_the_main_one_is_meant(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=12, stale_leased=2))
    other = make(Shape(tasks=30, stale_leased=9, page_size=1024), name="other queue.db")
    session = open_session(host, queue.path)
    session.rows("ATTACH ? AS other", str(other.path))
    session.rows("CREATE TEMP TABLE task_queue(id, status, lease_until_utc)")
    assert session.object("SELECT queue_stats()")["page_size"] == 4096
    assert session.value("SELECT sum(tasks) FROM queue_depth()") == 14
    assert session.value("SELECT count(*) FROM queue_stale(60)") == 2
    assert session.value("SELECT queue_requeue_stale(60)") == 2
    answer = session.object("SELECT queue_backup()")
    assert artifacts.query(Path(answer["backup_path"]), "SELECT count(*) FROM task_queue") == [
        (14,)
    ]
    assert other.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(9,)]
    assert other.files() == ["other queue.db"]


@pytest.mark.parametrize("page_size", [512, 65536])
def test_the_smallest_and_the_largest_page_are_served_in_every_call(
    page_size: int, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=300, stale_leased=2, page_size=page_size))
    session = open_session(host, queue.path)
    stats = session.object("SELECT queue_stats()")
    assert stats["page_size"] == page_size
    assert stats["size_bytes"] == stats["page_count"] * page_size
    assert session.value("SELECT queue_requeue_stale(60)") == 2
    answer = session.object('SELECT queue_backup(NULL, \'{"verify": "full"}\')')
    assert (answer["page_size"], answer["verified_level"]) == (page_size, "full")
    copy = Path(answer["backup_path"])
    artifacts.assert_sound(copy)
    assert artifacts.query(copy, "SELECT count(*) FROM task_queue") == [(302,)]


def test_an_empty_database_and_one_without_a_queue_can_be_backed_up(
    open_python: OpenPython, tmp_path: Path
) -> None:
    for name, statement in (("empty.db", "SELECT 1"), ("other.db", "CREATE TABLE t(x)")):
        session = open_python(tmp_path / name)
        session.rows(statement)
        answer = session.object("SELECT queue_backup(?)", str(tmp_path / f"copy-of-{name}"))
        assert answer["task_counts"] is None
        artifacts.assert_sound(Path(answer["backup_path"]))


@pytest.mark.slow
def test_a_database_larger_than_1_gib_is_copied_around_the_lock_byte_page(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=300))
    grow(queue, 1060)
    assert queue.path.stat().st_size > 2**30
    session = open_python(queue.path)
    answer = session.object('SELECT queue_backup(NULL, \'{"verify": "quick"}\')')
    copy = Path(answer["backup_path"])
    artifacts.assert_sound(copy)
    content = "SELECT count(*), sum(id), sum(length(content)), sum(instr(content, x'31')) FROM "
    assert artifacts.query(copy, content + "ballast") == queue.query(content + "ballast")
    assert artifacts.query(copy, "SELECT * FROM task_queue ORDER BY id") == queue.snapshot()
    counts = json.loads(session.value("SELECT task_counts FROM queue_backups()"))
    assert counts == {"queued": 75, "completed": 75, "failed": 75, "dead_letter": 75}
    # Not to be kept with the other files of a test that passed.
    copy.unlink()
    queue.path.unlink()
