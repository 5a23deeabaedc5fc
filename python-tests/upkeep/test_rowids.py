"""Unattended work moves no rowid that something may refer to; by hand or where allowed it does."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host, Session
from support.queues import Queue, Shape
from support.schedules import ALL_DUE, detail, only, run_due, statuses

pytestmark = pytest.mark.rule(5)

#: Schemas in which something refers to rows by a rowid that is no column of theirs.
REFERRING = {
    "FTS5 with external content": """
        CREATE TABLE docs(title, body);
        CREATE VIRTUAL TABLE search USING fts5(title, body, content='docs');
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;
        INSERT INTO search(search) VALUES ('rebuild');""",
    "FTS5 with external content that has a key": """
        CREATE TABLE docs(slug TEXT PRIMARY KEY, body);
        CREATE VIRTUAL TABLE search USING fts5(body, content='docs');
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;
        INSERT INTO search(search) VALUES ('rebuild');""",
    "rtree": """
        CREATE TABLE docs(title, body);
        CREATE VIRTUAL TABLE place USING rtree(id, x0, x1, +note);
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;
        INSERT INTO place SELECT rowid, rowid, rowid, title FROM docs;""",
    "stored by the application": """
        CREATE TABLE docs(title, body);
        CREATE TABLE marks(id INTEGER PRIMARY KEY, doc INTEGER);
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;
        INSERT INTO marks(doc) SELECT rowid FROM docs;""",
    "an index that is not unique": """
        CREATE TABLE docs(title, body);
        CREATE INDEX by_title ON docs(title);
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;""",
    "a trigger": """
        CREATE TABLE docs(slug TEXT PRIMARY KEY, body);
        CREATE TABLE changes(id INTEGER PRIMARY KEY, doc INTEGER);
        CREATE TRIGGER keep AFTER INSERT ON docs
        BEGIN INSERT INTO changes(doc) VALUES (new.oid); END;
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;""",
}
#: Schemas in which nothing can.
SAFE = {
    "nothing else": "",
    "a key of another type": """
        CREATE TABLE docs(slug TEXT PRIMARY KEY, body);
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;""",
    "FTS5 with external content by an INTEGER PRIMARY KEY": """
        DROP TABLE workers;
        CREATE TABLE docs(id INTEGER PRIMARY KEY, body);
        CREATE VIRTUAL TABLE search USING fts5(body, content='docs', content_rowid='id');
        INSERT INTO docs(body) SELECT 'word' || value FROM numbers;
        INSERT INTO search(search) VALUES ('rebuild');""",
    "WITHOUT ROWID": """
        CREATE TABLE docs(slug TEXT PRIMARY KEY, body) WITHOUT ROWID;
        INSERT INTO docs SELECT 'doc' || value, 'word' || value FROM numbers;""",
}
HOLES = "DELETE FROM docs WHERE body IN ('word1', 'word2', 'word7')"
FREE_PAGES = (
    "CREATE TABLE filler(id INTEGER PRIMARY KEY, x);"
    "INSERT INTO filler VALUES (1, zeroblob(400000));"
    "DROP TABLE filler"
)


def lay(queue: Queue, schema: str) -> None:
    """Gives the queue more tables, with holes in their rowids, and free pages."""
    with queue.connect() as connection:
        connection.executescript(
            "CREATE TEMP TABLE numbers AS WITH RECURSIVE n(value) AS "
            "(SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 40) SELECT value FROM n;"
            + schema
        )
        if "docs" in schema:
            connection.execute(HOLES)
        if "search" in schema:
            connection.execute("INSERT INTO search(search) VALUES ('rebuild')")
        connection.executescript(FREE_PAGES)


def rowids(path: Path) -> list[Any]:
    """The rowids of the rows, with their content."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT rowid, body FROM docs ORDER BY body").fetchall()
    finally:
        connection.close()


def check_search(queue: Queue) -> None:
    """The full-text index and its content agree."""
    with queue.connect() as connection:
        connection.execute("INSERT INTO search(search, rank) VALUES ('integrity-check', 1)")
        connection.rollback()


def free(session: Session) -> Any:
    return session.value("SELECT freelist_count FROM queue_stats()")


@pytest.mark.parametrize("schema", REFERRING)
def test_jobs_move_no_rowid_that_something_may_refer_to(
    schema: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=20))
    lay(queue, REFERRING[schema])
    before, session = rowids(queue.path), open_python(queue.path)
    only(session, "weekly", "monthly")
    session.rows("SELECT queue_set('fragmentation_pct_critical', 1)")
    session.rows("SELECT queue_set('job_backup_type', 'snapshot')")
    weekly, monthly = run_due(session, ALL_DUE)
    assert (weekly["status"], monthly["status"]) == ("ok", "ok")
    optimized, vacuumed = detail(weekly, "optimize"), detail(monthly, "vacuum")
    assert (optimized["analyzed"], optimized["vacuumed"], vacuumed["vacuumed"]) == (1, 0, 0)
    taken, shared = (detail(ran, "backup") for ran in (weekly, monthly))
    for told in (optimized, vacuumed, taken):
        assert "docs" in told["note"]
        assert "queue_set('vacuum_moves_rowids', 1)" in told["note"]
    assert (taken["backup_type"], shared["id"]) == ("full", taken["id"])
    assert rowids(queue.path) == rowids(Path(taken["backup_path"])) == before
    assert free(session) > 50
    if "FTS5" in schema:
        check_search(queue)


@pytest.mark.parametrize("schema", SAFE)
def test_jobs_vacuum_where_no_rowid_can_be_referred_to(
    schema: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=20))
    lay(queue, SAFE[schema])
    session = open_python(queue.path)
    only(session, "weekly")
    session.rows("SELECT queue_set('job_backup_type', 'snapshot')")
    (weekly,) = run_due(session, ALL_DUE)
    assert set(statuses(weekly).values()) == {"ok"}
    assert detail(weekly, "backup")["backup_type"] == "snapshot"
    assert detail(weekly, "optimize")["vacuumed"] is True
    assert free(session) == 0
    if "FTS5" in schema:
        check_search(queue)


def test_where_it_is_allowed_and_by_hand_vacuum_is_made_and_says_what_it_did(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=20))
    lay(queue, REFERRING["stored by the application"])
    session = open_python(queue.path)
    answer = json.loads(session.value("SELECT queue_optimize(1)"))
    assert (answer["vacuumed"], "docs" in answer["note"]) == (False, True)
    assert free(session) > 50
    done = json.loads(session.value("SELECT queue_vacuum()"))
    assert "new rowids: docs" in done["note"]
    assert free(session) == 0
    lay(queue, "")
    session.rows("SELECT queue_set('vacuum_moves_rowids', 1)")
    only(session, "weekly")
    session.rows("SELECT queue_set('job_backup_type', 'snapshot')")
    (weekly,) = run_due(session, ALL_DUE)
    assert detail(weekly, "backup")["backup_type"] == "snapshot"
    assert detail(weekly, "optimize")["vacuumed"] is True
    assert free(session) == 0


def test_vacuum_keeps_the_rowids_of_a_table_that_has_another_key(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    """What SQLite does and does not promise: such a table is thought to be safe."""
    queue = make(Shape(tasks=20))
    lay(queue, SAFE["a key of another type"])
    before = rowids(queue.path)
    session = open_session(host, queue.path)
    assert json.loads(str(session.value("SELECT queue_optimize(1)")))["vacuumed"] is True
    assert rowids(queue.path) == before
