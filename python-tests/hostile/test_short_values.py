"""A connection that could not be told a result is refused before anything is done."""

from __future__ import annotations

import uuid

import pytest
from conftest import OpenPython

from hosts.protocol import SQLITE_TOOBIG
from hosts.python_host import PythonSession
from support.artifacts import catalog
from support.artifacts.kinds import write_catalog
from support.documents.declared import FUNCTIONS
from support.queues import Queue

LIMIT_LENGTH = 0
ARGUMENTS = {
    "queue_delete_backup": "'latest'",
    "queue_requeue_stale": "60",
    "queue_requeue": "'{\"all\": true}'",
    "queue_restore": "'latest'",
    "queue_rotate": "1",
    "queue_set": "'keep', '3'",
    "queue_verify": "'latest'",
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("longest", [300, 99_999])
def test_nothing_is_done_that_could_not_be_told(
    name: str, longest: int, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup(), queue_backup()")
    files, content = queue.files(), queue.snapshot()
    session.call("limit", category=LIMIT_LENGTH, value=longest)
    error = session.error(f"SELECT {name}({ARGUMENTS.get(name, '')})")
    assert error.primary_code == SQLITE_TOOBIG
    assert f"values of {longest} bytes" in error.message
    assert "nothing was done" in error.message
    assert (queue.files(), queue.snapshot()) == (files, content)
    session.call("limit", category=LIMIT_LENGTH, value=100_000)
    session.rows(f"SELECT {name}({ARGUMENTS.get(name, '')})")


#: As text of JSON each has six bytes, and there is room for a thousand of them in a backup's entry.
ODD = "\x01"


def with_odd_statuses(queue: Queue, session: PythonSession) -> None:
    """The statuses that a catalog notes, written as long as can be."""
    with queue.connect() as connection:
        connection.execute("DROP TABLE task_queue")
        connection.execute("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status TEXT)")
        connection.execute("INSERT INTO task_queue(status) VALUES (?)", (ODD * 16_360,))
    (queue.directory / (ODD * 250) / (ODD * 250)).mkdir(parents=True)


def with_a_deep_chain(queue: Queue, session: PythonSession) -> None:
    """Eight hundred backups that build on each other."""
    session.rows("SELECT queue_backup()")
    (first,) = catalog(queue.backups)
    entries = [first]
    for number in range(800):
        name = f"queue_backup_20200101_000000_{number}.delta.db"
        (queue.backups / name).write_bytes(b"SQLite format 3\0")
        fields = {**first, "id": str(uuid.UUID(int=number)), "backup_path": name}
        fields.update(parent_id=entries[-1]["id"], backup_type="incremental", size_bytes=16)
        entries.append({key: each for key, each in fields.items() if key != "object_digest"})
    write_catalog(queue.backups, entries)


def with_many_tables(queue: Queue, session: PythonSession) -> None:
    with queue.connect() as connection:
        for number in range(120):
            connection.execute(f'CREATE TABLE "t{number}{"x" * 1000}"(a)')


def with_failing_steps(queue: Queue, session: PythonSession) -> None:
    """A backup directory of the longest path, in which nothing can be made."""
    session.rows("SELECT queue_set('backup_dir', ?)", "/".join([ODD * 256] * 14))


#: What is made, the call, and whether its result is longer than what is asked for beforehand.
LONG = {
    "statuses": (with_odd_statuses, "SELECT queue_backup('{odd}/')", True),
    "a chain": (
        with_a_deep_chain,
        "SELECT queue_delete_backup('{first}', '{{\"dependants\": true}}')",
        True,
    ),
    "tables": (with_many_tables, "SELECT queue_analyze()", True),
    "steps": (with_failing_steps, "SELECT queue_run_due('2036-05-04 12:00:00')", False),
}


@pytest.mark.parametrize("what", LONG)
def test_of_a_result_that_cannot_be_told_the_error_says_that_it_is_done(
    what: str, queue: Queue, open_python: OpenPython
) -> None:
    prepare, sql, beyond = LONG[what]
    session = open_python(queue.path)
    prepare(queue, session)
    first = catalog(queue.backups)[0]["backup_path"] if "{first}" in sql else ""
    odd = queue.directory / (ODD * 250) / (ODD * 250)
    call = sql.format(first=queue.backups / first, odd=odd)
    before = queue.files()
    session.call("limit", category=LIMIT_LENGTH, value=100_000)
    if not beyond:
        length = len(session.value(call))
        assert 40_000 < length <= 100_000, length
        return
    error = session.error(call)
    assert error.primary_code == SQLITE_TOOBIG
    assert "it is done, but" in error.message, error
    if what != "tables":
        assert queue.files() != before
    session.call("limit", category=LIMIT_LENGTH, value=10_000_000)
    if what != "a chain":
        assert len(session.value(call)) > 100_000


def test_an_error_is_no_longer_than_what_can_be_told(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.call("limit", category=LIMIT_LENGTH, value=100_000)
    for value in (ODD * 60_000, "\U0001f600" * 16_000):
        message = session.error("SELECT queue_set('keep', ?)", value).message
        assert message.startswith("queue_set: the setting keep cannot be '")
        assert message.endswith("'{\"keep_daily\": 14}'") or "such as" in message
        assert len(message) < 20_000
