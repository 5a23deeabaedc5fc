"""Which SQLite the C ABI runs on, and connections that it is given."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from conftest import MakeQueue

from hosts.c_caller import CCaller
from support import artifacts
from support.queues import Queue, Shape

pytestmark = [
    pytest.mark.rule(1),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of Linux"),
]

MISUSE, INTERRUPT = 21, 9
SYSTEM = "libsqlite3.so.0"
APSW_TOOL = Path(sysconfig.get_path("platlib"), "apsw/sqlite_extra_binaries/libsqlite3_tool.so")


class Caller(Protocol):
    """Starts a process that calls the C ABI."""

    def __call__(self, before: Sequence[str] = (), **environment: str) -> CCaller: ...


@pytest.fixture
def caller(library: Path) -> Iterator[Caller]:
    callers: list[CCaller] = []

    def start(before: Sequence[str] = (), **environment: str) -> CCaller:
        callers.append(CCaller(library, sys.executable, environment, before))
        return callers[-1]

    yield start
    for each in callers:
        each.end()


@pytest.fixture(scope="module")
def system_sqlite() -> Path:
    """The file of the system's SQLite."""
    name = ctypes.util.find_library("sqlite3")
    if name is None:
        pytest.skip("the system has no libsqlite3")
    code = (
        "import ctypes, sys; ctypes.CDLL(sys.argv[1]); "
        "print(next(line.split()[-1] for line in open('/proc/self/maps') if 'sqlite3' in line))"
    )
    command = [sys.executable, "-I", "-c", code, SYSTEM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return Path(done.stdout.strip()).resolve()


def without(library: Path) -> list[str]:
    """A command's beginning that runs the rest where that library cannot be loaded."""
    script = f'mount --bind /dev/null "{library}" && exec "$@"'
    before = ["unshare", "--mount", "sh", "-c", script, "sh"]
    try:
        tried = subprocess.run([*before, "true"], capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if tried.returncode != 0:
        pytest.skip("only root can hide a library from a process")
    return before


def test_the_one_in_the_process_is_taken(queue: Queue, caller: Caller) -> None:
    process = caller()
    version = process.ask("import_", module="sqlite3")["version"]
    before = process.ask("maps")
    process.ask("open", path=str(queue.path))
    assert process.call("stats")["sqlite_version"] == version
    assert process.ask("maps") == before


def test_the_systems_is_loaded_where_there_is_none_and_python_then_shares_it(
    queue: Queue, system_sqlite: Path, caller: Caller
) -> None:
    process = caller()
    assert not [path for path in process.ask("maps") if "libsqlite3" in path]
    process.ask("open", path=str(queue.path))
    assert [Path(path) for path in process.ask("maps") if "sqlite3" in path] == [system_sqlite]
    version = process.ask("import_", module="sqlite3")["version"]
    assert process.call("stats")["sqlite_version"] == version
    assert len([path for path in process.ask("maps") if "libsqlite3" in path]) == 1


def test_the_programs_own_symbols_are_taken(queue: Queue, caller: Caller) -> None:
    process = caller(LD_PRELOAD=str(APSW_TOOL))
    process.ask("open", path=str(queue.path))
    assert process.call("stats")["sqlite_version"].startswith("3.5")
    assert not [path for path in process.ask("maps") if SYSTEM in path]


def test_two_that_both_could_be_meant_are_refused(queue: Queue, caller: Caller) -> None:
    process = caller(LD_PRELOAD=str(APSW_TOOL))
    process.ask("import_", module="sqlite3")
    assert [path for path in process.ask("maps") if SYSTEM in path]
    refusal = process.refusal("open", path=str(queue.path))
    assert "two copies of SQLite" in refusal.message
    assert "qk_bind()" in refusal.message
    process.ask("catch_api", sqlite=str(APSW_TOOL))
    process.ask("bind")
    process.ask("open", path=str(queue.path))
    assert process.call("backup")["backup_type"] == "full"


def test_without_any_sqlite_the_error_says_what_to_do(
    queue: Queue, system_sqlite: Path, caller: Caller
) -> None:
    process = caller(without(system_sqlite))
    refusal = process.refusal("open", path=str(queue.path))
    for word in ("no SQLite", SYSTEM, "QUEUEKEEPER_SQLITE", "qk_bind()"):
        assert word in refusal.message
    # Nothing is decided by that.
    assert process.refusal("open", path=":memory:").message == refusal.message


def test_then_the_environment_can_name_one(
    queue: Queue, system_sqlite: Path, tmp_path: Path, caller: Caller
) -> None:
    copy = tmp_path / "my sqlite.so"
    copy.write_bytes(system_sqlite.read_bytes())
    process = caller(without(system_sqlite), QUEUEKEEPER_SQLITE=str(copy))
    process.ask("open", path=str(queue.path))
    artifacts.assert_sound(Path(process.call("backup")["backup_path"]))


@pytest.mark.parametrize("named", ["/nonexistent/sqlite.so", __file__, "libc.so.6"])
def test_a_wrong_name_in_the_environment_is_named_in_the_error(
    named: str, queue: Queue, system_sqlite: Path, caller: Caller
) -> None:
    process = caller(without(system_sqlite), QUEUEKEEPER_SQLITE=named)
    message = process.refusal("open", path=str(queue.path)).message
    assert named in message
    assert "QUEUEKEEPER_SQLITE" in message


def test_the_environment_does_not_overrule_the_one_in_the_process(
    queue: Queue, caller: Caller
) -> None:
    process = caller(QUEUEKEEPER_SQLITE="/nonexistent/sqlite.so")
    process.ask("import_", module="sqlite3")
    process.ask("open", path=str(queue.path))
    assert process.call("stats")["wal_mode"] == 1


def test_bind_names_one_for_good(queue: Queue, caller: Caller) -> None:
    process = caller()
    process.ask("catch_api", sqlite=str(APSW_TOOL))
    process.ask("bind")
    process.ask("bind")
    process.ask("open", path=str(queue.path))
    assert process.call("stats")["sqlite_version"].startswith("3.5")
    process.ask("catch_api", sqlite=SYSTEM)
    refusal = process.refusal("bind")
    assert (refusal.code, "another copy of SQLite" in refusal.message) == (1, True)
    assert process.call("backup")["backup_type"] == "full"


def test_after_the_extension_was_loaded_handles_run_on_that_sqlite(
    queue: Queue, library: Path, caller: Caller
) -> None:
    process = caller()
    process.ask("import_", module="apsw", search=sysconfig.get_path("platlib"))
    process.ask("connect", module="apsw", path=str(queue.path))
    process.ask("load_extension", path=str(library))
    process.ask("open", path=str(queue.path))
    [[version]] = process.ask("sql", sql="SELECT sqlite_version()")
    assert process.call("stats")["sqlite_version"] == version
    assert process.call("requeue_stale", 60) == 8


def test_a_connection_of_ones_own_is_wrapped_with_its_transaction(
    queue: Queue, caller: Caller
) -> None:
    process = caller()
    path = str(queue.path)
    sql = "BEGIN IMMEDIATE; UPDATE task_queue SET priority = 7"
    process.ask("catch_api", sqlite=SYSTEM)
    refusal = process.refusal("wrap", sqlite=SYSTEM, path=path, sql="")
    assert (refusal.code, "qk_bind()" in refusal.message) == (MISUSE, True)
    process.ask("bind")
    process.ask("wrap", sqlite=SYSTEM, path=path, sql=sql)
    assert process.call("requeue_stale", 60, handle="wrapped") == 8
    assert "uncommitted" in process.call("backup", handle="wrapped")["note"]
    assert queue.query("SELECT count(*) FROM task_queue WHERE priority = 7") == [(0,)]
    process.ask("close", handle="wrapped")
    # The connection is still there, and so is its transaction.
    assert process.ask("raw", sql="ROLLBACK") == 0
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(7,)]


def test_both_ways_to_interrupt_end_a_call(make: MakeQueue, caller: Caller) -> None:
    queue = make(Shape(tasks=20000))
    process = caller()
    process.ask("catch_api", sqlite=SYSTEM)
    process.ask("bind")
    process.ask("wrap", sqlite=SYSTEM, path=str(queue.path), sql="")
    process.ask("open", path=str(queue.path))
    for sqlite_too in (False, True):
        assert process.refusal("interrupt_soon", sqlite_too=sqlite_too).code == INTERRUPT
        handle = "wrapped" if sqlite_too else "queue"
        assert process.call("stats", handle=handle)["wal_mode"] == 1
    assert not list(queue.backups.glob("*.db")) if queue.backups.exists() else True


def test_an_unusual_path_is_a_path(make: MakeQueue, caller: Caller) -> None:
    queue = make(Shape(), "file:queue?mode=ro#ü 'x'.db")
    process = caller()
    process.ask("open", path=str(queue.path))
    assert process.call("stats")["path"] == str(queue.path)
    process.ask("open", path=":memory:", handle="memory")
    assert process.call("stats", handle="memory")["path"] is None
    assert not list(queue.directory.glob(":memory:*"))
