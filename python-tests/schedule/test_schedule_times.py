"""The schedule over months: daylight saving, sleep, clocks, and what rotation leaves."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from conftest import OpenPython

from hosts import Session
from support import artifacts
from support.queues import TIME_FORMAT, Queue
from support.schedules import (
    JOBS,
    NOON,
    detail,
    jobs,
    kept,
    logged,
    only,
    planned,
    run_due,
    spread,
    steps_of,
)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("night", "due"),
    [
        # The clocks go from 02:00 to 03:00, and from 03:00 back to 02:00.
        ("2026-03-28", ["03-28 01:00", "03-29 01:00", "03-30 00:00"]),
        ("2026-10-24", ["10-24 00:00", "10-25 00:00", "10-26 01:00"]),
    ],
)
def test_daylight_saving_in_berlin(
    night: str,
    due: list[str],
    queue: Queue,
    open_python: OpenPython,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    session = open_python(queue.path)
    session.rows("SELECT queue_set('time_zone', 'local')")
    only(session, "daily")
    begin = at(night) - DAY + 12 * HOUR
    run_due(session, begin)
    ran = [
        (one["due_utc"], one["started_utc"])
        for now in steps_of(begin, begin + 3 * DAY, minutes=15)
        for one in run_due(session, now)
    ]
    assert [began for began, _ in ran] == [f"2026-{time}:00" for time in due]
    # Each was run as soon as it was due.
    assert [started for _, started in ran] == [began for began, _ in ran]


def test_the_zone_is_utc_unless_the_setting_says_local(
    queue: Queue, open_python: OpenPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    session = open_python(queue.path)
    run_due(session, NOON)
    assert planned(session, "daily")["next_due_utc"][-8:] == "02:00:00"
    session.rows("SELECT queue_set('time_zone', 'local')")
    assert planned(session, "daily")["next_due_utc"][-8:] == "20:30:00"


def test_a_machine_that_slept_runs_each_job_once(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    awake = NOON + 92 * DAY
    ran = run_due(session, awake)
    assert jobs(ran) == JOBS
    assert [one["due_utc"] for one in ran] == [
        "2016-02-05 12:00:00",
        "2016-02-05 02:00:00",
        "2016-01-30 02:00:00",
        "2016-02-01 02:00:00",
    ]
    assert {one["attempt"] for one in ran} == {1}
    assert run_due(session, awake + MINUTE) == []
    assert jobs(run_due(session, awake + HOUR)) == ["hourly"]


def test_a_leap_year(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    only(session, "monthly")
    session.rows("SELECT queue_set('cron_monthly', '0 2 29 2 *')")
    (ran,) = run_due(session, at("2016-02-28 12:00:00"))
    assert ran["due_utc"] == "2012-02-29 02:00:00"
    (ran,) = run_due(session, at("2016-02-29 02:00:00"))
    assert ran["due_utc"] == "2016-02-29 02:00:00"
    assert run_due(session, at("2020-02-29 01:59:00")) == []
    assert jobs(run_due(session, at("2020-03-01 00:00:00"))) == ["monthly"]


def test_a_clock_that_was_a_year_ahead_stops_no_job(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    run_due(session, NOON + 365 * DAY)
    assert run_due(session, NOON) == []
    assert jobs(run_due(session, NOON + HOUR)) == ["hourly"]
    assert jobs(run_due(session, NOON + DAY)) == ["hourly", "daily"]


@pytest.mark.parametrize("now", ["1970-01-01", "9999-12-31 23:59:59"])
def test_the_ends_of_the_calendar(now: str, queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    run_due(session, at(now))
    assert len(session.rows("SELECT * FROM queue_schedule()")) == len(JOBS)
    run_due(session, NOON)
    assert jobs(run_due(session, NOON + DAY))[:2] == ["hourly", "daily"]


def test_calls_every_hour(queue: Queue, open_python: OpenPython) -> None:
    """From 25 November, a Wednesday, to 6 December: two Saturdays, one first of a month."""
    session = open_python(queue.path)
    begin = NOON + 20 * DAY
    run_due(session, begin)
    times = list(steps_of(begin + HOUR, begin + 11 * DAY, hours=1))
    ran = [job for now in times for job in jobs(run_due(session, now))]
    counts = {job: ran.count(job) for job in JOBS}
    assert counts == {"hourly": len(times), "daily": 11, "weekly": 2, "monthly": 1}
    # At noon, the first call left out what keeps writers out.
    failing = [row for row in logged(queue) if row[1] != "ok"]
    assert failing == [("optimize", "skipped"), ("vacuum", "skipped")]


def simulate(session: Session, times: list[datetime]) -> list[datetime]:
    """Calls at these times; what must lie in the directory in the end."""
    expected: list[datetime] = []
    for now in times:
        for one in run_due(session, now):
            assert one["status"] == "ok", one
            if one["job"] != "hourly" and "made_by" not in detail(one, "backup"):
                expected.append(datetime.strptime(one["started_utc"], TIME_FORMAT))
            if one["job"] == "daily":
                # Two backups of one second are two, so they count as different times.
                expected = spread(expected)
                expected = kept(expected)
    return expected


def test_thirteen_months_leave_what_the_policy_promises(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    only(session, "daily", "weekly", "monthly")
    session.rows("SELECT queue_set('history_rows', 500)")
    # A few days of each month, and in the end each.
    months = steps_of(NOON, NOON + 356 * DAY, days=1)
    times = [now for now in months if now.day in (1, 15, 28)]
    times += steps_of(NOON + 356 * DAY, NOON + 396 * DAY, days=1)
    expected = simulate(session, times)
    found = [
        datetime.fromisoformat(entry["created_at"].rstrip("Z"))
        for entry in artifacts.catalog(queue.backups)
    ]
    assert sorted(time.strftime("%F %H") for time in found) == sorted(
        time.strftime("%F %H") for time in expected
    )
    assert len({(time.year, time.month) for time in found}) == 12
    assert {time.date() for time in found} >= {(times[-1] - day * DAY).date() for day in range(7)}
    assert len(artifacts.backups_in(queue.backups)) == len(found) < 40
    assert artifacts.temporaries_in(queue.backups) == []
    ((rows,),) = queue.query("SELECT count(*) FROM queuekeeper_log")
    assert rows == 500
    newest = session.object("SELECT queue_verify('latest', 'full')")
    assert newest["status"] == "ok"
