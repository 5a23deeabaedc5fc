"""Rule 6: bad input is an error that says what was wrong and what to do, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, SqlError, Value
from hosts.protocol import SQLITE_CANTOPEN, SQLITE_ERROR
from support.queues import Queue, Shape
from support.users.privileges import drop_override

pytestmark = pytest.mark.rule(6)

# Each value, and what the message must say of it. "{dir}" becomes the queue's directory.
BAD_PATHS: list[tuple[Value, int, tuple[str, ...]]] = [
    (5, SQLITE_ERROR, ("path must be TEXT", "INTEGER")),
    (1.5, SQLITE_ERROR, ("path must be TEXT", "REAL")),
    (b"/tmp/x.db", SQLITE_ERROR, ("path must be TEXT", "BLOB")),
    (b"", SQLITE_ERROR, ("path must be TEXT", "BLOB")),
    ("", SQLITE_ERROR, ("empty", "pass a path")),
    ("{dir}/missing/x.db", SQLITE_CANTOPEN, ("{dir}/missing", "does not exist", "create it")),
    ("{dir}/notes.txt/x.db", SQLITE_CANTOPEN, ("{dir}/notes.txt",)),
    ("{dir}/notes.txt/", SQLITE_ERROR, ("{dir}/notes.txt",)),
    ("{dir}/notes.txt", SQLITE_ERROR, ("{dir}/notes.txt", "exists", "overwrite")),
    ("{dir}/x\0.db", SQLITE_ERROR, ("NUL",)),
    ("{dir}/x.db\0", SQLITE_ERROR, ("NUL",)),
    ("{dir}/x.db.hashes", SQLITE_ERROR, ("{dir}/x.db.hashes", "hash files of backups")),
    ("{dir}/backup_manifest.json", SQLITE_ERROR, ("backup_manifest.json", "catalog")),
    ("{dir}/x.db-wal", SQLITE_ERROR, ("x.db-wal", "journal of another database")),
    ("{dir}/x.db-journal", SQLITE_ERROR, ("x.db-journal", "journal of another database")),
    ("{dir}/.queuekeeper-x.tmp", SQLITE_ERROR, (".queuekeeper-x.tmp", "temporary files")),
    ("{dir}/" + "n" * 300, SQLITE_CANTOPEN, ("too long", "check the path")),
    # It made thousands of directories before it said so.
    ("{dir}/" + "d/" * 3000, SQLITE_CANTOPEN, ("too long", "check the path")),
]

BAD_OPTIONS: list[tuple[Value, tuple[str, ...]]] = [
    (5, ("options must be TEXT", "INTEGER")),
    (b"{}", ("options must be TEXT", "BLOB")),
    ("", ("options must be a JSON object",)),
    ("[]", ("options must be a JSON object",)),
    ("null", ("options must be a JSON object",)),
    ("overwrite", ("options must be a JSON object",)),
    ("{", ("options are not understood",)),
    ('{"name": "a"} x', ("options are not understood", "trailing")),
    ('{"nmae": "a"}', ("`nmae`", "`name`", "`overwrite`")),
    ('{"name": "a", "name": "b"}', ("duplicate", "`name`")),
    ('{"name": 5}', ("5", "expected a string")),
    ('{"name": ""}', ("option name is ''", "letters, digits")),
    ('{"name": "a/b"}', ("option name is 'a/b'", "letters, digits")),
    ('{"name": "../../etc"}', ("option name is", "letters, digits")),
    ('{"name": ".hidden"}', ("option name is '.hidden'", "letters, digits")),
    ('{"name": "a\\u0000b"}', ("option name is", "letters, digits")),
    ('{"name": "' + "x" * 65 + '"}', ("option name is", "64 bytes")),
    ('{"type": "everything"}', ("option type is 'everything'", "it can be", "full")),
    ('{"compression": "rar"}', ("option compression is 'rar'", "it can be", "none")),
    ('{"verify": "deep"}', ("option verify is 'deep'", "checksum", "quick", "full")),
    ('{"verify": true}', ("true", "expected a string")),
    ('{"overwrite": "yes"}', ('"yes"', "expected a boolean")),
    ('{"overwrite": 1}', ("1", "expected a boolean")),
]

NUMBERS_NOT_WHOLE: list[tuple[Value, str]] = [
    (1.5, "REAL"),
    ("three", "TEXT"),
    ("", "TEXT"),
    (b"", "BLOB"),
    (1e300, "REAL"),
]
HUGE: list[int] = [-1, -(2**63), 2**63 - 1]

BAD_DIRECTORIES: list[tuple[Value, int, tuple[str, ...]]] = [
    (5, SQLITE_ERROR, ("dir must be TEXT", "INTEGER")),
    (b"", SQLITE_ERROR, ("dir must be TEXT", "BLOB")),
    ("", SQLITE_ERROR, ("empty", "pass a directory")),
    ("{dir}/missing", SQLITE_CANTOPEN, ("{dir}/missing", "check the path")),
    ("{dir}/notes.txt", SQLITE_ERROR, ("{dir}/notes.txt", "not a directory")),
    ("{dir}\0", SQLITE_ERROR, ("NUL",)),
]


@pytest.fixture
def unchanged(queue: Queue) -> Iterator[Queue]:
    """A queue with a file and a directory beside it, none of which may change."""
    (queue.directory / "notes.txt").write_text("precious")
    (queue.directory / "backups").mkdir()
    files, content = queue.files(), queue.snapshot()
    yield queue
    assert queue.files() == files
    assert queue.snapshot() == content
    assert (queue.directory / "notes.txt").read_text() == "precious"


def fill(text: Value, queue: Queue) -> Value:
    """The value with the queue's directory in it."""
    return text.replace("{dir}", str(queue.directory)) if isinstance(text, str) else text


def check(error: SqlError, code: int, parts: tuple[str, ...], queue: Queue) -> None:
    """The error says all of that, and has that code."""
    for part in parts:
        assert str(fill(part, queue)) in error.message
    assert error.primary_code == code, error


@pytest.mark.parametrize(("path", "code", "parts"), BAD_PATHS)
@pytest.mark.parametrize("options", ["{}", '{"name": "daily", "verify": "full"}'])
def test_backup_refuses_a_bad_path(
    path: Value,
    code: int,
    parts: tuple[str, ...],
    options: str,
    unchanged: Queue,
    open_python: OpenPython,
) -> None:
    session = open_python(unchanged.path)
    error = session.error("SELECT queue_backup(?, ?)", fill(path, unchanged), options)
    check(error, code, ("queue_backup: ", *parts), unchanged)


@pytest.mark.parametrize(("options", "parts"), BAD_OPTIONS)
def test_backup_refuses_bad_options(
    options: Value, parts: tuple[str, ...], unchanged: Queue, open_python: OpenPython
) -> None:
    session = open_python(unchanged.path)
    for path in (None, f"{unchanged.directory}/new/", f"{unchanged.directory}/x.db"):
        error = session.error("SELECT queue_backup(?, ?)", path, options)
        check(error, SQLITE_ERROR, ("queue_backup: ", *parts), unchanged)


@pytest.mark.parametrize(
    ("keep", "parts"),
    [
        (None, ("pass a number of backups", "NULL")),
        (0, ("keep is 0", "from 1 to")),
        *((number, (f"keep is {number}", "from 1 to")) for number in HUGE),
        (1.5, ("pass a number of backups", "REAL")),
        (b"", ("pass a number of backups", "BLOB")),
        ("", ("keep is ''", "pass a number of backups")),
        ("three", ("keep is 'three'", "pass a number of backups")),
    ],
)
def test_rotate_refuses_a_bad_count(
    keep: Value, parts: tuple[str, ...], unchanged: Queue, open_python: OpenPython
) -> None:
    session = open_python(unchanged.path)
    for directory in (None, str(unchanged.backups)):
        error = session.error("SELECT queue_rotate(?, ?)", keep, directory)
        check(error, SQLITE_ERROR, ("queue_rotate: ", *parts), unchanged)


@pytest.mark.parametrize(("directory", "code", "parts"), BAD_DIRECTORIES)
@pytest.mark.parametrize("call", ["queue_rotate(1, ?)", "queue_backups(?)"])
def test_a_bad_directory_is_refused(
    call: str,
    directory: Value,
    code: int,
    parts: tuple[str, ...],
    unchanged: Queue,
    open_python: OpenPython,
) -> None:
    sql = f"SELECT * FROM {call}" if call == "queue_backups(?)" else f"SELECT {call}"
    error = open_python(unchanged.path).error(sql, fill(directory, unchanged))
    check(error, code, parts, unchanged)


@pytest.mark.parametrize("call", ["SELECT queue_requeue_stale(?)", "SELECT * FROM queue_stale(?)"])
def test_bad_seconds_are_refused(call: str, unchanged: Queue, open_python: OpenPython) -> None:
    session = open_python(unchanged.path)
    for secs, kind in NUMBERS_NOT_WHOLE:
        parts = ("secs must be a whole number", kind)
        check(session.error(call, secs), SQLITE_ERROR, parts, unchanged)
    for number in HUGE:
        parts = (f"secs is {number}", "from 0 to")
        check(session.error(call, number), SQLITE_ERROR, parts, unchanged)


def test_requeue_demands_its_number(unchanged: Queue, open_python: OpenPython) -> None:
    error = open_python(unchanged.path).error("SELECT queue_requeue_stale(NULL)")
    check(error, SQLITE_ERROR, ("secs must be a whole number", "NULL"), unchanged)


NEEDS_THE_TABLE = (
    "SELECT queue_requeue_stale(60)",
    "SELECT * FROM queue_stale(60)",
    "SELECT * FROM queue_depth()",
)


@pytest.mark.parametrize("call", NEEDS_THE_TABLE)
def test_without_a_task_queue_the_error_names_the_table(
    call: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("DROP TABLE task_queue")
    error = session.error(call)
    check(error, SQLITE_ERROR, ("no table task_queue", "schema.sql"), queue)
    # A view would run somebody else's SQL, so it doesn't count as the table.
    session.rows("CREATE VIEW task_queue AS SELECT 1 AS id, 'leased' AS status")
    assert session.error(call).message == error.message


@pytest.mark.parametrize("call", NEEDS_THE_TABLE[:2])
def test_a_table_without_leases_is_named_with_its_missing_column(
    call: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("DROP TABLE task_queue")
    session.rows("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status TEXT)")
    parts = ("task_queue", "lease_until_utc", "schema.sql")
    check(session.error(call), SQLITE_ERROR, parts, queue)


def test_a_directory_without_write_permission_is_named(
    host: Host, make: MakeQueue, library: Path
) -> None:
    queue = make(Shape())
    queue.backups.mkdir(mode=0o555)
    session = host.open(str(queue.path), preexec=drop_override())
    try:
        session.load(library)
        for target in (None, str(queue.backups), f"{queue.backups}/x.db", f"{queue.backups}/new/"):
            error = session.error("SELECT queue_backup(?)", target)
            check(error, SQLITE_CANTOPEN, ("queue_backup: ", str(queue.backups)), queue)
            assert "ermission" in error.message
    finally:
        session.close()
    assert list(queue.backups.iterdir()) == []


def test_errors_read_the_same_in_every_host(
    host: Host, apsw: Host, unchanged: Queue, open_session: OpenSession
) -> None:
    sessions = [open_session(each, unchanged.path) for each in (host, apsw)]
    calls: list[tuple[str, Value]] = [
        ("SELECT queue_backup(?)", f"{unchanged.directory}/missing/x.db"),
        ("SELECT queue_backup(?)", f"{unchanged.directory}/x\0.db"),
        ("SELECT queue_backup(NULL, ?)", '{"%s %d %n": 1}'),
        ("SELECT queue_rotate(?)", -1),
        ("SELECT queue_requeue_stale(?)", 2**63 - 1),
        ("SELECT * FROM queue_stale(?)", "%s%n"),
        ("SELECT * FROM queue_backups(?)", f"{unchanged.directory}/%s%n"),
    ]
    for sql, value in calls:
        errors = [session.error(sql, value) for session in sessions]
        assert errors[0].message == errors[1].message
        assert errors[0].primary_code == errors[1].primary_code
