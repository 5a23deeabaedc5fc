"""What fails is seen by who looks, not only by who is told: health, schedule and log agree."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import OpenPython

from hosts.protocol import Session
from queuekeeper import _copies, _failing, _log, _news
from queuekeeper._broken import broken
from queuekeeper.results import HistoryEntry, ScheduledJob
from support.queues import Queue
from support.schedules import JOBS, STEPS, only, planned

#: Job, step, minutes before the present, status.
Row = tuple[str, str, int, str]
PAIRS = [
    *((job, step) for job in ("daily", "weekly") for step in STEPS[job]),
    *(("offsite", step) for step in ("push", "rotate remote")),
    *(("notify", step) for step in ("ntfy", "heartbeat")),
    ("schedule", "run"),
]
STATUSES = ("ok", "failed", "interrupted", "skipped", "running")
ELSEWHERE = _copies.STEPS
ERROR = "the disk\nis \x1b[31mfull"
DAY = 24 * 60
NOW = datetime.now(timezone.utc).replace(microsecond=0)


def at(minutes: int) -> str:
    """A time of the log, so many minutes before the present."""
    return (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")


def write(session: Session, rows: Iterable[Row]) -> None:
    session.rows(
        "CREATE TABLE IF NOT EXISTS queuekeeper_log(id INTEGER PRIMARY KEY, job TEXT, step TEXT, "
        "due_utc TEXT, started_utc TEXT, finished_utc TEXT, status TEXT, detail TEXT)"
    )
    sql = "INSERT INTO queuekeeper_log VALUES (NULL, ?1, ?2, ?3, ?3, ?3, ?4, ?5)"
    for job, step, minutes, status in rows:
        session.rows(sql, job, step, at(minutes), status, ERROR if status == "failed" else None)


def metric(session: Session, name: str) -> dict[str, Any] | None:
    rows = session.dicts("SELECT * FROM queue_health() WHERE metric = ?", name)
    return rows[0] if rows else None


def failing(session: Session) -> dict[str, Any]:
    found = metric(session, "failing_steps")
    assert found is not None
    return found


def offsite(session: Session) -> dict[str, Any] | None:
    rows = session.dicts("SELECT * FROM queue_schedule()")
    assert [row["job"] for row in rows[: len(JOBS)]] == JOBS
    assert len(rows) - len(JOBS) == any(row["job"] == "offsite" for row in rows)
    return rows[-1] if len(rows) > len(JOBS) else None


def test_a_remote_that_is_broken_for_four_nights_shows_wherever_one_looks(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    night = 24 * 60
    write(session, [("offsite", "push", 5 * night, "ok")])
    assert failing(session)["level"] == "ok"
    for before in (4, 3, 2, 1):
        backup = ("daily", "backup", before * night, "ok")
        write(session, [backup, ("offsite", "push", before * night, "failed")])
    found = failing(session)
    assert (found["value"], found["level"]) == (1, "warning")
    assert f"offsite push since {at(4 * night)}" in found["action"]
    assert "says: the disk is  [31mfull" in found["action"]
    age = metric(session, "offsite_age")
    assert age is not None
    assert (age["level"], age["unit"], age["warning"], age["critical"]) == (
        *("critical", "hours"),
        *(26, 50),
    )
    assert age["value"] == pytest.approx(120, abs=0.1)
    row = offsite(session)
    assert row is not None
    assert (row["cron"], row["last_run_utc"], row["last_status"]) == (None, at(night), "failed")
    assert row["next_due_utc"] == at(night)
    assert "tried again by the next queuekeeper run-due" in found["action"]
    write(session, [("offsite", "push", 1, "ok")])
    row = offsite(session)
    assert row is not None
    assert (row["last_status"], row["next_due_utc"]) == ("ok", None)
    assert failing(session)["level"] == "ok"
    age = metric(session, "offsite_age")
    assert age is not None
    assert age["level"] == "ok"


def test_copies_are_seen_once_a_setting_or_the_log_tells_of_them(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    assert (offsite(session), metric(session, "offsite_age")) == (None, None)
    session.rows("SELECT queue_set('remote', '/mnt/nas')")
    assert offsite(session) == {
        "job": "offsite",
        **dict.fromkeys(("cron", "last_run_utc", "next_due_utc", "last_status")),
    }
    age = metric(session, "offsite_age")
    assert age is not None
    assert (age["value"], age["level"]) == (None, "critical")
    assert "queue_history()" in age["action"]


def test_a_push_from_the_future_does_not_make_the_others_look_new(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    write(session, [("offsite", "push", 1800, "ok"), ("offsite", "push", -99_999, "ok")])
    age = metric(session, "offsite_age")
    assert age is not None
    assert age["value"] == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(
    ("rows", "level"),
    [
        ([("weekly", "integrity", 9, "failed")], "critical"),
        ([("weekly", "optimize", 9, "failed")], "warning"),
        ([("weekly", "integrity", 9, "failed"), ("weekly", "integrity", 8, "ok")], "ok"),
        ([("weekly", "integrity", 9, "failed"), ("weekly", "integrity", 8, "skipped")], "critical"),
        ([("weekly", "integrity", 9, "ok"), ("weekly", "integrity", 8, "interrupted")], "warning"),
        (
            [("weekly", "integrity", 9, "failed"), ("weekly", "integrity", 8, "interrupted")],
            "critical",
        ),
        ([("weekly", "integrity", 9, "ok"), ("weekly", "integrity", 8, "running")], "ok"),
    ],
)
def test_the_newest_end_of_a_step_counts(
    rows: list[Row], level: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    write(session, rows)
    assert failing(session)["level"] == level


def test_a_job_that_is_off_fails_no_more(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    write(session, [("weekly", "integrity", 9, "failed")])
    only(session, "daily")
    assert failing(session)["level"] == "ok"


@pytest.mark.parametrize("step", [("offsite", "push"), ("notify", "ntfy 2")])
def test_what_nobody_tries_any_more_lapses_after_two_days(
    step: tuple[str, str], queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    write(session, [(*step, 2 * DAY + 9, "failed"), ("hourly", "requeue", 10, "ok")])
    assert failing(session)["value"] == 1
    write(session, [("hourly", "requeue", 9, "ok")])
    assert failing(session)["value"] == 0
    row = offsite(session)
    if step[0] == "offsite":
        assert row is not None
        assert (row["last_status"], row["next_due_utc"]) == ("lapsed", None)
    # It is tried again.
    write(session, [(*step, 1, "failed")])
    found = failing(session)
    assert found["value"] == 1
    assert f"since {at(2 * DAY + 9)}" in found["action"]


def test_a_job_of_ours_does_not_lapse(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    write(session, [("monthly", "vacuum", 9 * DAY, "failed"), ("hourly", "requeue", 9, "ok")])
    assert failing(session)["value"] == 1


def test_a_failed_job_of_ours_is_named_with_its_error_and_its_next_time(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('backup_dir', ?)", str(queue.path / "no directory"))
    only(session, "daily")
    session.rows("SELECT queue_run_due()")
    found = failing(session)
    assert (found["value"], found["level"]) == (1, "warning")
    assert "daily backup since" in found["action"]
    assert "no directory" in found["action"]
    assert f"tried again at {planned(session, 'daily')['next_due_utc']}" in found["action"]


def random_log(chance: random.Random) -> list[Row]:
    minutes = chance.choice((600, 9 * DAY, 9 * DAY))
    rows: list[Row] = []
    weights = [chance.random() for _ in STATUSES]
    pairs = chance.sample(PAIRS, chance.randint(1, len(PAIRS)))
    for _ in range(chance.randint(0, 40)):
        minutes -= chance.choice(
            (0, 0, 1, 3, 20, 120, *([DAY, 2 * DAY] if minutes > 2 * DAY else []))
        )
        if minutes < 1:
            break
        job, step = chance.choice(pairs)
        (status,) = chance.choices(STATUSES, weights)
        rows.append((job, step, minutes, status))
    return rows


def has_lapsed(rows: list[Row], pair: tuple[str, str]) -> bool:
    """Whether the last row of a step is two days older than the last of all."""
    last = [row[2] for row in rows if row[:2] == pair][-1:]
    return pair[0] in ("offsite", "notify") and any(each - rows[-1][2] >= 2 * DAY for each in last)


def failing_by_definition(rows: list[Row], off: set[str]) -> list[tuple[str, str, int]]:
    """Each step that fails with when that began, the first failure first."""
    found = []
    for pair in PAIRS:
        ends = [
            (place, row)
            for place, row in enumerate(rows)
            if row[:2] == pair and row[3] in ("ok", "failed", "interrupted")
        ]
        last = max((place for place, row in ends if row[3] == "ok"), default=-1)
        since = [(place, row[2]) for place, row in ends if place > last]
        if since and pair[0] not in off and not has_lapsed(rows, pair):
            found.append((since[0][0], (*pair, since[0][1])))
    return [each for _, each in sorted(found)]


@pytest.mark.parametrize("seed", range(60))
def test_health_schedule_and_log_agree(seed: int, queue: Queue, open_python: OpenPython) -> None:
    chance = random.Random(seed)
    session = open_python(queue.path)
    rows = random_log(chance)
    write(session, rows)
    off = {job for job in ("daily", "weekly") if chance.random() < 0.2}
    for job in off:
        session.rows("SELECT queue_set(?, 'off')", f"cron_{job}")

    expected = failing_by_definition(rows, off)
    found = failing(session)
    assert found["value"] == len(expected), expected
    assert (found["level"] == "ok") == (not expected) == (found["action"] is None)
    for job, step, minutes in expected[:5]:
        assert f"{job} {step} since {at(minutes)}" in found["action"]
    if expected:
        assert f"What failed first, {expected[0][0]} {expected[0][1]}, says" in found["action"]

    history = [HistoryEntry.of(each) for each in session.dicts("SELECT * FROM queue_history()")]
    told = _failing.failing(history, off)
    assert [(each.job, each.step) for each in told] == [each[:2] for each in expected]
    plan = [ScheduledJob.of(each) for each in session.dicts("SELECT * FROM queue_schedule()")]
    notified = [step for job, step in PAIRS if job == "notify"]
    shown = broken(history, plan, copied=_copies.STEPS, addresses=notified, present=NOW)
    shown = [each for each in shown if each.status != "warning"]
    assert [(each.job, each.step) for each in shown] == [each[:2] for each in expected]
    assert any(each.is_critical for each in shown) == (found["level"] == "critical")
    message = _news.message(history, "ntfy", where="", now=NOW, off=off)
    if message is not None:
        assert set(message.failing) <= {f"{job} {step}" for job, step, _ in expected}
    states = [
        "lapsed" if each.status != "ok" and has_lapsed(rows, ("offsite", step)) else each.status
        for step in ELSEWHERE
        if (each := _copies.newest(history, step))
    ]
    row = offsite(session)
    assert (row is None) == (not states) == (metric(session, "offsite_age") is None)
    if row is None:
        return
    bad = [each for each in states if each not in ("ok", "lapsed")]
    assert row["last_status"] == [*bad, states[0]][0]
    assert (row["next_due_utc"] is None) == (not bad)
    if row["next_due_utc"] is None:
        return
    again = datetime.fromisoformat(row["next_due_utc"]).replace(tzinfo=timezone.utc)
    failures = _copies.failures(history)
    begun = _log.moment(failures[0].started_utc) if failures else NOW
    assert begun is not None
    for minutes in range(125):
        moment = begun + timedelta(minutes=minutes)
        assert _failing.is_time(failures, moment) == (moment >= again), (minutes, row)
