"""Rule 1 through the C ABI: no call gives up a lock that the process's own SQLite holds."""

from __future__ import annotations

import contextlib
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from conftest import MakeQueue

from hosts.c_caller import CCaller, CError
from hosts.c_driver import CALLS
from support import artifacts
from support.compiling import functions
from support.queues import Queue, Shape
from support.workers.outsider import Seen, outsider, try_to_write

pytestmark = [
    pytest.mark.rule(1),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="POSIX locks, and /proc"),
]

BUSY = 5
# A call that waits for the lock may do so to the end, or be cancelled; the lock is the same.
ENDS = (BUSY, 9)
SOON = 0.3
PYTHONS = [path for path in dict.fromkeys((shutil.which("python3"), "/usr/bin/python3")) if path]
SHAPE = Shape(stale_leased=5, stale_processing=3, live_leases=4)
# How a file is refused that another SQLite may have open.
REFUSAL = "is open in this process already"


def test_every_operation_of_the_header_is_among_the_calls() -> None:
    without_handle = {"qk_bind", "qk_free", "qk_open", "qk_version", "qk_wrap"}
    others = {"qk_close", "qk_errmsg", "qk_interrupt", "qk_phase"}
    assert {f"qk_{name}" for name in CALLS} == functions() - without_handle - others


class Caller(Protocol):
    """Starts a process that calls the C ABI."""

    def __call__(self, python: str = sys.executable) -> CCaller: ...


@pytest.fixture
def caller(library: Path) -> Iterator[Caller]:
    callers: list[CCaller] = []

    def start(python: str = sys.executable) -> CCaller:
        callers.append(CCaller(library, python))
        return callers[-1]

    yield start
    for each in callers:
        each.end()


def call_everything(process: CCaller, queue: Queue, journal: str) -> None:
    """Every operation, while another connection of the process is in a write transaction."""
    path = process.call("backup")["backup_path"]
    artifacts.assert_sound(Path(path))
    incremental = process.call("backup", None, '{"type": "incremental"}')
    assert incremental["backup_type"] == "incremental"
    assert process.call("backup", None, '{"type": "snapshot"}')["backup_type"] == "snapshot"
    assert process.call("verify", path, "full")["status"] == "ok"
    aside = str(queue.directory / "aside.db")
    assert process.call("restore", path, aside)["target_path"] == aside
    assert len(process.call("backups")) == 3
    assert process.call("rotation", "1")
    assert process.call("rotate", "2") == 0
    assert process.call("delete_backup", path, '{"dependants": true}')["deleted"] >= 1
    assert process.call("stats")["wal_mode"] == int(journal == "wal")
    assert sum(row["tasks"] for row in process.call("depth")) == 52
    assert len(process.call("stale", 60)) == 8
    assert process.call("integrity") == [{"message": "ok"}]
    for table in ("settings", "schedule", "history", "health"):
        assert isinstance(process.call(table), list)
    # What is due is a matter of the time of day; that it writes is not.
    for name in ("checkpoint", "run_due"):
        with contextlib.suppress(CError):
            process.ask("call_and_cancel", seconds=SOON, name=name, arguments=[])
    waiting: list[tuple[str, list[Any]]] = [
        ("restore", ["latest"]),
        ("vacuum", []),
        ("analyze", []),
        ("optimize", [1]),
        ("set", ["keep", "7"]),
    ]
    for name, arguments in waiting:
        call = {"name": name, "arguments": arguments}
        assert process.refusal("call_and_cancel", seconds=SOON, **call).code & 0xFF in ENDS, name
    assert process.refusal("call", name="requeue_stale", arguments=[60]).code & 0xFF == BUSY


def hold(process: CCaller, module: str, queue: Queue) -> None:
    """A write transaction of the process's own."""
    process.ask("connect", module=module, path=str(queue.path))
    process.ask("sql", sql="BEGIN IMMEDIATE")
    process.ask("sql", sql="UPDATE task_queue SET priority = priority + 1")


def assert_kept_out(seen: Seen) -> None:
    assert not seen.errors
    assert seen.got_in == 0
    assert seen.kept_out > 0


def commit_and_check(process: CCaller, queue: Queue) -> None:
    """The transaction is as it was, and commits; then others get in."""
    process.ask("sql", sql="COMMIT")
    assert queue.query("SELECT DISTINCT priority FROM task_queue") == [(101,)]
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
    after = Seen()
    try_to_write(queue, after)
    assert after.got_in == 1


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("first", ["sqlite3", "library"])
def test_every_call_leaves_the_lock_of_the_processs_own_transaction(
    python: str, journal: str, first: str, make: MakeQueue, caller: Caller
) -> None:
    queue = make(Shape(stale_leased=5, stale_processing=3, live_leases=4, journal_mode=journal))
    process = caller(python)
    if first == "library":
        process.ask("open", path=str(queue.path))
        assert process.call("stats")["page_size"] == 4096
    hold(process, "sqlite3", queue)
    with outsider(queue) as seen:
        if first == "sqlite3":
            process.ask("open", path=str(queue.path))
        call_everything(process, queue, journal)
        process.ask("close")
        process.ask("open", path=str(queue.path))
        process.ask("close")
    assert_kept_out(seen)
    commit_and_check(process, queue)


def second_copy(process: CCaller, module: str) -> str:
    """Imports a module with a SQLite of its own inside; its version."""
    try:
        answer = process.ask("import_", module=module, search=sysconfig.get_path("platlib"))
    except RuntimeError as error:
        pytest.skip(f"this Python cannot use this environment's {module}: {error}")
    return str(answer["version"])


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("module", ["apsw", "pysqlite3"])
@pytest.mark.parametrize("with_stdlib", [False, True])
def test_a_file_that_a_hidden_sqlite_holds_is_refused(
    python: str, module: str, with_stdlib: bool, make: MakeQueue, caller: Caller
) -> None:
    queue = make(SHAPE)
    process = caller(python)
    if with_stdlib:
        process.ask("import_", module="sqlite3")
    second_copy(process, module)
    hold(process, module, queue)
    with outsider(queue) as seen:
        for _ in range(3):
            refusal = process.refusal("open", path=str(queue.path))
            assert REFUSAL in refusal.message
            assert "qk_bind" in refusal.message
            assert str(queue.path) in refusal.message
    assert_kept_out(seen)
    commit_and_check(process, queue)


@pytest.mark.parametrize("module", ["apsw", "pysqlite3"])
def test_after_a_refusal_the_right_sqlite_can_be_named(
    module: str, make: MakeQueue, library: Path, caller: Caller
) -> None:
    queue = make(SHAPE)
    process = caller()
    version = second_copy(process, module)
    hold(process, module, queue)
    with outsider(queue) as seen:
        assert REFUSAL in process.refusal("open", path=str(queue.path)).message
        process.ask("connect", module=module, path=":memory:", connection="loader")
        process.ask("load_extension", path=str(library), connection="loader")
        process.ask("open", path=str(queue.path))
        assert process.call("stats")["sqlite_version"] == version
        artifacts.assert_sound(Path(process.call("backup")["backup_path"]))
        process.ask("close")
    assert_kept_out(seen)
    commit_and_check(process, queue)


@pytest.mark.parametrize("module", ["apsw", "pysqlite3"])
def test_a_hidden_sqlite_that_opens_the_file_later_is_noticed(
    module: str, make: MakeQueue, caller: Caller
) -> None:
    queue = make(SHAPE)
    process = caller()
    process.ask("open", path=str(queue.path))
    assert process.call("backup")["backup_type"] == "full"
    second_copy(process, module)
    assert process.call("backup")["backup_type"] == "full", "not its file yet"
    hold(process, module, queue)
    with outsider(queue) as seen:
        for name in ("backup", "stats", "depth"):
            refusal = process.refusal("call", name=name, arguments=[])
            assert REFUSAL in refusal.message
        process.ask("close")
        assert REFUSAL in process.refusal("open", path=str(queue.path)).message
    assert_kept_out(seen)
    commit_and_check(process, queue)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_handle_holds_nothing_that_a_forked_child_could_believe_in(
    journal: str, make: MakeQueue, caller: Caller
) -> None:
    queue = make(Shape(journal_mode=journal))
    process = caller()
    process.ask("open", path=str(queue.path))
    assert process.call("backup")["backup_type"] == "full"
    # SQLite takes no lock that it believes to have already.
    assert process.ask("locks_in_a_child", path=str(queue.path)) == ["POSIX ADVISORY READ"]
    assert process.call("stats")["wal_mode"] == int(journal == "wal")


def test_another_copy_with_other_files_is_no_reason_to_refuse(
    make: MakeQueue, caller: Caller
) -> None:
    queue, other = make(SHAPE), make(SHAPE, "other.db")
    process = caller()
    second_copy(process, "apsw")
    process.ask("connect", module="apsw", path=str(other.path))
    process.ask("open", path=str(queue.path))
    process.ask("open", path=str(queue.path), handle="second")
    for _ in range(3):
        for handle in ("queue", "second"):
            assert process.call("backup", handle=handle)["backup_type"] == "full"
            assert process.call("requeue_stale", 60, handle=handle) in (0, 8)
    process.ask("close", handle="second")
    assert process.call("stats")["wal_mode"] == 1
    with pytest.raises(CError) as refusal:
        process.ask("open", path=str(other.path), handle="other")
    assert REFUSAL in refusal.value.message
