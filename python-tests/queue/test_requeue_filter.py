"""queue_requeue() and queue_leases(): the tasks that somebody chooses, and only those."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, SqlError
from hosts.protocol import Session
from support.queues import Queue, Shape, utc

HELD = ("leased", "processing")
STATUSES = (*HELD, "queued", "completed", "dead_letter")
REQUEUE = "SELECT queue_requeue(?, ?)"
HOUR = 3600


def requeue(session: Session, filters: dict[str, Any], **options: Any) -> dict[str, Any]:
    found = json.loads(str(session.value(REQUEUE, json.dumps(filters), json.dumps(options))))
    assert isinstance(found, dict)
    return found


def tasks(session: Session, held: int = 6) -> None:
    """Of each of three workers so many tasks, whose leases have five hours left."""
    for number in range(held * 3):
        session.rows(
            "INSERT INTO task_queue(type, status, locked_by, lease_until_utc, created_at_utc) "
            "VALUES (?, ?, ?, ?, ?)",
            f"type-{number % 2}",
            HELD[number % 2],
            f"worker-{number % 3}",
            utc(5 * HOUR),
            utc(-number * HOUR),
        )


def workers(session: Session) -> dict[Any, Any]:
    sql = "SELECT locked_by, count(*) FROM queue_leases() GROUP BY 1"
    return {row[0]: row[1] for row in session.rows(sql)}


def test_the_tasks_of_one_dead_worker_are_put_back_though_their_leases_have_hours_left(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    session = open_session(host, make(Shape(tasks=0)).path)
    tasks(session)
    assert session.value("SELECT queue_requeue_stale(0)") == 0
    assert workers(session) == {f"worker-{number}": 6 for number in range(3)}
    chosen = {"workers": ["worker-1", "nobody"]}
    dry = {"matched": 6, "requeued": 0, "dry_run": True}
    before = session.rows("SELECT * FROM task_queue")
    assert requeue(session, chosen, dry_run=True) == dry
    assert requeue(session, chosen, dry_run=True, expect=6) == dry
    for options in ({"expect": 5}, {"expect": 7}, {"expect": 5, "dry_run": True}):
        with pytest.raises(SqlError, match="6 tasks match, but"):
            requeue(session, chosen, **options)
    assert session.rows("SELECT * FROM task_queue") == before
    done = {"matched": 6, "requeued": 6, "dry_run": False}
    assert requeue(session, chosen, expect=6) == done
    assert workers(session) == {"worker-0": 6, "worker-2": 6}
    columns = "status, locked_by, lease_until_utc, reserved_at_utc"
    put_back = session.rows(f"SELECT DISTINCT {columns} FROM task_queue WHERE locked_by IS NULL")
    assert put_back == [("queued", None, None, None)]
    assert requeue(session, chosen) == {**done, "matched": 0, "requeued": 0}


def matches(row: dict[str, Any], filters: dict[str, Any]) -> bool:
    """What the page says."""
    named = {"ids": "id", "types": "type", "workers": "locked_by"}
    return (
        row["status"] in HELD
        and all(row[named[key]] in filters[key] for key in named if key in filters)
        and (row["created_at_utc"] >= filters.get("after", ""))
        and (row["created_at_utc"] < filters.get("before", "9"))
    )


@pytest.mark.parametrize("seed", range(40))
def test_what_a_random_filter_chooses_is_put_back_and_all_else_is_as_it_was(
    seed: int, make: MakeQueue, open_python: OpenPython
) -> None:
    chance = random.Random(seed)
    session = open_python(make(Shape(tasks=0, journal_mode=chance.choice(("wal", "delete")))).path)
    for number in range(60):
        status = chance.choice(STATUSES)
        session.rows(
            "INSERT INTO task_queue(type, status, locked_by, lease_until_utc, created_at_utc, "
            "attempts, max_attempts) VALUES (?, ?, ?, ?, ?, 1, 5)",
            f"type-{chance.randrange(3)}",
            status,
            chance.choice((None, "worker-1", "worker-2", "it's")) if status in HELD else None,
            chance.choice((None, utc(-HOUR), utc(HOUR), "some day")),
            utc(-number * HOUR),
        )
    some: dict[str, Any] = {
        "ids": chance.sample(range(1, 70), 30),
        "types": chance.sample(["type-0", "type-1", "type-2", "none"], 2),
        "workers": chance.sample(["worker-1", "worker-2", "it's", "nobody"], 2),
        "after": utc(-chance.randrange(60) * HOUR),
        "before": utc(-chance.randrange(60) * HOUR),
    }
    filters = {key: some[key] for key in chance.sample(sorted(some), chance.randint(0, 3))}
    filters = filters or {"all": True}
    before: dict[Any, dict[str, Any]] = {
        row["id"]: row for row in session.dicts("SELECT * FROM task_queue ORDER BY id")
    }
    expected = [number for number, row in before.items() if matches(row, filters)]
    if chance.random() < 0.4:
        filters["limit"] = chance.randint(1, 10)
        expected = expected[: filters["limit"]]
    count = len(expected)
    assert requeue(session, filters, dry_run=True)["matched"] == count
    assert requeue(session, filters, expect=count) == {
        "matched": count,
        "requeued": count,
        "dry_run": False,
    }
    after = {row["id"]: row for row in session.dicts("SELECT * FROM task_queue ORDER BY id")}
    for number, row in before.items():
        if number in expected:
            cleared = ("locked_by", "lease_until_utc", "reserved_at_utc")
            assert after[number]["status"] == "queued"
            assert {after[number][name] for name in cleared} == {None}
        else:
            assert after[number] == row
    held = {row["task_id"] for row in session.dicts("SELECT * FROM queue_leases()")}
    assert held == {number for number, row in after.items() if row["status"] in HELD}


@pytest.mark.parametrize(
    "filters",
    [
        *("{}", "", "[]", "null", "7", '{"limit": 3}', '{"all": false}', '{"worker": ["w"]}'),
        *('{"workers": "w"}', '{"all": true, "limit": 0}', '{"after": "soon"}', '{"ids": [1.5]}'),
        *('{"statuses": ["leased"]}', None),
    ],
)
def test_a_filter_that_does_not_say_which_is_refused_and_nothing_is_changed(
    filters: str | None, queue: Queue, open_python: OpenPython
) -> None:
    before = queue.snapshot()
    with pytest.raises(SqlError) as raised:
        open_python(queue.path).rows("SELECT queue_requeue(?)", filters)
    assert any(word in raised.value.message for word in ("filter", "limit", "after"))
    assert queue.snapshot() == before


def test_a_column_that_the_queue_lacks_is_named(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('column_locked_by', '')")
    with pytest.raises(SqlError, match="queue_set\\('column_locked_by'"):
        requeue(session, {"workers": ["w"]})


def test_what_its_worker_renews_or_ends_meanwhile_stays(
    make: MakeQueue, open_python: OpenPython
) -> None:
    """Each task that is put back has a trigger do to the next one what its worker might do."""
    session = open_python(make(Shape(tasks=0)).path)
    tasks(session, held=2)
    session.rows(
        "CREATE TRIGGER meanwhile AFTER UPDATE OF status ON task_queue WHEN new.status = 'queued' "
        "BEGIN UPDATE task_queue SET lease_until_utc = '2099-01-01 00:00:00' WHERE id = 2; "
        "UPDATE task_queue SET locked_by = 'another' WHERE id = 3; "
        "UPDATE task_queue SET status = 'completed' WHERE id = 4; END"
    )
    assert requeue(session, {"all": True}) == {"matched": 6, "requeued": 3, "dry_run": False}
    rows = {row[0]: row[1] for row in session.rows("SELECT id, status FROM task_queue")}
    assert [rows[number] for number in (1, 5, 6)] == ["queued"] * 3
    assert (rows[2], rows[3], rows[4]) == ("processing", "leased", "completed")


def test_a_task_that_cannot_be_put_back_is_named_and_keeps_its_lease(
    make: MakeQueue, open_python: OpenPython
) -> None:
    session = open_python(make(Shape(tasks=0)).path)
    tasks(session, held=1)
    session.rows(
        "CREATE TRIGGER no BEFORE UPDATE ON task_queue WHEN old.id = 2 "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    blocked = {"task_id": 2, "reason": "not this one"}
    counts = {"matched": 3, "requeued": 2, "dry_run": False, "blocked": 1}
    assert requeue(session, {"all": True}) == {**counts, "blocked_tasks": [blocked]}
    (row,) = session.dicts("SELECT * FROM queue_leases()")
    assert (row["task_id"], row["blocked"]) == (2, "not this one")


def test_inside_a_transaction_it_is_part_of_it(make: MakeQueue, open_python: OpenPython) -> None:
    session = open_python(make(Shape(tasks=0)).path)
    tasks(session)
    session.rows("BEGIN")
    assert requeue(session, {"types": ["type-1"]})["requeued"] == 9
    session.rows("ROLLBACK")
    assert len(session.rows("SELECT * FROM queue_leases()")) == 18


def test_a_dry_run_works_where_nothing_can_be_written(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path, readonly=True)
    assert requeue(session, {"all": True}, dry_run=True)["matched"] == 12
    with pytest.raises(SqlError, match="open the database for writing"):
        requeue(session, {"all": True})


def test_leases_say_when_they_end(make: MakeQueue, open_python: OpenPython) -> None:
    session = open_python(make(Shape(tasks=0)).path)
    ends = [utc(-HOUR), utc(HOUR), utc(5 * HOUR), None, "some day"]
    for until in ends:
        session.rows(
            "INSERT INTO task_queue(type, status, locked_by, lease_until_utc) "
            "VALUES ('x', 'leased', 'w', ?)",
            until,
        )
    rows = session.dicts("SELECT * FROM queue_leases()")
    assert [row["ends_utc"] for row in rows] == [*ends[:3], None, None]
    assert [row["lease_until_utc"] for row in rows] == ends
    overdue = [row["overdue_seconds"] for row in rows]
    assert overdue[:3] == pytest.approx([HOUR, -HOUR, -5 * HOUR], abs=5)
    assert overdue[3:] == [None, None]
    # Of this library's leases the beginning is known, and no end.
    session.rows("SELECT queue_set('column_lease_until', 'updated_at_utc')")
    assert {row["ends_utc"] for row in session.dicts("SELECT * FROM queue_leases()")} == {None}
