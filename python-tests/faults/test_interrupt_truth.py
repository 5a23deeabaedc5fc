"""What an error says of an interrupted call is what the database shows; numbers may be texts."""

from __future__ import annotations

import re

import pytest
from conftest import MakeQueue, OpenPython

from hosts import SqlError
from hosts.protocol import SQLITE_INTERRUPT
from hosts.python_host import PythonSession
from support.eventually import until
from support.faults.interrupts import interrupted
from support.queues import Queue, Shape

LONGEST_SECONDS = 5.0
TASKS = 20_000
LEFT = "SELECT count(*) FROM task_queue WHERE status = 'leased'"


def interrupt_amid_requeue(session: PythonSession, queue: Queue, call: str) -> str:
    """Interrupts the call after its first batch of requeued tasks; the message."""
    session.start(call)
    until(lambda: queue.query(LEFT) < [(TASKS,)], "the first batch")
    message = interrupted(session, LONGEST_SECONDS).message
    assert "nothing was changed" not in message
    return message


def requeued(message: str) -> int:
    """How many tasks the message says were requeued."""
    found = re.search(r"requeued (\d+) tasks, then stopped", message)
    assert found, message
    return int(found[1])


def test_an_interrupted_requeue_keeps_and_tells_what_it_has_done(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0, stale_leased=TASKS))
    session = open_python(queue.path)
    message = interrupt_amid_requeue(session, queue, "SELECT queue_requeue_stale(60)")
    # Each task is either leased or queued, whole; and a second call completes the work.
    assert queue.query(
        "SELECT count(*) FROM task_queue WHERE (status = 'leased') = (locked_by IS NULL)"
    ) == [(0,)]
    ((left,),) = queue.query(LEFT)
    assert 0 < requeued(message) == TASKS - left < TASKS
    assert session.value("SELECT queue_requeue_stale(60)") == left
    assert session.value("PRAGMA integrity_check") == "ok"


def test_an_interrupted_schedule_says_what_had_ended_and_marks_it_at_once(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0, stale_leased=TASKS))
    session = open_python(queue.path)
    message = interrupt_amid_requeue(session, queue, "SELECT queue_run_due()")
    ((left,),) = queue.query(LEFT)
    assert requeued(message) == TASKS - left
    assert "the job hourly ended in its step requeue (checkpoint had ended before)" in message
    assert queue.query("SELECT job, last_status FROM queuekeeper_jobs") == [
        ("hourly", "interrupted")
    ]
    log = "SELECT step, status, detail LIKE '%requeued%' FROM queuekeeper_log ORDER BY id"
    assert queue.query(log) == [("checkpoint", "ok", 0), ("requeue", "interrupted", 1)]


@pytest.mark.parametrize(
    ("call", "values"),
    [
        ("SELECT queue_requeue_stale(?)", ["60"]),
        ("SELECT count(*) FROM queue_stale(?)", ["60"]),
        ("SELECT count(queue_optimize(?))", ["0"]),
        ("SELECT count(*) FROM queue_integrity(?, ?)", ["quick", "10"]),
        ("SELECT queue_rotate(?)", ["7"]),
    ],
)
def test_a_number_may_be_a_text(
    call: str, values: list[str], queue: Queue, open_python: OpenPython
) -> None:
    expected = {"SELECT queue_requeue_stale(?)": 8, "SELECT count(*) FROM queue_stale(?)": 8}
    session = open_python(queue.path)
    default = 0 if "rotate" in call else 1
    assert session.value(call, *values) == expected.get(call, default)


def until_shorter(queue: Queue, large: int) -> None:
    """Waits for the end of a VACUUM."""
    until(lambda: queue.path.stat().st_size < large, "the VACUUM")


def test_an_interrupt_between_vacuum_and_analyze_says_that_the_one_is_done(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=60_000, journal_mode="delete"))
    queue.query("CREATE INDEX many ON task_queue(payload, created_at_utc, id)")
    session = open_python(queue.path)
    for _ in range(10):
        queue.query("CREATE TABLE gone AS SELECT zeroblob(3000000)")
        queue.query("DROP TABLE gone")
        queue.query("DROP TABLE IF EXISTS sqlite_stat1")
        left = queue.snapshot()
        large = queue.path.stat().st_size
        session.start("SELECT queue_optimize(1)")
        until_shorter(queue, large)
        session.interrupt()
        try:
            # On a busy machine the interrupt may come too late.
            session.result()
        except SqlError as error:
            assert error.primary_code == SQLITE_INTERRUPT
            assert "the VACUUM is done" in error.message
            break
    else:
        pytest.fail("no interrupt came before the end")
    assert queue.snapshot() == left
    assert queue.query("PRAGMA freelist_count") == [(0,)]
    assert queue.query("SELECT name FROM sqlite_schema WHERE name = 'sqlite_stat1'") == []
