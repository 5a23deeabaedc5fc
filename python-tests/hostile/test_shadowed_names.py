"""Tables and views under the names of SQLite's own tables change nothing, and none of them runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import OpenSession

from hosts import Host
from support.documents.declared import TABLES
from support.hostile import CALLS
from support.queues import Queue, Shape, make_queue

pytestmark = pytest.mark.rule(8)

NAMES = (
    "pragma_table_list",
    "pragma_table_info",
    "pragma_table_xinfo",
    "pragma_index_list",
    "pragma_index_xinfo",
    "pragma_database_list",
    "pragma_quick_check",
    "json_each",
    "json_tree",
    "generate_series",
    "dbstat",
    "sqlite_dbpage",
    "bytecode",
    "temp",
    "main",
)
#: A view that never ends, should anything read it.
ENDLESS = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) AS name FROM c"
)
SHAPES = {
    "tables": 'CREATE TABLE "{name}"(name, schema, type)',
    "endless views": f'CREATE VIEW "{{name}}" AS {ENDLESS}',
}


def shadow(queue: Queue, what: str) -> None:
    with closing(sqlite3.connect(queue.path)) as connection:
        for name in NAMES:
            if not name.startswith("sqlite_"):
                connection.execute(SHAPES[what].format(name=name))


def answers(session_rows: object, place: Path) -> dict[str, object]:
    """What each call says, as far as it is the same whenever it is asked."""
    assert callable(session_rows)
    found: dict[str, object] = {}
    session_rows("SELECT queue_backup()")
    for name, statements in CALLS.items():
        for sql in statements:
            try:
                rows = session_rows(sql.format(dir=place, outside=place))
            except Exception as error:
                found[sql] = f"error {name}: {type(error).__name__}"
            else:
                found[sql] = len(rows)
    return found


@pytest.mark.parametrize("what", SHAPES)
def test_every_call_works_as_without_them(
    what: str, host: Host, tmp_path: Path, open_session: OpenSession
) -> None:
    shape = Shape(tasks=8, stale_leased=2, live_leases=1)
    plain = make_queue(tmp_path / "plain" / "queue.db", shape)
    hostile = make_queue(tmp_path / "hostile" / "queue.db", shape)
    shadow(hostile, what)
    for queue in (plain, hostile):
        queue.backups.mkdir()
    expected = answers(open_session(host, plain.path).rows, plain.directory)
    found = answers(open_session(host, hostile.path).rows, hostile.directory)
    assert {sql for sql in expected if "error" in str(expected[sql])} == set()
    assert found == expected
    assert len(found) > len(TABLES)
