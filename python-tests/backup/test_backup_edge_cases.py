"""Backups in unusual circumstances, each with the least that shows it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import SQLITE_READONLY
from support import artifacts
from support.artifacts.kinds import back_up, change, status_of, write_catalog
from support.queues import Queue, Shape


def blobs(path: Path, count: int) -> None:
    """More content, page after page."""
    with sqlite3.connect(path, timeout=10) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS blobs(x)")
        connection.executemany(
            "INSERT INTO blobs VALUES (randomblob(?))", [(30_000,) for _ in range(count)]
        )
    connection.close()


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("page_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
def test_large_incrementals_of_every_page_size_can_be_restored(
    page_size: int, compression: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(page_size=page_size))
    session = open_python(queue.path)
    back_up(session)
    blobs(queue.path, 200)
    made = back_up(session, type="incremental", compression=compression, verify="quick")
    assert made["backup_type"] == "incremental"
    new = queue.directory / "new.db"
    session.object("SELECT queue_restore(?, ?)", made["backup_path"], str(new))
    assert artifacts.query(new, "SELECT count(*), sum(length(x)) FROM blobs") == [(200, 6_000_000)]


@pytest.mark.rule(5)
def test_an_incremental_never_overwrites_what_it_would_build_on(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    path = str(queue.directory / "a.db")
    session.object("SELECT queue_backup(?)", path)
    change(queue)
    options = json.dumps({"type": "incremental", "overwrite": True})
    made = session.object("SELECT queue_backup(?, ?)", path, options)
    assert made["backup_type"] == "full"
    assert "overwritten" in made["note"]
    assert status_of(session, Path(path), "full") == "ok"


@pytest.mark.rule(5)
def test_a_copy_of_a_backup_is_not_taken_for_the_original(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = Path(back_up(session)["backup_path"])
    copy = made.with_name("copy.db")
    shutil.copy(made, copy)
    shutil.copy(f"{made}.hashes", f"{copy}.hashes")
    damaged = bytearray(made.read_bytes())
    damaged[-1] ^= 1
    made.write_bytes(damaged)
    assert status_of(session, copy) == "ok"
    assert artifacts.catalog(queue.backups)[0]["verified_at"] is None
    assert "does not list" in session.error("SELECT queue_delete_backup(?)", str(copy)).message
    assert made.exists()
    assert copy.exists()


@pytest.mark.rule(5)
def test_a_backup_of_one_page_is_restored_after_the_target_was_saved(
    queue: Queue, open_python: OpenPython
) -> None:
    empty = queue.directory / "empty.db"
    sqlite3.connect(empty).close()
    backup = queue.directory / "one_page.db"
    open_python(empty).object("SELECT queue_backup(?)", str(backup))
    session = open_python(queue.path)
    tasks = session.value("SELECT count(*) FROM task_queue")
    found = session.object("SELECT queue_restore(?)", str(backup))
    assert session.value("SELECT count(*) FROM sqlite_schema") == 0
    saved = artifacts.query(Path(found["safety_backup"]), "SELECT count(*) FROM task_queue")
    assert saved == [(tasks,)]


def test_a_database_with_a_journal_beside_it_is_no_backup(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    other = queue.directory / "other.db"
    shutil.copy(queue.path, other)
    for companion in ("-wal", "-journal"):
        beside = Path(f"{other}{companion}")
        beside.write_bytes(b"commits")
        for call in ("queue_verify(?)", "queue_restore(?, 'new.db')"):
            error = session.error(f"SELECT {call}", str(other))
            assert "no complete backup without it" in error.message
        beside.unlink()
    assert status_of(session, other) == "ok"


def test_latest_is_the_callers_own_and_not_what_a_restore_saved(
    make: MakeQueue, open_python: OpenPython
) -> None:
    one = make(Shape(tasks=40))
    two = one.directory / "two.db"
    shutil.copy(one.path, two)
    session = open_python(one.path)
    own = back_up(session)["id"]
    back_up(open_python(two))
    assert session.object("SELECT queue_restore('latest')")["id"] == own
    assert session.object("SELECT queue_restore('latest')")["id"] == own


@pytest.mark.rule(5)
def test_a_hash_file_is_no_order_to_delete(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    made = Path(back_up(session)["backup_path"])
    manifest = queue.backups / artifacts.CATALOG
    entries = artifacts.catalog(queue.backups)
    entries[0]["deleting"] = True
    manifest.write_text(json.dumps(entries))
    # The mark was set by somebody else: the entry is not as it was written.
    back_up(session)
    assert made.exists()


@pytest.mark.rule(5)
def test_an_id_that_is_listed_twice_deletes_nothing(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    first, second = (Path(back_up(session)["backup_path"]) for _ in range(2))
    entries = artifacts.catalog(queue.backups)
    entries.append({**entries[0], "backup_path": entries[1]["backup_path"]})
    (queue.backups / artifacts.CATALOG).write_text(json.dumps(entries))
    session.error("SELECT queue_delete_backup(?)", str(first))
    assert first.exists()
    assert second.exists()


def test_a_connection_that_may_only_read_restores_nothing(
    queue: Queue, open_python: OpenPython
) -> None:
    made = back_up(open_python(queue.path))["backup_path"]
    reader = open_python(queue.path, readonly=True)
    error = reader.error("SELECT queue_restore(?)", made)
    assert error.primary_code == SQLITE_READONLY
    asking = open_python(queue.path)
    asking.rows("PRAGMA query_only = ON")
    assert asking.error("SELECT queue_restore(?)", made).primary_code == SQLITE_READONLY


def test_a_foreign_backup_in_wal_mode_leaves_the_journal_mode_to_the_target(
    queue: Queue, make: MakeQueue, open_python: OpenPython
) -> None:
    foreign = queue.directory / "foreign.db"
    with queue.connect() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(queue.path, foreign)
    assert foreign.read_bytes()[18:20] == b"\2\2"
    target = make(Shape(journal_mode="delete"), "target.db")
    session = open_python(target.path)
    session.object("SELECT queue_restore(?)", str(foreign))
    assert session.value("PRAGMA journal_mode") == "delete"
    new = queue.directory / "new.db"
    session.object("SELECT queue_restore(?, ?)", str(foreign), str(new))
    assert new.read_bytes()[18:20] == b"\1\1"


@pytest.mark.rule(4)
@pytest.mark.parametrize("moment", ["before the artifact", "after the artifact"])
def test_an_overwrite_that_crashed_is_settled_by_the_next_writer(
    moment: str, queue: Queue, open_python: OpenPython
) -> None:
    """The files as a crash leaves them: the old entry marked, the new hash file in place."""
    session = open_python(queue.path)
    path, other = queue.backups / "a.db", queue.directory / "elsewhere" / "a.db"
    queue.backups.mkdir()
    other.parent.mkdir()
    old = session.object("SELECT queue_backup(?)", str(path))
    change(queue)
    new = session.object("SELECT queue_backup(?)", str(other))
    entries = artifacts.catalog(queue.backups)
    entries[0]["replacing"] = True
    write_catalog(queue.backups, entries)
    shutil.copy(f"{other}.hashes", f"{path}.hashes")
    if moment == "after the artifact":
        shutil.copy(other, path)
    expected = new if moment == "after the artifact" else old
    # Already now, by whatever name: the part "crash" of scripts/proof found that a table still said
    # the old id, which nothing else knew any more.
    row = session.dicts("SELECT id, checksum FROM queue_backups()")[0]
    assert (row["id"], row["checksum"]) == (expected["id"], expected["checksum"])
    assert session.object("SELECT queue_verify(?)", row["id"])["status"] == "ok"
    back_up(session)
    listed = {one["backup_path"]: one for one in artifacts.catalog(queue.backups)}["a.db"]
    assert listed["id"] == expected["id"]
    assert "replacing" not in listed
    assert artifacts.sha256(path) == listed["checksum"]
