"""One task that cannot be put back blocks no other, and is named with the reason."""

from __future__ import annotations

import json
import sqlite3

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host
from hosts.protocol import Value
from hosts.python_host import PythonSession
from support.queues import Queue, Shape

OLD = "2026-01-01 00:00:00"
TABLE = (
    "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, key TEXT, status TEXT, lease_until_utc TEXT"
)
REQUEUE = "SELECT queue_requeue_stale(60)"
BLOCKED = "SELECT task_id, blocked FROM queue_stale(60) WHERE blocked NOTNULL ORDER BY task_id"
LEFT = "SELECT id FROM task_queue WHERE status = 'leased' ORDER BY id"

ROLLS_BACK = (
    "CREATE TRIGGER t AFTER UPDATE ON task_queue WHEN old.id = 2 "
    "BEGIN SELECT RAISE(ROLLBACK, 'not b'); END"
)


def rewritten(changes: str) -> tuple[str, ...]:
    """Statements that change the row of the trigger, which SQLite takes all the same."""
    change = f"UPDATE sqlite_schema SET {changes} WHERE name = 't'"
    return ("PRAGMA writable_schema=1", change, "PRAGMA writable_schema=RESET")


#: What keeps task 2 from being put back: further columns, further statements, the reason.
CAUSES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "a partial unique index": (
        "",
        (
            "CREATE UNIQUE INDEX u ON task_queue(key) WHERE status = 'queued'",
            "INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",
        ),
        "UNIQUE constraint failed: task_queue.key",
    ),
    "a unique index that would replace": (
        ", UNIQUE(key, status) ON CONFLICT ABORT",
        ("INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",),
        "UNIQUE constraint failed: task_queue.key, task_queue.status",
    ),
    "a conflict that would delete another task": (
        ", UNIQUE(key, status) ON CONFLICT REPLACE",
        ("INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",),
        "UNIQUE constraint failed: task_queue.key, task_queue.status",
    ),
    "a conflict that would delete another task, behind a byte order mark": (
        ", UNIQUE(key, status) ON CONFLICT \ufeffREPLACE",
        ("INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",),
        "UNIQUE constraint failed: task_queue.key, task_queue.status",
    ),
    "a conflict that is ignored": (
        ", UNIQUE(key, status) ON CONFLICT IGNORE",
        ("INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",),
        "leaves the task as it is",
    ),
    "a conflict that rolls back": (
        ", UNIQUE(key, status) ON CONFLICT ROLLBACK",
        ("INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",),
        "UNIQUE constraint failed: task_queue.key, task_queue.status",
    ),
    "a conflict that fails": (
        ", UNIQUE(key, status) ON CONFLICT FAIL",
        ("INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",),
        "UNIQUE constraint failed: task_queue.key, task_queue.status",
    ),
    "a CHECK": (
        ", CHECK (status <> 'queued' OR key <> 'b')",
        (),
        "CHECK constraint failed",
    ),
    "a trigger that aborts": (
        "",
        (
            "CREATE TRIGGER t BEFORE UPDATE ON task_queue WHEN old.id = 2 "
            "BEGIN SELECT RAISE(ABORT, 'not b'); END",
        ),
        "not b",
    ),
    "a trigger that fails when the change is made": (
        "",
        (
            "CREATE TRIGGER t AFTER UPDATE ON task_queue WHEN old.id = 2 "
            "BEGIN SELECT RAISE(FAIL, 'not b'); END",
        ),
        "not b",
    ),
    "a trigger that rolls back": (
        "",
        (ROLLS_BACK,),
        "not b",
    ),
    "a trigger that rolls back behind a byte order mark": (
        "",
        (ROLLS_BACK.replace("(ROLL", "(\ufeffROLL"),),
        "not b",
    ),
    "a constraint that rolls back behind a byte order mark": (
        ", UNIQUE(key, status) ON CONFLICT \ufeffROLLBACK",
        ("INSERT INTO task_queue VALUES (9, 'b', 'queued', NULL)",),
        "UNIQUE",
    ),
    "a trigger that rolls back, of a kind in capitals": (
        "",
        (ROLLS_BACK, *rewritten("type = 'TRIGGER'")),
        "not b",
    ),
    "a trigger that rolls back, written as a BLOB": (
        "",
        (ROLLS_BACK, *rewritten("sql = CAST(sql AS BLOB)")),
        "not b",
    ),
    "a trigger that rolls back behind a quote in a variable": (
        "",
        (ROLLS_BACK, *rewritten("sql = replace(sql, 'RAISE', '$a(''), RAISE')")),
        "not b",
    ),
    "a trigger that ignores": (
        "",
        (
            "CREATE TRIGGER t BEFORE UPDATE ON task_queue WHEN old.id = 2 "
            "BEGIN SELECT RAISE(IGNORE); END",
        ),
        "leaves the task as it is",
    ),
    "a trigger that undoes": (
        "",
        (
            "CREATE TRIGGER t AFTER UPDATE OF status ON task_queue "
            "WHEN old.id = 2 AND new.status = 'queued' BEGIN UPDATE task_queue SET "
            "status = old.status, lease_until_utc = old.lease_until_utc WHERE id = 2; END",
        ),
        "its old lease back",
    ),
    "a trigger whose log has no numbers left": (
        "",
        (
            "CREATE TABLE log(id INTEGER PRIMARY KEY AUTOINCREMENT, task)",
            "INSERT INTO log VALUES (9223372036854775807, 0)",
            "CREATE TRIGGER t AFTER UPDATE ON task_queue WHEN old.id = 2 "
            "BEGIN INSERT INTO log(task) VALUES (2); END",
        ),
        "full",
    ),
    "an error in a trigger": (
        "",
        (
            "CREATE TRIGGER t AFTER UPDATE ON task_queue WHEN old.id = 2 "
            "BEGIN SELECT json_extract('{', '$'); END",
        ),
        "malformed JSON",
    ),
    "a foreign key": (
        ", FOREIGN KEY(key, status) REFERENCES allowed(key, status)",
        (),
        "FOREIGN KEY constraint failed",
    ),
    "a deferred foreign key": (
        ", FOREIGN KEY(key, status) REFERENCES allowed(key, status) DEFERRABLE INITIALLY DEFERRED",
        (),
        "FOREIGN KEY constraint failed (a deferred one",
    ),
}


def fill(session: PythonSession, columns: str = "", further: tuple[str, ...] = ()) -> None:
    """Three tasks with old leases; something may keep the second."""
    session.rows("PRAGMA foreign_keys=ON")
    session.rows("CREATE TABLE allowed(key, status, PRIMARY KEY(key, status))")
    session.rows(
        "INSERT INTO allowed VALUES ('a', 'leased'), ('b', 'leased'), ('c', 'leased'), "
        "('a', 'queued'), ('c', 'queued')"
    )
    session.rows(f"{TABLE}{columns})")
    for number, key in enumerate("abc", 1):
        session.rows("INSERT INTO task_queue VALUES (?, ?, 'leased', ?)", number, key, OLD)
    for statement in further:
        session.rows(statement)


@pytest.mark.parametrize("cause", CAUSES)
def test_whatever_keeps_one_task_the_others_are_put_back(
    cause: str, queue: Queue, open_python: OpenPython
) -> None:
    columns, further, reason = CAUSES[cause]
    session = open_python(queue.directory / "other.db")
    fill(session, columns, further)
    assert session.value(REQUEUE) == 2
    assert session.rows("SELECT * FROM task_queue WHERE id = 2") == [(2, "b", "leased", OLD)]
    assert session.rows(LEFT) == [(2,)]
    ((task, why),) = session.rows(BLOCKED)
    assert task == 2
    assert reason in str(why)
    # And again, for as long as it takes.
    assert session.value(REQUEUE) == 0
    assert session.rows(BLOCKED) == [(2, why)]
    assert session.value("PRAGMA integrity_check") == "ok"
    metric = "SELECT value, level FROM queue_health() WHERE metric = 'blocked_leases'"
    assert session.rows(metric) == [(1, "warning")]


@pytest.mark.parametrize("cause", [each for each in CAUSES if "rolls back" not in each])
@pytest.mark.parametrize("begin", ["BEGIN", "SAVEPOINT s"])
def test_inside_a_transaction_likewise_and_it_stays_open(
    begin: str, cause: str, queue: Queue, open_python: OpenPython
) -> None:
    columns, further, reason = CAUSES[cause]
    session = open_python(queue.directory / "other.db")
    fill(session, columns, further)
    for end in ("ROLLBACK", "COMMIT"):
        session.rows(begin)
        session.rows("UPDATE task_queue SET key = key WHERE id = 9")
        session.rows(f"CREATE TABLE mine_{end}(x)")
        assert session.value(REQUEUE) == 2
        assert session.rows(LEFT) == [(2,)]
        ((task, why),) = session.rows(BLOCKED)
        assert task == 2
        assert reason in str(why)
        session.rows(end)
        left = [(1,), (2,), (3,)] if end == "ROLLBACK" else [(2,)]
        assert session.rows(LEFT) == left
        made = session.rows("SELECT count(*) FROM sqlite_schema WHERE name = ?", f"mine_{end}")
        assert made == [(int(end == "COMMIT"),)]


@pytest.mark.parametrize("cause", [each for each in CAUSES if "rolls back" in each])
@pytest.mark.parametrize("call", [REQUEUE, f"INSERT INTO counts {REQUEUE}"])
def test_what_would_end_the_callers_transaction_is_refused_before(
    call: str, cause: str, queue: Queue, open_python: OpenPython
) -> None:
    columns, further, _ = CAUSES[cause]
    session = open_python(queue.directory / "other.db")
    fill(session, columns, further)
    session.rows("CREATE TABLE counts(n)")
    session.rows("BEGIN")
    session.rows("INSERT INTO counts VALUES (7)")
    error = session.error(call)
    assert "may roll it back" in error.message
    assert "COMMIT first" in error.message
    session.rows("COMMIT")
    assert session.rows("SELECT * FROM counts") == [(7,)]
    assert session.rows(LEFT) == [(1,), (2,), (3,)]


@pytest.mark.parametrize("place", ["temp", "other"])
def test_what_a_temporary_trigger_reaches_is_refused_likewise(
    place: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.directory / "other.db")
    fill(session)
    session.rows("ATTACH ':memory:' AS other")
    session.rows(f"CREATE TABLE {place}.taken(key UNIQUE ON CONFLICT ROLLBACK)")
    session.rows(f"INSERT INTO {place}.taken VALUES ('b')")
    session.rows(
        "CREATE TEMP TRIGGER t AFTER UPDATE ON main.task_queue "
        "BEGIN INSERT INTO taken VALUES (new.key); END"
    )
    session.rows("CREATE TABLE counts(n)")
    session.rows("BEGIN")
    session.rows("INSERT INTO counts VALUES (7)")
    assert "taken may roll it back" in session.error(REQUEUE).message
    session.rows("COMMIT")
    assert session.rows("SELECT * FROM counts") == [(7,)]
    assert session.value(REQUEUE) == 2
    assert session.rows(LEFT) == [(2,)]


def test_the_old_time_without_a_worker_is_no_new_lease(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.directory / "other.db")
    session.rows(f"{TABLE}, locked_by TEXT)")
    for number in (1, 2):
        session.rows("INSERT INTO task_queue VALUES (?, '', 'leased', ?, 'w')", number, OLD)
    session.rows(
        "CREATE TRIGGER t AFTER UPDATE OF status ON task_queue WHEN new.id = 1 AND "
        "new.status = 'queued' BEGIN UPDATE task_queue SET status = 'leased', "
        "lease_until_utc = old.lease_until_utc WHERE id = 1; END"
    )
    assert session.value(REQUEUE) == 1
    ((task, why),) = session.rows(BLOCKED)
    assert task == 1
    assert "old lease back" in str(why)
    assert session.rows("SELECT locked_by FROM task_queue WHERE id = 1") == [("w",)]


def test_two_tasks_that_exclude_each_other(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.directory / "other.db")
    fill(session)
    session.rows("CREATE UNIQUE INDEX u ON task_queue(key) WHERE status = 'queued'")
    session.rows("UPDATE task_queue SET key = 'a'")
    assert session.value(REQUEUE) == 1
    assert session.rows(LEFT) == [(2,), (3,)]
    # Whoever works on the first one makes room for the next.
    for left in ([(3,)], []):
        session.rows("UPDATE task_queue SET status = 'completed' WHERE status = 'queued'")
        assert session.value(REQUEUE) == 1
        assert session.rows(LEFT) == left
    assert session.rows(BLOCKED) == []
    assert session.value("SELECT count(*) FROM queuekeeper_blocked") == 0


def test_a_statement_that_writes_may_call_it(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.directory / "other.db")
    fill(session, *CAUSES["a CHECK"][:2])
    for table in ("counts", "temp.counts_of_mine"):
        session.rows(f"CREATE TABLE {table}(n)")
        session.rows(f"INSERT INTO {table} {REQUEUE}")
        assert session.rows(f"SELECT * FROM {table}") == [(2,)]
        assert session.rows(LEFT) == [(2,)]
        ((task, why),) = session.rows(BLOCKED)
        assert task == 2
        assert "CHECK" in str(why)
        session.rows("UPDATE task_queue SET status = 'leased', lease_until_utc = ?", OLD)


def test_many_that_roll_back_among_many(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(tasks=0, stale_leased=1000))
    session = open_python(queue.path)
    session.rows(
        "CREATE TRIGGER t AFTER UPDATE ON task_queue WHEN old.id % 7 = 0 "
        "BEGIN SELECT RAISE(ROLLBACK, 'seven'); END"
    )
    assert session.value(REQUEUE) == 1000 - 142
    assert queue.query("SELECT DISTINCT id % 7 FROM task_queue WHERE status = 'leased'") == [(0,)]
    assert session.value("SELECT count(*) FROM queue_stale(60) WHERE blocked = 'seven'") == 142
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'queued'") == [(858,)]


def test_thousands_that_are_all_blocked_let_others_write(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0, stale_leased=12_000))
    session = open_python(queue.path)
    session.rows(
        "CREATE TRIGGER t BEFORE UPDATE ON task_queue WHEN new.status = 'queued' "
        "BEGIN SELECT RAISE(ABORT, 'never'); END"
    )
    session.start(REQUEUE)
    waits = []
    with queue.connect() as other:
        other.execute("CREATE TABLE mine(x)")
        for _ in range(20):
            before = other.execute("SELECT julianday('now')").fetchone()[0]
            other.execute("INSERT INTO mine VALUES (1)")
            after = other.execute("SELECT julianday('now')").fetchone()[0]
            waits.append((after - before) * 86_400)
    assert session.result().rows == [(0,)]
    assert max(waits) < 2
    # What is remembered is bounded; the step's detail counts all.
    assert session.value("SELECT count(*) FROM queue_stale(60) WHERE blocked = 'never'") == 10_000


def test_what_is_known_already_writes_nothing(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.directory / "other.db")
    fill(session, *CAUSES["a CHECK"][:2])
    assert session.value(REQUEUE) == 2
    version = session.value("PRAGMA data_version")
    changes = session.rows("SELECT * FROM queuekeeper_blocked")
    assert session.value(REQUEUE) == 0
    assert session.rows("SELECT * FROM queuekeeper_blocked") == changes
    assert session.value("PRAGMA data_version") == version


def test_a_reason_is_of_one_lease(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.directory / "other.db")
    fill(session, *CAUSES["a CHECK"][:2])
    session.rows(REQUEUE)
    session.rows("UPDATE task_queue SET lease_until_utc = '2026-01-02 00:00:00' WHERE id = 2")
    assert session.rows("SELECT task_id, blocked FROM queue_stale(60)") == [(2, None)]
    session.rows("UPDATE task_queue SET key = 'd' WHERE id = 2")
    assert session.value(REQUEUE) == 1
    assert session.rows("SELECT count(*) FROM queuekeeper_blocked") == [(0,)]


@pytest.mark.parametrize(
    "impostor",
    [
        "CREATE VIEW queuekeeper_blocked AS SELECT 1 AS task_id",
        "CREATE TABLE queuekeeper_blocked(x)",
        "CREATE TABLE queuekeeper_blocked(task_id, lease, reason CHECK (0), blocked_utc)",
    ],
)
def test_that_it_cannot_be_remembered_fails_nothing(
    impostor: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.directory / "other.db")
    fill(session, *CAUSES["a CHECK"][:2])
    session.rows(impostor)
    assert session.value(REQUEUE) == 2
    assert session.rows("SELECT task_id, blocked FROM queue_stale(60)") == [(2, None)]
    session.rows("BEGIN")
    assert session.value(REQUEUE) == 0
    session.rows("COMMIT")


def test_the_history_names_them(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows(
        "CREATE TRIGGER guard BEFORE UPDATE ON task_queue WHEN old.id = 45 "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    session.rows("SELECT queue_run_due()")
    details = session.rows(
        "SELECT detail FROM queue_history() WHERE job = 'hourly' AND step = 'requeue'"
    )
    assert [json.loads(str(detail)) for (detail,) in details] == [
        {
            "requeued": 7,
            "blocked": 1,
            "blocked_tasks": [{"task_id": 45, "reason": "not this one"}],
        }
    ]


@pytest.mark.parametrize("function", [False, True], ids=["trigger", "function"])
def test_a_restore_that_requeues_is_not_stopped_by_one(
    function: bool, queue: Queue, open_python: OpenPython
) -> None:
    with queue.connect() as connection:
        connection.create_function("mine", 1, lambda x: x, deterministic=True)
        connection.execute(
            "CREATE TRIGGER guard BEFORE UPDATE ON task_queue WHEN mine(old.id) = 45 "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
            if function
            else "CREATE TRIGGER guard BEFORE UPDATE ON task_queue WHEN old.id = 45 "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    target = str(queue.directory / "new.db")
    done = session.object("SELECT queue_restore('latest', ?, '{\"requeue_leases\": true}')", target)
    assert done["requeued"] == (0 if function else 11)
    expected = "12 tasks could not" if function else "1 tasks could not"
    assert expected in done["note"]
    assert ("no such function: mine" if function else "45 (not this one)") in done["note"]
    with sqlite3.connect(target) as restored:
        left = restored.execute(
            "SELECT count(*) FROM task_queue WHERE status IN ('leased', 'processing')"
        ).fetchone()
    assert left == (12 if function else 1,)


#: Columns of a key that must be told apart, and found again, exactly.
KEYS: dict[str, tuple[str, list[tuple[Value, ...]]]] = {
    "texts that look like numbers": ("id PRIMARY KEY", [("007",), (7,), ("7",), (7.5,), (b"7",)]),
    "two columns": ("region, id, PRIMARY KEY(region, id)", [("a", 1), ("b", 1), ("b", 2)]),
    "without regard to case": ("id TEXT COLLATE NOCASE PRIMARY KEY", [("a",), ("B",), ("ä",)]),
    "another collation than the column's": (
        "id TEXT COLLATE NOCASE, PRIMARY KEY(id COLLATE BINARY)",
        [("a",), ("B",), ("b",), ("A",)],
    ),
    "blanks at the end": (
        "id TEXT COLLATE RTRIM, PRIMARY KEY(id COLLATE BINARY)",
        [("a",), ("a ",), ("a  ",)],
    ),
    "hidden rowids": (
        "id PRIMARY KEY, rowid DEFAULT 1, _rowid_ DEFAULT 1, oid DEFAULT 1",
        [("a",), (1,), (2,)],
    ),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("without", ["", " WITHOUT ROWID"])
def test_tasks_are_found_by_their_keys(
    kind: str, without: str, queue: Queue, open_python: OpenPython
) -> None:
    columns, keys = KEYS[kind]
    session = open_python(queue.directory / "other.db")
    head, _, constraint = columns.partition(", PRIMARY KEY")
    behind = f", PRIMARY KEY{constraint}" if constraint else ""
    session.rows(f"CREATE TABLE task_queue({head}, status, lease_until_utc{behind}){without}")
    names = "region, id" if len(keys[0]) == 2 else "id"
    marks = ", ".join("?" * len(keys[0]))
    for key in keys:
        session.rows(
            f"INSERT INTO task_queue({names}, status, lease_until_utc) "
            f"VALUES ({marks}, 'leased', '{OLD}')",
            *key,
        )
    session.rows(
        "CREATE TRIGGER last BEFORE UPDATE ON task_queue WHEN typeof(old.id) = typeof(?1) "
        "AND old.id COLLATE BINARY = ?1 BEGIN SELECT RAISE(ABORT, 'stays'); END".replace(
            "?1", repr(keys[-1][-1]).replace("b'7'", "x'37'")
        )
    )
    assert session.value(REQUEUE) == len(keys) - 1
    assert session.rows("SELECT task_id, blocked FROM queue_stale(60)") == [(keys[-1][-1], "stays")]
    session.rows("DROP TRIGGER last")
    assert session.value(REQUEUE) == 1


def test_a_key_that_is_no_text_in_any_encoding(queue: Queue, open_python: OpenPython) -> None:
    with sqlite3.connect(queue.directory / "other.db") as connection:
        connection.execute(
            "CREATE TABLE task_queue(id TEXT PRIMARY KEY, status, lease_until_utc) WITHOUT ROWID"
        )
        connection.execute(
            "INSERT INTO task_queue VALUES (CAST(x'ff61' AS TEXT), 'leased', ?), "
            "('b', 'leased', ?)",
            (OLD, OLD),
        )
    session = open_python(queue.directory / "other.db")
    assert session.value(REQUEUE) == 2


@pytest.mark.parametrize("begin", [None, "BEGIN"])
def test_a_few_variables_are_enough(
    begin: str | None, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(stale_leased=1500))
    session = open_python(queue.path)
    # SQLITE_LIMIT_VARIABLE_NUMBER
    session.call("limit", category=9, value=6)
    if begin:
        session.rows(begin)
    assert session.value(REQUEUE) == 1500
    assert session.value("SELECT queue_set('stale_secs', 77)") == 77
    if begin:
        session.rows("COMMIT")
    assert json.loads(str(session.value("SELECT queue_run_due()")))[0]["status"] == "ok"
    assert session.value("SELECT count(*) FROM queue_history()") != 0


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("begin", [None, "BEGIN"])
def test_counts_are_right_with_count_changes(
    journal: str, begin: str | None, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    """With that pragma, a statement that changes rows returns a row, too."""
    queue = make(Shape(stale_leased=400, journal_mode=journal))
    session = open_session(host, queue.path)
    session.rows("PRAGMA count_changes=1")
    if begin:
        session.rows(begin)
    assert session.value(REQUEUE) == 400
    assert session.value("SELECT queue_set('stale_secs', 77)") == 77
    assert session.value("SELECT queue_set('stale_secs', 78)") == 78
    assert session.value("SELECT queue_set('stale_secs', NULL)") is None
    if begin:
        session.rows("COMMIT")
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(0,)]
    assert queue.query("SELECT count(*) FROM queuekeeper_settings") == [(0,)]


def test_a_trigger_confuses_no_count(make: MakeQueue, open_python: OpenPython) -> None:
    """One that changes, moves or deletes rows of its own."""
    queue = make(Shape(tasks=0, stale_leased=300))
    session = open_python(queue.path)
    session.rows("CREATE TABLE moved(id)")
    session.rows(
        "CREATE TRIGGER t AFTER UPDATE ON task_queue WHEN new.status = 'queued' BEGIN "
        "INSERT INTO moved VALUES (new.id), (new.id); "
        "DELETE FROM task_queue WHERE id = new.id AND id % 2 = 0; END"
    )
    assert session.value(REQUEUE) == 300
    assert queue.query("SELECT count(*) FROM task_queue") == [(150,)]
