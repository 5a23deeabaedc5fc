"""queue_checkpoint: SQLite's modes and numbers, and no commit lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Session, Value
from hosts.protocol import SQLITE_BUSY, SQLITE_ERROR, SQLITE_READONLY
from support.faults.interrupts import interrupted
from support.queues import Queue, Shape
from support.workers import recording

MODES = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")
CHANGE = "UPDATE task_queue SET priority = priority + 1 WHERE id = 1"
READ = "SELECT count(*) FROM task_queue"

# A call that waits for what it must not wait for would take the 5 s of the hosts' busy timeout.
LONGEST_SECONDS = 3.0


@dataclass
class Others:
    """What other processes do with one queue."""

    queue: Queue
    open_python: OpenPython
    sessions: dict[str, Session] = field(default_factory=dict)

    def session(self, name: str) -> Session:
        """A process of its own, without the library, that makes no checkpoint by itself."""
        if name not in self.sessions:
            self.sessions[name] = self.open_python(self.queue.path, load=False)
            self.sessions[name].rows("PRAGMA wal_autocheckpoint=0")
        return self.sessions[name]

    def commit(self) -> None:
        self.session("committer").rows(CHANGE)

    def read(self, name: str) -> None:
        self.session(name).rows("BEGIN")
        self.session(name).rows(READ)

    def write(self) -> None:
        self.session("writer").rows("BEGIN IMMEDIATE")
        self.session("writer").rows("UPDATE task_queue SET priority = 0")


def nobody(others: Others) -> None:
    others.commit()
    others.commit()


def present_reader(others: Others) -> None:
    nobody(others)
    others.read("present")


def old_reader(others: Others) -> None:
    others.commit()
    others.read("old")
    others.commit()


def reader_of_the_file_alone(others: Others) -> None:
    others.commit()
    others.session("committer").rows("PRAGMA wal_checkpoint(TRUNCATE)")
    others.read("old")
    others.commit()


def both_readers(others: Others) -> None:
    old_reader(others)
    others.read("present")


READERS: tuple[Callable[[Others], None], ...] = (
    nobody,
    present_reader,
    old_reader,
    reader_of_the_file_alone,
    both_readers,
)


def answer(session: Session, mode: str) -> dict[str, Any]:
    found = session.object("SELECT queue_checkpoint(?)", mode)
    assert found["mode"] == mode.upper()
    assert set(found) - {"note"} == {"mode", "busy", "log", "checkpointed"}
    assert ("note" in found) == (found["busy"] == 1 or found["log"] == -1)
    return found


def numbers(found: dict[str, Any]) -> tuple[Value, ...]:
    return found["busy"], found["log"], found["checkpointed"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("situation", READERS)
def test_with_and_without_readers_the_numbers_are_those_of_the_pragma(
    situation: Callable[[Others], None],
    mode: str,
    host: Host,
    make: MakeQueue,
    open_session: OpenSession,
    open_python: OpenPython,
) -> None:
    ours, plain = Others(make(), open_python), Others(make(), open_python)
    # One was perhaps made a second later than the other.
    plain.queue.path.write_bytes(ours.queue.path.read_bytes())
    situation(ours)
    situation(plain)
    asked = open_python(plain.queue.path, load=False)
    asked.rows("PRAGMA busy_timeout=100")
    (wanted,) = asked.rows(f"PRAGMA wal_checkpoint({mode})")
    session = open_session(host, ours.queue.path)
    begun = time.monotonic()
    assert numbers(answer(session, mode)) == wanted
    assert time.monotonic() - begun < LONGEST_SECONDS
    lengths = [other.queue.path.with_name("queue.db-wal").stat().st_size for other in (ours, plain)]
    assert lengths[0] == lengths[1]
    assert (lengths[0] == 0) == (mode == "TRUNCATE" and wanted[0] == 0)
    assert ours.queue.path.read_bytes()[4096:] == plain.queue.path.read_bytes()[4096:]


@pytest.mark.parametrize("reader", [False, True])
@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.rule(7)
def test_a_writer_who_stays_leaves_the_file_unchanged(
    mode: str,
    reader: bool,
    host: Host,
    queue: Queue,
    open_session: OpenSession,
    open_python: OpenPython,
) -> None:
    others = Others(queue, open_python)
    (both_readers if reader else nobody)(others)
    others.write()
    session = open_session(host, queue.path)
    session.rows("PRAGMA busy_timeout=300")
    before = queue.path.read_bytes()
    begun = time.monotonic()
    found = answer(session, mode)
    assert time.monotonic() - begun >= 0.25
    assert numbers(found) == (1, -1, -1)
    assert "another connection kept the write lock" in found["note"]
    # SQLite's own would have gone on as PASSIVE, without the lock.
    assert queue.path.read_bytes() == before
    others.session("writer").rows("COMMIT")
    if not reader:
        assert answer(session, mode)["busy"] == 0


def test_passive_and_a_writer(
    host: Host, queue: Queue, open_session: OpenSession, open_python: OpenPython
) -> None:
    others = Others(queue, open_python)
    nobody(others)
    others.write()
    session = open_session(host, queue.path)
    session.rows("PRAGMA busy_timeout=300")
    before = queue.path.read_bytes()
    version = tuple(map(int, str(session.value("SELECT sqlite_version()")).split(".")))
    found = answer(session, "PASSIVE")
    if version >= (3, 51, 3):
        assert found["busy"] == 0
        assert found["log"] == found["checkpointed"] > 0
    else:
        assert numbers(found) == (1, -1, -1)
        assert queue.path.read_bytes() == before
    others.session("writer").rows("ROLLBACK")
    found = answer(session, "PASSIVE")
    assert found["busy"] == 0
    assert found["log"] == found["checkpointed"] > 0


def test_a_writer_who_leaves_in_time_is_waited_for(queue: Queue, open_python: OpenPython) -> None:
    others = Others(queue, open_python)
    nobody(others)
    others.write()
    session = open_python(queue.path)
    for mode in MODES:
        session.start(f"SELECT queue_checkpoint('{mode}')")
        time.sleep(0.2)
        others.session("writer").rows("COMMIT")
        assert '"busy":0' in str(session.result().rows[0][0])
        others.write()


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_reader_holds_up_writers_only_for_a_moment(
    mode: str, host: Host, queue: Queue, open_session: OpenSession, open_python: OpenPython
) -> None:
    others = Others(queue, open_python)
    old_reader(others)
    session = open_session(host, queue.path)
    queue.query("SELECT 1")
    with queue.connect() as connection:
        connection.execute("CREATE TABLE record(id INTEGER PRIMARY KEY, content)")
    with recording(queue.path, 1) as writers:
        for _ in range(3):
            assert answer(session, mode)["busy"] == 1
    assert writers.reports[0].longest_seconds < LONGEST_SECONDS


@pytest.mark.rule(7)
def test_checkpoints_among_committing_writers_lose_no_commit(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    with queue.connect() as connection:
        connection.execute("CREATE TABLE record(id INTEGER PRIMARY KEY, content)")
    session = open_session(host, queue.path)
    outcomes = dict.fromkeys(MODES, 0)
    with recording(queue.path, 2) as writers:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            for mode in MODES:
                outcomes[mode] += 1 - answer(session, mode)["busy"]
    commits = sum(report.commits for report in writers.reports)
    assert commits > 0
    assert queue.query("SELECT count(*), max(id) FROM record") == [(commits, commits)]
    assert session.value("PRAGMA integrity_check") == "ok"
    assert all(outcomes.values()), outcomes


def test_a_read_of_the_callers_own_is_not_waited_for(
    host: Host, queue: Queue, open_session: OpenSession, open_python: OpenPython
) -> None:
    others = Others(queue, open_python)
    nobody(others)
    session = open_session(host, queue.path)
    session.rows("BEGIN")
    session.rows(READ)
    others.commit()
    for mode in MODES[1:]:
        begun = time.monotonic()
        found = answer(session, mode)
        assert time.monotonic() - begun < LONGEST_SECONDS
        assert found["busy"] == 1
        assert found["checkpointed"] < found["log"]
        assert "this connection itself" in found["note"]
    session.rows("COMMIT")
    assert numbers(answer(session, "TRUNCATE")) == (0, 0, 0)


def test_in_a_write_transaction_of_the_callers_own_what_was_committed_is_copied(
    host: Host, queue: Queue, open_session: OpenSession, open_python: OpenPython
) -> None:
    others = Others(queue, open_python)
    nobody(others)
    session = open_session(host, queue.path)
    session.rows("BEGIN IMMEDIATE")
    session.rows(CHANGE)
    for mode in MODES:
        found = answer(session, mode)
        assert found["busy"] == (mode in ("RESTART", "TRUNCATE"))
        assert found["log"] == found["checkpointed"] > 0
        if found["busy"]:
            assert "this connection's own open write transaction" in found["note"]
    session.rows("ROLLBACK")
    assert numbers(answer(session, "TRUNCATE")) == (0, 0, 0)
    assert session.value("SELECT priority FROM task_queue WHERE id = 1") == 102


@pytest.mark.parametrize("mode", MODES)
def test_without_a_wal_there_is_nothing_to_do(
    mode: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    for path in (make(Shape(journal_mode="delete")).path, ":memory:", ""):
        session = open_session(host, path)
        found = answer(session, mode)
        assert numbers(found) == (0, -1, -1)
        assert session.rows(f"PRAGMA wal_checkpoint({mode})") == [(0, -1, -1)]
        assert "WAL" in found["note"]


@pytest.mark.parametrize("mode", MODES)
def test_a_caller_that_keeps_others_out_checkpoints_by_itself(
    mode: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    session.rows("PRAGMA locking_mode=EXCLUSIVE")
    session.rows(CHANGE)
    found = answer(session, mode)
    assert found["busy"] == 0
    assert found["log"] == found["checkpointed"]
    session.rows("BEGIN")
    session.rows(READ)
    error = session.error("SELECT queue_checkpoint(?)", mode)
    assert error.primary_code == SQLITE_BUSY
    assert "locking_mode=EXCLUSIVE" in error.message
    assert error.seconds < LONGEST_SECONDS


def test_a_connection_that_may_only_read_is_refused(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    error = open_session(host, queue.path, readonly=True).error("SELECT queue_checkpoint()")
    assert error.primary_code == SQLITE_READONLY
    assert "through one that may write" in error.message


@pytest.mark.rule(2)
def test_a_database_that_was_moved_is_refused(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows(READ)
    for name in ("queue.db", "queue.db-wal", "queue.db-shm"):
        queue.path.with_name(name).rename(queue.path.with_name("moved-" + name))
    for call in ("queue_checkpoint()", "queue_vacuum()", "queue_analyze()"):
        error = session.error(f"SELECT {call}")
        assert error.primary_code == SQLITE_READONLY
        assert "was moved" in error.message
    assert not queue.path.exists()


@pytest.mark.rule(6)
@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("", "the mode is ''"),
        ("fast", "the mode is 'fast'"),
        ("FULL)", "the mode is 'FULL)'"),
        ("FULL\0", "the mode is 'FULL\\0'"),
        (1, "mode must be TEXT, but is INTEGER"),
        (b"FULL", "mode must be TEXT, but is BLOB"),
    ],
)
def test_an_unknown_mode_is_refused(
    mode: Value, said: str, queue: Queue, open_python: OpenPython
) -> None:
    error = open_python(queue.path).error("SELECT queue_checkpoint(?)", mode)
    assert error.primary_code == SQLITE_ERROR
    assert said in error.message
    if isinstance(mode, str):
        assert "PASSIVE, FULL, RESTART or TRUNCATE" in error.message


def test_modes_may_be_written_in_any_case(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    assert session.object("SELECT queue_checkpoint()")["mode"] == "PASSIVE"
    assert session.object("SELECT queue_checkpoint(NULL)")["mode"] == "PASSIVE"
    for mode in ("full", "Restart", "tRUNCATE"):
        assert answer(session, mode)["busy"] == 0


@pytest.mark.parametrize("mode", ["FULL", "TRUNCATE"])
def test_an_interrupt_ends_the_wait_for_a_writer(
    mode: str, queue: Queue, open_python: OpenPython
) -> None:
    others = Others(queue, open_python)
    others.write()
    session = open_python(queue.path)
    session.rows("PRAGMA busy_timeout=20000")
    session.start(f"SELECT queue_checkpoint('{mode}')")
    time.sleep(0.3)
    interrupted(session, LONGEST_SECONDS)
