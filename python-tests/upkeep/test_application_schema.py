"""Schemas that need what only the application registers: everything else is checked and done."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host
from support import artifacts
from support.package import Package
from support.queues import Queue, Shape
from support.schedules import ALL_DUE, NOON, detail, only, run_due, statuses

#: What each adds to the schema, and what that needs of the application.
SCHEMAS = {
    "CHECK": ("CREATE TABLE own(id INTEGER PRIMARY KEY, x CHECK (appf(x) > 0))", "function appf"),
    "index": (
        "CREATE TABLE own(id INTEGER PRIMARY KEY, x); CREATE INDEX own_x ON own(appf(x))",
        "function appf",
    ),
    "partial index": (
        "CREATE TABLE own(id INTEGER PRIMARY KEY, x);"
        "CREATE INDEX own_x ON own(x) WHERE appf(x) > 9",
        "function appf",
    ),
    "generated column with an index": (
        "CREATE TABLE own(id INTEGER PRIMARY KEY, x, y AS (appf(x)) NOT NULL);"
        "CREATE INDEX own_y ON own(y)",
        "function appf",
    ),
    "collation": (
        "CREATE TABLE own(id INTEGER PRIMARY KEY, x TEXT COLLATE mine);"
        "CREATE INDEX own_x ON own(x)",
        "collation mine",
    ),
    "view": (
        "CREATE TABLE own(id INTEGER PRIMARY KEY, x);CREATE VIEW seen AS SELECT appf(x) FROM own",
        "",
    ),
}


def as_application(path: Path) -> sqlite3.Connection:
    """A connection that has what the schemas need."""
    connection = sqlite3.connect(path)
    connection.create_function("appf", 1, lambda x: str(x or 0) + "1", deterministic=True)
    connection.create_collation("mine", lambda a, b: (a > b) - (a < b))
    return connection


def extend(queue: Queue, schema: str) -> None:
    connection = as_application(queue.path)
    connection.executescript(
        SCHEMAS[schema][0] + "; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 500) INSERT INTO own(x) SELECT i FROM n;"
    )
    connection.close()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_all_jobs_go_on_and_say_what_needs_the_application(
    schema: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=30, stale_leased=3))
    extend(queue, schema)
    needs, session = SCHEMAS[schema][1], open_python(queue.path)
    session.rows("SELECT queue_set('fragmentation_pct_critical', 0)")
    session.rows("SELECT queue_set('job_backup_type', 'snapshot')")
    for days in (42, 41, 40):
        run_due(session, ALL_DUE - timedelta(days=days))
    session.rows("SELECT queue_set('keep', 1)")
    ran = {one["job"]: one for one in run_due(session, ALL_DUE)}
    for job in ran.values():
        assert set(statuses(job).values()) == {"ok"}, job
    verified, sound = detail(ran["daily"], "verify"), detail(ran["weekly"], "integrity")
    assert (verified["status"], sound["message"]) == ("ok", "ok")
    notes = [sound.get("note"), detail(ran["weekly"], "optimize").get("note")]
    if needs:
        assert all(f"needs the {needs}" in note for note in notes), notes
    listed = {one["id"]: one for one in artifacts.catalog(queue.backups)}[verified["id"]]
    judged = "note" not in verified
    assert judged or f"needs the {needs}" in verified["note"]
    assert listed["verified_level"] == verified["level"] == ("quick" if judged else "checksum")
    assert listed["verified_at"]
    # After forty days rotation lags by one.
    assert detail(ran["daily"], "rotate")["deleted"] > 0
    run_due(session, ALL_DUE + timedelta(days=1))
    assert len(artifacts.catalog(queue.backups)) == 1


@pytest.mark.parametrize("schema", SCHEMAS)
def test_integrity_names_what_it_could_not_check_and_checks_the_rest(
    schema: str, host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=30, journal_mode="delete"))
    extend(queue, schema)
    needs, session = SCHEMAS[schema][1], open_session(host, queue.path)
    found = [str(row[0]) for row in session.rows("SELECT message FROM queue_integrity()")]
    if needs:
        (message,) = found
        assert message.startswith(f"not checked in full: own needs the {needs}"), message
        assert "call queue_integrity() through that one" in message
    else:
        assert found == ["ok"]
    session.close()
    ((root,),) = queue.query("SELECT rootpage FROM sqlite_schema WHERE name = 'task_queue_type'")
    with queue.path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\x5a" * 4096)
    session = open_session(host, queue.path)
    found = [str(row[0]) for row in session.rows("SELECT message FROM queue_integrity()")]
    assert any(str(root) in message for message in found[:-1] or found), found
    assert not any(message == "ok" for message in found)


def test_a_table_whose_kind_is_in_capitals_is_one_too(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=3, journal_mode="delete"))
    extend(queue, "CHECK")
    with queue.connect() as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET type = 'TABLE' WHERE name = 'own'")
    (message,) = open_python(queue.path).rows("SELECT message FROM queue_integrity()")
    assert str(message[0]).startswith("not checked in full: own needs the function appf")


@pytest.mark.parametrize("level", ["quick", "full"])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_backup_of_such_a_database_is_verified_and_restored(
    schema: str, level: str, make: MakeQueue, open_python: OpenPython, tmp_path: Path
) -> None:
    queue = make(Shape(tasks=30))
    extend(queue, schema)
    session = open_python(queue.path)
    taken = session.object(f'SELECT queue_backup(NULL, \'{{"verify": "{level}"}}\')')
    verified = session.object("SELECT queue_verify('latest', ?)", level)
    assert (verified["status"], verified["details"]) == ("ok", [])
    assert verified["level"] == taken["verified_level"]
    assert verified["level"] == ("checksum" if "note" in verified else level)
    assert verified.get("note") == taken.get("note")
    # SQLite judges no CHECK where it cannot write.
    if SCHEMAS[schema][1] and level == "full" and schema != "CHECK":
        assert f"needs the {SCHEMAS[schema][1]}" in verified["note"]
    target = tmp_path / "restored.db"
    session.object("SELECT queue_restore('latest', ?)", str(target))
    session.object("SELECT queue_restore('latest')")
    for path in (target, queue.path):
        connection = as_application(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


def test_what_is_damaged_beside_it_is_found_in_a_backup(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=30, journal_mode="delete"))
    extend(queue, "collation")
    connection = as_application(queue.path)
    connection.execute("CREATE TABLE other(id INTEGER PRIMARY KEY, x)")
    connection.execute("INSERT INTO other(x) VALUES (NULL)")
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, 'x)', 'x NOT NULL)') WHERE name = 'other'"
    )
    connection.commit()
    connection.close()
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    verified = session.object("SELECT queue_verify('latest')")
    assert verified["status"] == "corrupted"
    assert "NULL value in other.x" in verified["details"][0]
    ran = {one["job"]: one for one in run_due(session, NOON)}
    assert statuses(ran["weekly"])["integrity"] == "failed"
    assert statuses(ran["daily"])["rotate"] == "skipped"


def test_requeue_says_what_it_needs_and_where_to_call_it(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=10, stale_leased=3))
    connection = as_application(queue.path)
    connection.execute("CREATE INDEX by_app ON task_queue(appf(updated_at_utc), status)")
    connection.close()
    session = open_python(queue.path)
    only(session, "hourly")
    (hourly,) = run_due(session, NOON.replace(year=2040))
    message = detail(hourly, "requeue")
    assert statuses(hourly) == {"checkpoint": "ok", "requeue": "failed"}
    assert "only the application's connection has the function appf" in message


def test_the_command_line_does_not_call_it_damage(make: MakeQueue, package: Package) -> None:
    queue = make(Shape(tasks=10))
    extend(queue, "CHECK")
    done = package.cli("--db", queue.path, "integrity")
    assert (done.returncode, "not checked" in done.stdout) == (0, True), done
