"""queue_run_due(): what is due, in which order, and what each setting changes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Session
from support import artifacts
from support.queues import Queue, Shape
from support.schedules import (
    ALL_DUE,
    JOBS,
    NOON,
    RUN,
    STEPS,
    detail,
    jobs,
    only,
    planned,
    run_due,
    statuses,
    text,
)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def test_a_new_queue_gets_every_job_at_once_and_each_then_at_its_time(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    ran = run_due(session, NOON)
    assert {one["job"]: list(statuses(one)) for one in ran} == STEPS
    # Nothing that keeps writers out is run long after its time.
    left_out = {"optimize", "vacuum"}
    for one in ran:
        assert statuses(one) == {
            step: "skipped" if step in left_out else "ok" for step in STEPS[one["job"]]
        }
    assert {one["status"] for one in ran} == {"ok"}
    assert [one["due_utc"] for one in ran] == [
        "2015-11-05 12:00:00",
        "2015-11-05 02:00:00",
        "2015-10-31 02:00:00",
        "2015-11-01 02:00:00",
    ]
    assert [entry["name"] for entry in artifacts.catalog(queue.backups)] == ["monthly"]
    assert run_due(session, NOON + 59 * MINUTE) == []
    assert jobs(run_due(session, NOON + HOUR)) == ["hourly"]
    assert jobs(run_due(session, NOON + DAY)) == ["hourly", "daily"]
    # The next Saturday, and the next first of a month.
    assert jobs(run_due(session, NOON + 2 * DAY)) == ["hourly", "daily", "weekly"]
    assert jobs(run_due(session, NOON + 26 * DAY)) == JOBS


def test_the_result_the_log_and_the_table_say_the_same(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    ran = run_due(session, ALL_DUE)
    history = session.dicts("SELECT * FROM queue_history()")
    told = [(one["job"], step["step"], step["status"]) for one in ran for step in one["steps"]]
    assert [(row["job"], row["step"], row["status"]) for row in history[::-1]] == told
    details = [step["detail"] for one in ran for step in one["steps"]]
    assert [json.loads(str(row["detail"])) for row in history[::-1]] == details
    assert {str(row["started_utc"])[:13] for row in history} == {"2015-08-01 02"}
    assert detail(ran[0], "requeue") == {"requeued": 0}
    assert detail(ran[3], "vacuum")["vacuumed"] is False
    row = planned(session, "daily")
    assert (row["cron"], row["last_run_utc"], row["last_status"]) == (
        "0 2 * * *",
        text(ALL_DUE),
        "ok",
    )
    assert {one["status"] for one in ran} == {"ok"}


def test_without_a_time_it_is_the_present(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    present = session.value("SELECT datetime()")
    assert jobs(json.loads(session.value("SELECT queue_run_due()"))) == JOBS
    # A run that crosses the full hour would be a second one of the hourly job.
    again = json.loads(session.value("SELECT queue_run_due(NULL)"))
    assert jobs(again) in ([], ["hourly"])
    assert planned(session, "daily")["last_run_utc"] >= present


@pytest.mark.parametrize(
    "now",
    [
        "2015-11-05 12:00:00",
        "2015-11-05T12:00:00Z",
        "2015-11-05T14:00:00+02:00",
        "1446724800",
        1446724800,
        1446724800.0,
    ],
)
def test_a_time_may_be_written_in_many_ways(
    now: str | float, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    assert jobs(json.loads(session.value(RUN, now))) == JOBS
    assert planned(session, "hourly")["last_run_utc"] == text(NOON)


@pytest.mark.parametrize("now", ["", "soon", "2015-02-29", -1, 1e300, b"2015", 1.5e12])
def test_what_is_no_time_is_refused_and_nothing_is_run(
    now: Any, queue: Queue, open_python: OpenPython
) -> None:
    before = queue.files()
    error = open_python(queue.path).error(RUN, now)
    assert "now" in error.message
    assert queue.files() == before


def test_a_call_that_finds_nothing_due_waits_for_no_writer(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    session.rows("PRAGMA busy_timeout = 50")
    with queue.connect() as writer:
        writer.execute("BEGIN IMMEDIATE")
        result = session.execute(RUN, text(NOON + MINUTE))
        assert result.rows == [("[]",)]
        assert result.seconds < 1
        error = session.error(RUN, text(NOON + HOUR))
        assert error.primary_code == 5
        assert "cannot record the run" in error.message
        writer.execute("ROLLBACK")
    assert jobs(run_due(session, NOON + HOUR)) == ["hourly"]


def test_a_job_that_is_off_never_runs(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    only(session, "weekly")
    assert jobs(run_due(session, NOON)) == ["weekly"]
    assert run_due(session, NOON + DAY) == []
    row = planned(session, "daily")
    assert (row["cron"], row["next_due_utc"], row["last_status"]) == ("off", None, None)
    session.rows("SELECT queue_set('cron_daily', NULL)")
    assert jobs(run_due(session, NOON + DAY)) == ["daily"]


@pytest.mark.parametrize("job", JOBS)
def test_the_time_of_each_job_is_a_setting(job: str, queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    session.rows("SELECT queue_set(?, '30 12 * * *')", f"cron_{job}")
    only(session, job)
    # That 12:30 was a time of yesterday's was not known yesterday.
    assert run_due(session, NOON + 29 * MINUTE) == []
    (ran,) = run_due(session, NOON + 31 * MINUTE)
    assert (ran["job"], ran["due_utc"]) == (job, "2015-11-05 12:30:00")
    assert run_due(session, NOON + DAY) == []


def settled(session: Session, queue: Queue, **settings: Any) -> dict[str, Any]:
    """What a first call with these settings ran, by job."""
    for name, value in settings.items():
        session.rows("SELECT queue_set(?, ?)", name, value)
    return {one["job"]: one for one in run_due(session, NOON)}


def test_keep_says_what_is_rotated(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    settled(session, queue, keep=2)
    for day in range(1, 5):
        ran = run_due(session, NOON + day * DAY)
    assert detail(ran[1], "rotate") == {"keep": "2", "deleted": 1}
    assert len(artifacts.backups_in(queue.backups)) == 2


@pytest.mark.parametrize(
    ("kind", "second", "of_others"),
    [
        ("full", "full", "full"),
        ("incremental", "incremental", "full"),
        ("snapshot", "snapshot", "snapshot"),
    ],
)
def test_the_type_and_the_compression_of_backups_are_settings(
    kind: str, second: str, of_others: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    settings = {"job_backup_type": kind, "job_compression": "zstd", "backup_dir": "elsewhere"}
    first = detail(settled(session, queue, **settings)["daily"], "backup")
    assert (first["compression"], first["name"]) == ("zstd", "monthly")
    assert Path(first["backup_path"]).parent.name == "elsewhere"
    made = [detail(run_due(session, NOON + day * DAY)[1], "backup") for day in range(1, 5)]
    assert [one["name"] for one in made] == ["daily", "weekly", "daily", "daily"]
    # The first of a series is a full backup.
    before = "full" if kind == "incremental" else kind
    assert [one["backup_type"] for one in made] == [before, of_others, second, second]
    assert first["backup_type"] == of_others


def test_the_age_of_a_stale_lease_is_a_setting(make: MakeQueue, open_python: OpenPython) -> None:
    # The leases ended an hour before the real present, which is the present of this call.
    queue = make(Shape(stale_leased=5, overdue_seconds=3600))
    session = open_python(queue.path)
    session.rows("SELECT queue_set('stale_secs', 7200)")
    ran = json.loads(session.value("SELECT queue_run_due()"))
    assert detail(ran[0], "requeue") == {"requeued": 0}
    session.rows("SELECT queue_set('stale_secs', 600)")
    ran = json.loads(session.value("SELECT queue_run_due(unixepoch() + 3600)"))
    assert detail(ran[0], "requeue") == {"requeued": 5}


@pytest.mark.parametrize(("share", "vacuumed"), [(99, False), (5, True)])
def test_the_monthly_job_vacuums_when_the_setting_says_so(
    share: int, vacuumed: bool, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    only(session, "monthly")
    session.rows("CREATE TABLE filler(x)")
    session.rows("INSERT INTO filler VALUES (zeroblob(400000))")
    session.rows("DROP TABLE filler")
    session.rows("SELECT queue_set('fragmentation_pct_critical', ?)", share)
    ran = {one["job"]: one for one in run_due(session, ALL_DUE)}
    assert detail(ran["monthly"], "vacuum")["vacuumed"] is vacuumed
    assert (session.value("PRAGMA freelist_count") == 0) is vacuumed


def test_the_log_is_bounded(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('history_rows', 100)")
    for hour in range(60):
        run_due(session, NOON + hour * HOUR)
    ((rows, newest),) = queue.query("SELECT count(*), max(started_utc) FROM queuekeeper_log")
    assert (rows, newest) == (100, text(NOON + 59 * HOUR))


@pytest.mark.parametrize("shape", [Shape(journal_mode="delete"), Shape(page_size=512)])
def test_other_shapes_of_database(
    shape: Shape, make: MakeQueue, host: Host, open_session: OpenSession
) -> None:
    queue = make(shape)
    ran = run_due(open_session(host, queue.path), ALL_DUE)
    assert jobs(ran) == JOBS
    assert {status for one in ran for status in statuses(one).values()} == {"ok"}


def test_a_database_without_tasks(tmp_path: Path, open_python: OpenPython) -> None:
    session = open_python(tmp_path / "other.db")
    session.rows("CREATE TABLE other(x)")
    ran = run_due(session, NOON)
    assert {one["status"] for one in ran} == {"ok"}
    assert "no task table" in detail(ran[0], "requeue")["note"]
