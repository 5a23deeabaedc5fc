"""queue_requeue_stale(): the leases of dead workers, and only those."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host
from support.queues import Queue, Shape, utc
from support.workers import writing

LEASE = (
    "INSERT INTO task_queue(id, type, status, lease_until_utc, locked_by, reserved_at_utc, "
    "processing_started_utc, attempts, error_message, updated_at_utc) "
    "VALUES (?, 'x', ?, ?, 'worker-9', '2020-01-01 00:00:00', '2020-01-01 00:00:01', 3, 'old', "
    "'2020-01-01 00:00:02')"
)


def add(queue: Queue, task: int, status: str, until: str | None) -> None:
    """A task that a worker holds, or once held."""
    with queue.connect() as connection:
        connection.execute(LEASE, (task, status, until))


def task(queue: Queue, number: int) -> dict[str, object]:
    """One task by column name."""
    with queue.connect() as connection:
        cursor = connection.execute("SELECT * FROM task_queue WHERE id = ?", (number,))
        (row,) = cursor.fetchall()
        return dict(zip([column[0] for column in cursor.description], row))


@pytest.mark.parametrize("status", ["leased", "processing"])
def test_a_rescued_task_is_as_before_its_claim(
    status: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=0))
    add(queue, 1, status, utc(-100))
    before = task(queue, 1)
    begun = utc(0)
    assert open_session(host, queue.path).value("SELECT queue_requeue_stale(60)") == 1
    after = task(queue, 1)
    cleared = {"locked_by": None, "lease_until_utc": None, "reserved_at_utc": None}
    updated = str(after["updated_at_utc"])
    assert after == {**before, **cleared, "status": "queued", "updated_at_utc": updated}
    assert begun <= updated <= utc(0)
    assert len(updated) == len("2020-01-01 00:00:00")


def test_live_leases_and_other_statuses_stay_untouched(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=0))
    add(queue, 1, "leased", utc(100))
    add(queue, 2, "processing", utc(-30))
    # Finished by a worker that left its lease behind.
    for number, status in enumerate(("queued", "completed", "failed", "dead_letter"), 3):
        add(queue, number, status, utc(-9999))
    add(queue, 7, "leased", None)
    for number, unreadable in enumerate(("", "soon", "2020-13-45 99:99:99"), 8):
        add(queue, number, "leased", unreadable)
    before = queue.snapshot()
    session = open_session(host, queue.path)
    assert session.rows("SELECT * FROM queue_stale(60)") == []
    assert session.value("SELECT queue_requeue_stale(60)") == 0
    assert queue.snapshot() == before


@pytest.mark.parametrize(
    "until",
    ["2020-01-01 00:00:00", "2020-01-01T00:00:00Z", "2020-01-01 00:00:00.5", "2020-01-01"],
)
def test_a_lease_is_stale_in_whatever_form_sqlite_can_read_its_end(
    until: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0))
    add(queue, 1, "leased", until)
    assert open_python(queue.path).value("SELECT queue_requeue_stale(60)") == 1


def test_a_lease_must_be_over_by_more_than_the_seconds(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0))
    for number, overdue in enumerate((10, 50, 100, 1000), 1):
        add(queue, number, "leased", utc(-overdue))
    session = open_python(queue.path)
    assert [session.value("SELECT queue_requeue_stale(?)", secs) for secs in (500, 75, 0)] == [
        1,
        1,
        2,
    ]


def test_requeue_rescues_exactly_what_stale_shows(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    shown = [row[0] for row in session.rows("SELECT task_id FROM queue_stale(60)")]
    session.rows("SELECT queue_requeue_stale(60)")
    marks = ", ".join(map(str, shown))
    assert queue.query(f"SELECT DISTINCT status FROM task_queue WHERE id IN ({marks})") == [
        ("queued",)
    ]
    assert session.rows("SELECT * FROM queue_stale(60)") == []
    assert queue.query(
        "SELECT count(*) FROM task_queue WHERE status IN ('leased', 'processing')"
    ) == [(4,)]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_inside_a_transaction_it_is_committed_or_rolled_back_with_it(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(stale_leased=200, journal_mode=journal))
    before = queue.snapshot()
    session = open_session(host, queue.path)
    for begin, end in (("BEGIN", "ROLLBACK"), ("SAVEPOINT s", "ROLLBACK TO s")):
        session.rows(begin)
        assert session.value("SELECT queue_requeue_stale(60)") == 200
        # Nobody else sees it yet, and it is one statement of the caller's.
        assert queue.snapshot() == before
        session.rows(end)
        assert queue.snapshot() == before
    session.rows("RELEASE s")
    session.rows("BEGIN")
    assert session.value("SELECT queue_requeue_stale(60)") == 200
    session.rows("COMMIT")
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(0,)]


def test_other_writers_go_on_while_thousands_are_rescued(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=100, stale_leased=30_000, live_leases=50))
    session = open_python(queue.path)
    with writing(queue.path, 1, 200) as writers:
        time.sleep(0.2)
        assert session.value("SELECT queue_requeue_stale(60)") == 30_000
    (report,) = writers.reports
    assert report.errors == []
    # It is a few milliseconds; a single transaction for all would be well above a second.
    assert report.longest_seconds < 2
    assert queue.query("SELECT sum(priority), count(*) FROM task_queue") == [(3_015_000, 30_150)]
    assert queue.query("SELECT count(*) FROM task_queue WHERE locked_by NOTNULL") == [(50,)]


def test_two_rescuers_at_once_never_rescue_a_task_twice(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=10, stale_leased=5000, stale_processing=5000))
    with queue.connect() as connection:
        connection.execute("CREATE TABLE rescues(id)")
        connection.execute(
            "CREATE TRIGGER note AFTER UPDATE OF status ON task_queue WHEN new.status = 'queued' "
            "BEGIN INSERT INTO rescues VALUES (new.id); END"
        )
    sessions = [open_python(queue.path) for _ in range(2)]
    for session in sessions:
        session.start("SELECT queue_requeue_stale(60)")
    counts = [session.result().rows[0][0] for session in sessions]
    assert sum(int(str(count)) for count in counts) == 10_000
    assert queue.query("SELECT count(*), count(DISTINCT id) FROM rescues") == [(10_000, 10_000)]


def test_a_trigger_of_the_queue_that_fails_keeps_its_task_and_no_other(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows(
        "CREATE TRIGGER guard BEFORE UPDATE ON task_queue WHEN old.id = 45 "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    before = task(queue, 45)
    assert session.value("SELECT queue_requeue_stale(60)") == 7
    assert task(queue, 45) == before
    assert session.rows("SELECT task_id, blocked FROM queue_stale(60)") == [(45, "not this one")]


def test_columns_that_a_queue_lacks_are_left_out(open_python: OpenPython, queue: Queue) -> None:
    session = open_python(queue.directory / "small.db")
    session.rows("CREATE TABLE task_queue(id TEXT PRIMARY KEY, status, lease_until_utc)")
    session.rows("INSERT INTO task_queue VALUES ('a', 'leased', '2020-01-01 00:00:00')")
    (row,) = session.dicts("SELECT task_id, locked_by, attempts FROM queue_stale(60)")
    assert row == {"task_id": "a", "locked_by": None, "attempts": None}
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.rows("SELECT * FROM task_queue") == [("a", "queued", None)]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "call", ["SELECT queue_requeue_stale(60)", "SELECT count(*) FROM queue_stale(60)"]
)
def test_the_cost_follows_the_leases_not_the_tasks(
    call: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=30_000, stale_leased=3))
    session = open_python(queue.path)

    def bytes_read() -> int:
        lines = Path(f"/proc/{session.process.pid}/io").read_text("ascii").splitlines()
        return int(lines[0].removeprefix("rchar: "))

    before = bytes_read()
    assert session.value(call) == 3
    # Bytes that the host read from the file, rather than a timing.
    assert bytes_read() - before < queue.path.stat().st_size / 10
