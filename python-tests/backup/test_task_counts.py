"""The tasks by status that each backup notes, however the queue stores and indexes its statuses."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from support.queues import Shape, grow

Status = str | int | bytes | None

COLUMNS = ("status TEXT", "status", "status INTEGER", "status TEXT COLLATE NOCASE")
INDEXES = {
    "none": "SELECT 1",
    "plain": "CREATE INDEX by_status ON task_queue(status)",
    "downward": "CREATE INDEX by_status ON task_queue(status DESC, id)",
    "other collation": "CREATE INDEX by_status ON task_queue(status COLLATE NOCASE)",
    "bytes": "CREATE INDEX by_status ON task_queue(status COLLATE BINARY)",
    "partial": "CREATE INDEX by_status ON task_queue(status) WHERE status = 'queued'",
}
STATUSES: dict[str, list[Status]] = {
    "no task": [],
    "only NULL": [None],
    "usual": [*["completed"] * 5, *["leased"] * 3, "queued"],
    "all have names": ["queued", "leased", "leased", "dead_letter"],
    "of all kinds": [1, "1", 2, b"x", "x", None, "Queued", "queued", "a'b", "NULL", "completed"]
    * 3,
    "few enough": [*range(63), None],
    "just too many": [*range(64), 5],
    "very many": [f"status {number}" for number in range(100)],
}


@pytest.mark.parametrize("index", INDEXES)
def test_each_way_to_count_comes_to_the_same(
    index: str, tmp_path: Path, open_python: OpenPython
) -> None:
    session = open_python(":memory:")
    for column in COLUMNS:
        for statuses in STATUSES.values():
            session.rows("DROP TABLE IF EXISTS task_queue")
            session.rows(f"CREATE TABLE task_queue(id INTEGER PRIMARY KEY, {column})")
            session.rows(INDEXES[index])
            for status in statuses:
                session.rows("INSERT INTO task_queue(status) VALUES (?)", status)
            made = session.object(
                "SELECT queue_backup(?, '{\"overwrite\": true}')", str(tmp_path / "b")
            )
            # One by one: who groups by the column may group by its collation, too.
            expected: dict[str, int] = {}
            for (shown,) in session.rows(
                "SELECT CAST(ifnull(status, 'NULL') AS TEXT) FROM task_queue"
            ):
                expected[str(shown)] = expected.get(str(shown), 0) + 1
            assert made["task_counts"] == expected, (column, statuses[:20])


def test_a_column_of_anything_but_statuses_keeps_no_backup_from_being_made(
    tmp_path: Path, open_python: OpenPython
) -> None:
    session = open_python(tmp_path / "queue.db")
    session.rows("CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status TEXT)")
    session.rows(
        "INSERT INTO task_queue(status) WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL "
        "SELECT n + 1 FROM n LIMIT 5000) SELECT 'é' || hex(randomblob(20)) || n FROM n"
    )
    made = session.object("SELECT queue_backup()")
    assert made["task_counts"] is None
    assert "there are 5000 statuses; look whether column_status" in made["note"]
    assert session.object("SELECT queue_verify('latest', 'full')")["status"] == "ok"
    session.rows("UPDATE task_queue SET status = 'status ' || (id % 400)")
    assert len(session.object("SELECT queue_backup()")["task_counts"]) == 400


def test_under_writers_the_counts_are_those_of_the_very_snapshot(
    make: MakeQueue, open_python: OpenPython
) -> None:
    """A second connection counts, and must see what the first one reads."""
    queue = make(Shape(tasks=400))
    # A smaller database is counted through the first one.
    grow(queue, 9)
    session = open_python(queue.path)
    assert session.value("PRAGMA journal_mode=WAL") == "wal"
    over = threading.Event()

    def move() -> None:
        with sqlite3.connect(queue.path, timeout=20, isolation_level=None) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            for number in itertools.cycle(range(1, 401)):
                if over.is_set():
                    return
                status = "queued" if number % 2 else "completed"
                connection.execute(
                    "UPDATE task_queue SET status = ? WHERE id <= ?", (status, number)
                )

    thread = threading.Thread(target=move)
    thread.start()
    try:
        for _ in range(30):
            made = session.object("SELECT queue_backup()")
            with sqlite3.connect(f"file:{made['backup_path']}?immutable=1", uri=True) as copy:
                sql = "SELECT status, count(*) FROM task_queue GROUP BY status"
                assert made["task_counts"] == dict(copy.execute(sql).fetchall())
            Path(made["backup_path"]).unlink()
    finally:
        over.set()
        thread.join()
