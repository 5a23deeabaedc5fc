"""Rule 6: a full disk or a broken file is an error with the code that fits, and leaves nothing."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from conftest import MakeDisk, MakeQueue, OpenPython

from hosts import Host, SqlError
from hosts.protocol import SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB
from support import artifacts
from support.eventually import until_writing
from support.queues import Queue, Shape, grow

pytestmark = pytest.mark.rule(6)

PAGE = 4096


def test_a_disk_that_is_too_small_is_noticed_before_the_copy(
    queue: Queue, make_disk: MakeDisk, open_python: OpenPython
) -> None:
    disk = make_disk(8 * PAGE)
    error = open_python(queue.path).error("SELECT queue_backup(?)", f"{disk}/x.db")
    assert error.primary_code == SQLITE_FULL
    assert str(queue.path.stat().st_size) in error.message
    assert "free some space" in error.message
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("spare_pages", [0, 1, 2])
def test_a_disk_that_is_full_before_the_catalog_is_written_keeps_no_backup(
    spare_pages: int, queue: Queue, make_disk: MakeDisk, open_python: OpenPython
) -> None:
    size = math.ceil(queue.path.stat().st_size / PAGE) * PAGE
    disk = make_disk(size + spare_pages * PAGE)
    session = open_python(queue.path)
    # One for the hash file, one for the catalog.
    if spare_pages == 2:
        session.object("SELECT queue_backup(?)", f"{disk}/x.db")
        assert len(artifacts.catalog(disk)) == 1
        return
    error = session.error("SELECT queue_backup(?)", f"{disk}/x.db")
    assert error.primary_code == SQLITE_FULL
    assert "free some space" in error.message
    # The lock file of the catalog is empty, and may stay.
    assert {path.name for path in disk.iterdir()} <= {artifacts.CATALOG + ".lock"}


def test_a_disk_that_fills_up_during_the_copy_keeps_no_backup(
    apsw: Host, library: Path, make: MakeQueue
) -> None:
    resource = pytest.importorskip("resource")
    queue = make(Shape(journal_mode="delete"))
    grow(queue, 4)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    session = apsw.open(str(queue.path), preexec=limit)
    try:
        session.load(library)
        for options in ("{}", '{"verify": "full"}'):
            error = session.error("SELECT queue_backup(NULL, ?)", options)
            assert error.primary_code == SQLITE_FULL
            assert queue.files() == ["queue.db"]
        assert session.value("PRAGMA integrity_check") == "ok"
    finally:
        session.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_NOFILE of Linux")
@pytest.mark.parametrize("free", [0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_a_process_without_descriptors_gets_an_error_and_keeps_its_database(
    free: int, apsw: Host, library: Path, make: MakeQueue
) -> None:
    resource = pytest.importorskip("resource")
    queue = make(Shape(stale_leased=2))
    session = apsw.open_python(str(queue.path))
    try:
        session.load(library)
        session.rows("SELECT * FROM task_queue")
        used = len(list(Path(f"/proc/{session.process.pid}/fd").iterdir()))
        resource.prlimit(session.process.pid, resource.RLIMIT_NOFILE, (used + free, 4096))
        try:
            made = session.object("SELECT queue_backup()")
        except SqlError as error:
            assert "queue_backup" in error.message
            left = {"queue.db", "backups", f"backups/{artifacts.CATALOG}.lock"}
            assert set(queue.files()) <= left
        else:
            assert free > 0
            artifacts.assert_sound(Path(made["backup_path"]))
        resource.prlimit(session.process.pid, resource.RLIMIT_NOFILE, (1024, 4096))
        assert session.value("SELECT queue_requeue_stale(60)") == 2
        assert session.object("SELECT queue_backup()")["page_size"] == PAGE
    finally:
        session.close()


def test_a_file_that_is_no_database_is_an_error(open_python: OpenPython, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and no database. " * 100)
    before = sorted(entry.name for entry in tmp_path.iterdir())
    session = open_python(path)
    for sql in (
        "SELECT queue_stats()",
        "SELECT queue_backup()",
        "SELECT queue_requeue_stale(60)",
        "SELECT * FROM queue_depth()",
    ):
        assert session.error(sql).primary_code == SQLITE_NOTADB
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


def test_a_truncated_database_is_an_error(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(tasks=3000, journal_mode="delete"))
    with queue.path.open("r+b") as file:
        file.truncate(queue.path.stat().st_size // 2 // PAGE * PAGE)
    session = open_python(queue.path)
    error = session.error('SELECT queue_backup(NULL, \'{"verify": "quick"}\')')
    assert error.primary_code == SQLITE_CORRUPT
    assert queue.files() == ["queue.db"]


def test_the_wal_budget_ends_a_backup_before_the_disk_fills(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make()
    session = open_python(queue.path)
    session.rows("CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, value)")
    for unusable in ("0", "-5", "'much'", "1.5"):
        session.rows(
            f"INSERT OR REPLACE INTO queuekeeper_settings VALUES ('wal_budget_mb', {unusable})"
        )
        assert "setting wal_budget_mb" in session.error("SELECT queue_backup()").message
    session.rows("INSERT OR REPLACE INTO queuekeeper_settings VALUES ('wal_budget_mb', 1)")
    # Nobody writes meanwhile, so that the smallest budget is enough.
    assert session.object("SELECT queue_backup()")["page_size"] == PAGE


def test_a_wal_that_outgrows_its_budget_is_the_error(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make()
    grow(queue, 256)
    session, other = open_python(queue.path), open_python(queue.path, load=False)
    session.rows("CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, value)")
    session.rows("INSERT INTO queuekeeper_settings VALUES ('wal_budget_mb', 1)")
    other.rows("CREATE TABLE filler(x)")
    # The backup may be done before the other's commit; not that often in a row.
    for _ in range(10):
        session.start("SELECT queue_backup()")
        until_writing(queue.backups)
        other.rows("INSERT INTO filler SELECT zeroblob(5000000)")
        try:
            session.result()
        except SqlError as error:
            assert error.primary_code == SQLITE_FULL
            assert "grew by more than 1 MB" in error.message
            assert "wal_budget_mb" in error.message
            break
    else:
        pytest.fail("the budget was never noticed")
    assert not queue.backups.exists() or artifacts.temporaries_in(queue.backups) == []
