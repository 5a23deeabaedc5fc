"""Stale leases while others are at work: heartbeats, renewals, claims, commits in between."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator

import pytest
from conftest import MakeQueue, OpenPython

from hosts import HostDiedError
from hosts.protocol import Value
from support.eventually import until
from support.queues import Queue, Shape, utc
from support.workers import running

LEASED = "SELECT count(*) FROM task_queue WHERE status = 'leased'"

# Who has claimed the task; the last sign of life, as seconds from now or as it stands in the
# table of workers (absent: no row); whether 600 seconds without one make that worker dead.
HEARTBEATS: list[tuple[str | None, int | str | None, bool]] = [
    ("fresh", -1, False),
    ("just alive", -500, False),
    ("ahead of us", 3600, False),
    ("in ISO", "2999-01-01T00:00:00Z", False),
    ("stale", -3600, True),
    ("long gone", "2020-01-01 00:00:00", True),
    ("never seen", None, True),
    ("absent", "absent", True),
    (None, "absent", True),
]


@pytest.mark.parametrize("whole", [True, False], ids=["transaction", "batches"])
def test_only_the_leases_of_dead_workers(
    whole: bool, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0))
    session = open_python(queue.path)
    session.rows("DROP TABLE workers")
    session.rows("CREATE TABLE workers(worker_id TEXT PRIMARY KEY, heartbeat_utc)")
    for number, (worker, seen, _) in enumerate(HEARTBEATS, 1):
        session.rows(
            "INSERT INTO task_queue(id, type, status, lease_until_utc, locked_by) "
            "VALUES (?, 'x', 'leased', ?, ?)",
            number,
            utc(-1800),
            worker,
        )
        if seen != "absent":
            shown = utc(seen) if isinstance(seen, int) else seen
            session.rows("INSERT INTO workers VALUES (?, ?)", worker, shown)
    dead = [number for number, (_, _, dead) in enumerate(HEARTBEATS, 1) if dead]
    assert session.value("SELECT count(*) FROM queue_stale(600)") == len(HEARTBEATS)
    session.rows("SELECT queue_set('stale_needs_dead_worker', 1)")
    listed = session.rows("SELECT task_id FROM queue_stale(600) ORDER BY 1")
    assert listed == [(number,) for number in dead]
    # By a longer measure even the dead may be alive.
    assert session.value("SELECT queue_requeue_stale(86400)") == 0
    if whole:
        session.rows("BEGIN")
    assert session.value("SELECT queue_requeue_stale(600)") == len(dead)
    if whole:
        session.rows("COMMIT")
    assert queue.query("SELECT id FROM task_queue WHERE status = 'queued' ORDER BY id") == listed


# A sign of life that is there and cannot be read in that format, beside leases that can.
SEEN = 1_790_000_000
UNREADABLE: list[tuple[str, Value]] = [
    ("text", "soon"),
    ("text", ""),
    ("text", SEEN),
    ("text", "2026-11-05 14:30:22.123 +0000 UTC"),
    ("text", "0001-01-01 00:00:00+00:00"),
    ("iso", b"2026-11-05T14:30:22Z"),
    ("unix", "2026-11-05 14:30:22"),
    ("unix", SEEN * 1000),
    ("unix_ms", SEEN),
    ("unix_ms", 0),
    ("unix_ns", SEEN),
]


@pytest.mark.parametrize(("form", "seen"), UNREADABLE)
@pytest.mark.parametrize("whole", [True, False], ids=["transaction", "batches"])
def test_a_sign_of_life_that_cannot_be_read_is_an_error_and_no_death(
    whole: bool, form: str, seen: Value, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0, stale_leased=2))
    parts = {"unix": 1, "unix_ms": 1000, "unix_ns": 10**9}.get(form)
    session = open_python(queue.path)
    session.rows("DROP TABLE workers")
    session.rows("CREATE TABLE workers(worker_id TEXT PRIMARY KEY, heartbeat_utc)")
    session.rows("INSERT INTO workers VALUES ('worker-1', ?), ('another', 'soon')", seen)
    session.rows(
        "SELECT queue_set('stale_needs_dead_worker', 1), queue_set('time_format', ?)", form
    )
    if parts is not None:
        session.rows("ALTER TABLE task_queue RENAME lease_until_utc TO lease_until_text")
        session.rows("ALTER TABLE task_queue ADD lease_until_utc")
        session.rows("UPDATE task_queue SET lease_until_utc = ?", (int(time.time()) - 3600) * parts)
    before = queue.snapshot()
    if whole:
        session.rows("BEGIN")
    for call in ("SELECT queue_requeue_stale(60)", "SELECT * FROM queue_stale(60)"):
        message = session.error(call).message
        assert "'worker-1'" in message
        assert "time_format" in message
    if whole:
        session.rows("COMMIT")
    assert queue.snapshot() == before
    # Whose leases are not over is not asked.
    assert session.value("SELECT queue_requeue_stale(86400)") == 0
    session.rows("DELETE FROM workers WHERE worker_id = 'worker-1'")
    assert session.value("SELECT queue_requeue_stale(60)") == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("DROP TABLE workers", "no table workers with the columns worker_id and heartbeat_utc"),
        ("ALTER TABLE workers RENAME heartbeat_utc TO seen", "queue_set('workers_table'"),
        ("ALTER TABLE task_queue RENAME locked_by TO who", "no column locked_by"),
    ],
)
def test_without_the_tables_for_it_nothing_is_rescued(
    change: str, named: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0, stale_leased=2))
    session = open_python(queue.path)
    session.rows("SELECT queue_set('stale_needs_dead_worker', 1)")
    session.rows(change)
    for call in ("SELECT queue_requeue_stale(60)", "SELECT * FROM queue_stale(60)"):
        assert named in session.error(call).message
    assert queue.query(LEASED) == [(2,)]


RENEWER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("PRAGMA synchronous=OFF")
(task,) = connection.execute("SELECT max(id) FROM task_queue").fetchone()
print("ready", flush=True)
# Not before the work is under way, and then from the other end.
while not connection.execute("SELECT 1 FROM task_queue WHERE status = 'queued' LIMIT 1").fetchone():
    pass
renewed = []
while task > 0:
    changed = connection.execute(
        "UPDATE task_queue SET lease_until_utc = datetime('now', '+1 hour') "
        "WHERE id = ? AND status = 'leased' AND locked_by = 'worker-1'", (task,)).rowcount
    if not changed:
        break
    renewed.append(task)
    task -= 1
connection.execute("BEGIN")
connection.executemany("INSERT INTO renewed VALUES (?)", [(task,) for task in renewed])
connection.execute("COMMIT")
connection.close()
sys.stdin.readline()
print('{"commits": 0, "errors": [], "longest_seconds": 0}')
"""


def test_a_lease_that_is_renewed_meanwhile_is_not_stolen(
    make: MakeQueue, open_python: OpenPython
) -> None:
    tasks = 5000
    queue = make(Shape(tasks=0, stale_leased=tasks))
    session = open_python(queue.path)
    session.rows("CREATE TABLE renewed(id INTEGER PRIMARY KEY)")
    with running([["-c", RENEWER, str(queue.path)]]):
        requeued = session.value("SELECT queue_requeue_stale(60)")
    ((renewed,),) = queue.query("SELECT count(*) FROM renewed")
    # Both have met somewhere in the middle.
    assert renewed > 0
    assert requeued == tasks - renewed
    # Each lease that its worker was told is renewed is one, and is still that worker's.
    assert queue.query(
        "SELECT count(*), count(locked_by), min(lease_until_utc) > datetime('now') "
        "FROM task_queue JOIN renewed USING (id) WHERE status = 'leased'"
    ) == [(renewed, renewed, 1)]
    assert queue.query(LEASED) == [(renewed,)]


@contextlib.contextmanager
def connected(queue: Queue) -> Iterator[sqlite3.Connection]:
    with queue.connect() as connection:
        connection.execute("PRAGMA synchronous=OFF")
        yield connection


def test_others_commit_between_the_batches(make: MakeQueue, open_python: OpenPython) -> None:
    tasks = 4000
    queue = make(Shape(tasks=0, stale_leased=tasks))
    session = open_python(queue.path)
    session.rows("CREATE TABLE noted(leased)")
    with connected(queue) as other:
        session.start("SELECT queue_requeue_stale(60)")

        def note() -> bool:
            other.execute(f"INSERT INTO noted {LEASED}")
            ((leased,),) = other.execute(LEASED).fetchall()
            return int(leased) == 0

        until(note, "the end of the work")
    assert session.result().rows == [(tasks,)]
    # What stood in the database when another's transaction had its turn: neither all nor nothing.
    between = queue.query("SELECT DISTINCT leased FROM noted WHERE leased NOT IN (0, ?)", tasks)
    assert len(between) >= 2


def test_inside_a_transaction_there_is_nothing_between(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0, stale_leased=3000))
    session = open_python(queue.path)
    session.rows("BEGIN")
    assert session.value("SELECT queue_requeue_stale(60)") == 3000
    assert queue.query(LEASED) == [(3000,)]
    session.rows("COMMIT")
    assert queue.query(LEASED) == [(0,)]


def test_a_lease_that_a_trigger_makes_anew_is_rescued_once(
    make: MakeQueue, open_python: OpenPython
) -> None:
    """As a queue that hands a task out at once would: else the work would never end."""
    queue = make(Shape(tasks=0, stale_leased=500))
    session = open_python(queue.path)
    session.rows(
        "CREATE TRIGGER greedy AFTER UPDATE OF status ON task_queue WHEN new.status = 'queued' "
        "BEGIN UPDATE task_queue SET status = 'leased', lease_until_utc = '2020-01-01 00:00:00', "
        "attempts = attempts + 1 WHERE id = new.id; END"
    )
    assert session.value("SELECT queue_requeue_stale(60)") == 500
    assert queue.query("SELECT DISTINCT status, attempts FROM task_queue") == [("leased", 2)]


def test_a_rescue_that_is_killed_leaves_whole_batches(
    make: MakeQueue, open_python: OpenPython
) -> None:
    tasks = 4000
    queue = make(Shape(tasks=0, stale_leased=tasks))
    session = open_python(queue.path)
    with connected(queue) as other:
        session.start("SELECT queue_requeue_stale(60)")
        until(lambda: other.execute(LEASED).fetchone() < (tasks,), "the first batch")
        session.process.kill()
        with pytest.raises(HostDiedError):
            session.result()
        with pytest.raises(HostDiedError):
            session.close()
        ((half, leases, left),) = other.execute(
            "SELECT count(*) FILTER (WHERE (status = 'queued') <> (locked_by IS NULL)), "
            "count(lease_until_utc), count(*) FILTER (WHERE status = 'leased') FROM task_queue"
        )
    assert (half, leases) == (0, left)
    assert open_python(queue.path).value("SELECT queue_requeue_stale(60)") == left
    assert queue.query(LEASED) == [(0,)]
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
