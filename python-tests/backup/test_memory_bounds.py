"""Memory stays below 100 MB and 32 bytes a page, whatever is done to a large database."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import OpenPython

from hosts.python_host import PythonSession
from support.eventually import peak
from support.queues import Queue, Shape, make_queue

pytestmark = [
    pytest.mark.slow(40),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/…/status"),
]

MEGABYTES = 300
LIMIT = 100 << 20
LIMIT_A_PAGE = 32

#: What is done, one after the other; each peak counts on its own.
STEPS = {
    "full": "SELECT queue_backup()",
    "zstd": 'SELECT queue_backup(NULL, \'{"compression": "zstd", "level": 1}\')',
    "gzip": 'SELECT queue_backup(NULL, \'{"compression": "gzip", "level": 1}\')',
    "snapshot": 'SELECT queue_backup(NULL, \'{"type": "snapshot"}\')',
    "incremental": 'SELECT queue_backup(NULL, \'{"type": "incremental"}\')',
    "verify": "SELECT queue_verify('latest', 'full')",
    "restore": "SELECT queue_restore('latest', '{new}')",
    "restore live": "SELECT queue_restore('latest')",
}
CHANGES = {"incremental": "UPDATE ballast SET content = randomblob(9000) WHERE id % 3 = 0"}


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Queue]:
    """A queue of 300 MB that no compression makes small."""
    queue = make_queue(tmp_path / "large" / "queue.db", Shape(page_size=1024))
    with closing(sqlite3.connect(queue.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, content BLOB)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
            "INSERT INTO ballast SELECT i, randomblob(9000) FROM n",
            (MEGABYTES * 115,),
        )
        connection.execute("PRAGMA journal_mode=WAL")
    yield queue
    for path in tmp_path.rglob("*.db*"):
        path.unlink()


def reset_peak(session: PythonSession) -> None:
    """Makes the kernel forget the peak so far."""
    Path(f"/proc/{session.process.pid}/clear_refs").write_text("5")


def test_memory_is_bounded_for_every_kind_of_work(
    large: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(large.path)
    pages = session.value("PRAGMA page_count")
    assert pages * 1024 > MEGABYTES << 20
    peaks = {}
    for step, sql in STEPS.items():
        if step in CHANGES:
            with large.connect() as connection:
                connection.execute("PRAGMA synchronous=OFF")
                connection.execute(CHANGES[step])
        reset_peak(session)
        session.rows(sql.replace("{new}", str(tmp_path / "new.db")))
        peaks[step] = peak(session)
    over = {step: size >> 20 for step, size in peaks.items() if size > LIMIT + LIMIT_A_PAGE * pages}
    print({step: size >> 20 for step, size in peaks.items()}, "MB at", pages, "pages")
    assert not over, f"{over} MB, with {pages} pages"
