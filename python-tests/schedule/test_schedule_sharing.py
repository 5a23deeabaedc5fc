"""One backup for all jobs of a call, and VACUUM in its own hour only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host, Session
from support import artifacts
from support.queues import Queue
from support.schedules import (
    ALL_DUE,
    NOON,
    Ran,
    detail,
    jobs,
    only,
    run_due,
    statuses,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SERVED = "the backup that the job daily made serves this one, too"


def by_job(session: Session, now: Any) -> dict[str, Ran]:
    return {one["job"]: one for one in run_due(session, now)}


def test_one_backup_serves_every_job_and_has_the_name_of_the_rarest(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    ran = by_job(session, ALL_DUE)
    (entry,) = artifacts.catalog(queue.backups)
    daily, weekly, monthly = (detail(ran[job], "backup") for job in ("daily", "weekly", "monthly"))
    assert {one["id"] for one in (daily, weekly, monthly)} == {entry["id"]}
    assert entry["name"] == daily["name"] == "monthly"
    assert detail(ran["daily"], "verify")["id"] == entry["id"]
    assert entry["verified_level"] == "quick"
    assert "made_by" not in daily
    for one in (weekly, monthly):
        assert (one["note"], one["made_by"]) == (SERVED, "daily")
    # Each call makes its own, and a job without a rarer one beside it has its own name.
    names = [
        detail(by_job(session, ALL_DUE + day * DAY)["daily"], "backup")["name"] for day in (1, 7)
    ]
    assert names == ["daily", "weekly"]


def test_what_was_saved_before_a_job_became_due_does_not_serve_it(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    only(session, "daily", "weekly")
    session.rows("SELECT queue_set('cron_daily', '30 1 * * *')")
    run_due(session, ALL_DUE - DAY)
    # Lets the step `rotate` fail.
    session.rows("SELECT queue_set('keep', 7)")
    session.rows("UPDATE queuekeeper_settings SET value = 'x' WHERE name = 'keep'")
    first = by_job(session, ALL_DUE - 30 * MINUTE)
    assert {job: one["status"] for job, one in first.items()} == {"daily": "failed"}
    made = detail(first["daily"], "backup")
    again = by_job(session, ALL_DUE + MINUTE)
    assert (again["daily"]["attempt"], detail(again["daily"], "backup")["id"]) == (2, made["id"])
    own = detail(again["weekly"], "backup")
    assert (own["name"], "made_by" in own) == ("weekly", False)
    assert own["id"] != made["id"]


def test_a_backup_that_failed_serves_nobody(queue: Queue, open_python: OpenPython) -> None:
    queue.backups.write_text("a file where the directory should be")
    session = open_python(queue.path)
    failed = by_job(session, ALL_DUE)
    assert {
        job: one["status"] for job, one in failed.items() if one["status"] == "failed"
    } == dict.fromkeys(("daily", "weekly", "monthly"), "failed")
    queue.backups.unlink()
    again = by_job(session, ALL_DUE + MINUTE)
    assert {one["attempt"] for one in again.values()} == {2}
    assert [entry["name"] for entry in artifacts.catalog(queue.backups)] == ["monthly"]
    assert {status for one in again.values() for status in statuses(one).values()} == {"ok"}


@pytest.mark.parametrize("job", ["weekly", "monthly"])
def test_what_keeps_writers_out_is_run_only_in_its_hour(
    job: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    heavy = {"weekly": "optimize", "monthly": "vacuum"}[job]
    only(session, job)
    (late,) = run_due(session, ALL_DUE + HOUR + MINUTE)
    assert statuses(late)[heavy] == "skipped"
    assert late["status"] == "ok"
    following = {"weekly": "2015-08-08", "monthly": "2015-09-01"}[job]
    note = detail(late, heavy)["note"]
    assert "within an hour of the job's time, 2015-08-01 02:00:00 UTC" in note
    assert f"next time: {following} 02:00:00 UTC" in note
    # It is no failure, and not tried again.
    assert run_due(session, ALL_DUE + 5 * HOUR) == []
    (on_time,) = run_due(session, ALL_DUE.fromisoformat(f"{following}T02:59:00"))
    assert set(statuses(on_time).values()) == {"ok"}


def test_a_late_retry_does_not_vacuum(queue: Queue, open_python: OpenPython) -> None:
    queue.backups.write_text("a file where the directory should be")
    session = open_python(queue.path)
    only(session, "weekly")
    (first,) = run_due(session, ALL_DUE)
    assert statuses(first) == {"backup": "failed", "integrity": "ok", "optimize": "skipped"}
    assert (first["status"], "without backup" in detail(first, "optimize")) == ("failed", True)
    queue.backups.unlink()
    (again,) = run_due(session, ALL_DUE + 2 * HOUR)
    assert (again["status"], again["attempt"]) == ("ok", 2)
    assert statuses(again) == {"backup": "ok", "integrity": "ok", "optimize": "skipped"}


def test_a_new_queue_at_noon_gets_one_backup_and_no_vacuum(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("CREATE TABLE filler(x)")
    session.rows("INSERT INTO filler VALUES (zeroblob(400000))")
    session.rows("DROP TABLE filler")
    before = session.value("PRAGMA freelist_count")
    ran = run_due(session, NOON)
    assert len(artifacts.backups_in(queue.backups)) == 1
    assert session.value("PRAGMA freelist_count") > before - 20 > 50
    assert {one["status"] for one in ran} == {"ok"}
    assert run_due(session, NOON + MINUTE) == []
    assert jobs(run_due(session, NOON + HOUR)) == ["hourly"]
