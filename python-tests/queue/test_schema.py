"""sql/schema.sql: the queue that the library looks after."""

from __future__ import annotations

import sqlite3

import pytest
from conftest import MakeQueue

from support.queues import SCHEMA, Queue, Shape

# Malformed JSON is noticed by the generated column, or by the CHECK, whichever comes first.
REFUSAL = "constraint failed|malformed JSON"


def test_it_may_be_run_again_at_any_time(queue: Queue) -> None:
    before = queue.snapshot()
    with queue.connect() as connection:
        connection.executescript(SCHEMA.read_text("utf-8"))
    assert queue.snapshot() == before


def test_region_and_format_follow_the_json_that_they_come_from(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute(
            'UPDATE task_queue SET compatibility = \'{"region": "eu"}\', '
            'payload = \'{"format": "mkv"}\' WHERE id = 1'
        )
    assert queue.query("SELECT region, format FROM task_queue WHERE id = 1") == [("eu", "mkv")]
    assert queue.query("SELECT region, format FROM task_queue WHERE id = 2") == [(None, "mp4")]
    plan = queue.query("EXPLAIN QUERY PLAN SELECT id FROM task_queue WHERE region = 'eu'")
    assert "INDEX task_queue_region" in plan[0][3]


def test_the_views_summarise_every_task(make: MakeQueue) -> None:
    queue = make(Shape(tasks=40, stale_leased=5, stale_processing=3, live_leases=4))
    statuses = dict(queue.query("SELECT status, tasks FROM task_status_summary"))
    assert statuses == {
        "queued": 10,
        "completed": 10,
        "failed": 10,
        "dead_letter": 10,
        "leased": 7,
        "processing": 5,
    }
    assert queue.query("SELECT sum(tasks) FROM task_type_summary") == [(52,)]
    assert queue.query("SELECT sum(failures) FROM task_failure_summary") == [(20,)]
    # A worker that never registered is in it all the same.
    rows = queue.query("SELECT worker_id, heartbeat_utc, tasks_held FROM worker_summary")
    assert rows == [("worker-1", None, 12)]


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO task_queue(type, status) VALUES ('x', 'unknown')",
        "INSERT INTO task_queue(type, payload) VALUES ('x', '{')",
        "INSERT INTO task_queue(type, compatibility) VALUES ('x', 'eu')",
        "INSERT INTO task_queue(type, idempotency_key) VALUES ('x', 'k'), ('y', 'k')",
        "INSERT INTO task_logs(task_id, message, details) VALUES (1, 'm', 'text')",
    ],
)
def test_what_would_break_the_queue_is_refused(change: str, queue: Queue) -> None:
    with queue.connect() as connection, pytest.raises(sqlite3.Error, match=REFUSAL):
        connection.execute(change)


def test_statuses_and_times_are_those_of_the_design(make: MakeQueue) -> None:
    queue = make(Shape(tasks=0))
    with queue.connect() as connection:
        connection.execute("INSERT INTO task_queue(type) VALUES ('x')")
    ((status, priority, attempts, created),) = queue.query(
        "SELECT status, priority, attempts, created_at_utc FROM task_queue"
    )
    assert (status, priority, attempts) == ("queued", 100, 0)
    assert queue.query("SELECT datetime(?)", created) == [(created,)]
