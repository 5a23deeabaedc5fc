"""The runbook: what it says to type, in the trouble that it is for, answers what it shows."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from conftest import ROOT, MakeQueue

from support.documents.runbook import RUNBOOK, Shell, agrees, sections
from support.queues import Queue, Shape, utc

SECTIONS = sections()
# Prepares the trouble before the first block, and changes what is to change after each.
Trouble = Callable[[MakeQueue], "Generator[Queue, None, None]"]


def at_first_look(make: MakeQueue) -> Generator[Queue, None, None]:
    """Dead workers, and a new installation without a backup."""
    queue = make(Shape(tasks=200, stale_leased=60))
    while True:
        yield queue


def locked(make: MakeQueue) -> Generator[Queue, None, None]:
    """Somebody else's long transaction, without WAL."""
    queue = make(Shape(journal_mode="delete", stale_leased=5))
    with queue.connect() as other:
        other.execute("BEGIN IMMEDIATE")
        yield queue
        yield queue
    while True:
        yield queue


def backup_fails(make: MakeQueue) -> Generator[Queue, None, None]:
    """A file where the directory should be, too little space, and an index that is wrong."""
    queue = make(Shape(tasks=60, journal_mode="delete"))
    (queue.directory / "backups").write_text("not a directory\n", "utf-8")
    queue.query("CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, value)")
    queue.query("INSERT INTO queuekeeper_settings VALUES ('free_disk_gb_critical', 1e9)")
    yield queue
    (queue.directory / "backups").unlink()
    yield queue
    with queue.connect() as connection:
        connection.execute("PRAGMA writable_schema=ON")
        (row,) = connection.execute("SELECT * FROM sqlite_schema WHERE name = 'task_queue_type'")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'task_queue_type'")
    with queue.connect() as connection:
        connection.execute("UPDATE task_queue SET type = 'changed' WHERE id = 7")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    while True:
        yield queue


def much_to_vacuum(make: MakeQueue) -> Generator[Queue, None, None]:
    """Half of the file is free pages."""
    queue = make(Shape(tasks=20000))
    queue.query("DELETE FROM task_queue WHERE id % 100 > 9")
    while True:
        yield queue


def dead_workers(make: MakeQueue) -> Generator[Queue, None, None]:
    """One worker that died, one that is late but alive, and one with long leases."""
    queue = make(Shape(stale_leased=5, stale_processing=3, live_leases=4))
    with queue.connect() as connection:
        connection.execute(
            "UPDATE task_queue SET locked_by = 'worker-2', lease_until_utc = ? "
            "WHERE status = 'processing' AND lease_until_utc < datetime('now')",
            (utc(-400),),
        )
        add = "INSERT INTO workers(worker_id, capabilities, heartbeat_utc) VALUES (?, '{}', ?)"
        connection.execute(add, ("worker-1", utc(-4000)))
        connection.execute(add, ("worker-2", utc(-2)))
        held = (
            "INSERT INTO task_queue(type, status, locked_by, lease_until_utc) "
            "VALUES ('x', 'leased', ?, ?)"
        )
        connection.executemany(held, [("worker-9", utc(5 * 3600))] * 3)
    while True:
        yield queue


def long_reader(make: MakeQueue) -> Generator[Queue, None, None]:
    """A reader of old content, who leaves after the first attempt."""
    queue = make(Shape(tasks=2000))
    with queue.connect() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM task_queue").fetchone()
        queue.query("UPDATE task_queue SET priority = priority + 1")
        yield queue
    while True:
        yield queue


def damaged(make: MakeQueue) -> Generator[Queue, None, None]:
    """A page of nonsense in the middle, after a backup was made."""
    queue = make(Shape(tasks=2000, journal_mode="delete"))
    yield queue
    with queue.path.open("r+b") as file:
        file.seek(30 * 4096)
        file.write(random.Random(7).randbytes(3 * 4096))
    while True:
        yield queue


TROUBLES: dict[str, Trouble] = {
    "A first look": at_first_look,
    "The database is locked": locked,
    "A backup fails": backup_fails,
    "VACUUM takes too long": much_to_vacuum,
    "Leases are not freed": dead_workers,
    "The WAL grows": long_reader,
    "The database is damaged": damaged,
}


def test_every_section_with_something_to_type_is_tried() -> None:
    assert set(TROUBLES) == set(SECTIONS)


@pytest.mark.parametrize("title", TROUBLES)
def test_what_the_runbook_shows_is_what_happens(title: str, library: Path, make: MakeQueue) -> None:
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("there is no sqlite3 shell")
    with contextlib.closing(TROUBLES[title](make)) as trouble:
        queue = next(trouble)
        shell = Shell(program, queue.path, library)
        try:
            for step in SECTIONS[title]:
                answer = shell.type(step.typed)
                assert agrees(answer, step.answer), f"{step.typed}answers\n{answer}"
                next(trouble)
        finally:
            shell.close()


def test_the_tests_that_the_runbook_names_exist() -> None:
    """Each row of the table of what it replaces names the test that holds it."""
    text = RUNBOOK.read_text("utf-8")
    table = text.split("\n## What this replaces\n")[1]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 25
    for row in rows:
        cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
        assert len(cells) == 3, row
        named = re.findall(r"`(\w+/test_\w+)(?:::(\w+))?`", cells[2])
        assert named, row
        for file, function in named:
            source = ROOT / "python-tests" / f"{file}.py"
            assert source.exists(), f"{row}: there is no {source.name}"
            found = re.search(rf"^def {function}\(", source.read_text("utf-8"), re.MULTILINE)
            assert not function or found, f"{row}: {source.name} has no {function}"
