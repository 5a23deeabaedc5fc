"""After a restore, no job of the schedule is due that had run."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython

from hosts import Session
from support import artifacts
from support.queues import Queue, Shape
from support.schedules import ALL_DUE, JOBS, jobs, only, run_due, statuses

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(params=["wal", "delete"])
def either(request: pytest.FixtureRequest, make: MakeQueue) -> Queue:
    return make(Shape(journal_mode=request.param))


def goes_on(session: Session, now: Any) -> None:
    """Checks that all had run by then, and that each job runs at its next time."""
    assert run_due(session, now) == []
    assert jobs(run_due(session, now + HOUR)) == ["hourly"]
    assert jobs(run_due(session, now + DAY)) == ["hourly", "daily"]
    assert jobs(run_due(session, now + 7 * DAY)) == ["hourly", "daily", "weekly"]
    assert jobs(run_due(session, now + 31 * DAY)) == JOBS


def test_a_restore_of_the_schedules_own_backup_makes_nothing_due(
    either: Queue, open_python: OpenPython
) -> None:
    session = open_python(either.path)
    assert jobs(run_due(session, ALL_DUE)) == JOBS
    session.object("SELECT queue_restore('latest')")
    rows = session.dicts("SELECT job, last_status FROM queue_schedule()")
    assert {row["job"]: row["last_status"] for row in rows} == dict.fromkeys(JOBS, "ok")
    # The history is that of the backup, in which its own step has ended.
    history = session.dicts("SELECT job, step, status FROM queue_history()")
    assert history[0] == {"job": "daily", "step": "backup", "status": "ok"}
    goes_on(session, ALL_DUE + MINUTE)


def test_nor_does_one_of_an_older_backup(either: Queue, open_python: OpenPython) -> None:
    session = open_python(either.path)
    run_due(session, ALL_DUE - 9 * DAY)
    old = artifacts.catalog(either.backups)[0]["id"]
    run_due(session, ALL_DUE - DAY)
    run_due(session, ALL_DUE)
    session.object("SELECT queue_restore(?)", old)
    goes_on(session, ALL_DUE + MINUTE)


def test_nor_one_from_before_there_was_a_schedule(either: Queue, open_python: OpenPython) -> None:
    session = open_python(either.path)
    made = session.object("SELECT queue_backup()")
    run_due(session, ALL_DUE)
    session.object("SELECT queue_restore(?)", made["id"])
    goes_on(session, ALL_DUE + MINUTE)


@pytest.mark.parametrize("first", [True, False])
def test_a_lost_database_begins_where_its_backup_was_made(
    first: bool, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    if not first:
        run_due(session, ALL_DUE - 40 * DAY)
    run_due(session, ALL_DUE)
    backups = artifacts.backups_in(queue.backups)
    session.close()
    for path in queue.directory.glob("queue.db*"):
        path.unlink()
    helper = open_python(":memory:")
    helper.object(
        "SELECT queue_restore('latest', ?, json_object('dir', ?))",
        str(queue.path),
        str(queue.backups),
    )
    session = open_python(queue.path)
    assert "failed" not in str(session.rows("SELECT status FROM queue_history()"))
    assert "interrupted" not in str(session.rows("SELECT status FROM queue_history()"))
    rows = session.dicts("SELECT job, last_status FROM queue_schedule()")
    assert {row["job"]: row["last_status"] for row in rows} == dict.fromkeys(JOBS, "ok")
    assert run_due(session, ALL_DUE + MINUTE) == []
    assert artifacts.backups_in(queue.backups) == backups
    goes_on(session, ALL_DUE + MINUTE)


def test_nothing_is_rotated_at_once(queue: Queue, open_python: OpenPython) -> None:
    """Though the daily job has missed its time in what was restored."""
    session = open_python(queue.path)
    only(session, "daily")
    present = session.value("SELECT unixepoch()")
    session.value("SELECT queue_run_due(?)", present - 3 * 86400)
    copy = queue.directory / "copy.db"
    session.object("SELECT queue_restore('latest', ?)", str(copy))
    restored = open_python(copy)
    assert session.value("SELECT queue_run_due(json_object('dry_run', json('true')))") != "[]"
    assert restored.value("SELECT queue_run_due()") == "[]"
    assert statuses_of(restored, present + 86400)["rotate"] == "ok"


def statuses_of(session: Session, now: float) -> dict[str, str]:
    (ran,) = json.loads(session.value("SELECT queue_run_due(?)", now))
    return statuses(ran)


def test_a_job_that_failed_before_is_tried_again_after(
    either: Queue, open_python: OpenPython
) -> None:
    session = open_python(either.path)
    only(session, "weekly")
    run_due(session, ALL_DUE - 7 * DAY)
    aside = either.backups.rename(either.directory / "aside")
    either.backups.write_text("a file where the directory should be")
    run_due(session, ALL_DUE)
    either.backups.unlink()
    aside.rename(either.backups)
    session.object("SELECT queue_restore('latest')")
    (again,) = run_due(session, ALL_DUE + MINUTE)
    assert (again["job"], again["attempt"], again["status"]) == ("weekly", 2, "ok")


def test_a_database_without_a_schedule_gets_none(either: Queue, open_python: OpenPython) -> None:
    session = open_python(either.path)
    session.rows("SELECT queue_backup()")
    session.rows("SELECT queue_restore('latest')")
    assert either.query("SELECT name FROM sqlite_schema WHERE name LIKE 'queuekeeper_%'") == []


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE queuekeeper_jobs; CREATE VIEW queuekeeper_jobs AS SELECT 1 AS job",
        "DROP TABLE queuekeeper_jobs; CREATE TABLE queuekeeper_jobs(x)",
        "DROP TABLE queuekeeper_log; CREATE TABLE queuekeeper_log(x)",
        "UPDATE queuekeeper_jobs SET done_utc = x'00', done_earlier_utc = 7, attempts = 'x'",
        "CREATE TRIGGER t BEFORE UPDATE ON queuekeeper_jobs BEGIN SELECT raise(ABORT, 'no'); END",
    ],
)
@pytest.mark.parametrize("where", ["backup", "target"])
def test_tables_that_were_edited_stop_no_restore(
    sql: str, where: str, either: Queue, open_python: OpenPython
) -> None:
    session = open_python(either.path)
    run_due(session, ALL_DUE)
    session.rows("SELECT queue_backup()")
    for place in ("backup", "target"):
        if place == where:
            with either.connect() as connection:
                connection.executescript(sql)
        if place == "backup":
            session.rows("SELECT queue_backup()")
    assert session.object("SELECT queue_restore('latest')")["safety_backup"]
    assert session.value("PRAGMA integrity_check") == "ok"
