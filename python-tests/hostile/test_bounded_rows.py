"""What others put into the database's tables costs memory within a bound, and no host."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts.protocol import SQLITE_ERROR
from hosts.python_host import PythonSession
from support.queues import Queue

pytestmark = [
    pytest.mark.rule(6),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS, /proc"),
]

MEGABYTE = 1 << 20
#: More than the library's reserve, and less than SQLite may have beside it.
LONG = 60 * MEGABYTE
SCHEDULE = (
    "CREATE TABLE queuekeeper_jobs(job TEXT PRIMARY KEY NOT NULL, done_utc TEXT, due_utc TEXT, "
    "attempts INTEGER NOT NULL DEFAULT 0, began_behind INTEGER NOT NULL DEFAULT 0, "
    "last_run_utc TEXT, last_status TEXT, done_earlier_utc TEXT) WITHOUT ROWID",
    "CREATE TABLE queuekeeper_log(id INTEGER PRIMARY KEY, job TEXT NOT NULL, step TEXT NOT NULL, "
    "due_utc TEXT NOT NULL, started_utc TEXT NOT NULL, finished_utc TEXT, status TEXT NOT NULL, "
    "detail TEXT)",
)
STEP = (
    "INSERT INTO queuekeeper_log(job, step, due_utc, started_utc, status, detail) "
    "VALUES ('daily', 'backup', '', '', 'ok', ?)"
)


def a_setting(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute("CREATE TABLE queuekeeper_settings(name, value)")
        row = ("backup_dir", "/" + "x" * LONG)
        connection.execute("INSERT INTO queuekeeper_settings VALUES (?, ?)", row)


def a_name(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute("CREATE TABLE queuekeeper_settings(name, value)")
        row = ("keep" + "x" * LONG, "1")
        connection.execute("INSERT INTO queuekeeper_settings VALUES (?, ?)", row)


def a_step(queue: Queue) -> None:
    with queue.connect() as connection:
        for sql in SCHEDULE:
            connection.execute(sql)
        connection.execute(STEP, ("x" * LONG,))


def a_job(queue: Queue) -> None:
    with queue.connect() as connection:
        for sql in SCHEDULE:
            connection.execute(sql)
        row = ("daily", "x" * LONG)
        connection.execute("INSERT INTO queuekeeper_jobs(job, last_status) VALUES (?, ?)", row)


def a_worker(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute(
            "UPDATE task_queue SET status = 'leased', locked_by = ?, "
            "lease_until_utc = '2026-01-01 00:00:00' WHERE id = 1",
            ("w" * LONG,),
        )


def a_status(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE task_queue SET status = ? WHERE id = 1", ("s" * LONG,))


def a_key(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute("DROP TABLE task_queue")
        connection.execute(
            "CREATE TABLE task_queue(id TEXT PRIMARY KEY, status TEXT, lease_until_utc TEXT) "
            "WITHOUT ROWID"
        )
        task = "INSERT INTO task_queue VALUES (?, 'leased', '2026-01-01 00:00:00')"
        connection.execute(task, ("k" * LONG,))


def an_id(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute("DROP TABLE task_queue")
        connection.execute("CREATE TABLE task_queue(id, status TEXT, lease_until_utc TEXT)")
        task = "INSERT INTO task_queue VALUES (?, 'leased', '2026-01-01 00:00:00')"
        connection.execute(task, ("i" * LONG,))


def a_lease(queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute(
            "UPDATE task_queue SET status = 'leased', lease_until_utc = ? WHERE id = 1",
            ("never" * (LONG // 5),),
        )


def a_blocked_lease(queue: Queue) -> None:
    """No UTF-8 either, which takes three times the memory once it is made some."""
    with queue.connect() as connection:
        connection.execute("DROP TABLE task_queue")
        connection.execute("CREATE TABLE task_queue(id, status TEXT, lease_until_utc TEXT)")
        connection.execute(
            "INSERT INTO task_queue "
            "VALUES (CAST(? AS TEXT), 'leased', '2026-01-01 00:00:00.' || ?)",
            (b"\xff" * LONG, "0" * LONG),
        )
        connection.execute(
            "CREATE TRIGGER keep BEFORE UPDATE ON task_queue BEGIN SELECT RAISE(ABORT, 'no'); END"
        )


#: What is too long, and what shows or uses it.
CASES: dict[str, tuple[Callable[[Queue], None], str]] = {
    "a setting": (a_setting, "SELECT count(*) FROM queue_settings()"),
    "a setting's name": (a_name, "SELECT count(*) FROM queue_settings()"),
    "a step": (a_step, "SELECT length(detail) < 300000 FROM queue_history()"),
    "a job": (a_job, "SELECT max(length(last_status)) FROM queue_schedule()"),
    "a worker": (a_worker, "SELECT max(length(locked_by)) FROM queue_stale(60)"),
    "a holder": (a_worker, "SELECT max(length(locked_by)) FROM queue_leases()"),
    "a holder to requeue": (a_worker, "SELECT length(queue_requeue('{\"all\": true}'))"),
    "a key": (a_key, "SELECT queue_requeue_stale(60)"),
    "an id": (an_id, "SELECT queue_requeue_stale(60)"),
    "a blocked lease": (a_blocked_lease, "SELECT queue_requeue_stale(60)"),
    "a lease": (a_lease, "SELECT count(*) FROM queue_health()"),
    "a status": (a_status, "SELECT max(length(status)) FROM queue_depth()"),
}


def with_little_memory(session: PythonSession, more: int) -> None:
    """From now on it may have that much more."""
    pid = session.process.pid
    mapped = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (mapped + more, -1))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("more", [90, 150, 600])
def test_no_text_in_a_row_ends_a_host(
    more: int, case: str, queue: Queue, open_python: OpenPython
) -> None:
    """SQLite itself holds the row, and may be refused that; the library copies its beginning."""
    spoil, sql = CASES[case]
    spoil(queue)
    session = open_python(queue.path)
    session.rows("SELECT queue_version()")
    with_little_memory(session, more * MEGABYTE)
    try:
        ((found,),) = session.rows(sql)
    except Exception as error:
        assert more < 600, error
    else:
        assert 0 < int(found or 1) < 100_000
    assert session.value("SELECT 1") == 1


def test_a_setting_that_is_too_long_is_refused_and_cannot_be_used(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    most = 64 << 10
    session.value("SELECT queue_set('backup_dir', ?)", "/" + "x" * (most - 1))
    error = session.error("SELECT queue_set('backup_dir', ?)", "/" + "x" * most)
    assert str(most) in error.message
    with queue.connect() as connection:
        connection.execute("UPDATE queuekeeper_settings SET value = value || 'x'")
    error = session.error("SELECT queue_backup()")
    assert "backup_dir" in error.message
    assert "delete its row" in error.message


def test_a_table_of_settings_with_many_rows_is_an_error(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    with queue.connect() as connection:
        connection.execute("CREATE TABLE queuekeeper_settings(name, value)")
        rows = ((f"n{number}", number) for number in range(1000))
        connection.executemany("INSERT INTO queuekeeper_settings VALUES (?, ?)", rows)
    assert session.value("SELECT count(*) > 1000 FROM queue_settings()") == 1
    with queue.connect() as connection:
        connection.execute("INSERT INTO queuekeeper_settings VALUES ('one', 'more')")
    error = session.error("SELECT * FROM queue_settings()")
    assert error.primary_code == SQLITE_ERROR
    assert "more than 1000 rows" in error.message


def test_a_log_larger_than_any_of_ours_is_an_error_that_says_how_to_go_on(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    with queue.connect() as connection:
        for sql in SCHEDULE:
            connection.execute(sql)
        # Each counts as the beginning that is read.
        for _ in range(255):
            connection.execute(STEP, ("x" * (300 << 10),))
    assert session.value("SELECT count(*) FROM queue_history()") == 255
    assert session.value("SELECT max(length(detail)) FROM queue_history()") == 256 << 10
    with queue.connect() as connection:
        for _ in range(20):
            connection.execute(STEP, ("x" * (300 << 10),))
    error = session.error("SELECT * FROM queue_history()")
    assert error.primary_code == SQLITE_ERROR
    for word in ("queuekeeper_log", "history_rows", "67108864"):
        assert word in error.message
    session.value("SELECT queue_set('history_rows', 100)")
    session.value("SELECT queue_run_due()")
    assert session.value("SELECT count(*) FROM queue_history()") <= 120


def test_a_cron_expression_that_is_too_long_is_refused(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.value("SELECT queue_set('cron_daily', ?)", ",".join(["0"] * 500) + " * * * *")
    error = session.error("SELECT queue_set('cron_daily', ?)", ",".join(["0"] * 600) + " * * * *")
    assert error.primary_code == SQLITE_ERROR
