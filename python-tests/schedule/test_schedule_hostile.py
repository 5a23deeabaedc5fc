"""The schedule in databases that somebody else made or edited, and where it must refuse."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host
from hosts.protocol import SQLITE_READONLY
from support import artifacts
from support.queues import Queue
from support.schedules import (
    ALL_DUE,
    JOBS,
    NOON,
    RUN,
    detail,
    jobs,
    logged,
    only,
    planned,
    run_due,
    statuses,
    text,
)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)

#: Edits by hand after which the schedule goes on, once it has run at noon.
HARMLESS = {
    "no jobs": "DELETE FROM queuekeeper_jobs",
    "no log": "DELETE FROM queuekeeper_log",
    "no table of the jobs": "DROP TABLE queuekeeper_jobs",
    "no table of the log": "DROP TABLE queuekeeper_log",
    "times that are none": "UPDATE queuekeeper_jobs SET done_utc = 'soon', due_utc = 'never', "
    "last_run_utc = 'yesterday', attempts = 3",
    "times beyond the calendar": "UPDATE queuekeeper_jobs SET done_utc = '99999-01-01 00:00:00'",
    "times far in the future": "UPDATE queuekeeper_jobs SET done_utc = '9999-12-31 23:59:59'",
    "blobs": "UPDATE queuekeeper_jobs SET done_utc = x'00ff', due_utc = x'', last_status = x'ff'",
    "texts that are not UTF-8": "UPDATE queuekeeper_jobs SET done_utc = CAST(x'ff' AS TEXT), "
    "last_status = CAST(x'fffe' AS TEXT)",
    "numbers": "UPDATE queuekeeper_jobs SET done_utc = 7, due_utc = 1e300, last_status = -1",
    "absurd attempts": "UPDATE queuekeeper_jobs SET attempts = 9223372036854775807",
    "attempts that are no number": "UPDATE queuekeeper_jobs SET attempts = 'many'",
    "an absurd place in the log": "UPDATE queuekeeper_jobs SET began_behind = 'x'",
    "unknown jobs": "INSERT INTO queuekeeper_jobs(job, last_status) VALUES ('yearly', 'running')",
    "a log that is full": "INSERT INTO queuekeeper_log VALUES (9223372036854775807, 'daily', "
    "'backup', '', '', NULL, 'ok', NULL)",
    "a log with nonsense": "UPDATE queuekeeper_log SET detail = x'ff', status = CAST(x'ff' AS "
    "TEXT), step = 7, started_utc = 1.5",
    "a trigger that forbids": "CREATE TRIGGER no BEFORE INSERT ON queuekeeper_log BEGIN "
    "SELECT raise(ABORT, 'no'); END",
    "a trigger that undoes": "CREATE TRIGGER undo AFTER UPDATE ON queuekeeper_jobs BEGIN "
    "DELETE FROM queuekeeper_jobs; END",
    "a trigger that calls a function": "CREATE TRIGGER bait AFTER INSERT ON queuekeeper_log BEGIN "
    "SELECT queue_rotate(1); END",
    "more columns": "ALTER TABLE queuekeeper_log ADD COLUMN remark TEXT DEFAULT 'x'",
    "another index": "CREATE INDEX more ON queuekeeper_log(job, step, due_utc)",
    "a table without a key": "ALTER TABLE queuekeeper_jobs RENAME TO old; "
    "CREATE TABLE queuekeeper_jobs AS SELECT * FROM old",
}


def edit(queue: Queue, sql: str) -> None:
    """What somebody does by hand."""
    with queue.connect() as connection:
        connection.executescript(sql)


@pytest.mark.parametrize("name", HARMLESS)
def test_the_schedule_goes_on_after_its_tables_were_edited(
    name: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    edit(queue, HARMLESS[name])
    run_due(session, NOON + HOUR)
    ran = run_due(session, NOON + 3 * DAY)
    assert jobs(ran)[:2] == ["hourly", "daily"]
    assert {one["status"] for one in ran} == {"ok"}
    assert run_due(session, NOON + 3 * DAY + MINUTE) == []
    assert len(session.rows("SELECT * FROM queue_schedule()")) == len(JOBS)
    assert ("hourly", "ok") in session.rows("SELECT job, status FROM queue_history()")


UNUSABLE = {
    "a view": "DROP TABLE queuekeeper_jobs; CREATE VIEW queuekeeper_jobs AS SELECT 1 AS job",
    "a view of the log": "CREATE TABLE loot(x); DROP TABLE queuekeeper_log; "
    "CREATE VIEW queuekeeper_log AS SELECT 1 AS id, 'daily' AS job, 'backup' AS step, "
    "'' AS due_utc, '' AS started_utc, '' AS finished_utc, 'ok' AS status, '' AS detail; "
    "CREATE TRIGGER trap INSTEAD OF UPDATE ON queuekeeper_log BEGIN INSERT INTO loot VALUES (1); "
    "END",
    "a virtual table": "DROP TABLE queuekeeper_log; "
    "CREATE VIRTUAL TABLE queuekeeper_log USING fts5(id, job)",
    "other columns": "DROP TABLE queuekeeper_log; CREATE TABLE queuekeeper_log(x)",
    "a column of the jobs less": "DROP TABLE queuekeeper_jobs; "
    "CREATE TABLE queuekeeper_jobs(job TEXT PRIMARY KEY, done_utc TEXT)",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_tables_that_cannot_be_used_are_an_error_that_says_what_to_do(
    name: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    run_due(session, NOON)
    edit(queue, UNUSABLE[name])
    before = artifacts.backups_in(queue.backups)
    error = session.error(RUN, text(NOON + DAY))
    assert "queuekeeper_" in error.message
    assert "drop or rename" in error.message
    assert artifacts.backups_in(queue.backups) == before
    if "loot" in UNUSABLE[name]:
        assert queue.query("SELECT * FROM loot") == []
    kind = "VIEW" if "VIEW" in UNUSABLE[name] else "TABLE"
    for table in ("queuekeeper_jobs", "queuekeeper_log"):
        bears = queue.query("SELECT upper(type) FROM sqlite_schema WHERE name = ?", table)
        edit(queue, "".join(f"DROP {kind_of} {table};" for (kind_of,) in bears))
    assert kind in ("VIEW", "TABLE")
    assert jobs(run_due(session, NOON + DAY)) == JOBS


def test_a_view_with_a_trap_runs_nothing_when_the_schedule_is_shown(
    queue: Queue, host: Host, open_session: OpenSession
) -> None:
    edit(queue, "CREATE VIEW queuekeeper_log AS SELECT queue_rotate(1) AS id")
    session = open_session(host, queue.path)
    assert session.rows("SELECT * FROM queue_history()") == []
    assert len(session.rows("SELECT * FROM queue_schedule()")) == len(JOBS)


def set_by_hand(queue: Queue, name: str, value: Any) -> None:
    """What queue_set() would refuse."""
    edit(queue, "CREATE TABLE IF NOT EXISTS queuekeeper_settings(name, value)")
    with queue.connect() as connection:
        connection.execute("DELETE FROM queuekeeper_settings WHERE name = ?", (name,))
        connection.execute("INSERT INTO queuekeeper_settings VALUES (?, ?)", (name, value))


@pytest.mark.parametrize("value", ["61 * * * *", "", "0 0 30 2 *", 7, b"\xff", "x" * 100000])
def test_a_bad_cron_expression_stops_its_own_job_alone(
    value: Any, queue: Queue, open_python: OpenPython
) -> None:
    set_by_hand(queue, "cron_daily", value)
    session = open_python(queue.path)
    error = session.error(RUN, text(NOON))
    assert "the setting cron_daily" in error.message
    assert "a cron expression of five fields" in error.message
    assert "everything else that was due was run" in error.message
    assert {job for (job,) in session.rows("SELECT DISTINCT job FROM queue_history()")} == {
        "hourly",
        "weekly",
        "monthly",
    }
    row = planned(session, "daily")
    assert "(cannot be used)" in row["cron"]
    assert row["next_due_utc"] is None
    assert planned(session, "hourly")["last_status"] == "ok"
    session.rows("SELECT queue_set('cron_daily', NULL)")
    assert jobs(run_due(session, NOON)) == ["daily"]


def test_bad_settings_of_one_step_fail_that_step(queue: Queue, open_python: OpenPython) -> None:
    for name in ("keep", "stale_secs", "fragmentation_pct_critical"):
        set_by_hand(queue, name, "nonsense")
    session = open_python(queue.path)
    ran = run_due(session, ALL_DUE)
    failed = {
        (one["job"], step["step"])
        for one in ran
        for step in one["steps"]
        if step["status"] == "failed"
    }
    assert failed == {
        ("hourly", "requeue"),
        ("daily", "rotate"),
        ("daily", "requeue"),
        ("monthly", "vacuum"),
    }
    assert "the setting keep" in detail(ran[1], "rotate")


def test_a_bad_preset_fails_only_what_needs_the_tasks(
    queue: Queue, open_python: OpenPython
) -> None:
    set_by_hand(queue, "preset", "nonsense")
    ran = run_due(open_python(queue.path), NOON)
    assert [statuses(one).get("backup", "ok") for one in ran] == ["ok"] * 4
    assert statuses(ran[0])["requeue"] == "failed"
    assert "preset" in detail(ran[0], "requeue")


def test_a_bad_length_of_the_log_comes_after_everything_else(
    queue: Queue, open_python: OpenPython
) -> None:
    set_by_hand(queue, "history_rows", "long")
    session = open_python(queue.path)
    error = session.error(RUN, text(NOON))
    assert "the setting history_rows" in error.message
    assert len(logged(queue)) == 13


def test_a_bad_time_zone_stops_everything(queue: Queue, open_python: OpenPython) -> None:
    set_by_hand(queue, "time_zone", "Mars")
    session = open_python(queue.path)
    assert "the setting time_zone" in session.error(RUN, text(NOON)).message
    assert "the setting time_zone" in session.error("SELECT * FROM queue_schedule()").message


@pytest.mark.parametrize(
    ("begin", "call", "end"),
    [
        ("BEGIN", "SELECT queue_run_due()", "ROLLBACK"),
        ("BEGIN IMMEDIATE", "SELECT queue_run_due()", "ROLLBACK"),
        ("SAVEPOINT s", "SELECT queue_run_due()", "RELEASE s"),
        ("", "SELECT queue_run_due() FROM task_queue LIMIT 1", ""),
        ("", "INSERT INTO notes SELECT queue_run_due()", ""),
        ("", "UPDATE notes SET x = queue_run_due()", ""),
        ("", "CREATE TEMP TABLE ran AS SELECT queue_run_due() AS result", ""),
        ("", "SELECT value FROM json_each(queue_run_due())", ""),
    ],
)
def test_it_is_refused_in_any_transaction(
    begin: str, call: str, end: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    session.rows("CREATE TABLE notes(x)")
    session.rows("INSERT INTO notes VALUES (1)")
    if begin:
        session.rows(begin)
    error = session.error(call)
    assert "this connection has a transaction open" in error.message
    if end:
        session.rows(end)
    assert not queue.backups.exists()
    assert session.rows("SELECT * FROM notes") == [(1,)]
    assert jobs(run_due(session, NOON)) == JOBS


def test_it_is_refused_while_a_statement_is_half_read(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.fetch("SELECT id FROM task_queue", 1)
    assert "finish its statements" in session.error(RUN, text(NOON)).message
    session.finish()
    assert jobs(run_due(session, NOON)) == JOBS


def test_a_database_that_can_only_be_read(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    run_due(open_session(host, queue.path), NOON)
    session = open_session(host, queue.path, readonly=True)
    before = logged(queue), artifacts.backups_in(queue.backups)
    error = session.error(RUN, text(NOON + DAY))
    assert error.primary_code == SQLITE_READONLY
    assert len(session.rows("SELECT * FROM queue_history()")) == 13
    assert planned(session, "daily")["last_status"] == "ok"
    assert (logged(queue), artifacts.backups_in(queue.backups)) == before


def test_a_connection_that_only_queries(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("PRAGMA query_only = ON")
    assert session.error(RUN, text(NOON)).primary_code == SQLITE_READONLY
    assert not queue.backups.exists()


@pytest.mark.parametrize("path", [":memory:", ""])
def test_a_database_without_a_file(path: str, host: Host, open_session: OpenSession) -> None:
    session = open_session(host, path)
    assert "has no schedule" in session.error(RUN, text(NOON)).message
    assert len(session.rows("SELECT * FROM queue_schedule()")) == len(JOBS)
    assert session.rows("SELECT * FROM queue_history()") == []


def test_a_connection_that_shuts_others_out(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("PRAGMA locking_mode = EXCLUSIVE")
    session.rows("SELECT count(*) FROM task_queue")
    error = session.error(RUN, text(NOON))
    assert "locking_mode=EXCLUSIVE" in error.message


def lock_of(queue: Queue) -> Path:
    return Path(f"{queue.path}-schedule")


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize("kind", ["a directory", "a symbolic link", "no regular file"])
def test_something_else_in_the_place_of_the_lock_file(
    kind: str, queue: Queue, open_python: OpenPython
) -> None:
    lock, precious = lock_of(queue), queue.directory / "precious"
    precious.write_text("untouched")
    if kind == "a directory":
        lock.mkdir()
    elif kind == "a symbolic link":
        lock.symlink_to(precious)
    else:
        os.mkfifo(lock)
    session = open_python(queue.path)
    error = session.error(RUN, text(NOON))
    assert kind in error.message
    assert str(lock) in error.message
    assert precious.read_text() == "untouched"
    assert not queue.backups.exists()
    if lock.is_dir():
        lock.rmdir()
    else:
        lock.unlink()
    assert jobs(run_due(session, NOON)) == JOBS


@pytest.mark.rule(2)
@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
@pytest.mark.parametrize("how", ["symlink", "hard link"])
def test_a_lock_file_that_leads_to_the_live_database(
    how: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    before = queue.snapshot()
    if how == "symlink":
        lock_of(queue).symlink_to(queue.path)
    else:
        lock_of(queue).hardlink_to(queue.path)
    assert str(lock_of(queue)) in session.error(RUN, text(NOON)).message
    assert queue.snapshot() == before


def test_a_lock_file_that_can_only_be_read_still_locks(
    queue: Queue, open_python: OpenPython
) -> None:
    lock_of(queue).touch(mode=0o444)
    assert jobs(run_due(open_python(queue.path), NOON)) == JOBS
    assert lock_of(queue).read_bytes() == b""


def test_a_database_that_was_moved_is_not_worked_on(queue: Queue, open_python: OpenPython) -> None:
    if sys.platform == "win32":
        pytest.skip("an open file cannot be moved")
    session = open_python(queue.path)
    only(session, "hourly")
    queue.path.rename(queue.directory / "moved.db")
    assert "moved" in session.error(RUN, text(NOON)).message
    (queue.directory / "moved.db").rename(queue.path)
    assert jobs(run_due(session, NOON)) == ["hourly"]


def test_a_materialized_result_may_be_looked_into(queue: Queue, open_python: OpenPython) -> None:
    (row,) = open_python(queue.path).rows(
        "WITH ran(result) AS MATERIALIZED (SELECT queue_run_due(?)) "
        "SELECT json_array_length(result), json_extract(result, '$[1].job') FROM ran",
        text(NOON),
    )
    assert row == (4, "daily")


def test_the_result_is_json_of_the_json_kind(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    wrapped = session.value("SELECT json_array(queue_run_due(?))", text(NOON))
    assert jobs(json.loads(wrapped)[0]) == JOBS
