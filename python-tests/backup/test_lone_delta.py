"""A delta is refused by what it holds itself, whatever its name and whatever lies beside it."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts.protocol import SQLITE_ERROR
from support import artifacts
from support.artifacts.kinds import back_up, change, hashes_of
from support.queues import Queue

LEVELS = ("checksum", "quick", "full")
NAMES = ("queue_backup_20260101_000000.delta.db", "queue.bak")


def delta_of(queue: Queue, open_python: OpenPython, compression: str = "none") -> Path:
    """An incremental of a queue."""
    session = open_python(queue.path)
    back_up(session)
    change(queue)
    made = back_up(session, type="incremental", compression=compression)
    assert made["backup_type"] == "incremental"
    return Path(made["backup_path"])


def refused_everywhere(queue: Queue, lone: Path, open_python: OpenPython) -> None:
    """Every door refuses it, with words about what it is, and leaves all as it is."""
    session = open_python(queue.path)
    before = queue.snapshot()
    new = lone.with_name("new.db")
    calls: list[tuple[str, tuple[str, ...]]] = [
        ("SELECT queue_verify(?, ?)", (str(lone), level)) for level in LEVELS
    ]
    calls += [("SELECT queue_restore(?)", (str(lone),))]
    calls += [("SELECT queue_restore(?, ?)", (str(lone), str(new)))]
    for sql, params in calls:
        error = session.error(sql, *params)
        assert error.primary_code == SQLITE_ERROR, error
        assert "incremental" in error.message, error
        assert lone.name in error.message, error
        assert "builds on" in error.message, error
    assert queue.snapshot() == before
    assert not new.exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_delta_alone(
    compression: str, name: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    lone = tmp_path / "elsewhere" / name
    lone.parent.mkdir()
    shutil.copy(delta_of(queue, open_python, compression), lone)
    refused_everywhere(queue, lone, open_python)


def test_a_delta_with_its_hash_file(queue: Queue, open_python: OpenPython, tmp_path: Path) -> None:
    made = delta_of(queue, open_python)
    lone = tmp_path / "elsewhere" / "renamed.db"
    lone.parent.mkdir()
    shutil.copy(made, lone)
    shutil.copy(hashes_of(made), hashes_of(lone))
    refused_everywhere(queue, lone, open_python)


#: What programs leave in a database that they were pointed to.
LEFTOVERS = {
    "ours": "ANALYZE; CREATE TABLE queuekeeper_settings(name PRIMARY KEY, value)",
    "a replicator's": "CREATE TABLE _litestream_seq(id INTEGER PRIMARY KEY, seq INTEGER);"
    "CREATE TABLE _litestream_lock(id INTEGER)",
    "an index of texts": "CREATE VIRTUAL TABLE searched USING fts5(text)",
    "other letters": "ALTER TABLE delta_meta RENAME TO m; ALTER TABLE m RENAME TO Delta_Meta",
    "more than a page of schema": "".join(
        f"CREATE TABLE t{number}(a /* {'x' * 1000} */);" for number in range(99)
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("left", LEFTOVERS)
def test_a_delta_that_others_opened(
    left: str, packed: bool, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    lone = tmp_path / "elsewhere" / "x.db"
    lone.parent.mkdir()
    shutil.copy(delta_of(queue, open_python), lone)
    with sqlite3.connect(lone) as connection:
        connection.executescript(LEFTOVERS[left])
    connection.close()
    with sqlite3.connect(lone, isolation_level=None) as connection:
        connection.execute("VACUUM")
    connection.close()
    if packed:
        content = lone.read_bytes()
        lone = lone.with_name("x.db.gz")
        lone.write_bytes(gzip.compress(content))
    refused_everywhere(queue, lone, open_python)


def test_a_copy_of_a_queue_is_sound_at_every_level(queue: Queue, open_python: OpenPython) -> None:
    """Nobody recorded how many tasks it should hold."""
    copy = queue.directory / "copy.db"
    with queue.connect() as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    session = open_python(queue.path)
    for level in LEVELS:
        found = session.object("SELECT queue_verify(?, ?)", str(copy), level)
        assert found["status"] == "ok", found


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE delta_page(x); CREATE TABLE delta_meta(y)",
        "CREATE TABLE delta_page(x); CREATE TABLE delta_meta(key, value);"
        "INSERT INTO delta_meta VALUES ('format', 1), ('page_size', 512)",
        "CREATE TABLE delta_meta(key, value); INSERT INTO delta_meta VALUES ('parent_id', 'x')",
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status);"
        "CREATE TABLE delta_page(pgno, content); CREATE TABLE delta_meta(key, value);"
        "INSERT INTO delta_meta VALUES ('format', 1), ('page_size', 512), ('page_count', 1),"
        "('parent_id', 'a'), ('parent_digest', 'b'), ('content_digest', 'c')",
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status);"
        "CREATE TABLE delta_page(pgno, content); INSERT INTO delta_page VALUES (1, x'00');"
        "CREATE TABLE delta_meta(key, value);"
        "INSERT INTO delta_meta VALUES ('format', 1), ('page_size', 512), ('page_count', 1),"
        "('parent_id', '52beaa17-baad-4af5-b1c1-398b90890c20'),"
        "('parent_digest', '11944d02ec3e1b071461b1c116546fe4'),"
        "('content_digest', '21663fc8606aa580bfb68588eb267961')",
        "CREATE TABLE delta_page(x);"
        "CREATE VIEW delta_meta AS SELECT 'parent_id' AS key, 1 AS value",
    ],
)
def test_a_database_with_tables_of_these_names(
    schema: str, compressed: bool, queue: Queue, open_python: OpenPython
) -> None:
    foreign = queue.directory / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.executescript(schema)
    connection.close()
    expected = artifacts.query(foreign, "SELECT name FROM sqlite_schema")
    path = foreign
    if compressed:
        path = foreign.with_name("foreign.db.gz")
        path.write_bytes(gzip.compress(foreign.read_bytes()))
    session = open_python(queue.path)
    for level in LEVELS:
        found = session.object("SELECT queue_verify(?, ?)", str(path), level)
        assert found["status"] == "ok", found
    new = queue.directory / "new.db"
    session.object("SELECT queue_restore(?, ?)", str(path), str(new))
    assert artifacts.query(new, "SELECT name FROM sqlite_schema") == expected
