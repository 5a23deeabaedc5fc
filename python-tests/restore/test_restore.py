"""Restoring into new, existing, broken and own databases, and when the caller is in the way."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Session, SqlError, find_host
from hosts.protocol import SQLITE_CANTOPEN
from support import artifacts
from support.artifacts.kinds import back_up, change, make_chain, state
from support.queues import Queue, Shape
from support.queues.content import content_of_file, content_of_live

pytestmark = pytest.mark.rule(5)

OVERWRITE = '{"overwrite": true}'


def test_each_host_restores_live_and_to_a_new_file(
    host: Host, queue: Queue, open_session: OpenSession, tmp_path: Path
) -> None:
    session = open_session(host, queue.path)
    old = content_of_live(queue.path, tmp_path / "copy.db")
    made = session.object("SELECT queue_backup(NULL, ?)", '{"compression": "zstd"}')
    change(queue)
    new = content_of_live(queue.path, tmp_path / "copy.db")
    target = tmp_path / "new.db"
    found = session.object("SELECT queue_restore('latest', ?)", str(target))
    assert found["id"] == made["id"]
    assert (found["target_path"], found["safety_backup"]) == (str(target), None)
    assert content_of_file(target) == old
    found = session.object("SELECT queue_restore(?)", made["id"])
    assert found["target_path"] == str(queue.path)
    assert content_of_live(queue.path, tmp_path / "copy.db") == old
    assert content_of_file(Path(found["safety_backup"])) == new
    assert "before_restore" in Path(found["safety_backup"]).name
    assert session.value("PRAGMA journal_mode") == "wal"


def test_the_safety_backup_is_a_backup_like_any_other(
    queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "zstd", 3)
    change(queue)
    before = content_of_live(queue.path, tmp_path / "copy.db")
    saved = session.object("SELECT queue_restore(?)", str(chain[1]))["safety_backup"]
    assert content_of_live(queue.path, tmp_path / "copy.db") != before
    (entry,) = session.dicts("SELECT * FROM queue_backups() WHERE name = 'before_restore'")
    assert entry["backup_path"] == saved
    session.object("SELECT queue_restore(?)", saved)
    assert content_of_live(queue.path, tmp_path / "copy.db") == before
    # An incremental after that is right, whatever it builds on.
    made = back_up(session, type="incremental")
    session.object("SELECT queue_restore(?, ?)", made["id"], str(tmp_path / "new.db"))
    assert content_of_file(tmp_path / "new.db") == before


def test_an_existing_target_is_replaced_only_when_told_to(
    make: MakeQueue, open_python: OpenPython, tmp_path: Path
) -> None:
    queue, other = make(Shape(tasks=5)), make(Shape(tasks=9, journal_mode="delete"))
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    before = state(other.directory)
    error = session.error("SELECT queue_restore(?, ?)", made, str(other.path))
    assert "overwrite" in error.message
    assert state(other.directory) == before
    old = content_of_file(other.path)
    found = session.object("SELECT queue_restore(?, ?, ?)", made, str(other.path), OVERWRITE)
    assert content_of_file(other.path) == content_of_live(queue.path, tmp_path / "copy.db")
    assert content_of_file(Path(found["safety_backup"])) == old
    assert Path(found["safety_backup"]).parent == other.backups
    assert other.query("PRAGMA journal_mode") == [("delete",)]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("{dir}/missing/new.db", SQLITE_CANTOPEN),
        ("{dir}", None),
        ("{dir}/", None),
        ("", None),
        ("{dir}/new.db-wal", None),
        ("{dir}/new.db\0", None),
        ("{dir}/link.db", None),
        ("{dir}/backups/backup_manifest.json", None),
        ("{dir}/backups/backup_manifest.json.lock", None),
        ("{dir}/stale.db", None),
    ],
)
def test_a_target_that_cannot_be_is_refused(
    target: str, code: int | None, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    (queue.directory / "link.db").symlink_to("nowhere.db")
    (queue.directory / "stale.db-wal").write_bytes(b"would be replayed")
    before = state(queue.directory)
    path = target.format(dir=queue.directory)
    for options in ("{}", OVERWRITE):
        error = session.error("SELECT queue_restore(?, ?, ?)", made, path, options)
        assert code is None or error.primary_code == code, error
    assert state(queue.directory) == before


@pytest.mark.parametrize("victim", ["plain", "parent", "packed", "hashes", "itself"])
def test_a_backup_is_no_target(victim: str, queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    plain = back_up(session)["backup_path"]
    parent, packed = make_chain(session, queue, "none", 1), make_chain(session, queue, "zstd", 1)
    change(queue)
    child = back_up(session, type="incremental")["backup_path"]
    paths = {
        "plain": plain,
        "parent": str(parent[0]),
        "packed": str(packed[0]),
        "hashes": f"{plain}.hashes",
        "itself": child,
    }
    before = state(queue.directory)
    try:
        session.rows("SELECT queue_restore(?, ?, ?)", child, paths[victim], OVERWRITE)
    except SqlError:
        assert state(queue.directory) == before
    # If it was done, then nothing that the catalog lists may have suffered from it.
    for backup in [row[0] for row in session.rows("SELECT backup_path FROM queue_backups()")]:
        assert session.object("SELECT queue_verify(?, 'full')", backup)["status"] == "ok"


def break_it(path: Path, how: str) -> None:
    """Breaks a database that nobody has open."""
    content = path.read_bytes()
    broken = {
        "garbage": b"no database at all " * 1000,
        "no header": b"\0" * 100 + content[100:],
        "cut": content[: len(content) // 2 + 100],
        "schema": content[:100] + b"\xff" * 400 + content[500:],
    }
    path.write_bytes(broken[how])


@pytest.mark.parametrize("caller", ["own", "another", "memory"])
@pytest.mark.parametrize("how", ["garbage", "no header", "cut", "schema"])
def test_a_broken_target_is_kept_aside(
    how: str,
    caller: str,
    make: MakeQueue,
    open_python: OpenPython,
    open_session: OpenSession,
    tmp_path: Path,
) -> None:
    queue, other = make(Shape(tasks=300)), make()
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    expected = content_of_live(queue.path, tmp_path / "copy.db")
    session.close()
    break_it(queue.path, how)
    broken = queue.path.read_bytes()
    for companion in ("-wal", "-shm"):
        Path(f"{queue.path}{companion}").write_bytes(b"what SQLite left")
    if caller == "own":
        host = find_host("stdlib")
        if host.missing or host.version > "3.46":
            pytest.skip("this SQLite runs no statement at all on a database that is none")
        by: Session = open_session(host, queue.path)
    else:
        by = open_python(other.path if caller == "another" else ":memory:")
    target = None if caller == "own" else str(queue.path)
    found = by.object("SELECT queue_restore(?, ?, ?)", made, target, OVERWRITE)
    assert content_of_live(queue.path, tmp_path / "copy.db") == expected
    kept = [found.get("moved_aside"), found["safety_backup"]]
    # Either the file itself is kept, or SQLite could still read and save it.
    assert any(path and Path(path).exists() for path in kept), found
    if found.get("moved_aside"):
        assert Path(found["moved_aside"]).read_bytes() == broken
        assert Path(found["moved_aside"]).name.startswith("queue.db.corrupt-")
        assert Path(f"{found['moved_aside']}-wal").read_bytes() == b"what SQLite left"
    again = open_python(queue.path)
    back_up(again)
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


def test_a_broken_database_behind_a_link_is_restored_where_it_lies(
    make: MakeQueue, open_session: OpenSession, tmp_path: Path
) -> None:
    host = find_host("stdlib")
    if host.missing or host.version > "3.46":
        pytest.skip("this SQLite runs no statement at all on a database that is none")
    queue = make()
    session = open_session(host, queue.path)
    made = session.object("SELECT queue_backup()")["backup_path"]
    expected = content_of_live(queue.path, tmp_path / "copy.db")
    session.close()
    break_it(queue.path, "garbage")
    link = tmp_path / "link.db"
    link.symlink_to(queue.path)
    session = open_session(host, queue.path)
    session.object("SELECT queue_restore(?, ?)", made, str(link))
    assert content_of_live(queue.path, tmp_path / "copy.db") == expected
    assert link.is_symlink()


def test_a_missing_database_comes_back_from_another_connection(
    queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    made = back_up(session, compression="gzip")["backup_path"]
    expected = content_of_live(queue.path, tmp_path / "copy.db")
    session.close()
    queue.path.unlink()
    rescue = open_python(":memory:")
    rescue.object("SELECT queue_restore(?, ?)", made, str(queue.path))
    assert content_of_live(queue.path, tmp_path / "copy.db") == expected


@pytest.mark.parametrize("live", [True, False])
def test_leases_are_requeued_on_demand(
    live: bool, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    made = back_up(session, compression="zstd")["backup_path"]
    options = json.dumps({"requeue_leases": True})
    target = None if live else str(tmp_path / "new.db")
    leased = "SELECT count(*) FROM task_queue WHERE status IN ('leased', 'processing')"
    queued = "SELECT count(*) FROM task_queue WHERE status = 'queued' AND locked_by IS NULL"
    before = [queue.query(sql)[0][0] for sql in (leased, queued)]
    found = session.object("SELECT queue_restore(?, ?, ?)", made, target, options)
    # Live leases as well: their workers work on what is no more.
    assert found["requeued"] == before[0] == 12
    with closing(sqlite3.connect(target or queue.path)) as connection:
        assert connection.execute(leased).fetchone() == (0,)
        assert connection.execute(queued).fetchone() == (before[0] + before[1],)
    # The backup itself keeps them.
    assert artifacts.sha256(Path(made)) == artifacts.catalog(queue.backups)[0]["checksum"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
def test_a_directory_that_cannot_be_looked_at_is_not_called_missing(
    queue: Queue, open_python: OpenPython
) -> None:
    # An I/O error was told as "does not exist; create it first"; scripts/proof found that.
    session = open_python(queue.path)
    made = back_up(session)["backup_path"]
    loop = queue.directory / "loop"
    loop.symlink_to(loop)
    new = str(loop / "new.db")
    for sql, values in (
        ("SELECT queue_restore(?, ?)", (made, new)),
        ("SELECT queue_backup(?)", (new,)),
    ):
        error = session.error(sql, *values)
        assert "does not exist" not in error.message, error
        assert str(loop) in error.message, error


def test_a_dry_run_says_what_a_restore_and_a_deletion_will_do_and_does_nothing(
    queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "none", 3)
    change(queue)
    target = tmp_path / "target.db"
    target.touch()

    def seen() -> tuple[object, ...]:
        files = {each: each.read_bytes() for each in queue.backups.iterdir()}
        return content_of_live(queue.path, tmp_path / "copy.db"), files, target.read_bytes()

    for call, error in (
        ("queue_restore('latest', '{}', '{{\"dry_run\": true}}')", "exists already"),
        ("queue_delete_backup('{}', '{{\"dry_run\": true}}')", "cannot be deleted alone"),
    ):
        with pytest.raises(SqlError, match=error):
            session.value(f"SELECT {call.format(target if 'restore' in call else chain[0])}")
    before = seen()
    cases: list[tuple[str, list[str | None], dict[str, bool]]] = [
        ("queue_restore", ["latest", None], {}),
        ("queue_restore", [str(chain[1]), None], {}),
        ("queue_restore", [str(chain[2]), str(tmp_path / "new.db")], {}),
        ("queue_restore", [str(chain[0]), str(target)], {"overwrite": True}),
        ("queue_delete_backup", [str(chain[1])], {"dependants": True}),
    ]
    for function, arguments, options in cases:
        marks = ", ".join("?" for _ in (*arguments, options))
        call = f"SELECT {function}({marks})"
        planned = session.object(call, *arguments, json.dumps({**options, "dry_run": True}))
        assert planned["dry_run"] is True
        assert seen() == before, function
        done = session.object(call, *arguments, json.dumps(options))
        assert "dry_run" not in done
        for name in {*planned} - {"dry_run", "age_seconds", "duration_ms", "safety_backup"}:
            assert planned[name] == done[name], name
        before = seen()
