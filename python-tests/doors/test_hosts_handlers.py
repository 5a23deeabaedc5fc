"""What the host has set on its own connection is still there after each call."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.hostile import CALLS
from support.queues import Queue

pytestmark = pytest.mark.rule(6)

PROGRAM = """
import json, sys, apsw
library, path, kind, calls, place = sys.argv[1:]
calls = json.loads(calls)
counts = {"progress": 0, "authorizer": 0, "trace": 0, "busy": 0, "commit": 0, "update": 0}
def counted(name, answer):
    def handler(*_):
        counts[name] += 1
        return answer
    return handler
if kind == "memory":
    connection = apsw.Connection(":memory:")
    with connection.backup("main", apsw.Connection(path), "main") as copy:
        copy.step()
elif kind == "nolock":
    first = apsw.Connection(path)
    first.execute("PRAGMA journal_mode = DELETE")
    first.close()
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{path}?nolock=1", flags=flags)
else:
    connection = apsw.Connection(path)
    if kind == "exclusive":
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("SELECT count(*) FROM task_queue").fetchall()
connection.enable_load_extension(True)
connection.load_extension(library)
connection.set_progress_handler(counted("progress", False), 10)
connection.set_authorizer(counted("authorizer", apsw.SQLITE_OK))
connection.trace_v2(apsw.SQLITE_TRACE_STMT, counted("trace", None))
connection.set_commit_hook(counted("commit", False))
connection.set_update_hook(counted("update", None))
connection.set_busy_handler(counted("busy", False))
connection.execute("CREATE TABLE IF NOT EXISTS host_table(a)")
PROBE = "WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200) SELECT sum(x) FROM c"
for number, sql in enumerate(calls):
    try:
        connection.execute(sql.format(dir=place, outside=place)).fetchall()
    except apsw.Error as error:
        pass
    before = dict(counts)
    # Another text each time, since apsw prepares none twice.
    connection.execute(f"{PROBE} -- {number}").fetchall()
    connection.execute("INSERT INTO host_table VALUES (1)")
    missing = [name for name in counts if name != "busy" and counts[name] == before[name]]
    if kind == "file":
        other = apsw.Connection(path)
        try:
            other.execute("BEGIN IMMEDIATE")
            try:
                connection.execute("INSERT INTO host_table VALUES (2)")
            except apsw.BusyError:
                pass
            if counts["busy"] == before["busy"]:
                missing.append("busy")
            other.execute("ROLLBACK")
        finally:
            other.close()
    if missing:
        sys.exit(f"after {sql}: {missing}")
"""


@pytest.mark.parametrize("kind", ["file", "memory", "exclusive", "nolock"])
def test_the_hosts_handlers_are_left_alone(
    kind: str, queue: Queue, library: Path, tmp_path: Path
) -> None:
    calls = ["SELECT queue_backup('{dir}/one.db')"]
    calls += [sql for each in CALLS.values() for sql in each]
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        library,
        queue.path,
        kind,
        json.dumps(calls),
        tmp_path,
    ]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
