"""Deletions that fail: told each time, and what is still there is no backup any more."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython, OpenSession
from test_rotate import backups, rewrite

from hosts import Host, Session
from support import artifacts
from support.faults.stubborn import immutable, in_the_way
from support.queues import Queue, Shape, make_queue
from support.schedules import NOON, detail, only, run_due, statuses
from support.users.privileges import drop_override

pytestmark = pytest.mark.rule(5)

Stubborn = Callable[[Path], AbstractContextManager[None]]


def hash_file(artifact: Path) -> Path:
    return artifact.with_name(artifact.name + ".hashes")


#: What of a backup resists, and how.
WAYS: dict[str, Stubborn] = {
    "the artifact": immutable,
    "the hash file": lambda path: immutable(hash_file(path)),
    "a directory in place of the hash file": lambda path: in_the_way(hash_file(path)),
}


def failed(session: Session) -> tuple[Any, Any, Any]:
    """The metric: level, value, action."""
    (row,) = session.dicts("SELECT * FROM queue_health() WHERE metric = 'failed_deletions'")
    return row["level"], row["value"], row["action"]


def listed(session: Session, directory: Path | None = None) -> list[tuple[str, str, bool]]:
    """The table of backups: name, type, whether its deletion failed."""
    rows = session.dicts(
        "SELECT * FROM queue_backups(?)", None if directory is None else str(directory)
    )
    return [
        (
            Path(str(row["backup_path"])).name,
            str(row["backup_type"]),
            row["deletion_error"] is not None,
        )
        for row in rows
    ]


@pytest.mark.parametrize("way", WAYS)
def test_rotation_tells_each_time_of_what_resists_and_deletes_the_rest(
    way: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    made = backups(session, 4)
    assert failed(session) == ("ok", 0, None)
    with WAYS[way](made[1]):
        for others in ("2 other backups were deleted", "no other backup was deleted"):
            error = session.error("SELECT queue_rotate(1)")
            assert str(made[1]) in error.message
            assert others in error.message
            assert listed(session) == [
                (made[3].name, "full", False),
                (made[1].name, "full", True),
            ]
            level, value, action = failed(session)
            assert (level, value) == ("warning", 1)
            assert str(made[1]) in action
            plan = session.rows("SELECT backup_path, decision, reasons FROM queue_rotation(1)")
            assert [row[:2] for row in plan] == [(str(made[3]), "keep"), (str(made[1]), "delete")]
            assert "its deletion failed" in str(plan[1][2])
        assert not made[0].exists()
        assert not hash_file(made[2]).exists()
        # It takes no slot.
        newer = backups(session, 2)
        assert "1 other backup was deleted" in session.error("SELECT queue_rotate(2)").message
        assert [name for name, *_ in listed(session)] == [
            newer[1].name,
            newer[0].name,
            made[1].name,
        ]
    assert session.value("SELECT queue_rotate(2)") == 1, "of what is gone, whenever that began"
    assert not made[1].exists()
    assert not hash_file(made[1]).exists()
    assert failed(session) == ("ok", 0, None)
    assert session.value("SELECT queue_rotate(2)") == 0


def test_what_resists_is_no_latest_and_no_parent_but_can_be_restored_by_name(
    queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    (old,) = backups(session, 1)
    newest = session.object("SELECT queue_backup()")
    with immutable(Path(newest["backup_path"])):
        error = session.error("SELECT queue_delete_backup('latest')")
        assert newest["backup_path"] in error.message
        target = tmp_path / "latest.db"
        assert session.object("SELECT queue_restore('latest', ?)", str(target))[
            "backup_path"
        ] == str(old)
        for number, words in enumerate((newest["id"], newest["backup_path"])):
            target = tmp_path / f"{number}.db"
            restored = session.object("SELECT queue_restore(?, ?)", words, str(target))
            assert restored["id"] == newest["id"]
            assert target.exists()
        increment = session.object('SELECT queue_backup(NULL, \'{"type": "incremental"}\')')
        assert increment["parent_id"] != newest["id"]
        # The order again, by each name, is told again.
        for words in (newest["id"], newest["backup_path"]):
            assert "cannot delete" in session.error("SELECT queue_delete_backup(?)", words).message
    done = session.object("SELECT queue_delete_backup(?)", newest["backup_path"])
    assert (done["deleted"], done["ids"]) == (1, [newest["id"]])
    assert (
        "there is no backup"
        in session.error("SELECT queue_delete_backup(?)", newest["backup_path"]).message
    )


def test_a_delta_that_resists_keeps_what_it_builds_on(
    queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    chain = backups(session, 3, '{"type": "incremental"}')
    kept = backups(session, 1)
    with immutable(chain[1]):
        error = session.error("SELECT queue_rotate(1)")
        assert str(chain[1]) in error.message
        assert "1 other backup was deleted" in error.message
        assert listed(session) == [
            (kept[0].name, "full", False),
            (chain[1].name, "incremental", True),
            (chain[0].name, "full", True),
        ]
        assert failed(session)[1] == 2
        assert session.object("SELECT queue_verify(?, 'full')", str(chain[1]))["status"] == "ok"
        session.object("SELECT queue_restore(?, ?)", str(chain[1]), str(tmp_path / "delta.db"))
    tasks = "SELECT count(*) FROM task_queue"
    assert artifacts.query(tmp_path / "delta.db", tasks) == queue.query(tasks)
    assert session.value("SELECT queue_rotate(1)") == 2
    assert [name for name, *_ in listed(session)] == [kept[0].name]


def test_an_order_to_delete_a_chain_tells_of_the_delta_that_resists(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = backups(session, 3, '{"type": "incremental"}')
    order = "SELECT queue_delete_backup(?, '{\"dependants\": true}')"
    with immutable(chain[2]):
        for _ in range(2):
            assert str(chain[2]) in session.error(order, str(chain[0])).message
        assert all(resisted for *_, resisted in listed(session))
        assert "holds no backups" in session.error("SELECT queue_verify('latest')").message
    assert session.value("SELECT queue_rotate(1)") == 3
    assert artifacts.catalog(queue.backups) == []


def test_an_adopted_file_that_resists_keeps_no_other_from_going(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    old = [queue.backups / f"queue_2025-01-0{day}.db" for day in (1, 2, 3)]
    made = backups(session, 2)
    for path in old:
        path.write_bytes(b"SQLite format 3\0 of another tool")
    policy = '{"keep_last": 1, "adopted": true}'
    with immutable(old[1]):
        for others in ("3 other backups were deleted", "no other backup was deleted"):
            error = session.error("SELECT queue_rotate(?)", policy)
            assert str(old[1]) in error.message
            assert others in error.message
    assert session.value("SELECT queue_rotate(?)", policy) == 1
    assert artifacts.backups_in(queue.backups) == [made[1].name]


def test_the_daily_job_tells_of_it_at_each_attempt_and_goes_on(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('keep', 2)")
    only(session, "daily")

    def daily(hours: int) -> Any:
        (ran,) = run_due(session, NOON + timedelta(hours=hours))
        return ran

    old = Path(detail(daily(0), "backup")["backup_path"])
    daily(24)
    with immutable(old):
        for hours in (48, 49, 72, 73):
            ran = daily(hours)
            steps = statuses(ran)
            assert steps.pop("rotate") == "failed"
            assert set(steps.values()) == {"ok"}
            assert str(old) in detail(ran, "rotate")
        assert failed(session)[0] == "warning"
        assert [name for name, *_ in listed(session)].index(old.name) == 2
    rows = session.rows("SELECT status, detail FROM queue_history() WHERE step = 'rotate'")
    assert [status for status, _ in rows] == ["failed"] * 4 + ["ok"] * 2
    assert all(str(old) in str(told) for _, told in rows[:4])
    assert detail(daily(75), "rotate")["deleted"] == 1
    assert not old.exists()


def test_a_backup_elsewhere_that_resists_is_seen_by_health(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    backups(session, 1)
    there = queue.directory / "there"
    there.mkdir()
    for name in ("a.db", "b.db"):
        session.object("SELECT queue_backup(?)", str(there / name))
    with immutable(there / "a.db"):
        for _ in range(2):
            error = session.error("SELECT queue_rotate(1, ?)", str(there))
            assert str(there / "a.db") in error.message
        assert listed(session, there) == [("b.db", "full", False), ("a.db", "full", True)]
        level, value, action = failed(session)
        assert (level, value) == ("warning", 1)
        assert str(there / "a.db") in action
    assert session.value("SELECT queue_rotate(1, ?)", str(there)) == 1
    assert failed(session)[0] == "ok"


def test_each_queue_hears_of_its_own(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    made = backups(session, 2)
    other = open_python(make_queue(queue.directory / "other.db", Shape()).path)
    backups(other, 2)
    with immutable(made[0]):
        session.error("SELECT queue_rotate(1)")
        assert other.value("SELECT queue_rotate(1)") == 1
        assert failed(other)[0] == "ok"
        assert failed(session)[0] == "warning"
    # Whoever writes next deletes it; it counts for the queue whose it was.
    assert other.value("SELECT queue_rotate(1)") == 0
    assert not made[0].exists()


def test_a_temporary_file_that_nobody_can_sweep_is_seen_by_health(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    backups(session, 1)
    left = queue.backups / ".queuekeeper-abcdefghijkl.tmp"
    left.write_text("left by a crash")
    # No writer has come yet.
    assert failed(session)[0] == "ok"
    with immutable(left):
        backups(session, 1)
        level, value, action = failed(session)
        assert (level, value) == ("warning", 1)
        assert str(left) in action
    backups(session, 1)
    assert failed(session)[0] == "ok"
    assert not left.exists()


def test_a_deletion_that_a_crash_cut_short_is_neither_listed_nor_adopted(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = backups(session, 3)
    entries = artifacts.catalog(queue.backups)
    entries[1]["deleting"] = True
    rewrite(queue, entries)
    assert [name for name, *_ in listed(session)] == [made[2].name, made[0].name]
    plan = session.rows(
        'SELECT backup_path FROM queue_rotation(\'{"keep_last": 9, "adopted": true}\')'
    )
    assert [row[0] for row in plan] == [str(made[2]), str(made[0])]
    assert failed(session)[0] == "ok"
    assert session.value("SELECT queue_rotate(9)") == 1
    assert not made[1].exists()


@pytest.mark.skipif(os.name == "nt", reason="permissions work in another way on Windows")
def test_in_a_directory_without_write_permission_each_order_is_an_error(
    apsw: Host, library: Path, queue: Queue, open_python: OpenPython
) -> None:
    made = backups(open_python(queue.path), 3)
    queue.backups.chmod(0o555)
    session = apsw.open_python(str(queue.path), preexec=drop_override())
    try:
        session.load(library)
        for _ in range(2):
            for order in ("SELECT queue_rotate(1)", "SELECT queue_delete_backup('latest')"):
                assert "ermission" in session.error(order).message
            names = [(path.name, "full", False) for path in reversed(made)]
            assert listed(session) == names, "nothing was begun"
        queue.backups.chmod(0o755)
        assert session.value("SELECT queue_rotate(1)") == 2
    finally:
        queue.backups.chmod(0o755)
        session.close()


def test_an_order_in_a_manifest_that_was_forged_is_none(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = backups(session, 2)
    entries = artifacts.catalog(queue.backups)
    entries[0] |= {"deleting": True, "deletion_error": "forged"}
    (queue.backups / artifacts.CATALOG).write_text(json.dumps(entries), "utf-8")
    assert session.value("SELECT queue_rotate(1)") == 0
    assert made[0].exists()
