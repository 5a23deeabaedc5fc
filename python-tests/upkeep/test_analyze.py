"""queue_analyze and queue_optimize: statistics for all connections, and names that are names."""

from __future__ import annotations

import time

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Row, Session, Value
from hosts.protocol import SQLITE_BUSY, SQLITE_ERROR
from support.faults.interrupts import interrupted, interrupted_amid
from support.queues import Queue, Shape

STATS = "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY 1, 2"
KEYS = {"analyzed", "blocked_writers_ms", "duration_ms"}
LONGEST_SECONDS = 3.0

HOSTILE = ['a"b', "a'b", "a;DROP TABLE task_queue", "a\nb", "SELECT", "", "ä ö", "%s%n", "main.x"]


def plain_statistics(session: Session) -> list[Row]:
    """What the host's own ANALYZE finds, rolled back again."""
    session.rows("BEGIN")
    session.rows("ANALYZE main")
    found = session.rows(STATS)
    session.rows("ROLLBACK")
    return found


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_the_statistics_are_sqlites_own(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=500, stale_leased=50, journal_mode=journal))
    session = open_session(host, queue.path)
    wanted = plain_statistics(session)
    found = session.object("SELECT queue_analyze()")
    assert set(found) == KEYS
    assert found["analyzed"] == ["task_logs", "task_queue", "workers"]
    assert session.rows(STATS) == wanted != []


def test_open_connections_use_them_from_their_next_statement_on(
    host: Host, make: MakeQueue, open_session: OpenSession, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=0))
    with queue.connect() as connection:
        connection.execute("CREATE TABLE t(a, b)")
        connection.execute("CREATE INDEX t_a ON t(a)")
        connection.execute("CREATE INDEX t_b ON t(b)")
        rows = ((number, number % 2) for number in range(2000))
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.execute("ANALYZE")
    worker, session = open_python(queue.path, load=False), open_session(host, queue.path)

    def index(moment: int) -> str:
        # EXPLAIN alone doesn't look whether the schema has changed, and the same statement again
        # would come from the host's cache.
        worker.rows("SELECT * FROM t LIMIT 1")
        sql = "EXPLAIN QUERY PLAN SELECT * FROM t WHERE a = 1 AND b = 1"
        return str(worker.rows(f"{sql} -- {moment}")[0][3])

    assert "t_a" in index(1)
    with queue.connect() as connection:
        connection.execute("UPDATE t SET (a, b) = (b, a)")
        connection.execute("ANALYZE")
    # SQLite's own ANALYZE doesn't reach it.
    assert "t_a" in index(2)
    session.object("SELECT queue_analyze('t')")
    assert "t_b" in index(3)


def test_one_table_or_index(host: Host, make: MakeQueue, open_session: OpenSession) -> None:
    queue = make(Shape(tasks=500))
    session = open_session(host, queue.path)
    found = session.object("SELECT queue_analyze('TASK_queue')")
    assert found["analyzed"] == ["task_queue"]
    assert {row[0] for row in queue.query(STATS)} == {"task_queue"}
    session.rows("DELETE FROM sqlite_stat1")
    found = session.object("SELECT queue_analyze('task_queue_claim')")
    assert found["analyzed"] == ["task_queue_claim"]
    assert [row[1] for row in queue.query(STATS)] == ["task_queue_claim"]


@pytest.mark.rule(6)
@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_name(
    name: str, in_transaction: bool, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    quoted = '"' + name.replace('"', '""') + '"'
    error = session.error("SELECT queue_analyze(?)", name)
    assert error.primary_code == SQLITE_ERROR
    assert "its tables are task_logs, task_queue, workers" in error.message
    session.rows(f"CREATE TABLE {quoted}(x UNIQUE)")
    session.rows(f"INSERT INTO {quoted} VALUES (1), (2)")
    if in_transaction:
        session.rows("BEGIN IMMEDIATE")
    assert session.object("SELECT queue_analyze(?)", name)["analyzed"] == [name]
    if in_transaction:
        session.rows("COMMIT")
    assert [(row[0], row[2]) for row in queue.query(STATS)] == [(name, "2 1")]
    assert queue.query("SELECT count(*) FROM task_queue") == [(52,)]


@pytest.mark.rule(6)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tasks", "no table or index 'tasks'; its tables are task_logs, task_queue, workers"),
        ("task_status_summary", "no table or index"),
        ("sqlite_schema", "no table or index"),
        ("sqlite_stat1", "no table or index"),
        ("task_queue\0", "no table or index 'task_queue\\0'"),
        (1, "table must be TEXT, but is INTEGER"),
        (b"task_queue", "table must be TEXT, but is BLOB"),
    ],
)
def test_an_unknown_name_is_refused(
    name: Value, said: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.object("SELECT queue_analyze()")
    before = queue.query(STATS)
    for statement in ("SELECT 1", "BEGIN IMMEDIATE"):
        session.rows(statement)
        error = session.error("SELECT queue_analyze(?)", name)
        assert error.primary_code == SQLITE_ERROR
        assert said in error.message
    session.rows("ROLLBACK")
    assert queue.query(STATS) == before


def test_in_a_transaction_it_is_part_of_it(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    session.rows("BEGIN")
    assert "part of its transaction" in session.object("SELECT queue_analyze()")["note"]
    assert session.rows(STATS) != []
    session.rows("ROLLBACK")
    assert queue.query("SELECT name FROM sqlite_schema WHERE name = 'sqlite_stat1'") == []


def test_a_database_in_memory(host: Host, open_session: OpenSession) -> None:
    session = open_session(host, ":memory:")
    session.rows("CREATE TABLE t(x PRIMARY KEY)")
    session.rows("INSERT INTO t VALUES (1), (2)")
    assert set(session.object("SELECT queue_analyze()")) == KEYS
    assert [row[2] for row in session.rows(STATS)] == ["2 1"]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_others_are_waited_for_as_long_as_the_callers_patience(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession, open_python: OpenPython
) -> None:
    queue = make(Shape(journal_mode=journal))
    other, session = open_python(queue.path, load=False), open_session(host, queue.path)
    other.rows("BEGIN IMMEDIATE")
    session.rows("PRAGMA busy_timeout=300")
    error = session.error("SELECT queue_analyze()")
    assert error.primary_code == SQLITE_BUSY
    assert "another connection" in error.message
    assert error.seconds >= 0.25
    other.rows("COMMIT")
    other.rows("BEGIN")
    other.rows("SELECT count(*) FROM task_queue")
    if journal == "delete":
        # A reader keeps it from committing, which must leave nothing behind.
        assert session.error("SELECT queue_analyze()").primary_code == SQLITE_BUSY
        other.rows("COMMIT")
    assert set(session.object("SELECT queue_analyze()")) == KEYS


def test_an_interrupt_leaves_the_old_statistics(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(tasks=300_000))
    session = open_python(queue.path)
    # Ended while it waits, and while it works.
    other = open_python(queue.path, load=False)
    other.rows("BEGIN IMMEDIATE")
    session.rows("PRAGMA busy_timeout=20000")
    session.start("SELECT queue_analyze()")
    time.sleep(0.3)
    interrupted(session, LONGEST_SECONDS)
    other.rows("ROLLBACK")
    assert queue.query("SELECT name FROM sqlite_schema WHERE name = 'sqlite_stat1'") == []
    session.object("SELECT queue_analyze()")
    old = [("task_queue", None, "7")]

    def mark() -> None:
        queue.query("DELETE FROM sqlite_stat1")
        queue.query("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", *old[0])

    interrupted_amid(session, "SELECT queue_analyze()", LONGEST_SECONDS, mark)
    assert queue.query("SELECT * FROM sqlite_stat1") == old


def test_the_callers_analysis_limit_counts(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make(Shape(tasks=20_000))
    session = open_python(queue.path)
    session.object("SELECT queue_analyze()")
    exact = queue.query(STATS)
    session.rows("PRAGMA analysis_limit=100")
    session.object("SELECT queue_analyze()")
    assert queue.query(STATS) != exact
    assert session.value("PRAGMA analysis_limit") == 100


@pytest.mark.parametrize(("full", "vacuumed"), [(None, False), (0, False), (1, True), (1.0, True)])
def test_optimize_says_what_it_did_and_changed(
    full: Value, vacuumed: bool, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    with queue.connect() as connection:
        connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, content)")
        connection.execute("INSERT INTO ballast VALUES (1, zeroblob(400000))")
        connection.execute("DELETE FROM ballast")
    session = open_session(host, queue.path)
    before = session.object("SELECT queue_stats()")
    found = session.object("SELECT queue_optimize(?)", full)
    assert set(found) == {"analyzed", "vacuumed", "stats_before", "stats_after"}
    assert found["analyzed"] is True
    assert found["vacuumed"] is vacuumed
    changing = {"free_disk_bytes", "wal_size_bytes", "wal_size_mb"}
    kept = set(before) - changing
    assert {key: found["stats_before"][key] for key in kept} == {key: before[key] for key in kept}
    assert set(found["stats_after"]) == set(before)
    assert (found["stats_after"]["freelist_count"] < 50) == vacuumed
    assert (found["stats_after"]["total_size_mb"] < before["total_size_mb"]) == vacuumed
    assert queue.query(STATS) != []


def test_optimize_without_an_argument_analyzes(queue: Queue, open_python: OpenPython) -> None:
    found = open_python(queue.path).object("SELECT queue_optimize()")
    assert (found["analyzed"], found["vacuumed"]) == (True, False)


@pytest.mark.rule(6)
@pytest.mark.parametrize("full", [2, -1, 2**63 - 1, 0.5, "1x", "true", b"", "full"])
def test_optimize_takes_0_or_1(full: Value, queue: Queue, open_python: OpenPython) -> None:
    error = open_python(queue.path).error("SELECT queue_optimize(?)", full)
    assert error.primary_code == SQLITE_ERROR
    assert "full " in error.message
    assert "0 (ANALYZE) or 1" in error.message or "must be a whole number" in error.message


def test_a_full_optimize_in_a_transaction_does_nothing(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("BEGIN IMMEDIATE")
    assert session.error("SELECT queue_optimize(1)").primary_code == SQLITE_BUSY
    session.rows("COMMIT")
    assert queue.query("SELECT name FROM sqlite_schema WHERE name = 'sqlite_stat1'") == []


@pytest.mark.rule(7)
def test_its_commit_stays_in_the_wal(queue: Queue, open_python: OpenPython) -> None:
    """Only what says so makes checkpoints, and that with care."""
    session = open_python(queue.path)
    session.rows("UPDATE task_queue SET priority = 7")
    before = queue.path.read_bytes()
    session.value("SELECT queue_analyze()")
    assert queue.path.read_bytes() == before
