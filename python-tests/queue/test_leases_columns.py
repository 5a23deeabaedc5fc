"""What requeuing makes of a task's columns: attempts, NOT NULL, generated and hostile ones."""

from __future__ import annotations

import json

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import Value
from hosts.python_host import PythonSession
from support.queues import Queue, Shape, utc

OLD = "2020-01-01 00:00:00"


@pytest.fixture
def session(open_python: OpenPython) -> PythonSession:
    """A database without a file, and without a table."""
    return open_python(":memory:")


# Attempts and attempts allowed before, then status and attempts after ignore, count and limit.
ATTEMPTS: list[tuple[Value, Value, tuple[tuple[str, Value], ...]]] = [
    (0, 3, (("queued", 0), ("queued", 1), ("queued", 0))),
    (1, 3, (("queued", 1), ("queued", 2), ("queued", 1))),
    (2, 3, (("queued", 2), ("dead_letter", 3), ("queued", 2))),
    (3, 3, (("queued", 3), ("dead_letter", 4), ("dead_letter", 3))),
    (9, 3, (("queued", 9), ("dead_letter", 10), ("dead_letter", 9))),
    (0, 0, (("queued", 0), ("dead_letter", 1), ("dead_letter", 0))),
    # Nobody has counted yet; nobody has set a limit.
    (None, 3, (("queued", None), ("queued", 1), ("queued", None))),
    (None, 1, (("queued", None), ("dead_letter", 1), ("queued", None))),
    (7, None, (("queued", 7), ("queued", 8), ("queued", 7))),
    (None, None, (("queued", None), ("queued", 1), ("queued", None))),
    # As texts, 10 comes before 9.
    ("10", "9", (("queued", "10"), ("dead_letter", 11), ("dead_letter", "10"))),
    ("9", "10", (("queued", "9"), ("dead_letter", 10), ("queued", "9"))),
]


@pytest.mark.parametrize(("way", "word"), list(enumerate(("ignore", "count", "limit"))))
@pytest.mark.parametrize("whole", [True, False], ids=["transaction", "batches"])
def test_attempts(way: int, word: str, whole: bool, session: PythonSession) -> None:
    session.rows(
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc, attempts, "
        "max_attempts)"
    )
    for attempts, limit, _ in ATTEMPTS:
        session.rows(
            "INSERT INTO task_queue(status, lease_until_utc, attempts, max_attempts) "
            "VALUES ('leased', ?, ?, ?)",
            OLD,
            attempts,
            limit,
        )
    session.rows("SELECT queue_set('stale_attempts', ?)", word)
    if whole:
        session.rows("BEGIN")
    # Those that are given up count, too.
    assert session.value("SELECT queue_requeue_stale(60)") == len(ATTEMPTS)
    if whole:
        session.rows("COMMIT")
    assert session.rows("SELECT status, attempts FROM task_queue ORDER BY id") == [
        after[way] for _, _, after in ATTEMPTS
    ]


def test_a_task_that_is_given_up_holds_no_lease(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(tasks=0, stale_leased=1))
    session = open_python(queue.path)
    session.rows("UPDATE task_queue SET max_attempts = 1")
    for name, value in (("stale_attempts", "count"), ("status_dead", "failed")):
        session.rows("SELECT queue_set(?, ?)", name, value)
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    columns = "status, attempts, locked_by, lease_until_utc, reserved_at_utc"
    assert queue.query(f"SELECT {columns} FROM task_queue") == [("failed", 2, None, None, None)]


CLAIM = (
    "UPDATE task_queue SET status = 'leased', locked_by = 'worker-1', attempts = attempts + 1, "
    "reserved_at_utc = datetime('now', '-2 hours'), "
    "lease_until_utc = datetime('now', '-1 hour') WHERE id = "
    "(SELECT id FROM task_queue WHERE status = 'queued') RETURNING attempts"
)


@pytest.mark.parametrize("scheduled", [True, False])
def test_a_task_that_kills_each_worker_is_given_up(
    scheduled: bool, make: MakeQueue, open_python: OpenPython
) -> None:
    """By the schema and the settings as they come."""
    queue = make(Shape(tasks=0))
    session = open_python(queue.path)
    session.rows("INSERT INTO task_queue(type) VALUES ('poison')")
    for attempt in range(1, 6):
        assert session.rows(CLAIM) == [(attempt,)]
        before = utc(0)
        if scheduled:
            session.rows("SELECT queue_run_due(strftime('%s', 'now') + 3600 * ?)", attempt)
        else:
            assert session.value("SELECT queue_requeue_stale(300)") == 1
    assert session.rows(CLAIM) == []
    ((status, attempts, finished, updated, error, held, until),) = session.rows(
        "SELECT status, attempts, finished_at_utc, updated_at_utc, error_message, locked_by, "
        "lease_until_utc FROM task_queue"
    )
    assert (status, attempts, held, until) == ("dead_letter", 5, None, None)
    assert before <= str(finished) == updated
    assert error == "given up: the lease of worker-1 was over at attempt 5 of 5"
    summary = "SELECT failures, error_message FROM task_failure_summary"
    assert queue.query(summary) == [(1, error)]


def test_a_task_that_is_not_given_up_keeps_its_error(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0, stale_leased=1))
    queue.query("UPDATE task_queue SET error_message = 'the time before', finished_at_utc = NULL")
    assert open_python(queue.path).value("SELECT queue_requeue_stale(60)") == 1
    assert queue.query("SELECT status, error_message, finished_at_utc FROM task_queue") == [
        ("queued", "the time before", None)
    ]


@pytest.mark.parametrize("columns", ["", ", attempts DEFAULT 9", ", max_attempts DEFAULT 1"])
def test_without_a_limit_in_the_table_none_is_respected(
    columns: str, session: PythonSession
) -> None:
    session.rows(
        f"CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc{columns})"
    )
    session.rows("INSERT INTO task_queue(status, lease_until_utc) VALUES ('leased', ?)", OLD)
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.rows("SELECT status FROM task_queue") == [("queued",)]


def test_giving_up_fits_any_shape(session: PythonSession) -> None:
    """Finished in a column that requeuing clears, an error nowhere, a worker without a name."""
    session.rows(
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc, attempts, "
        "max_attempts, done_at, error_message AS (status || '!'))"
    )
    session.rows("SELECT queue_set('column_finished_at', 'done_at')")
    session.rows("SELECT queue_set('requeue_clears', '[\"done_at\"]')")
    for attempts in (1, 2):
        session.rows(
            "INSERT INTO task_queue(status, lease_until_utc, attempts, max_attempts, done_at) "
            "VALUES ('leased', ?, ?, 2, 'never')",
            OLD,
            attempts,
        )
    before = utc(0)
    assert session.value("SELECT queue_requeue_stale(60)") == 2
    waits, over = session.rows("SELECT status, done_at FROM task_queue ORDER BY id")
    assert waits == ("queued", None)
    assert over[0] == "dead_letter"
    assert before <= str(over[1]) <= utc(0)


def test_attempts_need_their_column_and_no_limit(session: PythonSession) -> None:
    session.rows("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc)")
    session.rows("INSERT INTO task_queue VALUES (1, 'leased', ?)", OLD)
    for word in ("count", "limit"):
        session.rows("SELECT queue_set('stale_attempts', ?)", word)
        error = session.error("SELECT queue_requeue_stale(60)")
        assert "has no column attempts" in error.message
        assert "queue_set('column_attempts'" in error.message
    assert session.rows("SELECT * FROM task_queue") == [(1, "leased", OLD)]
    session.rows("ALTER TABLE task_queue ADD COLUMN attempts DEFAULT 99")
    session.rows("SELECT queue_set('stale_attempts', 'count')")
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.rows("SELECT status, attempts FROM task_queue") == [("queued", 100)]


@pytest.mark.parametrize("word", ["count", "limit", None])
def test_a_restore_that_requeues_blames_nobody(
    word: str | None, make: MakeQueue, open_python: OpenPython
) -> None:
    """Workers of that time did not fail: they are of another time."""
    queue = make(Shape(tasks=2, stale_leased=3, live_leases=2))
    session = open_python(queue.path)
    session.rows("UPDATE task_queue SET max_attempts = 1")
    session.rows("SELECT queue_set('stale_attempts', ?)", word)
    session.rows("SELECT queue_backup()")
    session.rows("SELECT queue_restore('latest', NULL, '{\"requeue_leases\": true}')")
    assert queue.query(
        "SELECT status, attempts, count(*) FROM task_queue WHERE type = 'leased-work' GROUP BY 1, 2"
    ) == [("queued", 1, 5)]


@pytest.mark.parametrize(
    ("columns", "settings", "named"),
    [
        ("locked_by TEXT NOT NULL", {}, "the column locked_by of the table task_queue is NOT NULL"),
        ("reserved_at_utc TEXT NOT NULL", {}, "the column reserved_at_utc of the table task_queue"),
        ("receipt NOT NULL", {"requeue_clears": '["receipt"]'}, "the column receipt of the table"),
        (
            "x DEFAULT 1, receipt AS (x)",
            {"requeue_clears": '["receipt"]'},
            "the column receipt of the table task_queue is generated",
        ),
        (
            "x DEFAULT 'leased', word AS (x)",
            {"column_status": "word"},
            "the column word of the table task_queue is generated",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_changed(
    columns: str, settings: dict[str, str], named: str, session: PythonSession
) -> None:
    session.rows(
        f"CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc, {columns})"
    )
    first = columns.split()[0]
    session.rows(
        f"INSERT INTO task_queue(status, lease_until_utc, {first}) VALUES ('leased', ?, 'leased')",
        OLD,
    )
    for name, value in settings.items():
        session.rows("SELECT queue_set(?, ?)", name, value)
    before = session.rows("SELECT * FROM task_queue")
    error = session.error("SELECT queue_requeue_stale(60)")
    assert named in error.message
    assert "queue_settings()" in error.message
    assert session.rows("SELECT * FROM task_queue") == before
    # It can be seen all the same.
    assert session.value("SELECT count(*) FROM queue_stale(60)") == 1


def test_after_the_advice_it_works(session: PythonSession) -> None:
    session.rows(
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc, "
        "locked_by TEXT NOT NULL)"
    )
    session.rows("INSERT INTO task_queue VALUES (1, 'leased', ?, 'worker')", OLD)
    session.rows("SELECT queue_set('column_locked_by', '')")
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.rows("SELECT * FROM task_queue") == [(1, "queued", None, "worker")]


def test_a_lease_that_must_have_a_time_ends_now(session: PythonSession) -> None:
    session.rows(
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status NOT NULL, "
        "lease_until_utc TEXT NOT NULL, updated_at_utc TEXT NOT NULL, "
        "locked_by AS (status || id))"
    )
    session.rows("INSERT INTO task_queue VALUES (1, 'leased', ?1, ?1)", OLD)
    begun = utc(0)
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    ((status, until, updated, worker),) = session.rows(
        "SELECT status, lease_until_utc, updated_at_utc, locked_by FROM task_queue"
    )
    assert (status, worker) == ("queued", "queued1")
    assert until == updated
    assert begun <= str(until) <= utc(0)
    assert session.rows("SELECT * FROM queue_stale(0)") == []


# Names that are keywords, that we use ourselves, that hide a rowid, or that end a name or a text.
HOSTILE = [
    "select",
    "task",
    "worker",
    "rowid",
    "sqlite",
    "a b",
    "a;b",
    'q"; DROP TABLE victim; --',
    "it's",
    "`x`",
    "[x]",
    "?2",
    ":a",
    "main.x",
    "--",
    "/*",
    "été ☃",
    "\\",
    "%s",
    "{}",
    "\n",
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_only_names(name: str, session: PythonSession) -> None:
    """One name for the tables, the columns, the statuses and the worker."""
    roles = ("status", "lease_until", "locked_by", "reserved_at", "updated_at", "attempts")
    columns = {role: f"{name}{number or ''}" for number, role in enumerate(roles)}
    workers = f"{name} too"
    listed = ", ".join(map(quoted, columns.values()))
    session.rows("CREATE TABLE victim(x)")
    session.rows(f"CREATE TABLE {quoted(name)}(id INTEGER PRIMARY KEY, {listed}, more)")
    session.rows(f"CREATE INDEX {quoted(name + ' index')} ON {quoted(name)}({quoted(name)})")
    session.rows(
        f"CREATE TABLE {quoted(workers)}({quoted(name)} PRIMARY KEY, {quoted(name + 'z')})"
    )
    for worker, seen in ((name, OLD), ("alive", "2999-01-01 00:00:00")):
        session.rows(f"INSERT INTO {quoted(workers)} VALUES (?, ?)", worker, seen)
        values = (name, OLD, worker, OLD, OLD, 1)
        session.rows(
            f"INSERT INTO {quoted(name)}({listed}, more) VALUES (?, ?, ?, ?, ?, ?, 'more')", *values
        )
    settings: dict[str, Value] = {
        "task_table": name,
        **{f"column_{role}": column for role, column in columns.items()},
        "status_leased": json.dumps([name]),
        "status_queued": f"{name} waits",
        "requeue_clears": json.dumps(["more"]),
        "stale_attempts": "count",
        "stale_needs_dead_worker": 1,
        "workers_table": workers,
        "column_worker_id": name,
        "column_heartbeat": f"{name}z",
    }
    for setting, value in settings.items():
        session.rows("SELECT queue_set(?, ?)", setting, value)
    assert session.rows("SELECT task_id, status, locked_by FROM queue_stale(60)") == [
        (1, name, name)
    ]
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    (dead, alive) = session.rows(f"SELECT id, {listed}, more FROM {quoted(name)} ORDER BY id")
    assert dead[:5] == (1, f"{name} waits", None, None, None)
    assert dead[6:] == (2, None)
    assert alive == (2, name, OLD, "alive", OLD, OLD, 1, "more")
    assert session.rows("SELECT status, tasks FROM queue_depth() ORDER BY 1") == [
        (name, 1),
        (f"{name} waits", 1),
    ]
    assert session.rows("SELECT * FROM victim") == []


def test_numbers_as_statuses_and_texts_that_look_like_them(session: PythonSession) -> None:
    session.rows("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc)")
    for status in (1, "1", 2, None, b"1", "leased"):
        session.rows("INSERT INTO task_queue(status, lease_until_utc) VALUES (?, ?)", status, OLD)
    for name, value in (("status_leased", "[1, 2]"), ("status_queued", 0)):
        session.rows("SELECT queue_set(?, ?)", name, value)
    assert session.value("SELECT queue_requeue_stale(60)") == 2
    assert session.rows("SELECT status FROM task_queue ORDER BY id") == [
        (0,),
        ("1",),
        (0,),
        (None,),
        (b"1",),
        ("leased",),
    ]


@pytest.mark.parametrize(
    "definition",
    [
        "(id TEXT PRIMARY KEY, status, lease_until_utc) WITHOUT ROWID",
        "(id TEXT PRIMARY KEY, status, lease_until_utc, rowid, _rowid_ DEFAULT 5, oid)",
        "(id, status, lease_until_utc, rowid TEXT)",
        "(id, status COLLATE NOCASE, lease_until_utc)",
    ],
)
def test_tables_with_and_without_a_rowid(
    definition: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.directory / "other.db")
    session.rows(f"CREATE TABLE task_queue{definition}")
    session.rows("CREATE INDEX i ON task_queue(status COLLATE RTRIM)")
    for task in ("a", "b", "c"):
        session.rows(
            "INSERT INTO task_queue(id, status, lease_until_utc) VALUES (?, 'leased', ?)", task, OLD
        )
    assert session.value("SELECT queue_requeue_stale(60)") == 3
    assert session.rows("SELECT id, status, lease_until_utc FROM task_queue ORDER BY id") == [
        (task, "queued", None) for task in ("a", "b", "c")
    ]


def test_tables_that_hide_pragmas(session: PythonSession) -> None:
    for name in ("index_list", "index_xinfo", "table_xinfo", "table_list", "table_info"):
        session.rows(f"CREATE TABLE pragma_{name}(name, partial, seqno, coll)")
    session.rows(
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc NOT NULL)"
    )
    session.rows("CREATE INDEX i ON task_queue(status)")
    session.rows("INSERT INTO task_queue VALUES (1, 'leased', ?)", OLD)
    assert session.value("SELECT count(*) FROM queue_stale(60)") == 1
    assert session.value("SELECT queue_requeue_stale(60)") == 1
