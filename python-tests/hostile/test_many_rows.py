"""However many rows and files others make, they end a call for want of memory, and no host.

Each limit is one of addresses (RLIMIT_AS) on a process of its own, above what it has before the
call: from too little to enough. SQLite itself may be refused some of it as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenSession
from test_bounded_rows import MEGABYTE, SCHEDULE, STEP, with_little_memory
from test_readonly_entry import ENTRY

from hosts import SqlError, find_host
from hosts.protocol import SQLITE_NOMEM
from hosts.python_host import PythonSession
from support.artifacts import CATALOG
from support.queues import Queue, Shape

pytestmark = [
    pytest.mark.rule(6),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS, /proc"),
]

ROWS = 150_000
#: Megabytes more than a process has; the last is enough for each case.
LIMITS = (3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 110, 160, 1500)
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
OVER = "2026-01-01 00:00:00"


def fill(queue: Queue, sql: str, count: int, *before: str) -> None:
    with queue.connect() as connection:
        for statement in before:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.execute(NUMBERS + sql, (count,))
        connection.execute("COMMIT")


def leases(queue: Queue) -> None:
    fill(
        queue,
        "INSERT INTO task_queue(type, status, locked_by, lease_until_utc) "
        f"SELECT 't', 'leased', 'worker ' || i, '{OVER}' FROM n",
        ROWS,
    )


def statuses(queue: Queue) -> None:
    fill(
        queue,
        "INSERT INTO task_queue(status) SELECT 'status ' || i FROM n",
        ROWS,
        "DROP TABLE task_queue",
        "CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status TEXT)",
    )


def keys(queue: Queue) -> None:
    """Keys that are no numbers, and workers that hold all of the tasks."""
    fill(
        queue,
        "INSERT INTO task_queue SELECT printf('%06d%2000c', i, 'k'), 'leased', "
        f"'{OVER}', 'w' FROM n",
        ROWS // 5,
        "DROP TABLE task_queue",
        "CREATE TABLE task_queue(id TEXT PRIMARY KEY, status TEXT, lease_until_utc TEXT, "
        "locked_by TEXT) WITHOUT ROWID",
    )


def settings(queue: Queue) -> None:
    fill(
        queue,
        "INSERT INTO queuekeeper_settings SELECT 'n' || i, printf('%50000c', 'v') FROM n",
        900,
        "CREATE TABLE queuekeeper_settings(name, value)",
    )


def steps(queue: Queue) -> None:
    step = STEP.replace("VALUES ('daily', 'backup', '', '', 'ok', ?)", "")
    details = "SELECT 'daily', 'backup', '', '', 'ok', printf('%300c', 'd') FROM n"
    fill(queue, step + details, ROWS // 2, *SCHEDULE)


def findings(queue: Queue) -> None:
    fill(queue, "INSERT INTO t SELECT NULL FROM n", ROWS, "CREATE TABLE t(a)")
    with queue.connect() as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a NOT NULL)' WHERE name = 't'"
        )


def files(queue: Queue) -> None:
    queue.backups.mkdir(exist_ok=True)
    for number in range(20_000):
        (queue.backups / f"queue_backup_{'x' * 200}_20260101_000000_{number}.db").touch()


def entries(queue: Queue) -> None:
    """Backups that a catalog lists, and that nobody has made."""
    queue.backups.mkdir(exist_ok=True)
    names = ["id", "backup_type", "source_path", "created_at", "checksum"]
    entry: dict[str, Any] = dict.fromkeys(names, "2026-01-01T00:00:00.000Z")
    entry.update(source_path=str(queue.path), size_bytes=1, compressed=False)
    numbered = [
        {**entry, "id": f"{number}", "backup_path": f"{number}.db"} for number in range(30_000)
    ]
    (queue.backups / CATALOG).write_text(json.dumps(numbered))


#: What there is a lot of, and what reads it.
CASES: dict[str, tuple[Callable[[Queue], None], str]] = {
    "leases": (leases, "SELECT count(*) FROM queue_stale(1)"),
    "statuses": (statuses, "SELECT count(*) FROM queue_depth()"),
    "unknown statuses": (statuses, "SELECT count(*) FROM queue_health()"),
    "counted statuses": (statuses, "SELECT length(queue_backup()) > 0"),
    "keys": (keys, "SELECT queue_requeue_stale(1)"),
    "settings": (settings, "SELECT count(*) FROM queue_settings()"),
    "steps": (steps, "SELECT count(*) FROM queue_history()"),
    "findings": (findings, "SELECT count(*) FROM queue_integrity('quick', 1000000)"),
    "entries": (entries, "SELECT count(*) FROM queue_backups()"),
    "entries in a plan": (entries, """SELECT count(*) FROM queue_rotation('{"keep_last": 1}')"""),
    "entries in a rotation": (entries, """SELECT queue_rotate('{"keep_last": 1}') = 0"""),
    "entries and one more": (entries, "SELECT length(queue_backup()) > 0"),
    "entries in order": (entries, "SELECT count(*) FROM queue_health()"),
    "files": (files, "SELECT count(*) FROM queue_backups()"),
    "files in a plan": (files, """SELECT count(*) FROM queue_rotation('{"keep_last": 1}')"""),
}


@pytest.mark.parametrize("case", CASES)
def test_no_number_of_rows_or_files_ends_a_host(
    case: str, make: MakeQueue, open_session: OpenSession
) -> None:
    spoil, sql = CASES[case]
    queue = make(Shape())
    spoil(queue)
    refused = []
    for more in LIMITS:
        session = open_session(find_host("apsw"), queue.path)
        assert isinstance(session, PythonSession)
        session.rows("SELECT queue_version()")
        session.rows("BEGIN" if case == "keys" else "SELECT 1")
        with_little_memory(session, more * MEGABYTE)
        try:
            session.rows(sql)
        except SqlError as error:
            assert error.primary_code == SQLITE_NOMEM, f"{more} MB: {error}"
            refused.append(more)
        assert session.value("SELECT 1") == 1
        session.close()
    assert LIMITS[0] in refused
    assert LIMITS[-1] not in refused


@pytest.mark.parametrize("case", ["leases", "statuses"])
def test_no_number_of_rows_ends_a_host_that_offers_strangers_little(
    case: str, make: MakeQueue, open_session: OpenSession, library: Path
) -> None:
    spoil, sql = CASES[case]
    queue = make(Shape())
    spoil(queue)
    for more in (7, 20):
        session = open_session(find_host("apsw"), queue.path, load=False)
        assert isinstance(session, PythonSession)
        session.load(library, ENTRY)
        session.rows("SELECT queue_version()")
        with_little_memory(session, more * MEGABYTE)
        assert session.error(sql).primary_code == SQLITE_NOMEM
        assert session.value("SELECT 1") == 1
        session.close()


#: Asks for one list by the C functions, with so many bytes more than before.
CLIENT = """
import ctypes, resource, sys
from pathlib import Path
library, path, name, more = ctypes.CDLL(sys.argv[1]), *sys.argv[2:5]
queue, text = ctypes.c_void_p(), ctypes.c_void_p()
assert library.qk_open(path.encode(), ctypes.byref(queue)) == 0
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(more), -1))
secs = [ctypes.c_int64(1)] if name == "qk_stale" else []
code = library[name](queue, *secs, ctypes.byref(text))
library.qk_free(text)
library.qk_close(queue)
print(code)
"""


@pytest.mark.parametrize(("case", "name"), [("leases", "qk_stale"), ("statuses", "qk_depth")])
def test_no_number_of_rows_ends_a_host_that_asks_by_c(
    case: str, name: str, make: MakeQueue, library: Path
) -> None:
    spoil, _ = CASES[case]
    queue = make(Shape())
    spoil(queue)
    codes = []
    for more in LIMITS:
        words = (library, queue.path, name, more * MEGABYTE)
        command = [sys.executable, "-c", CLIENT, *map(str, words)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        assert child.returncode == 0, f"{more} MB: {child}"
        codes.append(int(child.stdout))
        assert codes[-1] in (0, SQLITE_NOMEM), f"{more} MB"
    assert (codes[0], codes[-1]) == (SQLITE_NOMEM, 0)
