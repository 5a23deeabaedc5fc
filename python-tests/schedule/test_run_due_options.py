"""The options of queue_run_due(): a dry run, and a retry before its pause is over."""

from __future__ import annotations

import json
import random
import re
from datetime import timedelta
from typing import Any

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host, Session
from support.queues import Queue
from support.schedules import JOBS, NOON, RUN, STEPS, Ran, jobs, only, run_due, statuses, text

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def call(session: Session, **options: Any) -> list[Ran]:
    """What a call with these options gives."""
    ran: list[Ran] = json.loads(session.value(RUN, json.dumps(options)))
    return ran


def dry_run(session: Session, now: Any, **options: Any) -> list[Ran]:
    return call(session, now=text(now), dry_run=True, **options)


def test_a_dry_run_says_what_would_run_and_writes_nothing(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    before = queue.files()
    planned = dry_run(session, NOON)
    assert {one["job"]: list(statuses(one)) for one in planned} == STEPS
    assert {(one["status"], one["attempt"]) for one in planned} == {("due", 1)}
    assert [one["due_utc"] for one in planned][:2] == ["2015-11-05 12:00:00", "2015-11-05 02:00:00"]
    assert {*planned[0]} == {"job", "due_utc", "attempt", "status", "steps"}
    assert queue.files() == before
    assert jobs(run_due(session, NOON)) == JOBS
    assert dry_run(session, NOON) == []
    assert jobs(dry_run(session, NOON + HOUR)) == ["hourly"]


def test_a_dry_run_takes_no_lock_and_waits_for_none(queue: Queue, open_python: OpenPython) -> None:
    fcntl = pytest.importorskip("fcntl")
    session = open_python(queue.path)
    session.rows("PRAGMA busy_timeout = 50")
    lock = queue.path.with_name(f"{queue.path.name}-schedule")
    with queue.connect() as writer, lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fcntl.lockf(held, fcntl.LOCK_EX)
        writer.execute("BEGIN IMMEDIATE")
        assert jobs(dry_run(session, NOON)) == JOBS
        writer.execute("ROLLBACK")
    # Neither does it mind the caller's own transaction.
    session.rows("BEGIN IMMEDIATE")
    assert jobs(dry_run(session, NOON)) == JOBS
    session.rows("ROLLBACK")


def test_a_retry_need_not_wait_for_its_pause(queue: Queue, open_python: OpenPython) -> None:
    queue.backups.write_text("a file where the directory should be")
    session = open_python(queue.path)
    only(session, "daily")
    (first,) = run_due(session, NOON)
    assert first["status"] == "failed"
    for attempt in (2, 3, 4):
        now = text(NOON + timedelta(seconds=attempt))
        assert call(session, now=now) == []
        (planned,) = call(session, now=now, retry_now=True, dry_run=True)
        (ran,) = call(session, now=now, retry_now=True)
        assert (planned["attempt"], ran["attempt"]) == (attempt, attempt)
        assert statuses(planned)["analyze"] == "skipped"
    queue.backups.unlink()
    (ran,) = call(session, now=text(NOON + MINUTE / 2), retry_now=True)
    assert ran["status"] == "ok"
    # What is done is not due.
    assert call(session, now=text(NOON + MINUTE), retry_now=True) == []


def agrees(planned: Ran, ran: Ran) -> None:
    """Checks that a job ran as planned; a failure may have kept later steps from it."""
    for key in ("job", "due_utc", "attempt"):
        assert planned[key] == ran[key], (planned, ran)
    failed = "failed" in statuses(ran).values()
    for plan, step in zip(planned["steps"], ran["steps"], strict=True):
        assert plan["step"] == step["step"]
        if plan["status"] == "due":
            assert step["status"] in {"ok", "failed", "skipped" if failed else "ok"}, (plan, step)
        elif plan["detail"]["note"] == "done by an earlier attempt":
            assert step["status"] == "ok", step
        elif not failed:
            assert (step["status"], step["detail"]) == ("skipped", plan["detail"])
        if (plan["step"], plan["status"], step["status"]) == ("backup", "due", "ok"):
            for key in ("name", "note", "made_by"):
                assert plan["detail"].get(key) == step["detail"].get(key), (plan, step)


def test_a_dry_run_and_a_run_meet_whatever_is_due(queue: Queue, open_python: OpenPython) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    session = open_python(queue.path)
    now, seen = NOON, set[str]()
    for _ in range(60):
        now += chance.choice([MINUTE, 3 * MINUTE, HOUR, 5 * HOUR, DAY, 9 * DAY])
        if chance.random() < 0.3:
            job = chance.choice(JOBS)
            cron = f"{chance.randrange(60)} {chance.randrange(24)} * * *"
            session.rows(
                "SELECT queue_set(?, ?)", f"cron_{job}", chance.choice([cron, None, "off"])
            )
        # Where backups fail, jobs are retried.
        session.rows("SELECT queue_set('backup_dir', ?)", chance.choice([None, f"{queue.path}/no"]))
        options = {"now": text(now), "retry_now": chance.random() < 0.3}
        planned = call(session, **options, dry_run=True)
        assert call(session, **options, dry_run=True) == planned
        ran = call(session, **options)
        assert jobs(planned) == jobs(ran)
        for plan, one in zip(planned, ran, strict=True):
            agrees(plan, one)
            seen |= {*statuses(plan).values(), *statuses(one).values(), f"attempt {one['attempt']}"}
    assert {"due", "ok", "failed", "skipped", "attempt 1", "attempt 2"} <= seen


@pytest.mark.parametrize(
    "options",
    [
        '{"retry": true}',
        '{"dry_run": 1}',
        '{"now": "soon"}',
        '{"now": [2015]}',
        '{"now": true}',
        '{"now": 1e300}',
        '{"dry_run": true',
        "{} {}",
        '[{"dry_run": true}]',
    ],
)
def test_options_that_are_none_are_refused_and_nothing_is_run(
    options: str, queue: Queue, open_python: OpenPython
) -> None:
    before = queue.files()
    message = open_python(queue.path).error(RUN, options).message
    assert re.search("now must|options", message)
    assert queue.files() == before


def test_a_time_among_the_options_may_be_a_number(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    for now in (1446724800, 1446724800.5, "1446724800", "2015-11-05T12:00:00Z"):
        assert call(session, now=now, dry_run=True) == dry_run(session, NOON)
    # Without one, it is the present; null and false are as if left out.
    assert jobs(call(session, now=None, retry_now=None, dry_run=True)) == JOBS
    assert "started_utc" in call(session, dry_run=False)[0]


def test_a_database_without_a_file_has_no_schedule(open_python: OpenPython) -> None:
    assert "no schedule" in open_python(":memory:").error(RUN, '{"dry_run": true}').message


def test_a_time_that_cannot_be_used_is_an_error(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('cron_daily', '1 1 1 1 1')")
    session.rows("UPDATE queuekeeper_settings SET value = 'x' WHERE name = 'cron_daily'")
    assert "cron_daily" in session.error(RUN, '{"dry_run": true}').message
