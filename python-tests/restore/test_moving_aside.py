"""What is no database any more is moved aside: never from under anybody, never over anything."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import SQLITE_BUSY
from support.artifacts.kinds import back_up
from support.queues import Queue

pytestmark = [
    pytest.mark.rule(5),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="who has a file open is asked"),
]

GARBAGE = b"no database at all " * 1000
COMPANIONS = ("", "-wal", "-shm", "-journal")

#: Opens a file in its own way, says so, and waits for its end.
HOLDERS = {
    "open": "file = open(path, 'rb')",
    "locked": "file = open(path, 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX, 1, 0x40000000)",
    "its wal open": "file = open(path + '-wal', 'rb')",
    "its shm locked": (
        "file = open(path + '-shm', 'r+b'); fcntl.lockf(file, fcntl.LOCK_SH, 1, 128)"
    ),
}


class Holder:
    """A process that has a file open or locked."""

    def __init__(self, how: str, path: Path, user: int | None = None) -> None:
        script = (
            f"import fcntl, sys; path = sys.argv[1]; {HOLDERS[how]}\n"
            "print('here', flush=True); sys.stdin.read()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            user=user,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"here\n"

    def end(self) -> None:
        """Lets go."""
        self.process.communicate()


@pytest.fixture
def broken(make: MakeQueue, open_python: OpenPython) -> tuple[Queue, str]:
    """A queue that is none any more, with what SQLite left beside it, and a backup of it."""
    queue = make()
    session = open_python(queue.path)
    made = str(back_up(session)["backup_path"])
    session.close()
    queue.path.write_bytes(GARBAGE)
    for companion in ("-wal", "-shm"):
        Path(f"{queue.path}{companion}").write_bytes(b"what SQLite left")
    return queue, made


def state(queue: Queue) -> dict[str, bytes]:
    """The files beside the backups. The -shm is SQLite's to make anew."""
    files = [path for path in queue.directory.iterdir() if path.is_file()]
    return {path.name: path.read_bytes() for path in files if not path.name.endswith("-shm")}


RESTORE = ("SELECT queue_restore(?, ?, ?)", '{"overwrite": true}')


@pytest.mark.parametrize("how", HOLDERS)
def test_nothing_is_moved_from_under_somebody(
    how: str, broken: tuple[Queue, str], open_python: OpenPython
) -> None:
    queue, made = broken
    session = open_python(":memory:")
    session.rows("PRAGMA busy_timeout=300")
    holder = Holder(how, queue.path)
    before = state(queue)
    try:
        error = session.error(RESTORE[0], made, str(queue.path), RESTORE[1])
    finally:
        holder.end()
    assert error.primary_code == SQLITE_BUSY, error
    # SQLite itself tells of a lock on the database, but not whose it is.
    if how != "locked":
        assert str(holder.process.pid) in error.message, error
    assert str(queue.path) in error.message, error
    assert state(queue) == before
    found = session.object(RESTORE[0], made, str(queue.path), RESTORE[1])
    assert Path(found["moved_aside"]).read_bytes() == GARBAGE
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


def test_a_holder_that_goes_is_waited_for(
    broken: tuple[Queue, str], open_python: OpenPython
) -> None:
    queue, made = broken
    session = open_python(":memory:")
    holder = Holder("open", queue.path)
    session.start(RESTORE[0], made, str(queue.path), RESTORE[1])
    holder.end()
    found = json.loads(str(session.result().rows[0][0]))
    assert Path(found["moved_aside"]).read_bytes() == GARBAGE


def test_another_connection_of_this_process_is_somebody_else(
    broken: tuple[Queue, str], open_python: OpenPython, library: Path
) -> None:
    queue, made = broken
    script = """
import apsw, sys
library, path, made = sys.argv[1:]
apsw.Connection(":memory:")
other = apsw.Connection(path)
caller = apsw.Connection(":memory:")
caller.enable_load_extension(True)
caller.load_extension(library, "sqlite3_queuekeeper_init")
caller.execute("PRAGMA busy_timeout=1")
restore = "SELECT queue_restore(?, ?, '{\\"overwrite\\": true}')"
try:
    caller.execute(restore, (made, path))
    sys.exit("moved")
except apsw.BusyError as error:
    assert "in use" in str(error), error
other.close()
caller.execute(restore, (made, path))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(library), str(queue.path), made],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="another user takes root")
def test_the_lock_of_a_process_that_cannot_be_looked_into_counts(
    broken: tuple[Queue, str], open_python: OpenPython, library: Path, tmp_path: Path
) -> None:
    """The other way round: a restore by a user who may not look at root's processes."""
    queue, made = broken
    for path in [queue.directory, *queue.directory.rglob("*")]:
        shutil.chown(path, 65534)
    for path in [*queue.path.parents][:-1]:
        if path.stat().st_uid == 0 and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    copy = tmp_path / "lib.so"
    shutil.copy(library, copy)
    copy.chmod(0o755)
    script = """
import sqlite3, sys
library, path, made = sys.argv[1:]
caller = sqlite3.connect(":memory:")
caller.enable_load_extension(True)
caller.execute("SELECT load_extension(?, 'sqlite3_queuekeeper_init')", (library,))
caller.execute("PRAGMA busy_timeout=1")
try:
    caller.execute("SELECT queue_restore(?, ?, '{\\"overwrite\\": true}')", (made, path))
except sqlite3.OperationalError as error:
    sys.exit(str(error))
"""
    holder = Holder("its shm locked", queue.path)
    try:
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", script, str(copy), str(queue.path), made],
            capture_output=True,
            text=True,
            check=False,
            user=65534,
            group=65534,
            extra_groups=[],
        )
    finally:
        holder.end()
    assert "has a lock on it" in done.stderr, done
    assert queue.path.read_bytes() == GARBAGE


def stamps(seconds: int) -> list[str]:
    """The stamps of the next seconds."""
    now = datetime.now(timezone.utc)
    return [f"{now + timedelta(seconds=number):%Y%m%d_%H%M%S}" for number in range(seconds)]


@pytest.mark.parametrize("taken", COMPANIONS)
def test_no_name_of_the_set_replaces_another(
    taken: str, broken: tuple[Queue, str], open_python: OpenPython
) -> None:
    queue, made = broken
    others = [Path(f"{queue.path}.corrupt-{stamp}{taken}") for stamp in stamps(60)]
    for other in others:
        other.write_bytes(b"of another time")
    session = open_python(":memory:")
    found = session.object(RESTORE[0], made, str(queue.path), RESTORE[1])
    aside = Path(found["moved_aside"])
    assert aside.name.endswith("_2"), aside
    assert aside.read_bytes() == GARBAGE
    assert Path(f"{aside}-wal").read_bytes() == b"what SQLite left"
    assert Path(f"{aside}-shm").exists()
    assert all(other.read_bytes() == b"of another time" for other in others)
    with sqlite3.connect(queue.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("how", ["open", "locked"])
def test_no_database_is_overwritten_by_a_backup_while_it_is_in_use(
    how: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue, other = make(), make()
    other.query("PRAGMA journal_mode=delete")
    before = other.path.read_bytes()
    session = open_python(queue.path)
    order = ("SELECT queue_backup(?, ?)", str(other.path), '{"overwrite": true}')
    holder = Holder(how, other.path)
    error = session.error(*order)
    assert error.primary_code == SQLITE_BUSY, error
    assert str(holder.process.pid) in error.message, error
    assert other.path.read_bytes() == before
    holder.end()
    assert session.object(*order)["backup_path"] == str(other.path)
    # A backup of ours may be replaced under those who read it.
    holder = Holder(how, other.path)
    session.object(*order)
    holder.end()
