"""Steps that fail, and processes that die: what is recorded, what is tried again, and when."""

from __future__ import annotations

import contextlib
import random
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, HostDiedError
from hosts.python_host import PythonSession
from support import artifacts
from support.eventually import until, until_writing
from support.faults.damage import outdate_index, overwrite
from support.queues import Queue, Shape, grow
from support.schedules import (
    ALL_DUE,
    NOON,
    RUN,
    STEPS,
    detail,
    jobs,
    logged,
    only,
    planned,
    run_due,
    statuses,
    text,
)
from support.users.privileges import drop_override

SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)

#: The pauses in minutes, as they are documented.
PAUSES = (1, 2, 4, 8, 16, 32, 60, 60)

WITHOUT_BACKUP = {
    "backup": "failed",
    "verify": "skipped",
    "rotate": "skipped",
    "analyze": "ok",
    "checkpoint": "ok",
    "requeue": "ok",
}


def test_a_failing_job_is_recorded_and_tried_again_after_the_documented_pauses(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    queue.backups.write_text("a file where the directory should be")
    session = open_session(host, queue.path)
    only(session, "hourly", "daily")
    ran = run_due(session, NOON)
    assert [(one["job"], one["status"], one["attempt"]) for one in ran] == [
        ("hourly", "ok", 1),
        ("daily", "failed", 1),
    ]
    assert statuses(ran[1]) == WITHOUT_BACKUP
    assert str(queue.backups) in detail(ran[1], "backup")
    session.rows("SELECT queue_set('cron_hourly', 'off')")
    now = NOON
    for attempt, minutes in enumerate(PAUSES, 2):
        assert planned(session, "daily")["last_status"] == "failed"
        assert run_due(session, now + minutes * MINUTE - SECOND) == []
        now += minutes * MINUTE
        (ran_again,) = run_due(session, now)
        assert (ran_again["attempt"], ran_again["due_utc"]) == (attempt, "2015-11-05 02:00:00")
        assert statuses(ran_again) == WITHOUT_BACKUP
    # What had been done was not done again.
    counts = {step: logged(queue, "daily").count((step, "ok")) for step in STEPS["daily"]}
    assert counts == {
        "backup": 0,
        "verify": 0,
        "rotate": 0,
        "analyze": 1,
        "checkpoint": 1,
        "requeue": 1,
    }
    queue.backups.unlink()
    (repaired,) = run_due(session, now + HOUR)
    assert set(statuses(repaired).values()) == {"ok"}
    assert planned(session, "daily")["last_status"] == "ok"
    assert run_due(session, now + 2 * HOUR) == []
    # A new time begins with a first attempt.
    (tomorrow,) = run_due(session, NOON + DAY)
    assert tomorrow["attempt"] == 1


def test_the_next_time_of_a_failing_job_is_a_new_start(
    queue: Queue, open_python: OpenPython
) -> None:
    queue.backups.write_text("")
    session = open_python(queue.path)
    only(session, "daily")
    run_due(session, NOON)
    run_due(session, NOON + HOUR)
    (ran,) = run_due(session, NOON + 14 * HOUR)
    assert (ran["attempt"], ran["due_utc"]) == (1, "2015-11-06 02:00:00")
    assert logged(queue).count(("analyze", "ok")) == 2


def test_a_directory_that_may_not_be_written(queue: Queue, apsw: Host, library: Path) -> None:
    queue.backups.mkdir(mode=0o555)
    session = apsw.open_python(str(queue.path), preexec=drop_override())
    try:
        session.load(library)
        ran = run_due(session, NOON)
        failed = {one["job"]: detail(one, "backup") for one in ran if one["status"] == "failed"}
        assert set(failed) == {"daily", "weekly", "monthly"}
        assert all("ermission" in error for error in failed.values()), failed
        assert jobs(ran) == list(STEPS)
        queue.backups.chmod(0o755)
        again = run_due(session, NOON + MINUTE)
        assert {one["job"]: one["status"] for one in again} == dict.fromkeys(failed, "ok")
    finally:
        session.close()


def test_a_full_disk_fails_the_backup_alone(
    queue: Queue, open_python: OpenPython, make_disk: Any
) -> None:
    small = make_disk(1 << 16)
    session = open_python(queue.path)
    session.rows("SELECT queue_set('backup_dir', ?)", str(small / "backups"))
    only(session, "daily")
    (ran,) = run_due(session, NOON)
    assert statuses(ran) == WITHOUT_BACKUP
    assert list((small / "backups").glob("*.db")) == []
    session.rows("SELECT queue_set('backup_dir', NULL)")
    (again,) = run_due(session, NOON + MINUTE)
    assert again["status"] == "ok"


def test_a_damaged_index_keeps_the_weekly_job_from_vacuum_until_it_is_repaired(
    queue: Queue, open_python: OpenPython
) -> None:
    outdate_index(queue)
    session = open_python(queue.path)
    ran = {one["job"]: one for one in run_due(session, ALL_DUE)}
    assert {job: one["status"] for job, one in ran.items()} == {
        "hourly": "ok",
        "daily": "ok",
        "weekly": "failed",
        "monthly": "ok",
    }
    assert statuses(ran["weekly"]) == {"backup": "ok", "integrity": "failed", "optimize": "skipped"}
    assert "task_queue_type" in detail(ran["weekly"], "integrity")
    made = len(artifacts.backups_in(queue.backups))
    (again,) = run_due(session, ALL_DUE + MINUTE)
    assert statuses(again) == statuses(ran["weekly"])
    session.rows("REINDEX")
    (repaired,) = run_due(session, ALL_DUE + 3 * MINUTE)
    assert set(statuses(repaired).values()) == {"ok"}
    assert len(artifacts.backups_in(queue.backups)) == made


def test_a_backup_that_is_there_again_fails_no_more(queue: Queue, open_python: OpenPython) -> None:
    outdate_index(queue)
    session = open_python(queue.path)
    run_due(session, ALL_DUE)
    kept = queue.backups.rename(queue.directory / "kept")
    queue.backups.write_text("not mounted")
    (again,) = run_due(session, ALL_DUE + MINUTE)
    assert statuses(again)["backup"] == "failed"
    queue.backups.unlink()
    kept.rename(queue.backups)
    made = len(artifacts.backups_in(queue.backups))
    for minute in (3, 7):
        (again,) = run_due(session, ALL_DUE + minute * MINUTE)
        assert statuses(again)["backup"] == "ok"
    assert len(artifacts.backups_in(queue.backups)) == made
    ((value,),) = session.rows("SELECT value FROM queue_health() WHERE metric = 'failing_steps'")
    assert value == 1
    log = "SELECT status FROM queue_history() WHERE job = 'weekly' AND step = 'backup'"
    assert session.rows(log) == [("ok",), ("failed",), ("ok",)]


def test_a_damaged_table_rotates_nothing_away_until_a_backup_is_restored(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    good = session.object('SELECT queue_backup(NULL, \'{"verify": "full"}\')')
    session.close()
    overwrite(queue, "task_queue")
    session = open_python(queue.path)
    session.rows("SELECT queue_set('keep', 1)")
    before = artifacts.backups_in(queue.backups)
    ran = {one["job"]: one for one in run_due(session, NOON + 27 * DAY)}
    # The monthly job found nothing to vacuum.
    worked = {job for job, one in ran.items() if one["status"] == "ok"}
    assert worked == {"monthly"}
    assert statuses(ran["daily"]) == {
        "backup": "ok",
        "verify": "failed",
        "rotate": "skipped",
        "analyze": "failed",
        "checkpoint": "ok",
        "requeue": "failed",
    }
    assert statuses(ran["weekly"])["optimize"] == "skipped"
    assert set(before) < set(artifacts.backups_in(queue.backups))
    # The backup of the damaged database is not made again and again.
    made = len(artifacts.backups_in(queue.backups))
    for minutes in (1, 3, 7):
        run_due(session, NOON + 27 * DAY + minutes * MINUTE)
    assert len(artifacts.backups_in(queue.backups)) == made
    session.object("SELECT queue_restore(?)", good["backup_path"])
    # What had run is not due again; what had failed is.
    ran = {one["job"]: one for one in run_due(session, NOON + 27 * DAY + HOUR)}
    due = [job for job in STEPS if job != "monthly"]
    assert {job: one["status"] for job, one in ran.items()} == dict.fromkeys(due, "ok")


def test_a_backup_that_was_deleted_meanwhile_is_made_again(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    only(session, "daily")
    session.rows("SELECT queue_set('cron_daily', '0 2 * * *')")
    session.rows(
        "INSERT INTO queuekeeper_settings VALUES ('keep', 'nonsense')"
    )  # queue_set() would refuse it
    (ran,) = run_due(session, NOON)
    assert statuses(ran)["rotate"] == "failed"
    session.object("SELECT queue_delete_backup('latest')")
    session.rows("SELECT queue_set('keep', NULL)")
    (again,) = run_due(session, NOON + MINUTE)
    assert again["status"] == "ok"
    assert Path(detail(again, "backup")["backup_path"]).exists()


def test_the_same_time_is_done_again_after_a_clock_was_set_back(
    queue: Queue, open_python: OpenPython
) -> None:
    """What the log has of that time belongs to another day, whatever the clock said."""
    session = open_python(queue.path)
    only(session, "daily")
    run_due(session, NOON + DAY)
    assert run_due(session, NOON) == []
    (ran,) = run_due(session, NOON + DAY)
    assert (ran["due_utc"], ran["attempt"]) == ("2015-11-06 02:00:00", 1)
    assert logged(queue).count(("backup", "ok")) == 2
    assert len(artifacts.backups_in(queue.backups)) == 2


def test_ctrl_c_ends_the_call_and_the_job_is_tried_again(
    make: MakeQueue, host: Host, open_session: OpenSession
) -> None:
    if host.name == "shell":
        pytest.skip("the shell ends with the statement")
    queue = make(Shape())
    grow(queue, 128)
    session = open_session(host, queue.path)
    only(session, "daily")
    session.start(RUN, text(NOON))
    until_writing(queue.backups)
    session.interrupt()
    with pytest.raises(Exception, match="interrupt"):
        session.result()
    assert list(queue.backups.glob("*")) == []
    assert logged(queue) == [("backup", "interrupted")]
    assert planned(session, "daily")["last_status"] == "interrupted"
    assert run_due(session, NOON + 59 * SECOND) == []
    (ran,) = run_due(session, NOON + MINUTE)
    assert (ran["attempt"], ran["status"]) == (2, "ok")


def kill(session: PythonSession) -> None:
    """The end of a process that has no time for any last words."""
    session.process.kill()
    # It may have ended its work just before.
    with contextlib.suppress(HostDiedError):
        session.result()
    with pytest.raises(HostDiedError):
        session.close()


def running(queue: Queue, step: str) -> bool:
    """Whether a step has begun and not ended."""
    return (step, "running") in logged(queue, "daily")


@pytest.mark.parametrize("step", ["backup", "verify"])
def test_a_job_whose_process_is_killed_is_finished_by_the_next(
    step: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape())
    grow(queue, 128)
    session = open_python(queue.path)
    only(session, "hourly", "daily")
    run_due(session, NOON - HOUR)
    session.start(RUN, text(NOON + DAY))
    until(lambda: running(queue, step), step)
    if step == "backup":
        until_writing(queue.backups)
    kill(session)
    assert running(queue, step)
    made = len(artifacts.backups_in(queue.backups))
    # The lock went with the process; the job is tried again after the pause.
    session = open_python(queue.path)
    assert run_due(session, NOON + DAY + 59 * SECOND) == []
    assert planned(session, "daily")["last_status"] == "interrupted"
    assert (step, "interrupted") in logged(queue, "daily")
    (ran,) = run_due(session, NOON + DAY + 2 * MINUTE)
    assert (ran["job"], ran["attempt"], ran["status"]) == ("daily", 2, "ok")
    assert len(artifacts.backups_in(queue.backups)) == 2
    assert made == (1 if step == "backup" else 2)
    assert artifacts.temporaries_in(queue.backups) == []
    done = [name for name, status in logged(queue, "daily")[6:] if status == "ok"]
    assert done == STEPS["daily"]
    assert logged(queue, "hourly") == [("checkpoint", "ok"), ("requeue", "ok")] * 2


def test_kills_at_any_moment_lose_no_step_and_repeat_none_that_was_recorded(
    queue: Queue, open_python: OpenPython
) -> None:
    chance = random.Random(5)
    for day in range(16):
        now = NOON + day * DAY
        session = open_python(queue.path)
        only(session, "daily")
        session.start(RUN, text(now))
        time.sleep(chance.uniform(0, 0.06))
        kill(session)
        session = open_python(queue.path)
        # At once, if it had not even begun; else after the pause.
        run_due(session, now)
        run_due(session, now + 2 * MINUTE)
        due = text(now)[:10] + " 02:00:00"
        rows = queue.query(
            "SELECT step FROM queuekeeper_log WHERE due_utc = ? AND status = 'ok' ORDER BY id", due
        )
        assert [step for (step,) in rows] == STEPS["daily"], f"day {day}"
        assert planned(session, "daily")["last_status"] == "ok"
        assert artifacts.temporaries_in(queue.backups) == []
        session.close()
    assert "interrupted" in {status for _, status in logged(queue, "daily")}
