"""The statuses that settings name: none may mean two things."""

from __future__ import annotations

import pytest
from conftest import OpenPython

from hosts.protocol import Value
from support.queues import Queue

OLD = "2020-01-01 00:00:00"
CLASHES: list[tuple[str, Value, str]] = [
    ("status_queued", "processing", "status_leased"),
    ("status_queued", "Leased", "status_leased"),
    ("status_queued", "completed", "status_finished"),
    ("status_queued", "dead_letter", "status_dead"),
    ("status_leased", "queued", "status_queued"),
    ("status_leased", '["leased", "failed"]', "status_finished"),
    ("status_leased", "dead_letter", "status_dead"),
    ("status_dead", "queued", "status_queued"),
    ("status_dead", "leased", "status_leased"),
    ("status_finished", '["completed", "queued"]', "status_queued"),
    ("status_finished", '["completed", {"processing": "at_limit"}]', "status_leased"),
]


@pytest.mark.parametrize(("name", "value", "other"), CLASHES)
def test_a_status_that_would_mean_two_things_is_refused(
    name: str, value: Value, other: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('keep', 3)")
    stored = queue.query("SELECT * FROM queuekeeper_settings")
    error = session.error("SELECT queue_set(?, ?)", name, value)
    assert {name, other} <= set(error.message.replace(";", " ").split())
    assert queue.query("SELECT * FROM queuekeeper_settings") == stored


@pytest.mark.parametrize(("name", "value", "other"), CLASHES)
def test_what_was_written_by_hand_is_refused_where_it_would_act(
    name: str, value: Value, other: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    queue.query("UPDATE task_queue SET status = 'leased', lease_until_utc = ?", OLD)
    session.rows("SELECT queue_set('keep', 3)")
    queue.query("INSERT INTO queuekeeper_settings VALUES (?, ?)", name, value)
    before = queue.snapshot()
    for call in ("SELECT queue_requeue_stale(60)", "SELECT * FROM queue_stale(60)"):
        message = session.error(call).message
        assert name in message
        assert other in message
    row = session.dicts("SELECT * FROM queue_health() WHERE metric = 'stale_leases'")[0]
    assert row["level"] == "critical"
    assert name in str(row["action"])
    assert queue.snapshot() == before
    # A backup is made all the same.
    assert session.object("SELECT queue_backup()")["task_counts"] == {"leased": len(before)}
    made = session.error("SELECT queue_restore('latest', NULL, '{\"requeue_leases\": true}')")
    assert name in made.message
    # The way out.
    assert session.value("SELECT queue_set(?, NULL)", name) is None
    assert session.value("SELECT queue_requeue_stale(60)") == len(before)


def test_a_preset_that_brings_a_status_which_is_taken_is_refused(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('status_queued', 'running')")
    message = session.error("SELECT queue_set('preset', 'kartikeya')").message
    assert "status_queued and status_leased both name the status 'running'" in message
    queue.query("INSERT INTO queuekeeper_settings VALUES ('preset', 'kartikeya')")
    queue.query("ALTER TABLE task_queue RENAME TO tasks")
    queue.query("ALTER TABLE tasks RENAME id TO task_id")
    queue.query("ALTER TABLE tasks RENAME lease_until_utc TO claimed_at")
    assert "'running'" in session.error("SELECT queue_requeue_stale(60)").message


def test_given_up_may_be_one_of_the_ways_to_be_finished(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for name, value in (
        ("status_dead", "failed"),
        ("status_finished", '["done", {"failed": "at_limit"}]'),
        ("status_finished", "[]"),
        ("status_leased", "busy"),
        ("status_queued", "leased"),
    ):
        assert session.value("SELECT queue_set(?, ?)", name, value) == value.replace(
            ": ", ":"
        ).replace(", ", ",")
