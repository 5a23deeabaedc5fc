"""Restoring into a database that others use, and restores that are killed."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts import HostDiedError, SqlError
from hosts.protocol import SQLITE_BUSY
from hosts.python_host import PythonSession
from support import artifacts
from support.eventually import until
from support.queues.generations import make_generation, seen_in, tokens_in, traffic, whole

pytestmark = pytest.mark.rule(5)

#: Of the target: journal mode and page size. Of the backup: page size.
SHAPES = [("wal", 4096, 4096), ("delete", 4096, 4096), ("wal", 1024, 8192), ("delete", 8192, 512)]
RESTORES = 8
KILLS = 16
PATIENCE_SECONDS = 60.0


def make_backups(directory: Path, page_size: int, open_python: OpenPython) -> dict[str, str]:
    """A backup of each generation."""
    made = {}
    for generation in ("A", "B"):
        source = make_generation(directory / generation / "queue.db", generation, page_size)
        session = open_python(source)
        target = str(directory / f"{generation}.db.zst")
        made[generation] = session.object("SELECT queue_backup(?)", target)["backup_path"]
        session.close()
    return made


def restore(session: PythonSession, backup: str) -> Path:
    """Restores into the session's own database; where the safety backup is.

    With a rollback journal others may commit between the safety backup and the copy, and on a busy
    machine do so again and again. The answer is then to try again, so that is what is done here.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return Path(session.object("SELECT queue_restore(?)", backup)["safety_backup"])
        except SqlError as error:
            assert error.primary_code == SQLITE_BUSY, error
            assert "commit faster than the present content can be saved" in error.message
            assert time.monotonic() < deadline, error


@pytest.mark.slow
@pytest.mark.parametrize(("journal", "page_size", "other"), SHAPES)
def test_others_see_old_or_new_content_and_no_commit_is_lost(
    journal: str, page_size: int, other: int, tmp_path: Path, open_python: OpenPython
) -> None:
    backups = make_backups(tmp_path, other, open_python)
    path = make_generation(tmp_path / "live" / "queue.db", "A", page_size, journal)
    session = open_python(path)
    session.rows("PRAGMA busy_timeout=20000")
    saved = []
    with traffic(path) as others:
        for number in range(RESTORES):
            time.sleep(0.1)
            saved.append(restore(session, backups["BA"[number % 2]]))
        time.sleep(0.1)
    assert others.errors == []
    assert sorted(others.seen) == [whole("A"), whole("B")]
    assert seen_in(path) == whole("A")
    assert len(others.tokens) > 20
    kept = tokens_in(path).union(*map(tokens_in, saved))
    assert others.tokens <= kept, sorted(others.tokens - kept)
    assert session.value("PRAGMA journal_mode") == journal
    assert session.value("PRAGMA page_size") == page_size


@pytest.mark.slow
@pytest.mark.parametrize(("journal", "page_size", "other"), SHAPES)
def test_a_restore_that_is_killed_leaves_old_or_new_content(
    journal: str, page_size: int, other: int, tmp_path: Path, open_python: OpenPython
) -> None:
    backups = make_backups(tmp_path, other, open_python)
    path = make_generation(tmp_path / "live" / "queue.db", "A", page_size, journal)
    chance = random.Random(7)
    now, outcomes = "A", set()
    seconds = 0.1
    for number in range(KILLS):
        wanted = "B" if now == "A" else "A"
        session = open_python(path)
        begun = time.monotonic()
        session.start("SELECT queue_restore(?)", backups[wanted])
        if number == 0:
            session.result()
            seconds = time.monotonic() - begun
        else:
            time.sleep(chance.uniform(0, seconds))
        session.process.kill()
        with pytest.raises(HostDiedError):
            session.close()
        found = seen_in(path)
        assert found in (whole(now), whole(wanted)), (number, found)
        outcomes.add(found == whole(wanted))
        now = wanted if found == whole(wanted) else now
        check_afterwards(path, page_size, open_python)
    # Kills came before and after the moment of the commit, or nothing was tested.
    assert False in outcomes


def check_afterwards(path: Path, page_size: int, open_python: OpenPython) -> None:
    """The next actions work, and every backup in the catalog is sound."""
    session = open_python(path)
    session.object("SELECT queue_backup()")
    assert session.value("PRAGMA page_size") == page_size
    paths = [row[0] for row in session.rows("SELECT backup_path FROM queue_backups()")]
    for backup in paths:
        assert session.object("SELECT queue_verify(?, 'quick')", backup)["status"] == "ok"
    session.rows("SELECT queue_rotate(2)")
    session.close()
    assert artifacts.temporaries_in(path.parent / "backups") == []


def hold_again_and_again(path: Path, stop: threading.Event, held: list[float]) -> None:
    """Keeps everybody else out for most of the time; since when, each time."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        while not stop.is_set():
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                continue
            held.append(time.monotonic())
            time.sleep(0.002)
            connection.execute("ROLLBACK")
            time.sleep(0.0004)


@pytest.mark.slow
def test_every_look_at_a_target_waits_for_its_writers(
    tmp_path: Path, open_python: OpenPython
) -> None:
    backups = make_backups(tmp_path, 4096, open_python)
    path = make_generation(tmp_path / "live" / "queue.db", "A", journal="delete")
    session = open_python(path)
    session.rows("PRAGMA busy_timeout=30000")
    stop, held = threading.Event(), list[float]()
    writer = threading.Thread(target=hold_again_and_again, args=(path, stop, held))
    writer.start()
    try:
        until(lambda: bool(held), "the writer")
        begun = time.monotonic()
        for generation in 50 * "BA":
            restore(session, backups[generation])
        ended = time.monotonic()
    finally:
        stop.set()
        writer.join()
    # More often than there were restores, so each had to wait.
    assert sum(begun < since < ended for since in held) > 100
    assert seen_in(path) == whole("A")


def test_what_a_killed_restore_left_beside_the_target_is_swept(
    tmp_path: Path, open_python: OpenPython
) -> None:
    backups = make_backups(tmp_path, 4096, open_python)
    path = make_generation(tmp_path / "live" / "queue.db", "A")
    left = 0
    for _ in range(10):
        session = open_python(path)
        session.start("SELECT queue_restore(?)", backups["B"])
        until(lambda: bool(artifacts.temporaries_in(path.parent)), "the rebuilt copy")
        session.process.kill()
        with pytest.raises(HostDiedError):
            session.close()
        left = max(left, len(artifacts.temporaries_in(path.parent)))
    assert left == 1, "each run sweeps what the one before it left"
    session = open_python(path)
    session.object("SELECT queue_restore(?)", backups["B"])
    assert artifacts.temporaries_in(path.parent) == []
    assert seen_in(path) == whole("B")
