"""Rule 3: a backup is one snapshot, and it always finishes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host
from support import artifacts
from support.queues import Shape, grow, insert_tasks
from support.workers import Workers, writing

pytestmark = pytest.mark.rule(3)

WRITERS = 2
RATE = 100
# Large enough that dozens of commits happen during the copy.
MEGABYTES = 192


def check_reports(writers: Workers, seconds: float) -> None:
    """The writers worked all the time, and none of them ever saw an error."""
    for report in writers.reports:
        assert report.errors == []
        # Far below the rate, since timings are no test; but a writer that was shut out is.
        assert report.commits > 5 * seconds


def test_a_backup_under_two_writers_is_one_snapshot_in_one_pass(
    host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=250))
    grow(queue, MEGABYTES)
    # Half of the tasks at either end of the file: a copy that is torn in between has a wrong sum.
    with queue.connect() as connection:
        insert_tasks(connection, queue.shape)
    session = open_session(host, queue.path)
    with writing(queue.path, WRITERS, RATE) as writers:
        begun = time.monotonic()
        time.sleep(0.2)
        answer = session.object("SELECT queue_backup()")
        time.sleep(0.2)
        seconds = time.monotonic() - begun
    check_reports(writers, seconds)
    copy = Path(answer["backup_path"])
    artifacts.assert_sound(copy)
    # Only a true snapshot has the sum that every commit keeps.
    assert artifacts.query(copy, "SELECT sum(priority), count(*) FROM task_queue") == [
        (50_000, 500)
    ]
    assert artifacts.query(copy, "SELECT sum(length(content)) FROM ballast") == queue.query(
        "SELECT sum(length(content)) FROM ballast"
    )
    # One pass: each page was stored once, and nothing was begun twice.
    assert answer["pages_stored"] == answer["page_count"] == answer["size_bytes"] // 4096
    assert answer["blocked_writers_ms"] == 0


def test_many_small_backups_under_writers_are_all_snapshots(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=500))
    session = open_python(queue.path)
    with writing(queue.path, WRITERS, RATE):
        copies = [session.object("SELECT queue_backup()")["backup_path"] for _ in range(40)]
    sums = set()
    for copy in map(Path, copies):
        artifacts.assert_sound(copy)
        sums.update(artifacts.query(copy, "SELECT sum(priority) FROM task_queue"))
    assert sums == {(50_000,)}
    # They are not all the same snapshot: the writers did write.
    assert len({artifacts.masked(Path(copy).read_bytes()) for copy in copies}) > 10


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist"])
def test_with_a_rollback_journal_writers_wait_and_the_result_says_how_long(
    journal: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=500, journal_mode=journal))
    grow(queue, 48)
    session = open_python(queue.path)
    session.rows(f"PRAGMA journal_mode={journal}")
    with writing(queue.path, WRITERS, RATE) as writers:
        time.sleep(0.1)
        answer = session.object("SELECT queue_backup()")
        time.sleep(0.1)
    check_reports(writers, 0)
    copy = Path(answer["backup_path"])
    artifacts.assert_sound(copy)
    assert artifacts.query(copy, "SELECT sum(priority) FROM task_queue") == [(50_000,)]
    assert 0 < answer["blocked_writers_ms"] <= answer["duration_ms"]


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 16384, 65536])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_backup_equals_its_source_page_for_page(
    page_size: int, journal: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=2000, page_size=page_size, journal_mode=journal))
    answer = open_python(queue.path).object("SELECT queue_backup()")
    copy = Path(answer["backup_path"]).read_bytes()
    # The last connection to close has put everything into the database file itself.
    assert artifacts.masked(copy) == artifacts.masked(queue.path.read_bytes())
    assert (answer["page_size"], answer["page_count"]) == (page_size, len(copy) // page_size)
    # Neither mark of WAL mode is left, so the copy opens where nothing can be written.
    assert copy[18:20] == b"\x01\x01"


@pytest.mark.parametrize("vacuum", ["none", "full", "incremental"])
def test_free_pages_and_auto_vacuum_are_copied_as_they_are(
    vacuum: str, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=3000, journal_mode="delete"))
    with queue.connect() as connection:
        connection.execute(f"PRAGMA auto_vacuum={vacuum}")
        connection.execute("VACUUM")
        connection.execute("DELETE FROM task_queue WHERE id % 3")
    answer = open_python(queue.path).object("SELECT queue_backup()")
    copy = Path(answer["backup_path"])
    artifacts.assert_sound(copy)
    assert artifacts.masked(copy.read_bytes()) == artifacts.masked(queue.path.read_bytes())
    assert artifacts.query(copy, "PRAGMA auto_vacuum") == queue.query("PRAGMA auto_vacuum")


def test_commits_that_are_still_in_the_wal_are_in_the_backup(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make()
    session = open_python(queue.path)
    session.rows("UPDATE task_queue SET priority = 7")
    answer = session.object("SELECT queue_backup()")
    copy = Path(answer["backup_path"])
    assert artifacts.query(copy, "SELECT DISTINCT priority FROM task_queue") == [(7,)]


@pytest.mark.rule(7)
def test_a_backup_never_checkpoints_its_source(make: MakeQueue, open_python: OpenPython) -> None:
    queue = make()
    session = open_python(queue.path)
    session.rows("UPDATE task_queue SET priority = 7")
    wal = Path(f"{queue.path}-wal")
    before = queue.path.read_bytes(), wal.read_bytes()
    assert before[1]
    session.object("SELECT queue_backup()")
    session.rows("SELECT * FROM queue_stats()")
    assert (queue.path.read_bytes(), wal.read_bytes()) == before


def test_nor_does_the_only_connection_to_a_wal_that_somebody_left(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make()
    left = queue.directory / "left" / "queue.db"
    left.parent.mkdir()
    with queue.connect() as connection:
        connection.execute("UPDATE task_queue SET priority = 7")
        # As a process leaves them that was killed.
        for end in ("", "-wal"):
            shutil.copy(f"{queue.path}{end}", f"{left}{end}")
    wal = Path(f"{left}-wal")
    before = left.read_bytes(), wal.read_bytes()
    assert before[1]
    session = open_python(left)
    session.object("SELECT queue_backup()")
    assert (left.read_bytes(), wal.read_bytes()) == before
