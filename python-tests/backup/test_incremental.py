"""Incrementals: right whatever happened in between, or a full backup that says why."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython

from hosts.python_host import PythonSession
from support.artifacts import CATALOG
from support.artifacts.kinds import back_up, change, hashes_of, make_chain
from support.package import Package
from support.queues import Queue, Shape, grow
from support.queues.content import content_of_file, content_of_live

SETTINGS = "CREATE TABLE IF NOT EXISTS queuekeeper_settings(name TEXT PRIMARY KEY, value)"


def run(queue: Queue, *statements: str) -> None:
    """Statements by another process's connection."""
    with queue.connect() as connection:
        for sql in statements:
            connection.execute(sql).fetchall()


def restored(session: PythonSession, made: dict[str, Any], directory: Path) -> Any:
    """What a backup restores to."""
    target = directory / "restored.db"
    target.unlink(missing_ok=True)
    session.object("SELECT queue_restore(?, ?)", made["id"], str(target))
    return content_of_file(target)


def check(session: PythonSession, queue: Queue, made: dict[str, Any], directory: Path) -> None:
    """The backup that was just made restores to what the database holds."""
    assert restored(session, made, directory) == content_of_live(queue.path, directory / "c.db")
    assert session.object("SELECT queue_verify(?, 'full')", made["id"])["status"] == "ok"


INSERT = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) "
    "INSERT INTO task_queue(type, payload) SELECT 'grown', '{\"i\": ' || i || '}' FROM n"
)

#: What happens between two backups, and whether a delta may follow.
BETWEEN: dict[str, tuple[list[str], bool]] = {
    "nothing": ([], True),
    "growth": ([INSERT], True),
    "shrinkage": ([INSERT, "DELETE FROM task_queue WHERE id > 5", "VACUUM"], True),
    "VACUUM": (["DELETE FROM task_queue WHERE id % 2", "VACUUM"], True),
    "a new schema": (["CREATE TABLE more(a, b)", "CREATE INDEX more_b ON more(b)"], True),
    "another journal mode": (["PRAGMA journal_mode=delete", "DROP TABLE task_logs"], True),
    "another page size": (
        [
            "PRAGMA journal_mode=delete",
            "PRAGMA page_size=8192",
            "VACUUM",
            "PRAGMA journal_mode=wal",
        ],
        False,
    ),
}


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("between", BETWEEN)
def test_whatever_happens_in_between_the_next_backup_is_right(
    between: str, compression: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    statements, may_be_delta = BETWEEN[between]
    session = open_python(queue.path)
    make_chain(session, queue, compression, 2)
    session.close()
    if between == "shrinkage":
        run(queue, statements[0])
        session = open_python(queue.path)
        back_up(session, type="incremental")
        session.close()
    run(queue, *statements)
    session = open_python(queue.path)
    made = back_up(session, type="incremental", compression=compression)
    assert (made["backup_type"] == "incremental") == may_be_delta
    if not may_be_delta:
        assert "page size" in made["note"]
    check(session, queue, made, tmp_path)
    change(queue)
    made = back_up(session, type="incremental")
    assert made["backup_type"] == "incremental"
    check(session, queue, made, tmp_path)


def middle(path: Path) -> None:
    """Damage that keeps the length."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


#: What happens to the files of a chain of three, and a part of the note.
LOSSES: dict[str, tuple[int, bool, Callable[[Path], None], str]] = {
    "the full backup is gone": (0, False, Path.unlink, "missing or damaged"),
    "the middle is gone": (1, False, Path.unlink, "missing or damaged"),
    "the last is gone": (2, False, Path.unlink, "missing or damaged"),
    "the full backup is shorter": (0, False, cut, "missing or damaged"),
    "the last is shorter": (2, False, cut, "missing or damaged"),
    "the hash file is gone": (2, True, Path.unlink, "hash file"),
    "the hash file is shorter": (2, True, cut, "hash file"),
    "the hash file is damaged": (2, True, middle, "hash file"),
    "another's hash file": (2, True, lambda path: None, "hash file"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_without_all_that_a_delta_needs_it_is_a_full_backup_that_says_why(
    loss: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "zstd", 3)
    number, of_hashes, damage, word = LOSSES[loss]
    victim = hashes_of(chain[number]) if of_hashes else chain[number]
    if loss == "another's hash file":
        shutil.copy(hashes_of(chain[0]), victim)
    damage(victim)
    change(queue)
    made = back_up(session, type="incremental", compression="gzip")
    assert made["backup_type"] == "full"
    assert "full backup instead of an incremental" in made["note"]
    assert word in made["note"]
    assert made["backup_path"].endswith(".db.gz")
    assert not made["backup_path"].endswith(".delta.db.gz")
    check(session, queue, made, tmp_path)


def test_a_verified_damage_to_a_parent_ends_its_chain(
    queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "none", 2)
    middle(chain[0])
    assert session.object("SELECT queue_verify(?)", str(chain[1]))["status"] == "corrupted"
    change(queue)
    made = back_up(session, type="incremental")
    assert made["backup_type"] == "full"
    assert "damaged" in made["note"]
    check(session, queue, made, tmp_path)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_chain_is_as_long_as_full_every_says(
    length: int, queue: Queue, open_python: OpenPython
) -> None:
    if length != 7:
        run(queue, SETTINGS, f"INSERT INTO queuekeeper_settings VALUES ('full_every', {length})")
    session = open_python(queue.path)
    kinds = []
    for _ in range(2 * length + 1):
        change(queue)
        made = back_up(session, type="incremental")
        kinds.append(made["backup_type"])
        assert (made["backup_type"] == "full") == ("note" in made)
    chain = ["full"] + ["incremental"] * (length - 1)
    assert kinds == [*chain, *chain, "full"]
    assert length == 1 or f"{length} backups" in made["note"]


@pytest.mark.parametrize("value", ["0", "-1", "'many'", "1.5"])
def test_a_limit_that_cannot_be_is_an_error(
    value: str, queue: Queue, open_python: OpenPython
) -> None:
    run(queue, SETTINGS, f"INSERT INTO queuekeeper_settings VALUES ('full_every', {value})")
    session = open_python(queue.path)
    error = session.error('SELECT queue_backup(NULL, \'{"type": "incremental"}\')')
    assert "full_every" in error.message


def test_each_series_has_chains_of_its_own(
    queue: Queue, make: MakeQueue, open_python: OpenPython
) -> None:
    session, other = open_python(queue.path), open_python(make().path)
    first = [back_up(session), back_up(session, name="daily")]
    stranger = json.dumps({"type": "incremental"})
    made = other.object("SELECT queue_backup(?, ?)", str(queue.backups), stranger)
    assert made["backup_type"] == "full"
    assert "no earlier backup" in made["note"]
    back_up(session, type="snapshot")
    change(queue)
    made = back_up(session, type="incremental")
    assert made["parent_id"] == first[0]["id"]
    made = back_up(session, type="incremental", name="daily")
    assert made["parent_id"] == first[1]["id"]
    made = back_up(session, type="incremental", name="weekly")
    assert made["backup_type"] == "full"


def test_only_changed_pages_are_stored(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(tasks=20))
    grow(queue, 8)
    session = open_python(queue.path)
    full = back_up(session)
    run(queue, "UPDATE ballast SET content = zeroblob(length(content)) WHERE id = 7")
    made = back_up(session, type="incremental")
    assert made["page_count"] == full["page_count"] > 2000
    # Page 1 counts its changes, but not as content.
    assert made["pages_stored"] <= 3
    with closing(sqlite3.connect(made["backup_path"])) as connection:
        assert connection.execute("SELECT count(*) FROM delta_page").fetchone() == (
            made["pages_stored"],
        )
    run(queue, "UPDATE ballast SET content = randomblob(400000) WHERE id = 3")
    made = back_up(session, type="incremental", compression="zstd")
    assert 90 < made["pages_stored"] < 400
    assert made["size_bytes"] < made["pages_stored"] * 4200 + 10_000
    assert back_up(session, type="incremental")["pages_stored"] == 0


@pytest.mark.parametrize("verify", ["none", "checksum", "quick", "full"])
def test_a_parent_that_is_deleted_meanwhile_makes_it_a_full_backup(
    verify: str, package: Package, queue: Queue
) -> None:
    backup_type, note, ok = package.run(
        """
        with queuekeeper.open(sys.argv[1]) as queue, queuekeeper.open(sys.argv[1]) as other:
            parent = queue.backup()
            deleted = []
            def progress(done, total):
                if not deleted:
                    deleted.append(other.delete_backup(parent.id))
            made = queue.backup(type="incremental", verify=sys.argv[2], progress=progress)
            assert deleted
            print(json.dumps([made.backup_type, made.note, queue.verify(made.id).ok]))
        """,
        queue.path,
        verify,
    )
    assert (backup_type, ok) == ("full", True)
    assert "was deleted in the meantime" in note


def test_the_catalog_lists_a_chain_as_it_is(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "zstd", 3)
    entries = session.dicts("SELECT * FROM queue_backups()")
    assert [entry["backup_path"] for entry in entries] == [str(path) for path in reversed(chain)]
    assert [entry["parent_id"] for entry in entries] == [entries[1]["id"], entries[2]["id"], None]
    assert (queue.backups / CATALOG).exists()
