"""Rule 8: no view, trigger, index or default of a file can call what acts or looks at files."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host
from support.documents.declared import EXAMPLES, FUNCTIONS
from support.queues import Queue

pytestmark = pytest.mark.rule(8)

CALLS = {name: EXAMPLES[name].removeprefix("SELECT ") for name in FUNCTIONS} | {
    "queue_backup": "queue_backup('{dir}/stolen.db')",
    "queue_requeue_stale": "queue_requeue_stale(0)",
    "queue_requeue": "queue_requeue('{{\"all\": true}}')",
    "queue_set": "queue_set('backup_dir', '{dir}/stolen')",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_view_that_calls_a_function_is_refused(
    name: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    call = CALLS[name].format(dir=queue.directory)
    before = queue.files(), queue.snapshot()
    session = open_session(host, queue.path)
    session.rows(f"CREATE VIEW trap AS SELECT {call} AS bait")
    assert f"unsafe use of {name}()" in session.error("SELECT * FROM trap").message
    assert (queue.files(), queue.snapshot()) == before


@pytest.mark.parametrize("name", CALLS)
def test_a_trigger_that_calls_a_function_is_refused(
    name: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    call = CALLS[name].format(dir=queue.directory)
    before = queue.files(), queue.snapshot()
    session = open_session(host, queue.path)
    session.rows("CREATE TABLE loot(x)")
    session.rows(
        f"CREATE TRIGGER trap AFTER UPDATE ON task_queue BEGIN INSERT INTO loot SELECT {call}; END"
    )
    error = session.error("UPDATE task_queue SET priority = 1")
    assert f"unsafe use of {name}()" in error.message
    assert (queue.files(), queue.snapshot()) == before


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE TABLE t(x DEFAULT (queue_version()))",
        "CREATE TABLE t(x CHECK(queue_version() IS NOT x))",
        "CREATE TABLE t(x, y AS (queue_version()))",
        "CREATE INDEX i ON task_queue(queue_version())",
        "CREATE INDEX i ON task_queue(id) WHERE queue_version() > id",
    ],
)
def test_no_schema_object_can_call_a_function(
    definition: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    try:
        session.rows(definition)
        session.rows("INSERT INTO t(x) SELECT 1")
        session.rows("INSERT INTO t DEFAULT VALUES")
        session.rows("SELECT * FROM t")
    except Exception as error:
        message = str(error)
    else:
        message = "no error"
    refusals = ("unsafe use of", "non-deterministic", "prohibited in")
    assert any(refusal in message for refusal in refusals), message


@pytest.mark.parametrize(
    ("table", "call", "column"),
    [
        ("queue_backups", "queue_backups('/etc')", "backup_path"),
        ("queue_rotation", "queue_rotation(1, '/etc')", "backup_path"),
        ("queue_health", "queue_health()", "metric"),
    ],
)
def test_a_table_that_looks_at_files_in_a_view_or_trigger_is_refused(
    table: str, call: str, column: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    session.rows(f"CREATE VIEW trap AS SELECT * FROM {call}")
    message = session.error("SELECT * FROM trap").message
    assert f'unsafe use of virtual table "{table}"' in message
    session.rows("CREATE TABLE loot(x)")
    session.rows(
        "CREATE TRIGGER trap_2 AFTER UPDATE ON task_queue BEGIN "
        f"INSERT INTO loot SELECT {column} FROM {table}; END"
    )
    assert "unsafe use of" in session.error("UPDATE task_queue SET priority = 1").message


def test_tables_that_look_at_no_file_work_in_the_users_own_temporary_views(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    session.rows("CREATE TEMP VIEW mine AS SELECT sum(tasks) AS tasks FROM queue_depth()")
    assert session.value("SELECT tasks FROM mine") == 52
    session.rows("CREATE TEMP VIEW late AS SELECT count(*) AS tasks FROM queue_stale(60)")
    assert session.value("SELECT tasks FROM late") == 8


def test_with_an_untrusting_schema_the_functions_still_work_at_the_top(
    host: Host, tmp_path: Path, open_session: OpenSession
) -> None:
    session = open_session(host, tmp_path / "plain.db")
    # Not the project's schema: with trusted_schema=OFF, an older SQLite (3.40) refuses to read
    # one whose generated columns call json_extract().
    session.rows("PRAGMA trusted_schema=OFF")
    session.rows("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status, lease_until_utc)")
    session.rows("INSERT INTO task_queue VALUES (1, 'leased', '2020-01-01 00:00:00')")
    assert session.object("SELECT queue_stats()")["page_size"] == 4096
    assert session.value("SELECT count(*) FROM queue_stale(60)") == 1
    assert session.value("SELECT queue_requeue_stale(60)") == 1
    assert session.object("SELECT queue_backup()")["page_size"] == 4096
