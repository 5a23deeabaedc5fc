"""Databases that are damaged, in ways that SQLite's checks find sooner or later."""

from __future__ import annotations

from support.queues import Queue


def outdate_index(queue: Queue) -> None:
    """An index that missed a change: only a full check sees that, and REINDEX repairs it."""
    find = "WHERE name = 'task_queue_type'"
    rewrite = f"UPDATE sqlite_schema SET sql = ? {find}"
    with queue.connect() as connection:
        ((original,),) = connection.execute(f"SELECT sql FROM sqlite_schema {find}").fetchall()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(rewrite, (original + " WHERE type IS NULL",))
    with queue.connect() as connection:
        connection.execute("UPDATE task_queue SET type = 'changed' WHERE id = 1")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(rewrite, (original,))
    assert queue.query("PRAGMA quick_check") == [("ok",)]
    assert queue.query("PRAGMA integrity_check") != [("ok",)]


def overwrite(queue: Queue, name: str) -> None:
    """Overwrites the first page of a table or index. No process may have the database open."""
    with queue.connect() as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        ((root,),) = connection.execute(sql, (name,)).fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with queue.path.open("r+b") as file:
        file.seek((root - 1) * queue.shape.page_size)
        file.write(b"\xff" * queue.shape.page_size)
