"""Runs of the schedule at a time of the test's choice, and what they left behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from hosts import Session
from support.queues import TIME_FORMAT, Queue

#: Each job with its steps, in the order in which they are run.
STEPS = {
    "hourly": ["checkpoint", "requeue"],
    "daily": ["backup", "verify", "rotate", "analyze", "checkpoint", "requeue"],
    "weekly": ["backup", "integrity", "optimize"],
    "monthly": ["backup", "vacuum"],
}
JOBS = list(STEPS)

#: A Thursday, on which only the hourly job has its time; so long ago that no lease is stale then.
NOON = datetime(2015, 11, 5, 12)

#: A Saturday and the first of a month, at the time of each job: only then does all of them run.
ALL_DUE = datetime(2015, 8, 1, 2)

RUN = "SELECT queue_run_due(?)"

Ran = dict[str, Any]
Times = list[datetime]


def text(now: datetime) -> str:
    """A time as queue_run_due() takes it."""
    return now.strftime(TIME_FORMAT)


def run_due(session: Session, now: datetime) -> list[Ran]:
    """What a call at that time ran."""
    ran = json.loads(session.value(RUN, text(now)))
    assert isinstance(ran, list)
    return ran


def jobs(ran: Iterable[Ran]) -> list[str]:
    """The jobs in the result of a call."""
    return [one["job"] for one in ran]


def statuses(ran: Ran) -> dict[str, str]:
    """What each step of a job came to."""
    return {step["step"]: step["status"] for step in ran["steps"]}


def detail(ran: Ran, step: str) -> Any:
    """What one step of a job says."""
    return next(each["detail"] for each in ran["steps"] if each["step"] == step)


def only(session: Session, *wanted: str) -> None:
    """Turns all other jobs off."""
    for job in JOBS:
        if job not in wanted:
            session.rows("SELECT queue_set(?, 'off')", f"cron_{job}")


def logged(queue: Queue, job: str | None = None) -> list[tuple[str, str]]:
    """Step and status of each row in the log, oldest first."""
    sql = "SELECT step, status FROM queuekeeper_log WHERE ?1 IS NULL OR job = ?1 ORDER BY id"
    return queue.query(sql, job)


def planned(session: Session, job: str) -> dict[str, Any]:
    """A job's row of queue_schedule()."""
    (row,) = session.dicts("SELECT * FROM queue_schedule() WHERE job = ?", job)
    return row


def steps_of(begin: datetime, end: datetime, **step: float) -> Iterable[datetime]:
    """Times from begin up to end, with so much between them."""
    now = begin
    while now < end:
        yield now
        now += timedelta(**step)


def periods(time: datetime) -> dict[str, object]:
    """The day, the week and the month of a backup."""
    return {"day": time.date(), "week": time.isocalendar()[:2], "month": (time.year, time.month)}


def kept(backups: Iterable[datetime], days: int = 7, weeks: int = 4, months: int = 12) -> Times:
    """What a policy such as 7/4/12 leaves, by its definition alone."""
    newest_first = sorted(backups, reverse=True)
    keep = {time for time in newest_first if newest_first[0] - time < timedelta(days=days)}
    for period, count in {"day": days, "week": weeks, "month": months}.items():
        seen: list[object] = []
        for time in newest_first:
            if periods(time)[period] not in seen and len(seen) < count:
                seen.append(periods(time)[period])
                keep.add(time)
    return sorted(keep)


def spread(times: Iterable[datetime]) -> Times:
    """Moves equal times a little apart, in their order."""
    found: Times = []
    for time in times:
        while time in found:
            time += timedelta(milliseconds=1)
        found.append(time)
    return found
