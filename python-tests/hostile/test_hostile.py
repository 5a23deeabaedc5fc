"""Whatever is in a database and its backup directory: nothing outside is read, written or deleted.

Somebody else made both; a user loads the library and calls everything that there is, in the order
of support/hostile. Each call may work or fail. But the host lives, no call lasts, what lies
outside stays as it was, and on the whole machine no file is opened that the library has no
business with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.documents.declared import FUNCTIONS, TABLES
from support.faults import Faults
from support.hostile import CALLS, Prepare, World, call_all, edit

pytestmark = [pytest.mark.rule(5), pytest.mark.rule(8)]


@pytest.fixture(scope="module")
def world(faults: Faults, module_memory: Path) -> World:
    return World(faults, module_memory)


def test_every_function_and_table_is_called() -> None:
    assert set(CALLS) == {*FUNCTIONS, *(f"FROM {name}" for name in TABLES)}


def test_without_an_attacker_everything_works(world: World) -> None:
    world.put_back()
    plain = [sql.format(dir=world.queue.directory) for each in CALLS.values() for sql in each]
    answer = world.call(*plain)
    assert [one for one in answer.answers if "error" in one] == []
    assert world.strayed() == []
    assert len(world.faults.operations()) > 1000


def test_what_strays_is_noticed(world: World) -> None:
    world.put_back()
    (world.queue.backups / "link.db").symlink_to(world.outside / "secret.txt")
    for path in (world.outside / "queue.db", world.queue.backups / "link.db"):
        world.call(f"ATTACH '{path}' AS other", "SELECT * FROM other.task_queue")
        assert world.strayed()


BAIT = "queue_backup('{outside}/stolen.db')"
RIGHTS = "PRAGMA writable_schema = ON; "
CHANGE = RIGHTS + "UPDATE sqlite_schema SET "
OUR_TABLES = ("queuekeeper_settings", "queuekeeper_jobs", "queuekeeper_log")


def triggers() -> str:
    """One before and one after whatever happens to any table."""
    made = ["CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, value)"]
    for table in ("task_queue", "workers", "task_logs", "queuekeeper_settings"):
        made += [
            f"CREATE TRIGGER {when}_{what}_{table} {when} {what} ON {table} "
            f"BEGIN SELECT {BAIT}; SELECT queue_rotate(1, '{{outside}}/backups'); END"
            for when in ("BEFORE", "AFTER")
            for what in ("INSERT", "UPDATE", "DELETE")
        ]
    return ";\n".join(made)


def views(columns: str) -> str:
    """Views in place of our tables, which want to be written to."""
    made = []
    for table in OUR_TABLES:
        made.append(f"CREATE VIEW {table} AS SELECT {columns}, {BAIT} AS x")
        made += [
            f"CREATE TRIGGER {what}_{table} INSTEAD OF {what} ON {table} "
            f"BEGIN DELETE FROM task_queue; SELECT {BAIT}; END"
            for what in ("INSERT", "UPDATE", "DELETE")
        ]
    return ";\n".join(made)


def module(sql: str) -> str:
    """A virtual table in place of the queue's own."""
    return (
        f"DROP TABLE task_queue; {RIGHTS} INSERT INTO sqlite_schema "
        f"VALUES ('table', 'task_queue', 'task_queue', 0, 'CREATE VIRTUAL TABLE task_queue {sql}')"
    )


SCHEMAS = {
    "triggers": triggers(),
    "triggers without end": "CREATE TRIGGER t AFTER UPDATE ON task_queue BEGIN UPDATE task_queue "
    "SET priority = priority + 1; END; PRAGMA recursive_triggers = ON",
    "views for our tables": views("'backup_dir' AS name, '{outside}' AS value, 'daily' AS job"),
    "views of each other": "CREATE VIEW queuekeeper_settings AS SELECT * FROM queuekeeper_jobs; "
    "CREATE VIEW queuekeeper_jobs AS SELECT * FROM queuekeeper_settings",
    "a view for the queue": "ALTER TABLE task_queue RENAME TO other; "
    f"CREATE VIEW task_queue AS SELECT *, {BAIT} AS x FROM other",
    "a generated column": f"ALTER TABLE task_queue ADD COLUMN bait AS ({BAIT})",
    "a default": f"CREATE TABLE queuekeeper_log(id INTEGER PRIMARY KEY, job DEFAULT ({BAIT}), "
    f"step, due_utc, started_utc, finished_utc, status, detail CHECK ({BAIT} IS NOT 1))",
    "a check": "CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, "
    f"value CHECK ({BAIT} IS NOT value))",
    "an index on an expression": f"CREATE INDEX bait ON task_queue({BAIT})",
    "an index with a condition": f"CREATE INDEX bait ON task_queue(status) WHERE {BAIT} IS NULL",
    "functions of SQLite that act": "CREATE VIEW queuekeeper_jobs AS SELECT "
    "load_extension('{outside}/loot.delta.db'), readfile('{outside}/secret.txt') AS job; "
    "CREATE TRIGGER t AFTER UPDATE ON task_queue BEGIN SELECT writefile('{outside}/x', 'x'), "
    "load_extension('{outside}/loot.delta.db'); END",
    "our modules": module("USING queue_backups(''{outside}'')"),
    "a module that reads files": module("USING csv(filename=''{outside}/secret.txt'')"),
    "a module of SQLite": "DROP TABLE task_queue; CREATE VIRTUAL TABLE task_queue USING fts5(id, "
    "status, lease_until_utc, locked_by)",
    "tables of our tables' names": "; ".join(
        f"CREATE TABLE {name}(backup_path, dir, keep, level, secs)" for name in TABLES
    ),
    "views of our tables' names": "; ".join(
        f"CREATE VIEW {name} AS SELECT {BAIT} AS backup_path" for name in TABLES
    ),
    "a table of itself": f"{CHANGE} rootpage = 1 WHERE name = 'task_queue'",
    "one page for two tables": f"{CHANGE} rootpage = (SELECT rootpage FROM "
    "sqlite_schema WHERE name = 'task_queue') WHERE name = 'workers'",
    "a page beyond": f"{CHANGE} rootpage = 2147483647 WHERE type = 'index'",
    "no SQL": f"{CHANGE} sql = 'CREATE TABLE (' WHERE name = 'workers'",
    "a NUL in a name": f"{CHANGE} name = 'task_queue' || char(0) || 'x', "
    "tbl_name = 'task_queue' || char(0) || 'x' WHERE name = 'task_queue'",
    "a NUL in SQL": f"{CHANGE} sql = replace(sql, 'priority', "
    "'priority' || char(0)) WHERE name = 'task_queue'",
}


@pytest.mark.parametrize("what", SCHEMAS)
def test_a_schema_leads_nowhere(what: str, world: World) -> None:
    messages = call_all(world, lambda world: edit(world, SCHEMAS[what]))
    assert not any("panic" in message for message in messages)


NAMES = (
    'a"b',
    "it's",
    "x]; DROP TABLE workers; --",
    "new\nline",
    "sqlite_queue",
    "%s%n{}",
    "ä\u202e",
)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("sqlite_")])
def test_names_are_only_names(name: str, world: World) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    literal = "'" + name.replace("'", "''").replace("{", "{{").replace("}", "}}") + "'"
    escaped = quoted.replace("{", "{{").replace("}", "}}")
    settings = ["task_table", "column_locked_by"]
    sql = (
        f"ALTER TABLE task_queue RENAME TO {escaped}; "
        f"ALTER TABLE {escaped} RENAME COLUMN locked_by TO {escaped}; "
        "CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, value); "
        + "; ".join(
            f"INSERT INTO queuekeeper_settings VALUES ('{one}', {literal})" for one in settings
        )
    )
    messages = call_all(world, lambda world: edit(world, sql))
    # All that fails is what names the old table; nothing is misread.
    assert not [message for message in messages if "syntax" in message or "near" in message]
    requeued = world.call("SELECT count(*) FROM queue_stale(0)")
    assert "ok" in requeued.answers[0]


def settings(**values: Any) -> Prepare:
    """A settings table that the attacker wrote."""

    def prepare(world: World) -> None:
        edit(world, "CREATE TABLE queuekeeper_settings(name, value)")
        with world.queue.connect() as connection:
            for name, value in values.items():
                if isinstance(value, str):
                    value = value.replace("{outside}", str(world.outside))
                connection.execute("INSERT INTO queuekeeper_settings VALUES (?, ?)", (name, value))

    return prepare


NO_DIRECTORIES = [
    "{outside}/secret.txt",
    "../outside/queue.db",
    "queue.db",
    "/proc/self/fd",
    "/proc/self/mem",
    "/dev/null",
    "/dev/zero/x",
    "",
    "x\0y",
    "\0",
    "n" * 300,
    "d/" * 3000,
    b"/",
    7,
]


@pytest.mark.parametrize("value", NO_DIRECTORIES, ids=range(len(NO_DIRECTORIES)))
def test_a_backup_directory_that_is_none_is_an_error(value: Any, world: World) -> None:
    messages = call_all(world, settings(backup_dir=value))
    assert any("queue_backup: " in message for message in messages)


@pytest.mark.parametrize("way", ["{outside}", "../outside", "backups/../../outside", "link"])
def test_a_backup_directory_elsewhere_is_only_added_to(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(world: World) -> None:
        (world.queue.directory / "link").symlink_to(world.outside)
        settings(backup_dir=way)(world)

    # The user's own order to count other tools' backups is left out here.
    monkeypatch.setitem(CALLS, "queue_rotate", CALLS["queue_rotate"][:1])
    call_all(world, prepare, world.outside)


ORDERS: dict[str, dict[str, Any]] = {
    "statements": {"task_table": "task_queue; DROP TABLE workers", "column_status": "1 OR 1"},
    "our own tables": {"task_table": "queuekeeper_settings", "column_id": "name"},
    "SQLite's own tables": {"task_table": "sqlite_schema", "column_status": "type"},
    "a table of another schema": {"task_table": "temp.task_queue"},
    "statuses without end": {"status_leased": json.dumps([f"s{n}" for n in range(5_000)])},
    "deep statuses": {"status_leased": "[" * 10_000},
    "a cron without end": {"cron_hourly": "*/1 " * 2_000, "cron_daily": "0 0 31 2 *"},
    "wild numbers": {
        "wal_budget_mb": 2**63 - 1,
        "full_every": 2**63 - 1,
        "history_rows": -1,
        "stale_secs": 2**62,
        "database_mb_warning": float("inf"),
    },
    "a policy that counts all": {"keep": '{"keep_last": 1, "max_total_bytes": 1}'},
}


@pytest.mark.parametrize("what", ORDERS)
def test_settings_lead_nowhere(what: str, world: World) -> None:
    call_all(world, settings(**ORDERS[what]))
