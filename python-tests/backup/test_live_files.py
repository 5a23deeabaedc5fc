"""No name of a live database, and no link to one, is taken for a backup; its locks survive."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts import SqlError
from hosts.protocol import SQLITE_BUSY
from hosts.python_host import PythonSession
from support.artifacts import CATALOG
from support.engine_artifacts import back_up, hashes_of, make_chain, state, status_of
from support.queues import Queue


def hold(session: PythonSession) -> None:
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE task_queue SET priority = 7 WHERE id = 1")


ALIASES: dict[str, Callable[[Path, Path], object]] = {
    "itself": lambda path, alias: None,
    "hard link": lambda path, alias: os.link(path, alias),
    "symbolic link": lambda path, alias: alias.symlink_to(path),
}


@pytest.mark.rule(2)
@pytest.mark.skipif(os.name == "nt", reason="POSIX locks and links")
@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("attached", [False, True], ids=["main", "attached"])
def test_a_live_database_is_no_backup_and_keeps_its_locks(
    alias: str, attached: bool, make: MakeQueue, open_python: OpenPython
) -> None:
    queue, victim = make(), make()
    session, other = open_python(queue.path), open_python(victim.path, load=False)
    made = back_up(session)["backup_path"]
    if attached:
        session.rows("ATTACH ? AS victim", str(victim.path))
        session.rows("BEGIN IMMEDIATE")
        session.rows("UPDATE victim.task_queue SET priority = 7 WHERE id = 1")
    else:
        victim, other = queue, open_python(queue.path, load=False)
        hold(session)
    path = victim.path if alias == "itself" else victim.directory / "alias.db"
    ALIASES[alias](victim.path, path)
    before = state(victim.directory)
    for sql in ("queue_verify(?)", "queue_delete_backup(?)", "queue_restore(?)"):
        session.error(f"SELECT {sql}", str(path))
    session.error("SELECT queue_restore(?, ?, '{\"overwrite\": true}')", made, str(path))
    assert state(victim.directory) == before
    other.rows("PRAGMA busy_timeout=0")
    assert other.error("BEGIN IMMEDIATE").primary_code == SQLITE_BUSY
    session.rows("COMMIT")
    assert victim.query("SELECT priority FROM task_queue WHERE id = 1") == [(7,)]
    assert victim.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.rule(2)
@pytest.mark.skipif(os.name == "nt", reason="POSIX locks and links")
@pytest.mark.parametrize("place", ["artifact", "parent", "hash file"])
def test_a_live_database_in_place_of_a_catalogued_file_keeps_its_locks(
    place: str, queue: Queue, open_python: OpenPython
) -> None:
    session, other = open_python(queue.path), open_python(queue.path, load=False)
    chain = make_chain(session, queue, "none", 2)
    victim = {"artifact": chain[1], "parent": chain[0], "hash file": hashes_of(chain[1])}[place]
    victim.unlink()
    os.link(queue.path, victim)
    hold(session)
    calls = (
        "SELECT queue_verify(?)",
        "SELECT queue_restore(?)",
        "SELECT queue_delete_backup(?, '{\"dependants\": true}')",
    )
    for sql in calls:
        for artifact in chain:
            try:
                session.rows(sql, str(artifact))
            except SqlError:
                continue
    try:
        back_up(session, type="incremental")
    except SqlError as error:
        assert victim.name in error.message
    assert victim.exists()
    other.rows("PRAGMA busy_timeout=0")
    assert other.error("BEGIN IMMEDIATE").primary_code == SQLITE_BUSY
    session.rows("COMMIT")
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.rule(2)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the list of what is open")
@pytest.mark.parametrize("listed", ["catalog", "hash file"])
def test_a_listed_file_that_another_connection_has_open_keeps_its_locks(
    listed: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    victim, later = Path(back_up(session)["backup_path"]), Path(back_up(session)["backup_path"])
    if listed == "hash file":
        (victim.parent / CATALOG).unlink()
    session.call("open", path=str(victim), connection="second")
    for sql in ("BEGIN IMMEDIATE", "UPDATE task_queue SET priority = 7 WHERE id = 1"):
        session.call("execute", connection="second", sql=sql, params=[])
    other = open_python(victim, load=False)
    other.rows("PRAGMA busy_timeout=0")
    told = []
    for sql in (
        "SELECT queue_verify(?)",
        "SELECT queue_verify(?, 'full')",
        "SELECT queue_restore(?, '{}', '{{\"overwrite\": true}}')".format(
            queue.path.with_name("new.db")
        ),
        "SELECT queue_backup(?, '{\"overwrite\": true}')",
        "SELECT queue_delete_backup(?)",
    ):
        told.append(session.error(sql, str(victim)).message)
        assert other.error("BEGIN IMMEDIATE").primary_code == SQLITE_BUSY, sql
    assert any("another connection of this process has locks" in message for message in told), told
    for sql in ("SELECT * FROM queue_backups", "SELECT queue_rotate(1)", "SELECT queue_backup()"):
        try:
            session.rows(sql)
        except SqlError as error:
            assert str(victim) in error.message, sql
        assert other.error("BEGIN IMMEDIATE").primary_code == SQLITE_BUSY, sql
    assert victim.exists()
    session.call("execute", connection="second", sql="COMMIT", params=[])
    session.call("close", connection="second")
    assert other.rows("SELECT priority FROM task_queue WHERE id = 1") == [(7,)]
    assert status_of(session, later) == "ok"
