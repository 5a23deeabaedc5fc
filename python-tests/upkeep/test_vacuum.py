"""queue_vacuum: what it wins, what it says, and in whose way it is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import MakeDisk, MakeQueue, OpenPython, OpenSession

from hosts import Host
from hosts.protocol import (
    SQLITE_BUSY,
    SQLITE_ERROR,
    SQLITE_FULL,
    SQLITE_READONLY,
)
from support.faults.interrupts import interrupted, interrupted_amid
from support.queues import Queue, Shape, grow
from support.workers import writing

LONGEST_SECONDS = 3.0
KEYS = {
    "size_before_bytes",
    "size_after_bytes",
    "reclaimed_bytes",
    "page_count_before",
    "page_count_after",
    "freelist_count_before",
    "freelist_count_after",
    "checkpoint",
    "duration_ms",
}


def loosen(queue: Queue) -> None:
    """Leaves about half of the database's pages free."""
    with queue.connect() as connection:
        connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, content)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) "
            "INSERT INTO ballast SELECT i, randomblob(1500) FROM n"
        )
        connection.execute("DELETE FROM ballast WHERE id > 50")


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("auto_vacuum", [0, 1, 2])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_free_pages_go_and_all_else_stays(
    journal: str, auto_vacuum: int, page_size: int, tmp_path: Path, open_python: OpenPython
) -> None:
    path = tmp_path / "queue.db"
    session = open_python(path)
    session.rows(f"PRAGMA page_size={page_size}")
    session.rows(f"PRAGMA auto_vacuum={auto_vacuum}")
    session.rows(f"PRAGMA journal_mode={journal}")
    session.rows("PRAGMA application_id=77")
    session.rows("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    session.rows(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        "INSERT INTO t SELECT i, randomblob(500) FROM n"
    )
    session.rows("DELETE FROM t WHERE id % 2 OR id > 1000")
    content = session.rows("SELECT * FROM t ORDER BY id")
    before = session.object("SELECT queue_stats()")
    found = session.object("SELECT queue_vacuum()")
    after = session.object("SELECT queue_stats()")
    assert set(found) == KEYS
    assert found["size_before_bytes"] == before["size_bytes"]
    assert found["page_count_before"] == before["page_count"]
    assert found["freelist_count_before"] == before["freelist_count"]
    assert found["size_after_bytes"] == after["size_bytes"] == path.stat().st_size
    assert found["page_count_after"] == after["page_count"]
    assert found["freelist_count_after"] == after["freelist_count"] == 0
    assert found["reclaimed_bytes"] == before["size_bytes"] - after["size_bytes"]
    assert after["size_bytes"] < before["size_bytes"] or auto_vacuum == 1
    if journal == "wal":
        truncated = {"mode": "TRUNCATE", "busy": 0, "log": 0, "checkpointed": 0}
        assert found["checkpoint"] == truncated
        assert path.with_name("queue.db-wal").stat().st_size == 0
    else:
        assert found["checkpoint"] is None
    assert session.rows("SELECT * FROM t ORDER BY id") == content
    settings = ("page_size", "auto_vacuum", "journal_mode", "application_id")
    assert [session.value(f"PRAGMA {name}") for name in settings] == [
        page_size,
        auto_vacuum,
        journal,
        77,
    ]
    assert session.value("PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_on_every_host(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(journal_mode=journal))
    loosen(queue)
    before = queue.snapshot()
    session = open_session(host, queue.path)
    found = session.object("SELECT queue_vacuum()")
    assert set(found) == KEYS
    assert found["reclaimed_bytes"] > 500 * 1024
    assert queue.snapshot() == before
    assert session.value("PRAGMA integrity_check") == "ok"


def test_an_empty_database(tmp_path: Path, open_python: OpenPython) -> None:
    path = tmp_path / "empty.db"
    found = open_python(path).object("SELECT queue_vacuum()")
    assert found["size_before_bytes"] == 0
    # SQLite writes the header.
    assert found["size_after_bytes"] == -found["reclaimed_bytes"] == path.stat().st_size


def test_rowids_that_may_change_are_named(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    assert "note" not in session.object("SELECT queue_vacuum()")
    session.rows("CREATE TABLE notes(x)")
    session.rows("INSERT INTO notes(rowid, x) VALUES (10, 'a'), (20, 'b')")
    note = session.object("SELECT queue_vacuum()")["note"]
    assert "new rowids: notes;" in note
    # Which is what SQLite does.
    assert session.rows("SELECT rowid FROM notes") == [(1,), (2,)]


def test_a_reader_elsewhere_goes_on_reading_in_wal_mode(
    host: Host, queue: Queue, open_session: OpenSession, open_python: OpenPython
) -> None:
    loosen(queue)
    reader = open_python(queue.path, load=False)
    reader.rows("BEGIN")
    seen = reader.rows("SELECT * FROM task_queue")
    size = queue.path.stat().st_size
    session = open_session(host, queue.path)
    found = session.object("SELECT queue_vacuum()")
    assert found["reclaimed_bytes"] > 0
    assert found["checkpoint"]["busy"] == 1
    assert "queue_checkpoint('TRUNCATE')" in found["note"]
    assert queue.path.stat().st_size >= size
    assert reader.rows("SELECT * FROM task_queue") == seen
    reader.rows("COMMIT")
    assert session.object("SELECT queue_checkpoint('TRUNCATE')")["busy"] == 0
    assert queue.path.stat().st_size == found["size_after_bytes"]


@pytest.mark.parametrize(
    ("journal", "holds"),
    [("wal", "BEGIN IMMEDIATE"), ("delete", "BEGIN IMMEDIATE"), ("delete", "BEGIN")],
)
def test_others_are_waited_for_as_long_as_the_callers_patience(
    journal: str,
    holds: str,
    host: Host,
    make: MakeQueue,
    open_session: OpenSession,
    open_python: OpenPython,
) -> None:
    queue = make(Shape(journal_mode=journal))
    loosen(queue)
    other = open_python(queue.path, load=False)
    other.rows(holds)
    other.rows("SELECT count(*) FROM task_queue")
    session = open_session(host, queue.path)
    session.rows("PRAGMA busy_timeout=300")
    error = session.error("SELECT queue_vacuum()")
    assert error.primary_code == SQLITE_BUSY
    assert "another connection" in error.message
    assert error.seconds >= 0.25
    session.rows("PRAGMA busy_timeout=10000")
    session.start("SELECT queue_vacuum()")
    time.sleep(0.3)
    other.rows("COMMIT")
    assert '"reclaimed_bytes":' in str(session.result().rows[0][0])


def test_an_interrupt_ends_the_wait(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make()
    other, session = open_python(queue.path, load=False), open_python(queue.path)
    other.rows("BEGIN IMMEDIATE")
    session.rows("PRAGMA busy_timeout=20000")
    session.start("SELECT queue_vacuum()")
    time.sleep(0.3)
    interrupted(session, LONGEST_SECONDS)


def test_an_interrupt_ends_the_work_and_leaves_the_content(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=200_000))
    session = open_session(host, queue.path)
    # From here on a VACUUM changes no length, whether it comes to its end or not.
    session.rows("SELECT queue_vacuum()")
    size, before = queue.path.stat().st_size, queue.snapshot()
    interrupted_amid(session, "SELECT queue_vacuum()", LONGEST_SECONDS)
    assert queue.snapshot() == before
    assert queue.path.stat().st_size == size
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.rule(6)
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_disk_without_room_is_noticed_before_anything_is_written(
    journal: str, make_disk: MakeDisk, make: MakeQueue, open_python: OpenPython
) -> None:
    disk = make_disk(6 << 20)
    made = make(Shape(journal_mode="delete"))
    grow(made, 4)
    queue = Queue(disk / "queue.db", made.shape)
    queue.path.write_bytes(made.path.read_bytes())
    session = open_python(queue.path)
    assert session.value(f"PRAGMA journal_mode={journal}") == journal
    before = queue.snapshot()
    error = session.error("SELECT queue_vacuum()")
    assert error.primary_code == SQLITE_FULL
    assert str(disk) in error.message
    assert "the vacuum needs" in error.message
    assert "free some space there" in error.message
    assert queue.snapshot() == before
    # Pages that are free need no room.
    session.rows("DELETE FROM ballast")
    if journal == "wal":
        assert session.object("SELECT queue_checkpoint('TRUNCATE')")["busy"] == 0
        assert session.object("SELECT queue_vacuum()")["reclaimed_bytes"] > 3 << 20


@pytest.mark.rule(6)
@pytest.mark.parametrize("size", [1 << 20, 64 << 20])
def test_the_directory_for_temporary_files_counts(
    size: int, apsw: Host, library: Path, make_disk: MakeDisk, make: MakeQueue
) -> None:
    disk = make_disk(size)
    queue = make(Shape(journal_mode="delete"))
    grow(queue, 4)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SQLITE_TMPDIR", str(disk))
        session = apsw.open(str(queue.path))
    try:
        session.load(library)
        if size > 4 << 20:
            assert session.object("SELECT queue_vacuum()")["size_after_bytes"] > 4 << 20
            return
        error = session.error("SELECT queue_vacuum()")
        assert error.primary_code == SQLITE_FULL
        assert str(disk) in error.message
        assert "SQLITE_TMPDIR" in error.message
        session.rows("PRAGMA temp_store=MEMORY")
        assert session.object("SELECT queue_vacuum()")["size_after_bytes"] > 4 << 20
    finally:
        session.close()


@pytest.mark.rule(6)
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_disk_that_fills_up_meanwhile_leaves_the_content(
    journal: str, apsw: Host, library: Path, make: MakeQueue
) -> None:
    resource = pytest.importorskip("resource")
    queue = make(Shape(journal_mode=journal))
    grow(queue, 4)
    before = queue.snapshot()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    session = apsw.open(str(queue.path), preexec=limit)
    try:
        session.load(library)
        error = session.error("SELECT queue_vacuum()")
        assert error.primary_code in (SQLITE_FULL, 10)
        assert "its content is as it was" in error.message
    finally:
        session.close()
    assert queue.snapshot() == before
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


def test_with_a_rollback_journal_a_commit_right_after_it_is_no_error(
    make: MakeQueue, open_python: OpenPython
) -> None:
    # It had done its work, and then could not measure it at once: "database is locked". The part
    # "crash" of scripts/proof found that.
    queue = make(Shape(tasks=300, journal_mode="delete"))
    session = open_python(queue.path)
    # Waiting long on a busy machine is not what is wrong.
    session.rows("PRAGMA busy_timeout = 60000")
    with writing(queue.path, 3, 1000):
        for _ in range(25):
            session.object("SELECT queue_vacuum()")


@pytest.mark.parametrize("path", [":memory:", ""])
def test_a_database_without_a_file_says_what_to_do(
    path: str, host: Host, open_session: OpenSession
) -> None:
    error = open_session(host, path).error("SELECT queue_vacuum()")
    assert error.primary_code == SQLITE_ERROR
    assert "run the statement VACUUM" in error.message


def test_a_connection_that_may_only_read_is_refused(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    writing, reading = open_session(host, queue.path), open_session(host, queue.path, readonly=True)
    writing.rows("PRAGMA query_only=ON")
    for session in (writing, reading):
        for call in ("queue_vacuum()", "queue_optimize(1)", "queue_analyze()", "queue_optimize()"):
            error = session.error(f"SELECT {call}")
            assert error.primary_code == SQLITE_READONLY
            assert "through one that may write" in error.message


def test_a_collation_that_only_the_caller_has_is_explained(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.call("collate", name="mine")
    session.rows("CREATE TABLE t(id INTEGER PRIMARY KEY, x COLLATE mine)")
    session.rows("INSERT INTO t(x) VALUES ('b'), ('a'), ('c')")
    session.rows("CREATE INDEX i ON t(x)")
    error = session.error("SELECT queue_vacuum()")
    assert "no such collation sequence: mine" in error.message
    assert "run the statement VACUUM" in error.message
    session.rows("VACUUM")
    # What needs no second connection works.
    assert "t" in session.object("SELECT queue_analyze()")["analyzed"]
    assert session.rows("SELECT stat FROM sqlite_stat1 WHERE tbl = 't'") == [("3 1",)]
    assert session.rows("SELECT * FROM queue_integrity()") == [("ok",)]
