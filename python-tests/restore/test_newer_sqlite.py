"""What a newer SQLite made is no damage to an older one: refused in words, never moved aside."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Session, find_host
from hosts.protocol import SQLITE_BUSY, SQLITE_ERROR
from support import artifacts
from support.artifacts import CATALOG
from support.artifacts.kinds import back_up
from support.faults.damage import outdate_index, overwrite
from support.queues import Queue

#: The oldest SQLite that knows an ORDER BY in an aggregate function.
KNOWS = (3, 44)
VIEW = "CREATE VIEW v AS SELECT group_concat(id ORDER BY id) FROM task_queue"
OVERWRITE = '{"overwrite": true}'

pytestmark = pytest.mark.rule(5)


def version(host: Host) -> tuple[int, ...]:
    """Of its SQLite."""
    return tuple(int(part) for part in host.version.split("."))


@pytest.fixture
def older(open_session: OpenSession) -> Callable[[Path | str], Session]:
    """Opens a database through a SQLite that cannot read the view."""
    host = find_host("stdlib")
    if host.missing or version(host) >= KNOWS:
        pytest.skip("there is no SQLite that is old enough")
    return lambda path: open_session(host, path)


@pytest.fixture
def newer(open_python: OpenPython, apsw: Host) -> OpenPython:
    """Opens a database through a SQLite that can."""
    if version(apsw) < KNOWS:
        pytest.skip("there is no SQLite that is new enough")
    return open_python


def marks(queue: Queue) -> list[tuple[object, ...]]:
    """What the catalog says of verifications."""
    names = ("verified_at", "verified_level", "damaged_at", "object_digest")
    return [tuple(entry.get(name) for name in names) for entry in artifacts.catalog(queue.backups)]


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("own", [True, False])
def test_a_live_database_of_a_newer_sqlite_is_not_moved_aside(
    own: bool,
    journal: str,
    make: MakeQueue,
    newer: OpenPython,
    older: Callable[[Path | str], Session],
) -> None:
    queue = make()
    worker = newer(queue.path)
    made = str(back_up(worker)["backup_path"])
    worker.rows(f"PRAGMA journal_mode={journal}")
    worker.rows(VIEW)
    worker.rows("BEGIN IMMEDIATE")
    worker.rows("UPDATE task_queue SET type = 'committed' WHERE id = 1")
    session = older(queue.path if own else ":memory:")
    session.rows("PRAGMA busy_timeout=100")
    target = None if own else str(queue.path)
    error = session.error("SELECT queue_restore(?, ?, ?)", made, target, OVERWRITE)
    assert error.primary_code in (SQLITE_ERROR, SQLITE_BUSY), error
    assert "newer SQLite" in error.message, error
    assert session.value("SELECT sqlite_version()") in error.message, error
    worker.rows("COMMIT")
    worker.close()
    # Nobody has it open any more; it is as sound as before.
    error = session.error("SELECT queue_restore(?, ?, ?)", made, target, OVERWRITE)
    assert error.primary_code == SQLITE_ERROR, error
    again = newer(queue.path)
    assert again.value("SELECT type FROM task_queue WHERE id = 1") == "committed"
    assert [name for name in queue.files() if ".corrupt-" in name] == []
    again.object("SELECT queue_restore(?)", made)


@pytest.mark.parametrize("level", ["quick", "full"])
@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"type": "snapshot"}])
def test_a_backup_by_a_newer_sqlite_keeps_its_marks(
    options: dict[str, str],
    level: str,
    queue: Queue,
    newer: OpenPython,
    older: Callable[[Path | str], Session],
) -> None:
    worker = newer(queue.path)
    worker.rows(VIEW)
    made = str(back_up(worker, **options)["backup_path"])
    worker.object("SELECT queue_verify(?, 'full')", made)
    before = marks(queue)
    session = older(":memory:")
    error = session.error("SELECT queue_verify(?, ?)", made, level)
    assert error.primary_code == SQLITE_ERROR, error
    assert f"newer SQLite ({worker.value('SELECT sqlite_version()')})" in error.message, error
    assert marks(queue) == before
    assert session.object("SELECT queue_verify(?, 'checksum')", made)["status"] == "ok"
    new = queue.directory / "new.db"
    error = session.error("SELECT queue_restore(?, ?)", made, str(new))
    assert error.primary_code == SQLITE_ERROR, error
    assert "newer SQLite" in error.message, error
    assert not new.exists()
    # What happened to the file is found all the same, and marked.
    with Path(made).open("r+b") as file:
        file.seek(-10, 2)
        file.write(b"\xff" * 10)
    assert session.object("SELECT queue_verify(?, ?)", made, level)["status"] == "corrupted"
    assert marks(queue)[0][2] is not None


def test_a_fault_that_only_an_older_sqlite_finds_takes_no_mark(
    queue: Queue, newer: OpenPython, older: Callable[[Path | str], Session]
) -> None:
    outdate_index(queue)
    worker = newer(queue.path)
    made = str(back_up(worker)["backup_path"])
    worker.object("SELECT queue_verify(?, 'quick')", made)
    before = marks(queue)
    found = older(":memory:").object("SELECT queue_verify(?, 'full')", made)
    assert found["status"] == "corrupted"
    assert "newer SQLite" in found["note"]
    assert marks(queue) == before
    found = worker.object("SELECT queue_verify(?, 'full')", made)
    assert found["status"] == "corrupted"
    assert "newer SQLite" not in found["note"]
    assert marks(queue)[0][2] is not None


@pytest.mark.parametrize("asked", ["full", "quick"])
def test_what_an_older_one_cannot_judge_takes_no_mark(
    asked: str, queue: Queue, newer: OpenPython, older: Callable[[Path | str], Session]
) -> None:
    worker = newer(queue.path)
    worker.rows("CREATE INDEX later ON task_queue(id) WHERE timediff('2026-01-01', '2025-01-01')")
    made = str(back_up(worker)["backup_path"])
    worker.object("SELECT queue_verify(?, 'full')", made)
    before = marks(queue)
    found = older(":memory:").object("SELECT queue_verify(?, ?)", made, asked)
    assert found["status"] == "ok"
    if found["level"] != asked:
        assert "timediff" in found["note"]
        assert "stays" in found["note"]
        assert marks(queue) == before
    # What was never looked at more thoroughly gets the mark of what was judged.
    other = str(back_up(worker)["backup_path"])
    found = older(":memory:").object("SELECT queue_verify(?, 'full')", other)
    assert (found["level"], marks(queue)[-1][1]) == ("checksum", "checksum")


@pytest.mark.parametrize("versions", [b"\3\3", b"\1\3", b"\2\4"])
@pytest.mark.parametrize("own", [True, False])
def test_a_version_of_the_file_format_that_is_unknown_is_no_damage(
    own: bool,
    versions: bytes,
    queue: Queue,
    open_python: OpenPython,
    open_session: OpenSession,
) -> None:
    """Such as that of a SQLite with journal_mode=wal2."""
    session = open_python(queue.path)
    made = str(back_up(session)["backup_path"])
    session.rows("PRAGMA journal_mode=delete")
    session.close()
    with queue.path.open("r+b") as file:
        file.seek(18)
        file.write(versions)
    before = queue.path.read_bytes()
    # apsw reads a database before it prepares anything.
    restoring = open_session(find_host("stdlib"), queue.path if own else ":memory:")
    target = None if own else str(queue.path)
    error = restoring.error("SELECT queue_restore(?, ?, ?)", made, target, OVERWRITE)
    assert error.primary_code == SQLITE_ERROR, error
    assert f"version {versions[1]} of SQLite's file format" in error.message, error
    assert queue.path.read_bytes() == before
    assert [name for name in queue.files() if ".corrupt-" in name] == []
    other = open_python(":memory:")
    for sql in ("SELECT queue_verify(?)", "SELECT queue_restore(?, 'new.db')"):
        error = other.error(sql, str(queue.path))
        assert "file format" in error.message, error


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_foreign_database_of_a_newer_sqlite(
    damaged: bool,
    packed: bool,
    queue: Queue,
    newer: OpenPython,
    older: Callable[[Path | str], Session],
) -> None:
    worker = newer(queue.path, load=False)
    worker.rows(VIEW)
    # A table that an older one cannot read either has pages that nothing else uses.
    worker.rows("CREATE TABLE t(id INTEGER PRIMARY KEY, x, CHECK(iif(x > 0, 1) OR iif(x, 1)))")
    worker.rows("CREATE TABLE ballast(x)")
    worker.rows("INSERT INTO ballast VALUES (randomblob(100000))")
    worker.rows("PRAGMA journal_mode=delete")
    worker.close()
    if damaged:
        # The test's own SQLite may be the older one.
        (root,) = newer(queue.path, load=False).rows(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'task_queue_type'"
        )[0]
        content = bytearray(queue.path.read_bytes())
        assert isinstance(root, int)
        content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
        queue.path.write_bytes(content)
    path = queue.directory / "foreign.db.gz"
    if packed:
        path.write_bytes(gzip.compress(queue.path.read_bytes()))
    else:
        path = path.with_suffix("")
        shutil.copy(queue.path, path)
    session = older(":memory:")
    if damaged:
        assert session.object("SELECT queue_verify(?)", str(path))["status"] == "corrupted"
    else:
        error = session.error("SELECT queue_verify(?)", str(path))
        assert error.primary_code == SQLITE_ERROR, error
        assert "newer SQLite" in error.message, error
    assert not (queue.directory / CATALOG).exists()


def test_a_schema_that_is_damaged_is_still_moved_aside(
    queue: Queue, older: Callable[[Path | str], Session]
) -> None:
    session = older(queue.path)
    made = str(session.object("SELECT queue_backup()")["backup_path"])
    session.close()
    queue.query("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(queue, "task_queue_type")
    content = queue.path.read_bytes()
    queue.path.write_bytes(content[:100] + b"\xff" * 400 + content[500:])
    found = older(":memory:").object(
        "SELECT queue_restore(?, ?, ?)", made, str(queue.path), OVERWRITE
    )
    assert Path(found["moved_aside"]).exists()
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
