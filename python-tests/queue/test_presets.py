"""The presets, each with the queue library itself.

A worker of the library claims a task and is killed; queue_requeue_stale() rescues the task, and the
library hands the very same one out again.

Two libraries take minutes to compile, so their tests are left out where they are not there:

    .venv/bin/pip install honker==0.2.4
    cargo build --manifest-path python-tests/support/workers/apalis_worker/Cargo.toml
    export APALIS_WORKER=python-tests/support/workers/apalis_worker/target/debug/apalis-worker
    .venv/bin/python -m pytest python-tests/queue/test_presets.py
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from hosts.python_host import PythonSession
from support.eventually import until

WORKER = Path(__file__).parents[1] / "support" / "workers" / "library_worker.py"
APALIS = os.environ.get("APALIS_WORKER", "")

# The parts of a second that the library counts in; none: it writes texts.
LIBRARIES = {
    "litequeue": ("queue.db", 1_000_000_000),
    "localqueue": ("localqueue.db", 1000),
    "monlite": ("queue.db", 1000),
    "kartikeya": ("queue.db", None),
    "honker": ("queue.db", 1),
}

# Libraries in which a task is finished by its id, whoever says so.
UNFENCED = {"kartikeya"}
if sys.version_info < (3, 12):
    # litequeue 0.9, see requirements.txt.
    UNFENCED.add("litequeue")


@dataclass(frozen=True)
class Library:
    """A queue of a library, in a file of its own."""

    name: str
    path: Path
    parts: int | None

    def start(self, action: str, *arguments: str) -> subprocess.Popen[str]:
        """A worker process, which says what it did line by line."""
        command = [sys.executable, str(WORKER), self.name, str(self.path), action, *arguments]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def run(self, action: str, *arguments: str) -> list[Any]:
        """What a worker process said that ended by itself."""
        with self.start(action, *arguments) as process:
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return [json.loads(line) for line in said.splitlines()]

    @contextlib.contextmanager
    def holding(self, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], object]]:
        """A worker that has claimed a task, and the task; killed in the end, if it still lives."""
        process = self.start("hold", *arguments)
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()

    def killed_holding(self, *arguments: str) -> object:
        """The task of a worker that was killed while it held it."""
        with self.holding(*arguments) as (_, task):
            return task

    def open(self, open_python: OpenPython) -> PythonSession:
        session = open_python(self.path)
        assert session.value("SELECT queue_set('preset', ?)", self.name) == self.name
        return session

    def age(self, session: PythonSession, task: object, seconds: int = 7200) -> None:
        """Makes the claim of a task that much older than it is, two hours as a rule."""
        rows = session.rows("SELECT name, value FROM queue_settings() WHERE typeof(value) = 'text'")
        named = {str(name): str(value) for name, value in rows}
        column = named["column_lease_until"]
        older = f"{column} - {seconds} * {self.parts}"
        if self.parts is None:
            older = f"datetime({column}, '-{seconds} seconds')"
        with contextlib.closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
            changed = connection.execute(
                f"UPDATE {named['task_table']} SET {column} = {older} "
                f"WHERE {named['column_id']} = ?",
                (task,),
            ).rowcount
        assert changed == 1


@pytest.fixture(params=LIBRARIES)
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> Library:
    """Each library in turn."""
    file, parts = LIBRARIES[request.param]
    if request.param == "honker" and importlib.util.find_spec("honker") is None:
        pytest.skip("honker takes minutes to compile; see above how to install it")
    return Library(request.param, tmp_path / file, parts)


def test_the_task_of_a_dead_worker_is_handed_out_again(
    foreign: Library, open_python: OpenPython
) -> None:
    tasks = [foreign.run("put")[0] for _ in range(2)]
    dead = foreign.killed_holding()
    with foreign.holding() as (process, live):
        assert sorted(map(str, tasks)) == sorted(map(str, (dead, live)))
        session = foreign.open(open_python)
        # Nobody knows yet that the worker is dead.
        assert foreign.run("finish") == [None]
        assert session.rows("SELECT * FROM queue_stale(60)") == []
        assert session.value("SELECT queue_requeue_stale(60)") == 0
        foreign.age(session, dead)
        (lease,) = session.dicts("SELECT * FROM queue_stale(60)")
        assert lease["task_id"] == dead
        # Some leases end in the future, others are the time of the claim.
        assert 7200 - 400 < float(str(lease["overdue_seconds"])) < 7200 + 60
        assert session.value("SELECT queue_requeue_stale(60)") == 1
        assert foreign.run("finish") == [dead, True]
        # The live one has lost nothing.
        said, _ = process.communicate("\n", timeout=60)
        assert json.loads(said) is True
    assert foreign.run("finish") == [None]
    assert session.value("SELECT queue_requeue_stale(0)") == 0


def test_a_worker_that_wakes_up_too_late_cannot_finish_the_task(
    foreign: Library, open_python: OpenPython
) -> None:
    foreign.run("put")
    with foreign.holding() as (late, task):
        session = foreign.open(open_python)
        foreign.age(session, task)
        assert session.value("SELECT queue_requeue_stale(60)") == 1
        with foreign.holding() as (present, again):
            assert again == task
            said = [
                json.loads(process.communicate("\n", timeout=60)[0]) for process in (late, present)
            ]
    # Without such a fence in the library, whoever ends first has finished the task.
    if foreign.name in UNFENCED:
        assert said[0] is True
    else:
        assert said == [False, True]


# Libraries whose lease has no end, and no limit of its own.
GUESSES = {"litequeue", "monlite"}


def test_the_schedule_takes_no_task_by_a_guess(foreign: Library, open_python: OpenPython) -> None:
    """A claim may be six minutes old, and its worker alive."""
    foreign.run("put")
    with foreign.holding() as (process, task):
        session = foreign.open(open_python)
        if foreign.name in GUESSES | {"kartikeya"}:
            foreign.age(session, task, 360)
        health = "SELECT value, level, action FROM queue_health() WHERE metric = 'stale_leases'"
        ((stale, level, action),) = session.rows(health)
        jobs = json.loads(str(session.value("SELECT queue_run_due()")))
        steps = [step for job in jobs for step in job["steps"] if step["step"] == "requeue"]
        assert {step["detail"]["requeued"] for step in steps} == {0}
        assert {job["status"] for job in jobs} == {"ok"}
        if foreign.name in GUESSES:
            assert all("stale_secs" in step["detail"]["note"] for step in steps)
            assert (stale, level) == (None, "warning")
            assert "stale_secs" in str(action)
            message = session.error("SELECT * FROM queue_stale()").message
            assert "secs is required" in message
        else:
            assert not any("note" in step["detail"] for step in steps)
            assert (stale, level) == (0, "ok")
            assert session.rows("SELECT * FROM queue_stale()") == []
        said, _ = process.communicate("\n", timeout=60)
        assert json.loads(said) is True
    dead = foreign.run("put")[0]
    assert foreign.killed_holding() == dead
    foreign.age(session, dead)
    if foreign.name in GUESSES:
        assert session.value("SELECT queue_set('stale_secs', 3600)") == 3600
    # Two hours are long enough for every library.
    jobs = json.loads(str(session.value("SELECT queue_run_due(strftime('%s', 'now') + 3600)")))
    assert [job["steps"][-1]["detail"] for job in jobs if job["job"] == "hourly"] == [
        {"requeued": 1}
    ]


def test_what_the_library_shows_of_its_tasks(foreign: Library, open_python: OpenPython) -> None:
    foreign.run("put")
    foreign.killed_holding()
    foreign.run("put")
    session = foreign.open(open_python)
    waits, held = (
        session.value("SELECT value FROM queue_settings() WHERE name = ?", name)
        for name in ("status_queued", "status_leased")
    )
    rows = session.rows("SELECT status, tasks FROM queue_depth() ORDER BY 1")
    assert sorted(rows, key=str) == sorted([(waits, 1), (held, 1)], key=str)
    new = "abs(strftime('%s', newest_utc) - strftime('%s', 'now')) < 60"
    assert session.rows(f"SELECT DISTINCT {new} FROM queue_depth()") == [(1,)]


def test_litequeue_after_0_9_gets_no_table_beside_its_own(
    tmp_path: Path, open_python: OpenPython
) -> None:
    """As that version makes it; it would open the database no more if it held any other table."""
    session = open_python(tmp_path / "queue.db")
    session.rows(
        "CREATE TABLE Queue(data TEXT NOT NULL, message_id TEXT NOT NULL PRIMARY KEY, "
        "idempotency_key TEXT, status INTEGER NOT NULL, in_time INTEGER NOT NULL, "
        "lock_time INTEGER, done_time INTEGER, claim_id INTEGER NOT NULL DEFAULT 0)"
    )
    session.rows("INSERT INTO Queue VALUES ('task', 'a', NULL, 1, 1, 1577836800000000002, NULL, 7)")
    assert session.rows(
        "SELECT value FROM queue_settings() WHERE name IN ('preset', 'column_id')"
    ) == [
        ("litequeue",),
        ("message_id",),
    ]
    assert session.value("SELECT queue_set('preset', 'litequeue')") == "litequeue"
    assert session.value("SELECT queue_set('preset', NULL)") is None
    for call in ("queue_set('stale_secs', 60)", "queue_set('preset', 'honker')", "queue_run_due()"):
        assert "litequeue, which after version 0.9" in session.error(f"SELECT {call}").message
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    # It cannot be told how long a task may take: nothing is asked for.
    (row,) = session.dicts("SELECT * FROM queue_health() WHERE metric = 'stale_leases'")
    assert (row["value"], row["level"], row["action"]) == (None, "ok", None)
    assert session.rows("SELECT * FROM Queue") == [("task", "a", None, 0, 1, None, None, 7)]
    assert session.rows("SELECT name FROM sqlite_schema WHERE type = 'table'") == [("Queue",)]


def test_localqueue_gives_up_at_the_last_attempt(tmp_path: Path, open_python: OpenPython) -> None:
    file, parts = LIBRARIES["localqueue"]
    library = Library("localqueue", tmp_path / file, parts)
    library.run("put", "0")
    dead = library.killed_holding("0")
    session = library.open(open_python)
    library.age(session, dead)
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert library.run("finish", "0") == [None]
    assert session.rows("SELECT id, status, receipt, lease_until FROM messages") == [
        (dead, 3, None, None)
    ]
    assert "at attempt 1 of 1" in str(session.value("SELECT last_error FROM messages"))


def test_monlite_gives_up_at_the_last_attempt(tmp_path: Path, open_python: OpenPython) -> None:
    file, parts = LIBRARIES["monlite"]
    library = Library("monlite", tmp_path / file, parts)
    library.run("put")
    session = library.open(open_python)
    for attempt in (1, 2):
        # The fixture's worker allows two.
        dead = library.killed_holding()
        assert session.value("SELECT attempts FROM _jobs") == attempt
        library.age(session, dead)
        assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert library.run("finish") == [None]
    ((status, error, worker, updated),) = session.rows(
        "SELECT status, error, locked_by, updated_at / 1000 > strftime('%s', 'now') - 60 FROM _jobs"
    )
    assert (status, worker, updated) == ("failed", None, 1)
    assert "at attempt 2 of 2" in str(error)


@pytest.mark.skipif(not APALIS, reason="apalis takes minutes to compile; see above")
def test_apalis(tmp_path: Path, open_python: OpenPython) -> None:
    path = tmp_path / "queue.db"

    @contextlib.contextmanager
    def working(name: str, action: str) -> Iterator[None]:
        """While a worker has claimed the task, until it is killed."""
        with subprocess.Popen(
            [APALIS, str(path), name, action], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "7\n"
            yield
            process.kill()

    subprocess.run([APALIS, str(path), "maker", "put"], check=True)
    with working("first", "hold"):
        pass
    session = open_python(path)
    session.rows("SELECT queue_set('preset', 'apalis')")
    assert session.value("SELECT queue_requeue_stale(60)") == 0
    # A worker that holds a task for long, but shows that it lives.
    session.rows("UPDATE Jobs SET lock_at = lock_at - 7200")
    assert session.value("SELECT queue_requeue_stale(60)") == 0
    session.rows("UPDATE Workers SET last_seen = last_seen - 7200 WHERE id = 'first'")
    # Its worker marks a task as running a moment after it has claimed it.
    ((status, *claim),) = session.rows("SELECT status, locked_by, attempts FROM queue_stale(60)")
    assert status in ("Queued", "Running")
    assert claim == ["first", 0]
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.rows("SELECT status, attempts, lock_by, lock_at FROM Jobs") == [
        ("Pending", 1, None, None)
    ]
    with working("second", "finish"):
        until(lambda: session.value("SELECT status FROM Jobs") == "Done", "the task being done")
    # A task with as many attempts as it may have is given up, in a word that apalis has for it.
    session.rows(
        "UPDATE Jobs SET status = 'Running', attempts = 24, lock_at = 1, lock_by = 'first'"
    )
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.rows("SELECT status, attempts FROM Jobs") == [("Killed", 25)]
