"""Rule 4: a crash leaves the old state or the new one, and at worst a file that gets swept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts import HostDiedError
from support import artifacts
from support.eventually import until, until_writing
from support.queues import Queue, Shape, grow, make_queue

pytestmark = pytest.mark.rule(4)

LEFTOVER = ".queuekeeper-leftover.tmp"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """A queue whose backup takes long enough to be killed in the middle of it."""
    queue = make_queue(tmp_path_factory.mktemp("large") / "queue.db", Shape(tasks=100))
    grow(queue, 128)
    yield queue
    queue.path.unlink()


def check_directory(queue: Queue) -> None:
    """Every backup that has a name is sound, and in the catalog if it was acknowledged."""
    for name in artifacts.backups_in(queue.backups):
        copy = queue.backups / name
        artifacts.assert_sound(copy)
        assert artifacts.query(copy, "SELECT sum(priority) FROM task_queue") == [(10_000,)]
    if (queue.backups / artifacts.CATALOG).exists():
        for entry in artifacts.catalog(queue.backups):
            path = queue.backups / entry["backup_path"]
            assert artifacts.sha256(path) == entry["checksum"]


@pytest.mark.parametrize("megabytes", [0, 1, 64, 128])
def test_a_backup_that_is_killed_leaves_at_worst_a_temporary_file(
    megabytes: int, large: Queue, open_python: OpenPython
) -> None:
    session = open_python(large.path)
    earlier = session.object("SELECT queue_backup()")
    session.start("SELECT queue_backup()")
    until_writing(large.backups, megabytes << 20)
    session.process.kill()
    with pytest.raises(HostDiedError):
        session.result()
    with pytest.raises(HostDiedError):
        session.close()
    assert len(artifacts.temporaries_in(large.backups)) <= 1
    check_directory(large)
    assert Path(earlier["backup_path"]).exists()
    # The next run sweeps, and works.
    again = open_python(large.path)
    again.object("SELECT queue_backup()")
    assert artifacts.temporaries_in(large.backups) == []
    assert again.value("SELECT queue_rotate(1)") >= 1
    check_directory(large)
    assert len(artifacts.backups_in(large.backups)) >= 1


def test_kills_at_any_moment_never_leave_a_broken_backup_or_catalog(
    queue: Queue, open_python: OpenPython
) -> None:
    for number in range(25):
        session = open_python(queue.path)
        session.start(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200) "
            "SELECT count(queue_backup() || queue_rotate(3)) FROM n"
        )
        until(queue.backups.is_dir, "the first backup")
        time.sleep(0.003 * number)
        session.process.kill()
        with pytest.raises(HostDiedError):
            session.close()
        for name in artifacts.backups_in(queue.backups):
            artifacts.assert_sound(queue.backups / name)
        if (queue.backups / artifacts.CATALOG).exists():
            artifacts.catalog(queue.backups)
    session = open_python(queue.path)
    session.object("SELECT queue_backup()")
    session.value("SELECT queue_rotate(1)")
    assert artifacts.temporaries_in(queue.backups) == []
    (entry,) = artifacts.catalog(queue.backups)
    assert artifacts.sha256(queue.backups / entry["backup_path"]) == entry["checksum"]


@pytest.mark.parametrize("call", ["queue_backup()", "queue_rotate(1)"])
def test_the_next_action_sweeps_what_a_crash_left(
    call: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.object("SELECT queue_backup()")
    (queue.backups / LEFTOVER).write_bytes(b"half a backup")
    session.rows("SELECT * FROM queue_backups()")
    assert (queue.backups / LEFTOVER).exists(), "tables write nothing"
    session.value(f"SELECT {call}")
    assert not (queue.backups / LEFTOVER).exists()


@pytest.mark.skipif(os.name == "nt", reason="flock is POSIX")
@pytest.mark.parametrize("call", ["queue_backup()", "queue_rotate(1)"])
def test_a_temporary_file_that_a_living_run_has_locked_is_left(
    call: str, queue: Queue, open_python: OpenPython
) -> None:
    import fcntl

    session = open_python(queue.path)
    session.object("SELECT queue_backup()")
    leftover = queue.backups / LEFTOVER
    with leftover.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        session.value(f"SELECT {call}")
        assert leftover.exists()
    session.value(f"SELECT {call}")
    assert not leftover.exists()


def test_a_sweep_leaves_the_backup_of_another_process_alone(
    large: Queue, open_python: OpenPython, queue: Queue
) -> None:
    target = large.backups
    target.mkdir(exist_ok=True)
    slow, quick = open_python(large.path), open_python(queue.path)
    for _ in range(10):
        slow.start("SELECT queue_backup()")
        temporary = until_writing(target)
        quick.object("SELECT queue_backup(?)", str(target))
        spared = temporary.exists()
        assert len(slow.result().rows) == 1
        if spared:
            break
    else:
        pytest.fail("the slow backup was always the quicker one, or swept")
    names = sorted(entry["backup_path"] for entry in artifacts.catalog(target))
    assert names == artifacts.backups_in(target)
    assert artifacts.temporaries_in(target) == []


def test_processes_that_back_up_and_rotate_at_once_keep_one_catalog(
    queue: Queue, open_python: OpenPython
) -> None:
    sessions = [open_python(queue.path) for _ in range(4)]
    sql = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 15) "
        "SELECT count(queue_backup()), sum(queue_rotate(5)) FROM n"
    )
    for session in sessions:
        session.start(sql)
    deleted = [int(str(session.result().rows[0][1])) for session in sessions]
    names = [entry["backup_path"] for entry in artifacts.catalog(queue.backups)]
    assert sorted(names) == artifacts.backups_in(queue.backups)
    assert len(names) == 5
    assert sum(deleted) == 4 * 15 - 5
