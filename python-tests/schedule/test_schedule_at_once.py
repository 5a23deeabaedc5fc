"""Any number of processes may run the schedule: each due job runs once."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import HOST_NAMES, Session, find_host
from hosts.c_caller import CCaller
from support import artifacts
from support.queues import Queue, Shape
from support.schedules import (
    ALL_DUE,
    JOBS,
    NOON,
    RUN,
    STEPS,
    jobs,
    logged,
    only,
    run_due,
    statuses,
    text,
)
from support.workers import writing

DAY = timedelta(days=1)
PROCESSES = 10
SQLITE_PROTOCOL = 15
ALL_STEPS = [(step, "ok") for job in JOBS for step in STEPS[job]]


@pytest.fixture
def ten(queue: Queue, open_session: OpenSession) -> list[Session]:
    """Ten processes of all the hosts that there are."""
    hosts = [host for host in map(find_host, HOST_NAMES) if not host.missing]
    return [open_session(hosts[number % len(hosts)], queue.path) for number in range(PROCESSES)]


def call_all(sessions: list[Session], now: str) -> list[str]:
    """What all of them ran, called at once."""
    together = threading.Barrier(len(sessions))

    def call(session: Session) -> None:
        together.wait()
        session.start(RUN, now)

    threads = [threading.Thread(target=call, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results = [json.loads(str(session.result().rows[0][0])) for session in sessions]
    return [job for ran in results for job in jobs(ran)]


def test_with_a_rollback_journal_it_waits_for_writers_from_the_beginning(
    make: MakeQueue, open_python: OpenPython
) -> None:
    # It looked at its tables without waiting: "database is locked". scripts/proof found that.
    queue = make(Shape(tasks=50, journal_mode="delete"))
    session = open_python(queue.path)
    # Waiting long on a busy machine is not what is wrong.
    session.rows("PRAGMA busy_timeout = 60000")
    only(session, "hourly")
    with writing(queue.path, 3, 1000):
        for hour in range(25):
            (ran,) = run_due(session, NOON + timedelta(hours=hour))
            assert set(statuses(ran).values()) == {"ok"}, ran


def test_ten_processes_run_each_due_job_once(queue: Queue, ten: list[Session]) -> None:
    ten[0].rows("SELECT queue_set('keep', '30/4/12')")
    ran = call_all(ten, text(ALL_DUE))
    assert ran == JOBS, ran
    assert logged(queue) == ALL_STEPS
    assert len(artifacts.backups_in(queue.backups)) == 1
    # Over and over, with another one first now and then.
    for day in range(1, 9):
        ran = call_all(ten, text(ALL_DUE + day * DAY))
        due = ["hourly", "daily", "weekly"] if day == 7 else ["hourly", "daily"]
        assert ran == due, (day, ran)
    made = artifacts.backups_in(queue.backups)
    assert len(made) == 1 + 8
    assert len(artifacts.catalog(queue.backups)) == len(made)
    rows = queue.query(
        "SELECT job, step, due_utc, count(*) FROM queuekeeper_log GROUP BY 1, 2, 3 "
        "HAVING count(*) > 1"
    )
    assert rows == []


def test_two_names_of_one_database_are_one_schedule(queue: Queue, open_python: OpenPython) -> None:
    other = queue.directory.parent / "link.db"
    other.symlink_to(queue.path)
    sessions: list[Session] = [open_python(path) for path in (queue.path, other, queue.path, other)]
    assert call_all(sessions, text(NOON)) == JOBS
    assert not Path(f"{other}-schedule").exists()
    assert len(artifacts.backups_in(queue.backups)) == 1


def test_whoever_comes_while_another_works_returns_at_once(
    queue: Queue, open_python: OpenPython
) -> None:
    working, coming = open_python(queue.path), open_python(queue.path)
    coming.rows("PRAGMA busy_timeout = 60000")
    working.rows("PRAGMA busy_timeout = 60000")
    with queue.connect() as writer:
        writer.execute("BEGIN IMMEDIATE")
        # It holds the lock on the schedule, and waits for the one on the database.
        working.start(RUN, text(NOON))
        lock = Path(f"{queue.path}-schedule")
        while not (lock.exists() and held(lock)):
            pass
        assert run_due(coming, NOON) == []
        writer.execute("ROLLBACK")
    assert jobs(json.loads(str(working.result().rows[0][0]))) == JOBS


def held(lock: Path) -> bool:
    """Whether a process has the lock."""
    fcntl = pytest.importorskip("fcntl")
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextlib.contextmanager
def taken(queue: Queue, hours_ago: float) -> Iterator[Path]:
    """A stranger holds the schedule's lock, which somebody last took so long ago."""
    fcntl = pytest.importorskip("fcntl")
    lock = Path(f"{queue.path}-schedule")
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        moment = time.time() - hours_ago * 3600
        os.utime(lock, (moment, moment))
        yield lock


def test_a_lock_that_is_held_for_longer_than_a_job_may_take_is_told(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    assert jobs(run_due(session, NOON)) == JOBS
    for hours in (0, 5.9):
        with taken(queue, hours):
            assert run_due(session, NOON + DAY) == []
    # The time of a clock that was wrong is no reason for silence.
    for hours in (6.1, 9000, -6.1):
        with taken(queue, hours):
            error = session.error(RUN, text(NOON + DAY))
        assert error.primary_code == SQLITE_PROTOCOL
        assert "-schedule' has been locked for more than 6 hours" in error.message
        if sys.platform.startswith("linux"):
            assert f"process {os.getpid()} (" in error.message
    assert jobs(run_due(session, NOON + DAY)) == ["hourly", "daily"]


def test_each_call_that_gets_the_lock_sets_its_time(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    lock = Path(f"{queue.path}-schedule")
    os.utime(lock, (0, 0))
    assert run_due(session, NOON) == []
    assert abs(time.time() - lock.stat().st_mtime) < 3600


def test_a_job_that_has_just_begun_counts_where_the_time_cannot_be_set(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    mark = "UPDATE queuekeeper_jobs SET last_status = 'running', last_run_utc = datetime('now', ?)"
    for hours, at_work in (("-1 hours", True), ("-7 hours", False)):
        with queue.connect() as connection:
            connection.execute(mark, (hours,))
        with taken(queue, 9000):
            if at_work:
                assert run_due(session, NOON + DAY) == []
            else:
                assert session.error(RUN, text(NOON + DAY)).primary_code == SQLITE_PROTOCOL


@pytest.fixture
def c_caller(library: Path) -> Iterator[CCaller]:
    process = CCaller(library, sys.executable)
    yield process
    process.end()


def test_a_program_without_extensions_shares_the_schedule(
    queue: Queue, c_caller: CCaller, open_python: OpenPython
) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a shared libsqlite3")
    c_caller.ask("open", path=str(queue.path))
    ran = c_caller.call("run_due", text(NOON))
    assert jobs(ran) == JOBS
    session = open_python(queue.path)
    assert run_due(session, NOON) == []
    assert jobs(run_due(session, NOON + DAY)) == ["hourly", "daily"]
    assert c_caller.call("run_due", text(NOON + DAY)) == []
    assert c_caller.call("schedule") == session.dicts("SELECT * FROM queue_schedule()")
    assert c_caller.call("history") == session.dicts("SELECT * FROM queue_history()")
