"""The second entry point offers strangers' SQL what looks at the queue, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import OpenSession

from hosts import Session, SqlError, find_host
from support.documents.declared import FUNCTIONS, TABLES, functions_of, modules_of
from support.queues import Queue

pytestmark = pytest.mark.rule(8)

ENTRY = "sqlite3_queuekeeperreadonly_init"
OFFERED = {"queue_stats", "queue_version", "queue_depth", "queue_stale", "queue_leases"}


@pytest.fixture(params=["shell", "stdlib", "apsw", "pysqlite3"])
def stranger(
    request: pytest.FixtureRequest, queue: Queue, open_session: OpenSession, library: Path
) -> Session:
    host = find_host(request.param)
    if host.missing:
        pytest.skip(host.missing)
    session = open_session(host, queue.path, load=False)
    before = functions_of(session), modules_of(session)
    session.load(library, ENTRY)
    added = [now - then for now, then in zip((functions_of(session), modules_of(session)), before)]
    assert {str(row[0]) for rows in added for row in rows} == OFFERED
    return session


def test_what_it_offers_answers_as_ever(
    stranger: Session, queue: Queue, open_session: OpenSession
) -> None:
    whole = open_session(find_host("apsw"), queue.path)
    for sql in (
        "SELECT * FROM queue_depth()",
        "SELECT task_id, status FROM queue_stale(60)",
        "SELECT task_id, locked_by, ends_utc FROM queue_leases()",
    ):
        assert stranger.rows(sql) == whole.rows(sql) != []
    assert stranger.value("SELECT queue_version()") == whole.value("SELECT queue_version()")
    pages = "SELECT queue_stats() ->> 'page_count'"
    assert stranger.rows(pages) == whole.rows(pages)


def test_everything_else_is_not_there(stranger: Session, queue: Queue) -> None:
    files, content = queue.files(), queue.snapshot()
    for name, counts in FUNCTIONS.items():
        if name not in OFFERED:
            with pytest.raises(SqlError, match="no such function"):
                stranger.rows(f"SELECT {name}({', '.join(['1'] * max(counts))})")
    for name in TABLES.keys() - OFFERED:
        with pytest.raises(SqlError, match="no such table"):
            stranger.rows(f"SELECT * FROM {name}")
    assert (queue.files(), queue.snapshot()) == (files, content)


def test_each_connection_has_what_its_own_entry_point_defines(
    queue: Queue, open_session: OpenSession, library: Path
) -> None:
    host = find_host("apsw")
    first, second = (open_session(host, queue.path, load=False) for _ in range(2))
    first.load(library, ENTRY)
    second.load(library)
    assert second.rows("SELECT queue_rotate(1000)") == [(0,)]
    with pytest.raises(SqlError, match="no such function"):
        first.rows("SELECT queue_rotate(1000)")
    first.load(library)
    assert first.rows("SELECT queue_rotate(1000)") == [(0,)]
