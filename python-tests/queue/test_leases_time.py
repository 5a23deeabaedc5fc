"""Stale leases in every time format: what is read as a time, what is not, and what is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from conftest import OpenPython

from hosts.protocol import Value
from hosts.python_host import PythonSession

TABLE = (
    "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status DEFAULT 'leased', lease_until_utc, "
    "reserved_at_utc, updated_at_utc, run_after_utc, created_at_utc)"
)
# 2020-01-01 00:00:00 UTC.
PAST = 1_577_836_800


def text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


WRITTEN: dict[str, Callable[[int], Value]] = {
    "text": text,
    "iso": iso,
    "unix": lambda seconds: seconds,
    "unix_ms": lambda seconds: seconds * 1000,
    "unix_ns": lambda seconds: seconds * 1_000_000_000,
}

# The same moment as PAST, in other spellings of the same format.
SPELLINGS: dict[str, list[Value]] = {
    "text": [
        "2020-01-01 00:00:00",
        "2020-01-01T00:00:00Z",
        "2020-01-01 00:00:00.999",
        "2020-01-01T00:00:00.000123Z",
        "2020-01-01 02:00:00+02:00",
        "2019-12-31T19:00:00-05:00",
        "2020-01-01 00:00",
        "2020-01-01",
    ],
    "unix": [PAST, float(PAST), PAST + 0.999],
    "unix_ms": [PAST * 1000, PAST * 1000 + 999, PAST * 1000.0],
    "unix_ns": [PAST * 10**9, PAST * 10**9 + 999_999_999],
}
SPELLINGS["iso"] = SPELLINGS["text"]

# What is no time in the format; times of another format among them.
NO_TIMES: dict[str, list[Value]] = {
    "text": [
        "",
        " ",
        "soon",
        "now",
        "2020",
        "12:00:00",
        "2020-13-45 99:99:99",
        "2020-01-01 25:00:00",
        "2020-01-01 00:00:00 and more",
        "2020-01-01 00:00:00\0",
        "2020-01-01\0 and more",
        "2020-02-30 00:00:00",
        "2021-02-29T00:00:00Z",
        "2020-04-31",
        "01.01.2020",
        str(PAST),
        PAST,
        2458849.5,
        -1,
        b"2020-01-01 00:00:00",
    ],
    "unix": ["", "soon", text(PAST), str(PAST), PAST * 1000, 2**63 - 1, -(2**63), 1e300, b"1"],
    "unix_ms": ["soon", text(PAST), str(PAST * 1000), PAST * 10**9, 2**63 - 1, 1e300, b"1"],
    "unix_ns": ["soon", text(PAST), str(PAST * 10**9), 1e300, -1e300, b"1"],
}
NO_TIMES["iso"] = NO_TIMES["text"]

# Times at which no lease ended: what programs write for "none", or times in another unit.
BEFORE_ALL_LEASES: dict[str, list[Value]] = {
    "text": [
        "0001-01-01 00:00:00+00:00",
        "0000-00-00 00:00:00",
        "1970-01-01 00:00:00",
        "1999-12-31 23:59:59",
        "2000-01-01 00:00:00+01:00",
    ],
    "unix": [0, -1, 0.5, 946_684_799, -62_135_596_800],
    "unix_ms": [0, -1, int(time.time()) + 3600, 946_684_799_999],
    "unix_ns": [0, -1, (int(time.time()) + 3600) * 1000, int(time.time()), 946_684_799_999_999_999],
}
BEFORE_ALL_LEASES["iso"] = BEFORE_ALL_LEASES["text"]

FAR: dict[str, list[Value]] = {
    "text": ["9999-12-31 23:59:59", "2999-01-01"],
    "iso": ["9999-12-31T23:59:59Z"],
    "unix": [253_402_300_799],
    "unix_ms": [253_402_300_799_999],
    "unix_ns": [2**63 - 1],
}


@pytest.fixture(params=WRITTEN)
def form(request: pytest.FixtureRequest) -> str:
    """Each time format in turn."""
    return str(request.param)


@pytest.fixture
def session(form: str, open_python: OpenPython) -> PythonSession:
    """A queue without a file, in that format."""
    opened = open_python(":memory:")
    opened.rows(TABLE)
    assert opened.value("SELECT queue_set('time_format', ?)", form) == form
    return opened


def lease(session: PythonSession, number: int, until: Value) -> None:
    session.rows("INSERT INTO task_queue(id, lease_until_utc) VALUES (?, ?)", number, until)


def test_every_spelling_of_a_moment_is_that_moment(form: str, session: PythonSession) -> None:
    for number, spelling in enumerate(SPELLINGS[form]):
        lease(session, number, spelling)
    before = int(time.time())
    rows = session.rows("SELECT task_id, overdue_seconds FROM queue_stale(60)")
    assert sorted(int(str(row[0])) for row in rows) == list(range(len(SPELLINGS[form])))
    (overdue,) = {int(str(row[1])) for row in rows}
    assert before - PAST <= overdue <= int(time.time()) - PAST
    assert session.value("SELECT queue_requeue_stale(60)") == len(SPELLINGS[form])
    assert session.rows("SELECT DISTINCT status, lease_until_utc FROM task_queue") == [
        ("queued", None)
    ]


def test_what_is_no_time_is_left_alone(form: str, session: PythonSession) -> None:
    for number, value in enumerate([None, *NO_TIMES[form], *BEFORE_ALL_LEASES[form], *FAR[form]]):
        lease(session, number, value)
    before = session.rows("SELECT * FROM task_queue")
    assert session.rows("SELECT task_id FROM queue_stale(0)") == []
    assert session.value("SELECT queue_requeue_stale(0)") == 0
    assert session.rows("SELECT * FROM task_queue") == before


def test_a_lease_is_stale_from_the_second_after(form: str, session: PythonSession) -> None:
    """More than 60 seconds over; 60 are not enough."""
    while True:
        session.rows("DELETE FROM task_queue")
        now = int(time.time())
        for overdue in (59, 60, 61):
            lease(session, overdue, WRITTEN[form](now - overdue))
        shown = session.rows("SELECT task_id FROM queue_stale(60)")
        requeued = session.value("SELECT queue_requeue_stale(60)")
        # All of it within one second.
        if int(time.time()) == now:
            break
    assert (shown, requeued) == ([(61,)], 1)


def test_a_lease_that_ended_with_the_last_century_is_one(form: str, session: PythonSession) -> None:
    lease(session, 1, WRITTEN[form](946_684_800))
    assert session.value("SELECT queue_requeue_stale(60)") == 1


def test_times_are_written_in_the_format(form: str, session: PythonSession) -> None:
    session.rows("SELECT queue_set('requeue_sets_run_after', 1)")
    lease(session, 1, WRITTEN[form](PAST))
    before = int(time.time())
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    after = int(time.time())
    ((updated, run_after),) = session.rows("SELECT updated_at_utc, run_after_utc FROM task_queue")
    assert updated == run_after
    if form in ("text", "iso"):
        assert updated in [WRITTEN[form](second) for second in range(before, after + 1)]
    else:
        parts = int(str(WRITTEN[form](1)))
        assert isinstance(updated, int)
        assert before <= updated // parts <= after


def test_times_are_shown_as_people_read_them(form: str, session: PythonSession) -> None:
    lease(session, 1, WRITTEN[form](PAST))
    session.rows("UPDATE task_queue SET created_at_utc = ?", WRITTEN[form](PAST + 1))
    read = "iso" if form == "iso" else "text"
    assert session.value("SELECT lease_until_utc FROM queue_stale(60)") == WRITTEN[read](PAST)
    assert session.rows("SELECT oldest_utc, newest_utc FROM queue_depth()") == [
        (WRITTEN[read](PAST + 1),) * 2
    ]
