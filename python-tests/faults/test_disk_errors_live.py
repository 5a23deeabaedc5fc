"""A disk that cannot be read for a moment is told as that, and never as a damaged database."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hosts.protocol import SQLITE_CORRUPT, SQLITE_NOTADB
from support.faults import READ, Answer, Fault, Faults
from support.faults.actions import steps
from support.queues import Queue, Shape, make_queue

CALLS = [
    "SELECT queue_stats()",
    "SELECT * FROM queue_depth()",
    "SELECT * FROM queue_stale(60)",
    "SELECT * FROM queue_leases()",
    "SELECT * FROM queue_integrity()",
    "SELECT * FROM queue_integrity('quick')",
    "SELECT * FROM queue_health()",
    "SELECT * FROM queue_settings()",
    "SELECT queue_requeue_stale(60)",
    "SELECT queue_requeue('{\"all\": true}')",
    "SELECT queue_analyze()",
    "SELECT queue_analyze('task_queue')",
    "SELECT queue_optimize()",
    "SELECT queue_vacuum()",
    "SELECT queue_backup()",
    'SELECT queue_backup(NULL, \'{"type": "snapshot"}\')',
    "SELECT queue_run_due()",
]
JOURNALS = ["wal", "delete"]
#: A cache of few pages, so that each call has to read.
FIRST = [{"sql": "PRAGMA cache_size=4"}, {"sql": "SELECT count(*) FROM sqlite_schema"}]
OF_EACH = 10
DAMAGE = ("malformed", "error code=", "corrupt", "damaged", "not a database")


@pytest.fixture(params=JOURNALS)
def queue(request: pytest.FixtureRequest, memory: Path) -> Queue:
    shape = Shape(tasks=800, stale_leased=200, page_size=1024, journal_mode=request.param)
    return make_queue(memory / "live" / "queue.db", shape)


def ask(faults: Faults, queue: Queue, call: str, fault: Fault) -> Answer:
    """The call under a fault (step 2), then a look at the database; always of the same content."""
    first = queue.directory.with_name(queue.directory.name + "-first")
    if first.exists():
        shutil.rmtree(queue.directory)
        shutil.copytree(first, queue.directory)
    else:
        shutil.copytree(queue.directory, first)
    armed = {"sql": call, "armed": True}
    return faults.ask(
        queue.path, [*FIRST, armed, *steps("PRAGMA integrity_check")], fault, queue.directory
    )


@pytest.mark.parametrize("call", CALLS)
def test_a_page_that_cannot_be_read_is_no_damage(call: str, queue: Queue, faults: Faults) -> None:
    count = ask(faults, queue, call, Fault(kinds=READ)).seen
    errors = 0
    for at in range(1, count + 1, max(1, count // OF_EACH)):
        answer = ask(faults, queue, call, Fault(errno.EIO, at, READ))
        error = answer.error(2)
        if error is None:
            told = str(answer.rows(2))
            assert not any(word in told for word in DAMAGE), told
        else:
            errors += 1
            # SQLite's own reading of the schema, before it calls anything, has SQLite's code; what
            # the disk said of a rollback journal is forgotten with that file.
            if error.message.startswith("queue_") and not answer.path.endswith("-journal"):
                assert error.primary_code not in (SQLITE_CORRUPT, SQLITE_NOTADB), error
        assert answer.rows(3) == [["ok"]]
    assert errors > 0 or count < OF_EACH or "run_due" in call or "health" in call


def test_damage_is_told_as_such_after_an_error_of_the_disk(queue: Queue, faults: Faults) -> None:
    with closing(sqlite3.connect(queue.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'task_queue'"
        ).fetchone()[0]
    with queue.path.open("r+b") as file:
        file.seek((root - 1) * 1024)
        file.write(b"\x5a" * 1024)
    armed = {"sql": "SELECT * FROM queue_depth()", "armed": True}
    later = steps("SELECT * FROM queue_integrity()")
    answer = faults.ask(
        queue.path, [*FIRST, armed, *later], Fault(errno.EIO, 1, READ), queue.directory
    )
    assert answer.struck == 1
    assert answer.error(2) is not None
    damage = answer.error(3)
    found = str(answer.rows(3)) if damage is None else damage.message
    assert "cannot be read" not in found
    assert damage is None or damage.primary_code == SQLITE_CORRUPT
    assert found != "[['ok']]"
