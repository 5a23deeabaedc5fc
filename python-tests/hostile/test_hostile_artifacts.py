"""Artifacts, catalogs and paths that somebody made up: an error each, and nothing is touched."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from hosts.python_host import PythonSession
from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import (
    forge,
    hashes_of,
    make_chain,
    state,
    status_of,
    write_catalog,
)
from support.queues import Queue

pytestmark = pytest.mark.rule(5)

BOMB = 1 << 28

CALLS = (
    "SELECT queue_backup('{dir}/')",
    "SELECT queue_backup('{dir}/', '{{\"type\": \"incremental\"}}')",
    "SELECT queue_verify('{backup}')",
    "SELECT queue_restore('{backup}')",
    "SELECT queue_delete_backup('{backup}')",
    "SELECT queue_rotate(1, '{dir}')",
    "SELECT * FROM queue_backups('{dir}')",
)


def bomb(compression: str, scratch: Path) -> bytes:
    """256 MB of zeros, compressed to a few kilobytes."""
    if compression == "gzip":
        return gzip.compress(bytes(BOMB // 64), 9) * 64
    if shutil.which("zstd") is None:
        pytest.skip("no zstd program")
    with scratch.open("wb") as file:
        file.truncate(BOMB)
    packed = subprocess.run(["zstd", "-qc", str(scratch)], capture_output=True, check=True).stdout
    scratch.unlink()
    return packed


def attempt(session: PythonSession, queue: Queue, artifact: Path) -> list[str]:
    """Verifies at each level and restores, and sees that nothing is touched."""
    before = state(queue.directory)
    for level in ("checksum", "quick", "full"):
        status_of(session, artifact, level)
    found = {path.name for path in queue.directory.rglob("*.tmp")}
    message = session.error("SELECT queue_restore(?)", str(artifact)).message
    after = state(queue.directory)
    after[f"backups/{CATALOG}"] = before[f"backups/{CATALOG}"]
    assert after == before
    assert not found
    return [message]


@pytest.mark.parametrize("kind", ["full", "incremental"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_bomb_is_given_up_at_the_size_that_the_catalog_allows(
    compression: str, kind: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, compression, 2)
    artifact = chain[kind == "incremental"]
    forge(artifact, bomb(compression, tmp_path / "zeros"))
    begun = time.monotonic()
    messages = attempt(session, queue, artifact)
    assert "expands to more than" in messages[0]
    assert time.monotonic() - begun < 2
    # Also without the catalog's blessing.
    write_catalog(
        queue.backups, [{**entry, "checksum": "0" * 64} for entry in catalog(queue.backups)]
    )
    attempt(session, queue, artifact)


#: What somebody does to a delta, and a word of the message.
DELTAS: dict[str, tuple[str, str]] = {
    "a newer format": ("UPDATE delta_meta SET value = 2 WHERE key = 'format'", "format 2"),
    "no format": ("DELETE FROM delta_meta WHERE key = 'format'", "format"),
    "another parent": ("UPDATE delta_meta SET value = 'x' WHERE key = 'parent_digest'", "another"),
    "page 0": ("INSERT INTO delta_page VALUES (0, zeroblob(4096))", "page 0"),
    "page -1": ("INSERT INTO delta_page VALUES (-1, zeroblob(4096))", "page -1"),
    "a far page": ("INSERT INTO delta_page VALUES (4000000000, zeroblob(4096))", "4000000000"),
    "a short page": ("UPDATE delta_page SET content = zeroblob(17)", "page"),
    "a text page": ("UPDATE delta_page SET content = 'x'", "page"),
    "another page": ("UPDATE delta_page SET content = zeroblob(4096)", "snapshot"),
    "a missing page": ("DELETE FROM delta_page", "snapshot"),
    "more pages": (
        "UPDATE delta_meta SET value = 4294967295 WHERE key = 'page_count'",
        "another shape",
    ),
    "no pages": ("UPDATE delta_meta SET value = 0 WHERE key = 'page_count'", ""),
    "a page size": ("UPDATE delta_meta SET value = 512 WHERE key = 'page_size'", ""),
    "no table": ("DROP TABLE delta_page", "delta"),
    # Its nodes may refer to each other, and so have rows without end.
    "a virtual table": (
        "ALTER TABLE delta_page RENAME TO other;"
        "CREATE VIRTUAL TABLE delta_page USING rtree_i32(pgno, x0, x1, +content);"
        "INSERT INTO delta_page SELECT pgno, 0, 0, content FROM other; DROP TABLE other;"
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'delta_page'",
        "tables are missing",
    ),
    "a view": (
        "ALTER TABLE delta_page RENAME TO other; CREATE VIEW delta_page AS WITH RECURSIVE n(pgno) "
        "AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT pgno, zeroblob(4096) AS content FROM n",
        "",
    ),
}


@pytest.mark.parametrize("what", DELTAS)
def test_a_delta_that_somebody_changed_is_refused(
    what: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    artifact = make_chain(session, queue, "none", 2)[1]
    changed = tmp_path / "changed.db"
    shutil.copy(artifact, changed)
    sql, word = DELTAS[what]
    with closing(sqlite3.connect(changed, isolation_level=None)) as connection:
        connection.executescript(sql)
    forge(artifact, changed.read_bytes())
    # One that never ends must not keep the tests for long.
    limit = threading.Timer(15, session.process.kill)
    limit.start()
    try:
        for message in attempt(session, queue, artifact):
            assert word in message
    finally:
        limit.cancel()


def test_a_delta_without_its_parent_is_refused(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "zstd", 3)
    entries = catalog(queue.backups)
    write_catalog(queue.backups, [entries[0], entries[2]])
    hashes_of(chain[1]).unlink()
    assert status_of(session, chain[2]) == "corrupted"
    assert "is not in the catalog" in attempt(session, queue, chain[2])[0]
    # Nor one that builds on itself, or in a circle.
    for parents in ((entries[0]["id"], entries[2]["id"]), (entries[2]["id"], entries[1]["id"])):
        circle = [dict(entries[0]), dict(entries[1]), dict(entries[2])]
        circle[1]["parent_id"], circle[2]["parent_id"] = parents
        write_catalog(queue.backups, circle)
        assert status_of(session, chain[2]) == "corrupted"
        attempt(session, queue, chain[2])


def directory_at(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_at(path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


def pipe_at(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def names(name: str) -> Callable[[Path], None]:
    """A manifest whose second backup is a file elsewhere, with a digest that is right."""

    def rewrite(path: Path) -> None:
        entries: list[dict[str, Any]] = catalog(path.parent)
        entries[-1]["backup_path"] = name
        write_catalog(path.parent, entries)

    return rewrite


MANIFESTS: dict[str, Callable[[Path], None]] = {
    "a directory": directory_at,
    "a link": link_at,
    "a pipe": pipe_at,
    "../../etc/passwd": names("../../etc/passwd"),
    "/etc/passwd": names("/etc/passwd"),
    "..": names(".."),
    "a/b": names("a/b.db"),
}


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
@pytest.mark.parametrize("what", MANIFESTS)
@pytest.mark.parametrize("call", CALLS)
def test_a_manifest_that_cannot_be_is_refused_by_all(
    call: str, what: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "none", 2)
    MANIFESTS[what](queue.backups / CATALOG)
    before = state(queue.directory)
    error = session.error(call.format(dir=queue.backups, backup=chain[0]))
    assert CATALOG in error.message
    assert error.seconds < 1
    assert state(queue.directory) == before


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
@pytest.mark.parametrize("at", [directory_at, link_at, pipe_at], ids=lambda at: at.__name__)
@pytest.mark.parametrize("victim", ["artifact", "parent", "hash file"])
def test_a_link_directory_or_pipe_in_place_of_a_file_is_not_followed(
    victim: str, at: Callable[[Path], None], queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "none", 2)
    at({"artifact": chain[1], "parent": chain[0], "hash file": hashes_of(chain[1])}[victim])
    before = state(queue.directory)
    assert status_of(session, chain[1]) != "ok"
    if victim != "hash file":
        session.error("SELECT queue_restore(?)", str(chain[1]))
        assert state(queue.directory) == before


@pytest.mark.parametrize("words", ["", "latest", "{dir}", "{dir}/no.db", "/etc/passwd", "x\0y"])
def test_what_is_no_backup_is_an_error(words: str, queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("SELECT count(*) FROM task_queue")
    queue.backups.mkdir()
    before = state(queue.directory)
    for function in ("queue_verify", "queue_restore", "queue_delete_backup"):
        error = session.error(f"SELECT {function}(?)", words.format(dir=queue.directory))
        assert function in error.message
    assert state(queue.directory) == before


def test_deep_json_and_wild_numbers_in_a_manifest_do_no_harm(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "none", 2)
    good = (queue.backups / CATALOG).read_bytes()
    wild = catalog(queue.backups)
    wild[1].update(
        size_bytes=2**64 - 1, page_count=2**32 - 1, page_size=2**31, pages_stored=2**32 - 1
    )
    for content in ("[" * 100_000, json.dumps(wild), "[1]", "{}", "null", '[{"id": 1}]'):
        (queue.backups / CATALOG).write_text(content, "utf-8")
        session.rows("SELECT * FROM queue_backups()")
        status_of(session, chain[1])
        (queue.backups / CATALOG).write_bytes(good)
    assert status_of(session, chain[1], "full") == "ok"
    write_catalog(queue.backups, wild)
    assert status_of(session, chain[1], "full") != "ok"
    session.error("SELECT queue_restore(?)", str(chain[1]))
