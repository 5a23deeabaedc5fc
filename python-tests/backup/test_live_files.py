"""No name of a live database, and no link to one, is taken for a backup; its locks survive."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts import SqlError
from hosts.protocol import SQLITE_BUSY
from hosts.python_host import PythonSession
from queuekeeper import _files
from support.artifacts import CATALOG
from support.artifacts.kinds import back_up, hashes_of, make_chain, state, status_of
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
    refused = []
    for sql in calls:
        for artifact in chain:
            try:
                session.rows(sql, str(artifact))
            except SqlError as error:
                refused.append(error.message)
    assert any(victim.name in message for message in refused), refused
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


def test_the_locks_of_the_machine_are_looked_at_only_for_what_is_open(
    queue: Queue, open_python: OpenPython, library: Path, tmp_path: Path
) -> None:
    """A stranger makes that list as long as the system allows."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    session = open_python(queue.path)
    victim = Path(back_up(session)["backup_path"])
    code = """
import apsw, sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
from queuekeeper import _files
connection = apsw.Connection(sys.argv[1])
connection.enableloadextension(True)
connection.loadextension(sys.argv[2])
victim = Path(sys.argv[3])
if {opened}:
    other = apsw.Connection(str(victim))
    other.execute("BEGIN IMMEDIATE")
for work in (
    lambda: connection.execute("SELECT queue_verify(?)", (str(victim),)).fetchall(),
    lambda: _files.read(victim, 1),
):
    try:
        work()
        print("read")
    except (apsw.Error, OSError) as error:
        print("locks" in str(error) or "open" in str(error))
"""
    package = Path(__file__).parents[2] / "python" / "src"
    names = [str(each) for each in (queue.path, library, victim, package)]
    for opened, expected, looks in ((False, "read read", 0), (True, "True True", 2)):
        trace = tmp_path / f"trace-{opened}"
        traced = [strace, "-f", "-o", str(trace), "-e", "trace=open,openat", "-P", "/proc/locks"]
        program = [sys.executable, "-c", code.format(opened=opened), *names]
        done = subprocess.run(
            [*traced, *program], capture_output=True, text=True, timeout=60, check=False
        )
        if "ptrace" in done.stderr and "not permitted" in done.stderr:
            pytest.skip("no process may be traced here")
        assert " ".join(done.stdout.split()) == expected, done.stderr
        assert trace.read_text("utf-8").count("/proc/locks") == looks


def test_a_lock_that_one_look_at_the_list_passes_over_is_found(
    queue: Queue, open_python: OpenPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others take and drop locks while it is being read."""
    victim = Path(back_up(open_python(queue.path))["backup_path"])
    readings: Iterator[str | Path] = iter(["", _files.LOCKS])

    class Changing:
        """The list, which lacks a line the first time."""

        @staticmethod
        def read_text() -> str:
            reading = next(readings)
            return reading if isinstance(reading, str) else reading.read_text("utf-8")

    with contextlib.closing(sqlite3.connect(victim, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(_files, "LOCKS", Changing)
        with pytest.raises(OSError, match="a database that is open"):
            _files.read(victim, 1)
