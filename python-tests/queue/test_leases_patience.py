"""How long a lease must be over where nobody says: never a guess at how long a task may take."""

from __future__ import annotations

import json

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import Session
from support.queues import Queue, Shape, utc


def claimed(make: MakeQueue) -> Queue:
    """A task that was claimed an hour ago."""
    queue = make(Shape(tasks=0, live_leases=1))
    queue.query("UPDATE task_queue SET reserved_at_utc = ?1, updated_at_utc = ?1", utc(-3600))
    return queue


def requeue_steps(session: Session) -> list[dict[str, object]]:
    jobs = json.loads(str(session.value("SELECT queue_run_due()")))
    assert {job["status"] for job in jobs} == {"ok"}
    return [step["detail"] for job in jobs for step in job["steps"] if step["step"] == "requeue"]


@pytest.mark.parametrize("column", ["reserved_at_utc", "updated_at_utc"])
def test_a_lease_that_is_the_claims_time_waits_for_stale_secs(
    column: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = claimed(make)
    session = open_python(queue.path)
    assert session.value("SELECT queue_set('column_lease_until', ?)", column) == column
    before = queue.snapshot()
    (first, *_) = requeue_steps(session)
    assert first["requeued"] == 0
    assert "stale_secs" in str(first["note"])
    assert queue.snapshot() == before
    assert "secs is required" in session.error("SELECT * FROM queue_stale()").message
    # Who says how long does not guess.
    assert session.value("SELECT count(*) FROM queue_stale(300)") == 1
    session.rows("SELECT queue_set('stale_secs', 600)")
    assert session.value("SELECT count(*) FROM queue_stale()") == 1
    assert session.value("SELECT value FROM queue_health() WHERE metric = 'stale_leases'") == 1
    assert session.value("SELECT queue_requeue_stale(600)") == 1


def test_signs_of_life_are_no_guess(make: MakeQueue, open_python: OpenPython) -> None:
    queue = claimed(make)
    session = open_python(queue.path)
    session.rows("SELECT queue_set('column_lease_until', 'reserved_at_utc')")
    session.rows("SELECT queue_set('stale_needs_dead_worker', 1)")
    session.rows("INSERT INTO workers(worker_id) VALUES ('worker-1')")
    assert {step["requeued"] for step in requeue_steps(session)} == {0}
    session.rows("UPDATE workers SET heartbeat_utc = ?", utc(-600))
    assert session.value("SELECT count(*) FROM queue_stale()") == 1


def test_a_lease_with_an_end_needs_no_setting(make: MakeQueue, open_python: OpenPython) -> None:
    session = open_python(make(Shape(tasks=0, stale_leased=2)).path)
    assert requeue_steps(session) == [{"requeued": 2}, {"requeued": 0}]


def test_a_claims_time_that_may_not_be_null_becomes_the_present(open_python: OpenPython) -> None:
    session = open_python(":memory:")
    session.rows(
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, claimed_at TEXT NOT NULL)"
    )
    session.rows("INSERT INTO task_queue VALUES (1, 'leased', ?)", utc(-3600))
    for name in ("column_lease_until", "column_reserved_at"):
        session.rows("SELECT queue_set(?, 'claimed_at')", name)
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert str(session.value("SELECT claimed_at FROM task_queue")) >= utc(-60)
