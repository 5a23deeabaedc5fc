"""Rule 2: the live database is never opened with file functions, so its locks survive."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Session, SqlError
from hosts.protocol import SQLITE_BUSY
from support import artifacts
from support.queues import Queue, Shape

pytestmark = [
    pytest.mark.rule(2),
    pytest.mark.skipif(os.name == "nt", reason="POSIX locks and links"),
]

COMPANIONS = ("", "-wal", "-shm", "-journal")
OVERWRITE = '{"overwrite": true}'

JOURNALS = ("wal", "delete")


def same(path: Path, queue: Queue) -> Path:
    return path


def hard_link(path: Path, queue: Queue) -> Path:
    alias = queue.directory / "hard link.db"
    os.link(path, alias)
    return alias


def symbolic_link(path: Path, queue: Queue) -> Path:
    alias = queue.directory / "symbolic link.db"
    alias.symlink_to(path)
    return alias


def roundabout(path: Path, queue: Queue) -> Path:
    (queue.directory / "sub").mkdir()
    alias = queue.directory / "sub" / "up"
    alias.symlink_to(queue.directory)
    # Not normalised: the library has to look at what it names.
    return Path(f"{alias}/sub/..") / path.name


ALIASES = (same, hard_link, symbolic_link, roundabout)


def hold(session: Session) -> None:
    """Takes the write lock, with an uncommitted row."""
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE task_queue SET priority = 7 WHERE id = 1")


def assert_others_are_locked_out(other: Session) -> None:
    """Another process still cannot write."""
    error = other.error("BEGIN IMMEDIATE")
    assert error.primary_code == SQLITE_BUSY


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.__name__)
@pytest.mark.parametrize("companion", COMPANIONS)
@pytest.mark.parametrize("journal", JOURNALS)
def test_no_name_of_the_live_database_is_a_target(
    journal: str,
    companion: str,
    alias: Callable[[Path, Queue], Path],
    make: MakeQueue,
    open_python: OpenPython,
) -> None:
    queue = make(Shape(stale_leased=3, journal_mode=journal))
    session, other = open_python(queue.path), open_python(queue.path, load=False)
    other.rows("PRAGMA busy_timeout=0")
    hold(session)
    victim = Path(f"{queue.path}{companion}")
    existed = victim.exists()
    if not existed and alias in (hard_link,):
        pytest.skip(f"no {companion} with journal_mode={journal}")
    target = alias(victim, queue)
    stat = victim.stat() if existed else None
    for options in (OVERWRITE, "{}"):
        error = session.error("SELECT queue_backup(?, ?)", str(target), options)
        assert victim.name in error.message or target.name in error.message
    assert victim.exists() == existed
    if stat is not None:
        assert (victim.stat().st_ino, victim.stat().st_size) == (stat.st_ino, stat.st_size)
    assert_others_are_locked_out(other)
    session.rows("COMMIT")
    assert queue.query("SELECT priority FROM task_queue WHERE id = 1") == [(7,)]
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("companion", COMPANIONS)
def test_a_database_opened_by_a_symbolic_link_is_known_by_both_names(
    companion: str, queue: Queue, open_python: OpenPython
) -> None:
    link = symbolic_link(queue.path, queue)
    session = open_python(link)
    session.rows("UPDATE task_queue SET priority = 7")
    for path in (queue.path, link):
        target = f"{path}{companion}"
        before = sorted(queue.directory.iterdir())
        assert target in session.error("SELECT queue_backup(?, ?)", target, OVERWRITE).message
        assert sorted(queue.directory.iterdir()) == before
    artifacts.assert_sound(Path(session.object("SELECT queue_backup()")["backup_path"]))


def test_an_attached_database_is_live_too(make: MakeQueue, open_python: OpenPython) -> None:
    queue, other = make(), make()
    session = open_python(queue.path)
    session.rows("ATTACH ? AS other", str(other.path))
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE other.task_queue SET priority = 7 WHERE id = 1")
    error = session.error("SELECT queue_backup(?, ?)", str(other.path), OVERWRITE)
    assert str(other.path) in error.message
    # Not even its own directory's other files are mistaken for it.
    session.object("SELECT queue_backup(?)", str(other.directory / "copy.db"))
    outsider = open_python(other.path, load=False)
    outsider.rows("PRAGMA busy_timeout=0")
    assert_others_are_locked_out(outsider)
    session.rows("COMMIT")


def every_call(session: Session, queue: Queue) -> None:
    """Everything that the library can do, each in a way that looks at files."""
    copy = str(queue.directory / "copy.db")
    for sql in (
        "SELECT queue_version()",
        "SELECT queue_stats()",
        "SELECT * FROM queue_stats()",
        "SELECT * FROM queue_depth()",
        "SELECT * FROM queue_stale(0)",
        "SELECT queue_requeue_stale(0)",
        "SELECT queue_backup()",
        'SELECT queue_backup(NULL, \'{"verify": "full"}\')',
        "SELECT * FROM queue_backups()",
        "SELECT queue_rotate(1)",
    ):
        session.rows(sql)
    session.rows("SELECT queue_backup(?, ?)", copy, OVERWRITE)
    session.rows("SELECT queue_backup(?, ?)", copy, OVERWRITE)
    session.rows("SELECT * FROM queue_backups(?)", str(queue.directory))
    session.rows("SELECT queue_rotate(1, ?)", str(queue.directory))


@pytest.mark.parametrize("journal", JOURNALS)
def test_the_locks_of_the_process_survive_every_call(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession, open_python: OpenPython
) -> None:
    queue = make(Shape(stale_leased=3, journal_mode=journal))
    session = open_session(host, queue.path)
    other = open_python(queue.path, load=False)
    other.rows("PRAGMA busy_timeout=0")
    hold(session)
    every_call(session, queue)
    assert_others_are_locked_out(other)
    session.rows("COMMIT")
    other.rows("BEGIN IMMEDIATE")
    other.rows("ROLLBACK")
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(0,)]


def test_a_readers_lock_survives_every_call(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(stale_leased=3, journal_mode="delete"))
    session, other = open_python(queue.path), open_python(queue.path, load=False)
    other.rows("PRAGMA busy_timeout=0")
    session.rows("BEGIN")
    session.rows("SELECT count(*) FROM task_queue")
    session.rows("SELECT queue_backup()")
    session.rows("SELECT queue_rotate(1)")
    other.rows("BEGIN IMMEDIATE")
    other.rows("UPDATE task_queue SET priority = 1")
    # The reader's lock keeps the writer from committing under its feet.
    assert other.error("COMMIT").primary_code == SQLITE_BUSY
    session.rows("COMMIT")
    other.rows("COMMIT")


@pytest.mark.parametrize("make_alias", [hard_link, symbolic_link], ids=["hard link", "symlink"])
@pytest.mark.parametrize(
    "name", [artifacts.CATALOG, artifacts.CATALOG + ".lock", ".queuekeeper-abcdefabcdef.tmp"]
)
def test_the_live_database_under_a_name_of_our_own_is_not_touched(
    name: str,
    make_alias: Callable[[Path, Queue], Path],
    make: MakeQueue,
    open_python: OpenPython,
) -> None:
    queue = make(Shape(stale_leased=3, journal_mode="delete"))
    queue.backups.mkdir()
    make_alias(queue.path, queue).rename(queue.backups / name)
    before = queue.snapshot()
    session, other = open_python(queue.path), open_python(queue.path, load=False)
    other.rows("PRAGMA busy_timeout=0")
    hold(session)
    for sql in ("SELECT queue_backup()", "SELECT * FROM queue_backups()", "SELECT queue_rotate(1)"):
        try:
            session.rows(sql)
        except SqlError as error:
            assert name in error.message
    assert (queue.backups / name).exists()
    assert_others_are_locked_out(other)
    session.rows("ROLLBACK")
    assert queue.snapshot() == before
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


def test_a_catalogued_file_that_is_now_the_live_database_is_kept(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(journal_mode="delete"))
    session = open_python(queue.path)
    made = [Path(session.object("SELECT queue_backup()")["backup_path"]) for _ in range(3)]
    made[0].unlink()
    os.link(queue.path, made[0])
    other = open_python(queue.path, load=False)
    other.rows("PRAGMA busy_timeout=0")
    hold(session)
    assert session.value("SELECT queue_rotate(1)") == 1
    assert made[0].exists()
    assert_others_are_locked_out(other)
    session.rows("COMMIT")


def test_a_backup_that_is_open_in_the_process_keeps_its_locks(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    copy = session.object("SELECT queue_backup()")["backup_path"]
    session.rows("ATTACH ? AS copy", copy)
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE copy.task_queue SET priority = 7")
    error = session.error("SELECT queue_backup(?, ?)", copy, OVERWRITE)
    assert copy in error.message
    session.object("SELECT queue_backup()")
    session.value("SELECT queue_rotate(1)")
    assert Path(copy).exists()
    other = open_python(copy, load=False)
    other.rows("PRAGMA busy_timeout=0")
    assert_others_are_locked_out(other)
    session.rows("COMMIT")
