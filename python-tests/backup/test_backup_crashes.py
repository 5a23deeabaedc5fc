"""Kills at any moment, and processes at once, leave a catalog whose every entry verifies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts import HostDiedError
from hosts.python_host import PythonSession
from support.artifacts import CATALOG, is_hash_file, temporaries_in
from support.artifacts.kinds import back_up, change, status_of
from support.eventually import until
from support.queues import Queue

pytestmark = pytest.mark.rule(4)

KILLS = 20


def check_whole(session: PythonSession, queue: Queue) -> None:
    """Everything in the catalog verifies, and nothing lies about that is not in it.

    A hash file that came before its artifact could be one whose artifact is on its way.
    """
    entries = session.dicts("SELECT * FROM queue_backups()")
    for entry in entries:
        found = session.object("SELECT queue_verify(?, 'quick')", entry["id"])
        assert found["status"] == "ok", found
    known = {Path(str(entry["backup_path"])).name for entry in entries}
    names = {path.name for path in queue.backups.iterdir() if CATALOG not in path.name}
    assert temporaries_in(queue.backups) == []
    expected = known | {name + ".hashes" for name in known}
    assert expected <= names
    assert all(is_hash_file(queue.backups / name) for name in names - expected)


@pytest.mark.parametrize("companion", ["", "-journal", "-wal", "-shm"])
def test_what_sqlite_left_beside_a_temporary_file_is_swept_with_it(
    companion: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    back_up(session)
    left = queue.backups / f".queuekeeper-abcdefabcdef.tmp{companion}"
    left.write_bytes(b"of a snapshot that was killed")
    back_up(session)
    assert not left.exists()


LOOP = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {times}) SELECT count("
    "queue_backup(NULL, json_object('type', CASE i % 4 WHEN 0 THEN 'full' WHEN 3 THEN 'snapshot' "
    "ELSE 'incremental' END, 'compression', CASE i % 3 WHEN 0 THEN 'none' ELSE 'zstd' END)) "
    "|| queue_rotate(6)) FROM n"
)


@pytest.mark.slow
def test_kills_at_any_moment_leave_a_catalog_whose_every_entry_verifies(
    queue: Queue, open_python: OpenPython
) -> None:
    for number in range(KILLS):
        session = open_python(queue.path)
        session.start(LOOP.format(times=500))
        until(queue.backups.is_dir, "the first backup")
        time.sleep(0.02 + 0.0071 * number)
        session.process.kill()
        with pytest.raises(HostDiedError):
            session.close()
        again = open_python(queue.path)
        change(queue)
        # Any writer completes or sweeps what was left.
        back_up(again, type="incremental")
        check_whole(again, queue)
        again.close()


@pytest.mark.slow
def test_kills_while_artifacts_are_overwritten_and_deleted(
    queue: Queue, open_python: OpenPython
) -> None:
    target = str(queue.backups / "one.db")
    queue.backups.mkdir()
    there = 0
    for number in range(KILLS):
        session = open_python(queue.path)
        session.start(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT "
            "count(queue_backup(?, '{\"overwrite\": true}') || "
            "iif(i % 3, '', queue_delete_backup(?))) FROM n",
            target,
            target,
        )
        time.sleep(0.02 + 0.0053 * number)
        session.process.kill()
        with pytest.raises(HostDiedError):
            session.close()
        again = open_python(queue.path)
        back_up(again)
        again.value("SELECT queue_rotate(3)")
        if Path(target).exists():
            there += 1
            assert status_of(again, Path(target), "full") == "ok", f"kill {number}"
        check_whole(again, queue)
        again.close()
    assert there


@pytest.mark.slow
def test_processes_that_make_all_kinds_at_once_keep_one_catalog(
    queue: Queue, open_python: OpenPython
) -> None:
    sessions = [open_python(queue.path) for _ in range(4)]
    for session in sessions:
        session.start(LOOP.format(times=12))
    for session in sessions:
        assert session.result().rows == [(12,)]
    check_whole(sessions[0], queue)
