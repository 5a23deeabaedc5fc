"""queue_integrity: SQLite's findings, a row each."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Value
from hosts.protocol import SQLITE_CORRUPT, SQLITE_ERROR, SQLITE_NOTADB
from support.faults.interrupts import interrupted_amid
from support.queues import Queue, Shape

LONGEST_SECONDS = 3.0


def age_an_index(queue: Queue) -> None:
    """An index that disagrees with its table: integrity_check finds it, quick_check doesn't."""
    name = "task_queue_type"
    with queue.connect() as connection:
        connection.execute("PRAGMA writable_schema=ON")
        (row,) = connection.execute("SELECT * FROM sqlite_schema WHERE name = ?", (name,))
        connection.execute("DELETE FROM sqlite_schema WHERE name = ?", (name,))
    with queue.connect() as connection:
        connection.execute("UPDATE task_queue SET type = 'changed' WHERE id <= 20")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)


def overwrite_pages(path: Path, first: int) -> None:
    """Puts nonsense over every page from that one on."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(first * 4096)
        file.write(b"\x5a" * (size - first * 4096))


@pytest.mark.parametrize("call", ["()", "('full')", "('QUICK')", "(NULL, NULL)", "(NULL, 1)"])
def test_a_sound_database_is_the_single_row_ok(
    call: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    assert session.dicts(f"SELECT * FROM queue_integrity{call}") == [{"message": "ok"}]


def test_full_finds_what_quick_leaves_out(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=60, journal_mode="delete"))
    age_an_index(queue)
    session = open_session(host, queue.path)
    found = [row[0] for row in session.rows("SELECT message FROM queue_integrity()")]
    wanted = [row[0] for row in session.rows("PRAGMA integrity_check")]
    assert found == wanted
    assert any("task_queue_type" in str(message) for message in found)
    assert session.rows("SELECT * FROM queue_integrity('quick')") == [("ok",)]


@pytest.mark.parametrize("most", [1, 2, 7, 100])
@pytest.mark.parametrize("level", ["quick", "full"])
def test_a_damaged_database_lists_so_many_findings(
    level: str, most: int, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=5000, journal_mode="delete"))
    overwrite_pages(queue.path, queue.path.stat().st_size // 4096 // 2)
    session = open_session(host, queue.path)
    found = [row[0] for row in session.rows(f"SELECT * FROM queue_integrity('{level}', {most})")]
    assert 1 <= len(found) <= most
    assert "ok" not in found
    assert all(isinstance(message, str) and "\n" not in message for message in found)
    if most == 100:
        assert len(found) > 7
    # It composes like any other table.
    assert session.value(
        "SELECT count(*) FROM (SELECT ? AS l) JOIN queue_integrity(l, 3) WHERE message <> 'ok'",
        level,
    ) == min(3, session.value(f"SELECT count(*) FROM queue_integrity('{level}', 3)"))


@pytest.mark.rule(6)
@pytest.mark.parametrize(
    ("level", "most", "said"),
    [
        ("deep", 1, "the level is 'deep'; it can be quick or full"),
        ("", 1, "the level is ''; it can be quick or full"),
        ("full); DROP TABLE task_queue", 1, "it can be quick or full"),
        (1, 1, "level must be TEXT, but is INTEGER"),
        (b"full", 1, "level must be TEXT, but is BLOB"),
        (None, 0, "max_errors is 0; pass how many findings to list at most, from 1 to 1000000"),
        (None, -1, "max_errors is -1;"),
        (None, 2**63 - 1, "max_errors is 9223372036854775807;"),
        (None, 1.5, "max_errors must be a whole number, but is REAL"),
        (None, "ten", "max_errors must be a whole number, but is the TEXT 'ten'"),
        (None, b"1", "max_errors must be a whole number, but is BLOB"),
    ],
)
def test_bad_arguments_are_refused(
    level: Value, most: Value, said: str, queue: Queue, open_python: OpenPython
) -> None:
    error = open_python(queue.path).error("SELECT * FROM queue_integrity(?, ?)", level, most)
    assert error.primary_code == SQLITE_ERROR
    assert said in error.message


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_reading_is_enough_and_writes_nothing(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(journal_mode=journal))
    before = queue.path.read_bytes()
    session = open_session(host, queue.path, readonly=True)
    assert session.rows("SELECT * FROM queue_integrity()") == [("ok",)]
    assert queue.path.read_bytes() == before


def test_uncommitted_rows_and_databases_in_memory(host: Host, open_session: OpenSession) -> None:
    session = open_session(host, ":memory:")
    session.rows("CREATE TABLE t(x CHECK (x > 0))")
    session.rows("BEGIN")
    session.rows("PRAGMA ignore_check_constraints=ON")
    session.rows("INSERT INTO t VALUES (-1)")
    session.rows("PRAGMA ignore_check_constraints=OFF")
    assert session.rows("SELECT * FROM queue_integrity()") == [("CHECK constraint failed in t",)]
    session.rows("ROLLBACK")
    assert session.rows("SELECT * FROM queue_integrity()") == [("ok",)]


def test_a_row_that_violates_a_check_is_found_here_and_is_no_damage_of_a_backup(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    """SQLite leaves CHECKs out of what it only reads, and the backup is what its source was."""
    with queue.connect() as connection:
        connection.execute("CREATE TABLE t(x CHECK (x > 0))")
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("INSERT INTO t VALUES (-1)")
    session = open_session(host, queue.path)
    for level in ("quick", "full"):
        found = session.rows("SELECT * FROM queue_integrity(?)", level)
        assert found == [("CHECK constraint failed in t",)]
        session.rows(f'SELECT queue_backup(NULL, \'{{"verify": "{level}"}}\')')
        verified = session.object("SELECT queue_verify('latest', ?)", level)
        assert (verified["status"], verified["level"], verified["details"]) == ("ok", level, [])
    session.close()
    session = open_session(host, queue.path, readonly=True)
    assert session.rows("SELECT * FROM queue_integrity()") == [("ok",)]


@pytest.mark.parametrize(
    "name",
    [
        "i. error code=7",
        "i: unable to get the page. error code=10",
        "i\nPage 7: unable to get the page. error code=9",
        "i\nTree 4 page 7: unable to get the page. error code=7",
    ],
)
def test_no_name_is_taken_for_what_sqlite_says_of_a_page_that_it_cannot_read(
    name: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=3, journal_mode="delete"))
    with queue.connect() as connection:
        connection.execute("CREATE TABLE t(a, b)")
        connection.execute(f'CREATE INDEX "{name}" ON t(a)')
        connection.execute("INSERT INTO t VALUES (1, 2), (3, 4)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 't(a)', 't(b)') "
            "WHERE type = 'index' AND tbl_name = 't'"
        )
    session = open_session(host, queue.path)
    found = [row[0] for row in session.rows("SELECT * FROM queue_integrity()")]
    assert found == [
        line for row in (1, 2) for line in f"row {row} missing from index {name}".splitlines()
    ]


@pytest.mark.rule(6)
def test_what_cannot_be_looked_at_is_an_error_with_sqlites_code(
    make: MakeQueue, open_python: OpenPython, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("These are notes, and no database. " * 500)
    error = open_python(notes).error("SELECT * FROM queue_integrity()")
    assert error.primary_code == SQLITE_NOTADB
    queue = make(Shape(journal_mode="delete"))
    with queue.path.open("r+b") as file:
        # The header stays, the schema goes.
        file.seek(100)
        file.write(b"\x5a" * 3996)
    error = open_python(queue.path).error("SELECT * FROM queue_integrity()")
    assert error.primary_code == SQLITE_CORRUPT


def test_an_interrupt_ends_it(host: Host, make: MakeQueue, open_session: OpenSession) -> None:
    queue = make(Shape(tasks=200_000))
    session = open_session(host, queue.path)
    interrupted_amid(session, "SELECT * FROM queue_integrity()", LONGEST_SECONDS)
