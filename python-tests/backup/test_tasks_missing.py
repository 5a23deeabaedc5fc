"""Tasks that were there and are not any more: told by the backup, the schedule and health."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import Session
from support.package import Package
from support.package.cli import command_line
from support.queues import Queue, Shape
from support.schedules import NOON, STEPS, only, run_due, statuses


def back_up(session: Session) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(str(session.value("SELECT queue_backup()")))
    return made


def missing(session: Session) -> tuple[Any, Any]:
    (row,) = session.dicts("SELECT * FROM queue_health() WHERE metric = 'tasks_missing'")
    assert (row["action"] is None) == (row["level"] == "ok")
    return row["level"], row["value"]


def plain(path: Path) -> Path:
    """A database that never was a queue."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE users(id INTEGER PRIMARY KEY)")
    return path


def test_a_queue_cut_to_nothing(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    made = back_up(session)
    assert "warning" not in made
    tasks = sum(made["task_counts"].values())
    assert missing(session) == ("ok", 0)
    session.close()
    for ending in ("", "-wal", "-shm"):
        path = queue.path.with_name(queue.path.name + ending)
        if path.exists():
            path.write_bytes(b"")
    session = open_python(queue.path)
    assert missing(session) == ("warning", tasks)
    # Each backup says so, and the schedule's do.
    for _ in range(2):
        made = back_up(session)
        assert f"had {tasks} tasks" in made["warning"]
        assert made["warning"] in made["note"]
    jobs = json.loads(str(session.value("SELECT queue_run_due()")))
    taken = [step for job in jobs for step in job["steps"] if step["step"] == "backup"]
    # Three jobs share one backup, which is told once.
    assert ["warning" in step["detail"] for step in taken] == [True, False, False]
    assert len({step["detail"]["id"] for step in taken}) == 1
    assert missing(session) == ("warning", tasks)


def test_a_named_queue_that_lost_its_name_with_all_else(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('queue_name', 'videos')")
    back_up(session)
    session.close()
    for ending in ("", "-wal", "-shm"):
        path = queue.path.with_name(queue.path.name + ending)
        if path.exists():
            path.write_bytes(b"")
    assert "tasks" in back_up(open_python(queue.path))["warning"]


def test_a_queue_that_was_emptied_warns_once(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    tasks = sum(back_up(session)["task_counts"].values())
    session.rows("DELETE FROM task_queue")
    # Between two backups a queue may well be empty.
    assert missing(session) == ("ok", 0)
    assert f"had {tasks}" in back_up(session)["warning"]
    assert missing(session) == ("warning", tasks)
    assert "warning" not in back_up(session)
    assert missing(session) == ("ok", 0)
    session.rows("INSERT INTO task_queue(type) VALUES ('x')")
    assert "warning" not in back_up(session)
    session.rows("DELETE FROM task_queue")
    assert "had 1;" in back_up(session)["warning"]
    session.rows("INSERT INTO task_queue(type) VALUES ('x')")
    assert missing(session) == ("ok", 0)


@pytest.mark.rule(5)
@pytest.mark.parametrize("lost", ["the tasks", "the table"])
@pytest.mark.parametrize("keep", ["3", "1/1/1", '{"keep_daily": 3, "max_total_bytes": 10000000}'])
def test_backups_of_nothing_push_no_backup_with_tasks_out(
    keep: str, lost: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    only(session, "daily")
    session.rows("SELECT queue_set('keep', ?)", keep)

    def run(*days: int) -> None:
        for day in days:
            ran = run_due(session, NOON + timedelta(days=day))
            assert [statuses(each) for each in ran] == [dict.fromkeys(STEPS["daily"], "ok")]

    def kept() -> list[tuple[int, str]]:
        """How many tasks each has, oldest first, and why it is kept."""
        plan = session.dicts("SELECT * FROM queue_rotation(?)", keep)
        reasons = {row["backup_path"]: row["reasons"] for row in plan}
        rows = session.dicts("SELECT * FROM queue_backups()")[::-1]
        counts = [sum(json.loads(str(row["task_counts"] or "{}")).values()) for row in rows]
        return [(count, str(reasons[row["backup_path"]])) for count, row in zip(counts, rows)]

    tasks = len(queue.snapshot())
    run(*range(5))
    good = [count for count, _ in kept()]
    assert set(good) == {tasks}
    session.rows("DELETE FROM task_queue" if lost == "the tasks" else "DROP TABLE task_queue")
    run(*range(5, 12))
    now = kept()
    # As many of either kind as there would be without the other, as far as the times allow.
    assert [count for count, _ in now if count] == good
    assert any(count == 0 for count, _ in now)
    reasons = [why for count, why in now if count][-1]
    assert "newest backup with tasks" in reasons
    # As soon as there are tasks again, they are backups like any other.
    restore = "SELECT queue_restore(id) FROM queue_backups() WHERE task_counts LIKE '%queued%'"
    session.rows(f"{restore} LIMIT 1")
    # What it saved of nothing bears the present time.
    delete = "SELECT queue_delete_backup(id) FROM queue_backups() WHERE name = 'before_restore'"
    session.rows(delete)
    run(*range(12, 25))
    assert {count for count, _ in kept()} == {tasks}


def test_a_new_queue_without_tasks_is_no_matter(make: MakeQueue, open_python: OpenPython) -> None:
    session = open_python(make(Shape(tasks=0)).path)
    assert missing(session) == ("ok", 0)
    assert "warning" not in back_up(session)
    assert missing(session) == ("ok", 0)


def test_a_database_that_never_was_a_queue_is_left_in_peace(
    tmp_path: Path, open_python: OpenPython
) -> None:
    session = open_python(plain(tmp_path / "app.db"))
    for _ in range(2):
        assert missing(session) == ("ok", None)
        assert "warning" not in back_up(session)
    # A setting says that it has one.
    session.rows("SELECT queue_set('preset', 'litequeue')")
    assert missing(session) == ("warning", None)
    assert "no task table Queue" in back_up(session)["warning"]


def test_others_queues_in_the_same_directory_are_no_measure(
    make: MakeQueue, tmp_path: Path, open_python: OpenPython
) -> None:
    queue = make()
    back_up(open_python(queue.path))
    session = open_python(plain(queue.path.with_name("other.db")))
    assert "warning" not in back_up(session)
    assert missing(session) == ("ok", None)


def test_the_schedule_of_a_database_without_a_queue_says_so_once(
    tmp_path: Path, open_python: OpenPython
) -> None:
    session = open_python(plain(tmp_path / "app.db"))
    jobs = json.loads(str(session.value("SELECT queue_run_due()")))
    taken = [step["detail"] for job in jobs for step in job["steps"] if step["step"] == "backup"]
    assert ["warning" in detail for detail in taken] == [True, False, False]
    assert "no task table task_queue" in taken[0]["warning"]
    assert missing(session) == ("warning", None)


def test_what_a_restore_saves_first_warns_of_nothing(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    back_up(session)
    session.rows("DELETE FROM task_queue")
    done = session.object("SELECT queue_restore('latest')")
    assert "no tasks any more" not in json.dumps(done)
    assert missing(session) == ("ok", 0)


@pytest.mark.parametrize("cut", [True, False])
def test_run_due_says_so_and_so_does_its_exit_status(
    cut: bool, own: Package, queue: Queue, tmp_path: Path
) -> None:
    with command_line(own) as call:
        path = queue.path if cut else plain(tmp_path / "app.db")
        if cut:
            first = call("run-due", path, "--now", "2030-01-03 12:00:00")
            assert first.status == 0, first
            queue.query("DROP TABLE task_queue")
        done = call("run-due", path, "--now", "2030-01-04 12:00:00")
        assert done.status == 1
        assert "warning: backup: the database has no task table task_queue" in done.errors
        # Until there is a backup that does not warn.
        again = call("run-due", path, "--now", "2030-01-04 12:01:00")
        assert again.status == 1
        assert "warning: backup: the database has no task table" in again.errors
