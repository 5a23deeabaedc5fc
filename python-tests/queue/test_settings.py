"""queue_set() and queue_settings(): values that live in the database."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host
from support.documents.pages import page
from support.queues import Queue

SETTING = "SELECT value, default_value, description FROM queue_settings() WHERE name = ?"


def test_a_value_is_stored_shown_and_reset(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    assert session.value("SELECT queue_set('full_every', '3')") == 3
    assert queue.query("SELECT name, value FROM queuekeeper_settings") == [("full_every", 3)]
    shown = (
        "SELECT value || ' of ' || default_value FROM queue_settings() WHERE name = 'full_every'"
    )
    assert session.value(shown) == "3 of 7"
    assert session.value("SELECT queue_set('full_every', NULL) IS NULL") == 1
    assert session.value(shown) == "7 of 7"
    assert queue.query("SELECT count(*) FROM queuekeeper_settings") == [(0,)]


def test_what_is_set_counts(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('backup_dir', 'elsewhere')")
    made = session.object("SELECT queue_backup()")
    assert Path(made["backup_path"]).parent == queue.path.parent / "elsewhere"


def test_resetting_what_was_never_set_writes_nothing(queue: Queue, open_python: OpenPython) -> None:
    before = queue.snapshot()
    assert open_python(queue.path).value("SELECT queue_set('keep', NULL)") is None
    assert queue.snapshot() == before


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("full_every", 0, "a whole number above 0"),
        ("full_every", "many", "a whole number above 0"),
        ("full_every", 1.5, "a whole number above 0"),
        ("backup_dir", "", "a text that is not empty"),
        ("backup_dir", 7, "a text that is not empty"),
        ("preset", "celery", "one of 'prismq', 'litequeue'"),
        ("time_format", "julian", "'text', 'iso', 'unix', 'unix_ms', 'unix_ns'"),
        ("stale_attempts", "double", "'ignore', 'count', 'limit'"),
        ("stale_needs_dead_worker", 2, "0 or 1"),
        ("status_leased", "[]", "a status, or a JSON array of some"),
        ("status_leased", "[1.5]", "a status, or a JSON array of some"),
        ("status_queued", 1.5, "a status: a text or a whole number"),
        ("task_table", "task_quue", "the database's tables are task_logs, task_queue, workers"),
        ("task_table", "", "the name of a table"),
        ("column_id", "idd", "the columns of the table task_queue are id, type, priority"),
        ("column_heartbeat", "beat", "the columns of the table workers are worker_id"),
        ("requeue_clears", '["nope"]', "the columns of the table task_queue are id"),
        ("requeue_clears", "result", "a JSON array with names of columns"),
        ("cron_daily", "0 2 * *", "a cron expression of five fields"),
        ("cron_daily", "0 0 30 2 *", "a cron expression of five fields"),
        ("cron_daily", "61 2 * * *", "a cron expression of five fields"),
        ("time_zone", "Mars", "one of 'UTC', 'local'"),
        ("keep", "7/4", "such as '7/4/12'"),
        ("keep", 0, "such as '7/4/12'"),
        ("remote", "", "a path, or a remote of rclone's own configuration"),
        (
            "remote",
            ":webdav,url='https://h',user=u,pass=x:",
            "a path, or a remote of rclone's own configuration",
        ),
        (
            "remote",
            "https://user:x@example.org/",
            "a path, or a remote of rclone's own configuration",
        ),
        ("remote_keep", "7/4", "such as '7/4/12'"),
        ("wal_mb_warning", -1, "a number, 0 or more"),
        ("fragmentation_pct_warning", 101, "a number from 0 to 100"),
        ("history_rows", 1, "a whole number from 100 to 1000000"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(
    name: str, value: int | float | str, allowed: str, queue: Queue, open_python: OpenPython
) -> None:
    before = queue.snapshot()
    error = open_python(queue.path).error("SELECT queue_set(?, ?)", name, value)
    assert f"the setting {name} cannot be" in error.message
    assert allowed in error.message
    assert queue.snapshot() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("NULL, 1", "name is required"),
        ("7, 1", "name must be TEXT"),
        ("'nope', 1", "'nope' is no setting; the settings are backup_dir, "),
        ("'keep', x'00'", "value must be a text or a number, but is BLOB"),
    ],
)
def test_bad_arguments(
    arguments: str, named: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    before = queue.snapshot()
    error = open_session(host, queue.path).error(f"SELECT queue_set({arguments})")
    assert named in error.message
    assert queue.snapshot() == before


def test_names_that_look_like_sql_are_only_names(queue: Queue, open_python: OpenPython) -> None:
    evil = 'q"; DROP TABLE task_queue; --'
    status = "x'; DROP TABLE task_queue; --"
    session = open_python(queue.path)
    quoted = '"' + evil.replace('"', '""') + '"'
    session.rows(f"CREATE TABLE {quoted}(id INTEGER PRIMARY KEY, {quoted}, lease_until_utc)")
    session.rows(f"INSERT INTO {quoted} VALUES (1, ?, '2020-01-01 00:00:00')", status)
    for name, value in (
        ("task_table", evil),
        ("column_status", evil),
        ("status_leased", json.dumps([status])),
        ("status_queued", "it's; waiting"),
    ):
        session.rows("SELECT queue_set(?, ?)", name, value)
    assert session.rows("SELECT task_id, status FROM queue_stale()") == [(1, status)]
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.rows(f"SELECT id, {quoted} FROM {quoted}") == [(1, "it's; waiting")]
    assert session.rows("SELECT status, tasks FROM queue_depth()") == [("it's; waiting", 1)]
    assert queue.query("SELECT count(*) > 0 FROM task_queue") == [(1,)]


def test_setting_belongs_to_the_callers_transaction(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("BEGIN")
    session.rows("SELECT queue_set('full_every', 3)")
    assert session.rows(SETTING, "full_every")[0][0] == 3
    session.rows("ROLLBACK")
    assert session.rows(SETTING, "full_every")[0][0] == 7
    assert queue.query("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'queuekeeper%'") == [
        (0,)
    ]


def test_settings_in_a_database_that_can_only_be_read(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    open_session(host, queue.path).rows("SELECT queue_set('full_every', 3)")
    session = open_session(host, queue.path, readonly=True)
    assert (
        int(str(session.value("SELECT value FROM queue_settings() WHERE name = 'full_every'"))) == 3
    )
    error = session.error("SELECT queue_set('full_every', 4)")
    assert "cannot store the setting full_every" in error.message
    assert "open the database for writing" in error.message


def test_settings_without_a_file(open_python: OpenPython) -> None:
    session = open_python(":memory:")
    assert session.value("SELECT queue_set('wal_mb_warning', 2.5)") == 2.5
    assert session.rows(SETTING, "wal_mb_warning")[0][:2] == (2.5, 50)


def test_a_table_edited_by_hand(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("CREATE TABLE queuekeeper_settings(comment, value, name)")
    for name, value in (
        ("full_every", "many"),
        ("wal_budget_mb", " 12 "),
        ("colour", "blue"),
        (None, 1),
        (7, 1),
        ("keep", None),
        ("Time_Zone", "LOCAL"),
        ("time_format", b"\xff"),
    ):
        session.rows("INSERT INTO queuekeeper_settings VALUES ('by hand', ?, ?)", value, name)
    rows = {row["name"]: row for row in session.dicts("SELECT * FROM queue_settings()")}
    assert rows["full_every"]["value"] == "many"
    assert "cannot be used: it must be a whole number above 0" in str(
        rows["full_every"]["description"]
    )
    assert rows["wal_budget_mb"]["value"] == 12
    assert rows["keep"]["value"] == "7/4/12"
    assert rows["time_zone"]["value"] == "local"
    assert "cannot be used" in str(rows["time_format"]["description"])
    assert rows["colour"] == {
        "name": "colour",
        "value": "blue",
        "default_value": None,
        "description": "no setting of queuekeeper; it is ignored",
    }
    # Only what needs the value fails.
    assert session.object("SELECT queue_backup()")["backup_type"] == "full"
    refused = session.error('SELECT queue_backup(NULL, \'{"type": "incremental"}\')')
    assert "the setting full_every in table queuekeeper_settings cannot be used" in refused.message
    session.rows("SELECT queue_set('full_every', 2)")
    made = session.object('SELECT queue_backup(NULL, \'{"type": "incremental"}\')')
    assert made["backup_type"] == "incremental"
    assert queue.query("SELECT count(*) FROM queuekeeper_settings WHERE name = 'full_every'") == [
        (1,)
    ]


def test_an_unknown_preset_says_what_depends_on_it(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("CREATE TABLE queuekeeper_settings(name PRIMARY KEY, value)")
    session.rows("INSERT INTO queuekeeper_settings VALUES ('preset', 'celery')")
    assert "unknown until the setting preset" in str(session.rows(SETTING, "task_table")[0][2])
    assert "the setting preset" in session.error("SELECT * FROM queue_stale()").message
    session.rows("SELECT queue_set('preset', 'prismq')")
    assert session.rows("SELECT count(*) FROM queue_stale()") == [(8,)]


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE VIEW queuekeeper_settings AS SELECT 'full_every' AS name, 1 AS value",
        "CREATE VIRTUAL TABLE queuekeeper_settings USING fts5(name, value)",
    ],
)
def test_only_a_real_table_is_read_or_written(
    definition: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows(definition)
    assert session.rows(SETTING, "full_every")[0][0] == 7
    for value in (3, None):
        error = session.error("SELECT queue_set('full_every', ?)", value)
        assert "view or virtual table named queuekeeper_settings" in error.message


def test_a_table_without_the_columns_is_the_error(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("CREATE TABLE queuekeeper_settings(x)")
    assert (
        "cannot read the database's settings"
        in session.error("SELECT * FROM queue_settings()").message
    )


def test_the_page_lists_every_setting(make: MakeQueue, open_python: OpenPython) -> None:
    rows = open_python(make().path).rows(
        "SELECT name, ifnull('`' || default_value || '`', 'none') FROM queue_settings()"
    )
    assert re.findall(r"^\| `(\w+)` \| (.*?) \|", page("settings"), re.MULTILINE) == rows
