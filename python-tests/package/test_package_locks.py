"""Rule 1 through the Python package: no call gives up a lock that the process holds itself."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest
from conftest import MakeQueue

from support.documents.declared import FUNCTIONS, TABLES
from support.package import Package
from support.queues import Queue, Shape
from support.workers.outsider import Seen, outsider, try_to_write

pytestmark = [
    pytest.mark.rule(1),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="POSIX locks, and /proc"),
]

#: Holds a write transaction by `module`, and lets go of it when it is told to.
HOLD = """
def hold(module, path):
    if module == "apsw":
        import apsw
        connection = apsw.Connection(path)
        run = connection.execute
    else:
        import importlib
        connection = importlib.import_module(module).connect(path, isolation_level=None)
        run = connection.execute
    run("BEGIN IMMEDIATE")
    run("UPDATE task_queue SET priority = priority + 1")
    return connection, run

def say(value):
    print(json.dumps(value), flush=True)
    sys.stdin.readline()
"""

#: Every operation. Those that need the write lock wait for it in vain, all at the same time.
EVERYTHING = """
called, refused = [], []
def call(queue, name, *arguments, **options):
    called.append(name)
    try:
        return getattr(queue, name)(*arguments, **options)
    except queuekeeper.BusyError:
        refused.append(name)

def call_alone(path, name, *arguments):
    with queuekeeper.open(path) as queue:
        call(queue, name, *arguments)

def call_everything(path):
    with queuekeeper.open(path) as queue:
        made = call(queue, "backup")
        call(queue, "backup", type="incremental")
        call(queue, "backup", type="snapshot")
        call(queue, "verify", made.path, "full")
        call(queue, "restore", made.path, path + "-aside")
        call(queue, "rotation", 1)
        call(queue, "rotate", 2)
        call(queue, "delete_backup", "latest", dependants=True)
        for name in ("backups", "depth", "health", "history", "integrity", "schedule", "settings"):
            call(queue, name)
        for name in ("leases", "stale", "stats", "version"):
            call(queue, name)
    writing = (
        ["requeue_stale", 60], ["requeue", {"all": True}], ["restore", "latest"],
        ["checkpoint", "FULL"], ["vacuum"],
        ["analyze"], ["optimize", True], ["set", "keep", "7"], ["run_due"],
    )
    threads = [threading.Thread(target=call_alone, args=[path, *each]) for each in writing]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


OWN_TRANSACTION = """
path, first = sys.argv[1:]
if first == "queuekeeper":
    assert "sqlite3" not in sys.modules
    with queuekeeper.open(path) as queue:
        queue.stats()
connection, run = hold("sqlite3", path)
say("held")
call_everything(path)
say([called, refused])
run("COMMIT")
"""


def told(process: subprocess.Popen[str]) -> Any:
    """What the program says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.kill()
        raise AssertionError(process.communicate()[1])
    return json.loads(line)


def go_on(process: subprocess.Popen[str]) -> None:
    """Lets the program go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def assert_kept_out_until_the_commit(
    process: subprocess.Popen[str], queue: Queue, seen: Seen
) -> None:
    """The transaction was never without its lock, and commits."""
    assert (seen.got_in, seen.errors) == (0, [])
    assert seen.kept_out > 0
    go_on(process)
    Package.finish(process)
    assert queue.query("SELECT DISTINCT priority FROM task_queue") == [(101,)]
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
    after = Seen()
    try_to_write(queue, after)
    assert after.got_in == 1


CASES = [(journal, first) for journal in ("wal", "delete") for first in ("sqlite3", "queuekeeper")]


@pytest.mark.slow
def test_every_operation_leaves_the_lock_of_the_processs_own_transaction(
    package: Package, make: MakeQueue
) -> None:
    shape = Shape(stale_leased=5, stale_processing=3, live_leases=4)
    queues = [make(dataclasses.replace(shape, journal_mode=journal)) for journal, _ in CASES]
    # Each waits for locks nearly all the time, so they may as well wait together.
    with contextlib.ExitStack() as outsiders:
        running = []
        for queue, (_, first) in zip(queues, CASES, strict=True):
            process = package.start(HOLD + EVERYTHING + OWN_TRANSACTION, queue.path, first)
            assert told(process) == "held"
            running.append((process, queue, outsiders.enter_context(outsider(queue))))
            go_on(process)
        answers = [told(process) for process, _, _ in running]
    for called, refused in answers:
        assert {f"queue_{name}" for name in called} == {*FUNCTIONS, *TABLES}
        needing = {"requeue_stale", "restore", "vacuum", "analyze", "optimize", "set"}
        assert needing <= set(refused)
    for process, queue, seen in running:
        assert_kept_out_until_the_commit(process, queue, seen)


@pytest.mark.parametrize("module", ["apsw", "pysqlite3"])
@pytest.mark.parametrize("first", ["module", "queuekeeper"])
def test_a_file_that_a_second_sqlite_holds_is_refused(
    module: str, first: str, package: Package, queue: Queue
) -> None:
    process = package.start(
        HOLD
        + """
path, module, first = sys.argv[1:]
opened = queuekeeper.open(path) if first == "queuekeeper" else None
connection, run = hold(module, path)
say("held")
refusals = []
for attempt in (lambda: queuekeeper.open(path), opened and opened.stats, opened and opened.backup):
    if attempt:
        try:
            attempt()
        except queuekeeper.Error as error:
            refusals.append(str(error))
        else:
            refusals.append("it was let in")
say(refusals)
run("COMMIT")
""",
        queue.path,
        module,
        first,
    )
    assert told(process) == "held"
    with outsider(queue) as seen:
        go_on(process)
        refusals = told(process)
    assert len(refusals) == (1 if first == "module" else 3)
    assert all("is open in this process already" in message for message in refusals)
    assert all("load it as an extension into the connection" in message for message in refusals)
    assert_kept_out_until_the_commit(process, queue, seen)


@pytest.mark.parametrize("module", ["apsw", "pysqlite3"])
def test_a_second_sqlite_that_loads_the_library_is_the_one_that_it_runs_on(
    module: str, package: Package, queue: Queue
) -> None:
    process = package.start(
        HOLD
        + """
path, module = sys.argv[1:]
connection, run = hold(module, path)
queuekeeper.load(connection)
say("held")
with queuekeeper.open(path) as queue:
    made = queue.backup()
    say([queue.stats().sqlite_version, *run("SELECT sqlite_version()").fetchone()])
run("COMMIT")
""",
        queue.path,
        module,
    )
    assert told(process) == "held"
    with outsider(queue) as seen:
        go_on(process)
        ours, theirs = told(process)
    assert ours == theirs
    assert_kept_out_until_the_commit(process, queue, seen)
