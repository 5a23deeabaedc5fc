"""queue_health() about tasks that nobody will rescue: unreadable leases, unknown statuses."""

from __future__ import annotations

import time
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import Session, Value
from support.queues import Queue, Shape, utc

HOUR = 3600
# The format, and how the end of a lease stands there.
UNREADABLE: list[tuple[str, Value]] = [
    ("text", None),
    ("text", ""),
    ("text", "9999-12-31 23:59:59"),
    ("text", "2026-11-05 14:30:22 +0000 UTC"),
    ("text", "2026-11-05 14:30:22 +0000"),
    ("text", "1790000000"),
    ("text", "0001-01-01 00:00:00+00:00"),
    ("iso", "Thu, 05 Nov 2026 14:30:22 GMT"),
    ("unix", "1790000000"),
    ("unix", 1790000000000),
    ("unix", 0),
    ("unix", -1),
    ("unix", 253402300799),
    ("unix_ms", 1790000000),
    ("unix_ms", "1790000000000"),
    ("unix_ns", 1790000000000),
    ("unix_ns", 2**63 - 1),
]


def metric(session: Session, name: str) -> dict[str, Any]:
    (row,) = session.dicts("SELECT * FROM queue_health() WHERE metric = ?", name)
    return row


def queue_without_types(session: Session, index: bool) -> None:
    session.rows("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc)")
    if index:
        session.rows("CREATE INDEX by_status ON task_queue(status)")


@pytest.mark.parametrize(("form", "until"), UNREADABLE)
@pytest.mark.parametrize("index", [True, False])
def test_a_lease_that_nobody_can_read_is_left_alone_and_seen(
    index: bool, form: str, until: Value, open_python: OpenPython
) -> None:
    session = open_python(":memory:")
    queue_without_types(session, index)
    session.rows("SELECT queue_set('time_format', ?)", form)
    for status in ("leased", "processing", "queued", "completed"):
        session.rows("INSERT INTO task_queue(status, lease_until_utc) VALUES (?, ?)", status, until)
    assert session.rows("SELECT * FROM queue_stale(0)") == []
    assert session.value("SELECT queue_requeue_stale(0)") == 0
    row = metric(session, "unreadable_leases")
    assert (row["value"], row["level"], row["warning"]) == (2, "warning", 0)
    assert f"'{form}'" in row["action"]
    assert ("no time" if until is None else str(until)) in row["action"]
    assert session.value("SELECT queue_set('unreadable_leases_warning', 2)") == 2
    assert metric(session, "unreadable_leases")["level"] == "ok"


@pytest.mark.parametrize(("form", "parts"), [("text", 0), ("unix", 1), ("unix_ms", 1000)])
def test_leases_that_end_some_day_are_readable(
    form: str, parts: int, open_python: OpenPython
) -> None:
    session = open_python(":memory:")
    queue_without_types(session, index=True)
    session.rows("SELECT queue_set('time_format', ?)", form)
    nine_years = 9 * 365 * 24 * HOUR
    for ahead in (-nine_years, -HOUR, 0, HOUR, nine_years):
        until: Value = (int(time.time()) + ahead) * parts if parts else utc(ahead)
        session.rows("INSERT INTO task_queue(status, lease_until_utc) VALUES ('leased', ?)", until)
    row = metric(session, "unreadable_leases")
    assert (row["value"], row["level"], row["action"]) == (0, "ok", None)
    assert metric(session, "stale_leases")["value"] == 2


def test_seconds_where_milliseconds_are_expected_are_seen(
    make: MakeQueue, open_python: OpenPython
) -> None:
    """A living worker's lease, an hour ahead, in another unit than the setting says."""
    session = open_python(make(Shape(tasks=0)).path)
    session.rows("SELECT queue_set('time_format', 'unix_ms')")
    session.rows(
        "INSERT INTO task_queue(type, status, lease_until_utc) "
        "VALUES ('x', 'leased', CAST(strftime('%s', 'now') + 3600 AS INTEGER))"
    )
    assert session.value("SELECT queue_requeue_stale(0)") == 0
    assert metric(session, "unreadable_leases")["value"] == 1


STATUSES: list[tuple[str, list[Value], int, str | None]] = [
    (
        "status TEXT",
        ["queued", "leased", "processing", "completed", "failed", "dead_letter"],
        0,
        None,
    ),
    ("status TEXT", ["paused", "paused", "paused", "leased"], 3, "'paused'"),
    ("status TEXT", [None, None, "queued"], 2, "'NULL'"),
    ("status", [1, "1", b"x", "queued"], 3, "'1', "),
    ("status TEXT COLLATE NOCASE", ["QUEUED", "Leased", "Paused"], 1, "'Paused'"),
    ("status TEXT", ["Queued", "queued"], 1, "'Queued'"),
    ("status", [*(f"s{number}" for number in range(9))], 9, "and 4 more"),
    ("status", ["it's"], 1, "'it\\'s'"),
    ("status", ["\x1b[31m" + "x" * 1000], 1, "…'"),
    ("status", [], 0, None),
]


@pytest.mark.parametrize(("column", "statuses", "tasks", "named"), STATUSES)
@pytest.mark.parametrize("index", [True, False])
def test_tasks_in_a_status_that_no_setting_names(
    index: bool,
    column: str,
    statuses: list[Value],
    tasks: int,
    named: str | None,
    open_python: OpenPython,
) -> None:
    session = open_python(":memory:")
    session.rows(f"CREATE TABLE task_queue(id INTEGER PRIMARY KEY, {column}, lease_until_utc)")
    if index:
        session.rows("CREATE INDEX by_status ON task_queue(status COLLATE BINARY)")
    for status in statuses:
        session.rows("INSERT INTO task_queue(status) VALUES (?)", status)
    row = metric(session, "unknown_statuses")
    assert (row["value"], row["level"]) == (tasks, "warning" if tasks else "ok")
    if named is None:
        assert row["action"] is None
    else:
        assert "\x1b" not in row["action"]
        assert named.removeprefix("and ") in row["action"]


@pytest.mark.parametrize("column", ["status TEXT", "status INTEGER", "status"])
@pytest.mark.parametrize("index", [True, False])
def test_numbers_are_known_by_the_columns_own_rules(
    index: bool, column: str, open_python: OpenPython
) -> None:
    """A text column makes '0' of 0, and holds a task that the setting 0 names all the same."""
    session = open_python(":memory:")
    session.rows(f"CREATE TABLE task_queue(id INTEGER PRIMARY KEY, {column}, lease_until_utc)")
    if index:
        session.rows("CREATE INDEX by_status ON task_queue(status)")
    for name, value in (
        ("status_queued", 0),
        ("status_leased", 1),
        ("status_finished", "[2, 3]"),
        ("status_dead", 3),
    ):
        session.rows("SELECT queue_set(?, ?)", name, value)
    for status in (0, 1, 2, 3, 3, 4):
        session.rows(
            "INSERT INTO task_queue(status, lease_until_utc) VALUES (?, ?)", status, utc(60)
        )
    row = metric(session, "unknown_statuses")
    assert (row["value"], "'4'" in row["action"]) == (1, True)
    session.rows("SELECT queue_set('status_finished', '[2, 3, 4]')")
    assert metric(session, "unknown_statuses")["level"] == "ok"


def test_more_than_a_hundred_thousand_are_not_counted(open_python: OpenPython) -> None:
    session = open_python(":memory:")
    queue_without_types(session, index=True)
    session.rows(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100500) "
        "INSERT INTO task_queue(status) SELECT 'paused' FROM n"
    )
    assert metric(session, "unknown_statuses")["value"] == 100_000
    session.rows("DROP INDEX by_status")
    assert metric(session, "unknown_statuses")["value"] == 100_000


def test_a_hundred_tasks_that_no_setting_names(queue: Queue, open_python: OpenPython) -> None:
    with queue.connect() as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "INSERT INTO task_queue(type, status) SELECT 'x', 'on hold' FROM n"
        )
    row = metric(open_python(queue.path), "unknown_statuses")
    assert (row["value"], row["level"]) == (100, "warning")
    assert "'on hold'" in row["action"]
