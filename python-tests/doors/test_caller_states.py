"""Every state that the caller can be in against each function.

Never a wait for a lock that the caller itself holds, never the caller's transaction ended.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Session, SqlError, Value
from hosts.protocol import SQLITE_BUSY
from hosts.python_host import PythonSession
from support import artifacts, states
from support.queues import Queue, Shape
from support.states import CALLS, CHANGE, JOURNALS, NOTE, STATES, WORKS, State

# The busy timeout is 5 s in every host. A call that waits for its own caller would take as long.
LONGEST_SECONDS = 2.0

TASKS = 40
OWN_PRIORITY = "SELECT priority FROM task_queue WHERE id = 1"


@pytest.mark.parametrize("left", ["-wal", "-journal"])
def test_who_does_not_see_the_last_commits_makes_no_backup(
    left: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=TASKS, journal_mode="wal" if left == "-wal" else "delete"))
    session = open_python(f"file:{queue.path}?immutable=1")
    assert sum(session.object("SELECT queue_backup()")["task_counts"].values()) == TASKS
    with queue.connect() as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO task_queue(type, payload) VALUES ('last', '{}')")
        if left == "-wal":
            writer.execute("COMMIT")
        error = session.error("SELECT queue_backup()")
        assert f"queue.db{left}" in error.message
        assert "immutable=1" in error.message


def answer(session: Session, sql: str, state: State) -> Value:
    """The call's value, also when the state is that it gets inserted into a table."""
    if not state.inserting:
        value: Value = session.value(sql)
        return value
    session.rows("DELETE FROM results")
    session.rows(f"INSERT INTO results {sql}")
    return session.rows("SELECT x FROM results")[0][0]


def priority(queue: Queue) -> int:
    """What others see of the rows that the caller changes."""
    ((seen,),) = queue.query(OWN_PRIORITY)
    assert isinstance(seen, int)
    return seen


def enter(session: Session, state: State) -> None:
    for statement in state.enter:
        session.rows(statement)
    if state.half_read:
        assert isinstance(session, PythonSession)
        assert len(session.fetch(state.half_read, 3)) == 3


def leave(session: Session, state: State) -> None:
    """Ends the state as its owner would; a transaction that we had ended would be an error here."""
    if state.half_read:
        assert isinstance(session, PythonSession)
        assert len(session.finish()) == TASKS - 3
    for statement in state.leave:
        session.rows(statement)


def call_once(session: Session, call: str, queue: Queue, journal: str, state: State) -> None:
    """One call in one state: its outcome, its time, and what it left of the state."""
    sql = CALLS[call].format(dir=queue.backups)
    seen = None if state.alone else priority(queue)
    enter(session, state)
    mine = session.value(OWN_PRIORITY)
    wanted = states.expected(call, journal, state)
    try:
        value = answer(session, sql, state)
    except SqlError as error:
        assert wanted in error.message, f"{call}: {error}"
        assert error.primary_code == SQLITE_BUSY
        assert error.seconds < LONGEST_SECONDS, call
    else:
        assert wanted in (WORKS, NOTE), f"{call} answered {value!r}"
        assert (wanted == NOTE) == (isinstance(value, str) and "uncommitted" in value), value
    assert session.value(OWN_PRIORITY) == mine, call
    if not state.alone and journal not in state.shuts_out:
        assert priority(queue) == seen, f"{call} committed for the caller"
    leave(session, state)
    if not state.alone:
        assert priority(queue) == mine, f"{call} undid the caller's change"


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
@pytest.mark.parametrize("journal", JOURNALS)
def test_every_function_in_every_state(
    state: State, journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=TASKS - 5, stale_leased=5, journal_mode=journal))
    queue.backups.mkdir()
    session = open_session(host, queue.path)
    if state.half_read and not session.has_cursors:
        pytest.skip("the shell reads every statement to its end")
    session.rows("CREATE TABLE results(x)")
    for call in CALLS:
        call_once(session, call, queue, journal, state)
    assert session.value("PRAGMA integrity_check") == "ok"
    mine = session.value(OWN_PRIORITY)
    session.close()
    # What only the caller could see while it lasted has been committed.
    assert priority(queue) == mine
    changes = len([statement for statement in state.enter if statement == CHANGE])
    assert mine == 100 + changes * len(CALLS)


def test_the_longest_wait_is_for_others_and_as_long_as_the_callers_patience(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(stale_leased=5, journal_mode="delete"))
    holder = open_python(queue.path)
    holder.rows("BEGIN EXCLUSIVE")
    session = open_python(queue.path)
    session.rows("PRAGMA busy_timeout=300")
    for call in ("queue_backup()", "queue_requeue_stale(60)"):
        error = session.error(f"SELECT {call}")
        assert error.primary_code == SQLITE_BUSY
        assert "this connection's own" not in error.message
        assert error.seconds >= 0.25
    holder.rows("ROLLBACK")
    assert session.object("SELECT queue_backup()")["page_size"] == 4096


def test_an_outdated_read_of_the_callers_own_is_an_error_at_once(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=TASKS, stale_leased=5))
    session = open_python(queue.path)
    session.fetch("SELECT id FROM task_queue", 3)
    with queue.connect() as connection:
        connection.execute(CHANGE)
    error = session.error("SELECT queue_requeue_stale(60)")
    assert error.primary_code == SQLITE_BUSY
    assert error.seconds < LONGEST_SECONDS
    assert "finish its open statements" in error.message
    # The backup doesn't depend on what the caller happens to be reading.
    copy = Path(session.object("SELECT queue_backup()")["backup_path"])
    assert artifacts.query(copy, OWN_PRIORITY) == [(101,)]
    session.finish()
    assert session.value("SELECT queue_requeue_stale(60)") == 5


def test_uncommitted_rows_that_outgrow_the_page_cache_are_an_error_at_once(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=5000, journal_mode="delete"))
    session = open_python(queue.path)
    session.rows("PRAGMA cache_size=10")
    session.rows("BEGIN IMMEDIATE")
    # Spilled into the file, which keeps readers out until the commit.
    session.rows('UPDATE task_queue SET payload = \'{"format": "mkv"}\'')
    error = session.error("SELECT queue_backup()")
    assert error.primary_code == SQLITE_BUSY
    assert states.OWN_TRANSACTION in error.message
    assert error.seconds < LONGEST_SECONDS
    session.rows("COMMIT")
    assert "note" not in session.object("SELECT queue_backup()")


def test_a_half_read_cursor_that_keeps_a_neighbour_from_committing_is_an_error_at_once(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=TASKS, journal_mode="delete"))
    session = open_python(queue.path)
    session.fetch("SELECT id FROM task_queue", 3)
    # Another connection of the same process. One of another process would not be in the way: as
    # long as this process reads the file, SQLite lets its other connections read it, too.
    session.call("open", path=str(queue.path), connection="neighbour")
    for sql in ("PRAGMA busy_timeout=0", "BEGIN IMMEDIATE", CHANGE):
        session.call("execute", connection="neighbour", sql=sql, params=[])
    with pytest.raises(SqlError, match="locked"):
        session.call("execute", connection="neighbour", sql="COMMIT", params=[])
    error = session.error("SELECT queue_backup()")
    assert error.primary_code == SQLITE_BUSY
    assert "this connection's own open read" in error.message
    assert error.seconds < LONGEST_SECONDS
    session.finish()
    session.call("execute", connection="neighbour", sql="COMMIT", params=[])
    assert session.object("SELECT queue_backup()")["page_size"] == 4096


def test_a_half_read_cursor_and_a_waiting_writer_elsewhere_dont_keep_a_backup_from_working(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=TASKS, journal_mode="delete"))
    session, other = open_python(queue.path), open_python(queue.path, load=False)
    session.fetch("SELECT id FROM task_queue", 3)
    for sql in ("PRAGMA busy_timeout=0", "BEGIN IMMEDIATE", CHANGE):
        other.rows(sql)
    assert other.error("COMMIT").primary_code == SQLITE_BUSY
    copy = Path(session.object("SELECT queue_backup()")["backup_path"])
    assert artifacts.query(copy, OWN_PRIORITY) == [(100,)]
    session.finish()
    other.rows("COMMIT")
    assert priority(queue) == 101


def test_a_database_in_memory_with_uncommitted_rows_is_an_error_at_once(
    host: Host, tmp_path: Path, open_session: OpenSession
) -> None:
    session = open_session(host, ":memory:")
    session.rows("CREATE TABLE t(x)")
    session.rows("BEGIN")
    session.rows("INSERT INTO t VALUES (1)")
    copy = tmp_path / "copy.db"
    error = session.error("SELECT queue_backup(?)", str(copy))
    assert error.primary_code == SQLITE_BUSY
    assert "COMMIT or ROLLBACK" in error.message
    assert not copy.exists()
    session.rows("COMMIT")
    session.object("SELECT queue_backup(?)", str(copy))
    assert artifacts.query(copy, "SELECT x FROM t") == [(1,)]


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_rolled_back_transaction_takes_the_requeue_with_it_and_leaves_the_backup(
    journal: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(stale_leased=5, journal_mode=journal))
    before = queue.snapshot()
    session = open_session(host, queue.path)
    session.rows("BEGIN IMMEDIATE")
    assert session.value("SELECT queue_requeue_stale(60)") == 5
    session.object("SELECT queue_backup()")
    session.rows("ROLLBACK")
    assert queue.snapshot() == before
    assert session.value("SELECT count(*) FROM queue_backups()") == 1


def test_the_result_of_a_call_can_be_kept_in_a_table(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(stale_leased=5))
    session = open_session(host, queue.path)
    session.rows("CREATE TABLE log(at DEFAULT current_timestamp, requeued, stats)")
    session.rows("INSERT INTO log(requeued, stats) SELECT queue_requeue_stale(60), queue_stats()")
    ((requeued, stats),) = queue.query("SELECT requeued, stats FROM log")
    assert requeued == 5
    assert json.loads(stats)["page_size"] == 4096
