"""Rule 1: one SQLite per process, bound once and for good."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host, SqlError, find_host
from hosts.python_host import PythonSession
from support import artifacts
from support.queues import Queue

pytestmark = pytest.mark.rule(1)

TIMES = 100


def test_a_hundred_times_loaded_closed_and_loaded_again(
    host: Host, queue: Queue, library: Path, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    for number in range(TIMES):
        session.reopen(str(queue.path))
        session.load(library)
        assert session.value("SELECT queue_version()")
        if number % 10 == 0:
            artifacts.assert_sound(Path(session.object("SELECT queue_backup()")["backup_path"]))
    assert session.value("SELECT queue_rotate(1)") == TIMES // 10 - 1


def test_loading_twice_into_one_connection_is_harmless(
    host: Host, queue: Queue, library: Path, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    session.load(library)
    assert session.value("SELECT queue_requeue_stale(60)") == 8


def test_many_connections_of_one_process_share_the_binding(
    queue: Queue, library: Path, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for number in range(20):
        name = f"connection-{number}"
        session.call("open", path=str(queue.path), connection=name)
        session.call("load", path=str(library), connection=name)
    for number in range(20):
        answer = session.call(
            "execute",
            connection=f"connection-{number}",
            sql="SELECT count(*) FROM queue_stale(60)",
            params=[],
        )
        assert answer["rows"] == [[8]]
        session.call("close", connection=f"connection-{number}")
    assert session.value("SELECT queue_version()")


@pytest.mark.parametrize(("first", "second"), [("apsw", "pysqlite3"), ("pysqlite3", "apsw")])
def test_a_second_sqlite_in_the_process_is_refused_and_the_first_works_on(
    first: str, second: str, queue: Queue, library: Path, open_session: OpenSession
) -> None:
    hosts = [find_host(name) for name in (first, second)]
    for each in hosts:
        if each.missing:
            pytest.skip(each.missing)
    session = open_session(hosts[0], queue.path)
    assert isinstance(session, PythonSession)
    other = queue.directory / "other.db"
    for _ in range(3):
        session.call("open", path=str(other), connection="second", module=second)
        with pytest.raises(SqlError) as refusal:
            session.call("load", path=str(library), connection="second")
        for each in hosts:
            assert each.version in refusal.value.message
        # The refused connection is as it was, and so is the first.
        sql = "SELECT count(*) FROM pragma_function_list WHERE name LIKE 'queue_%'"
        answer = session.call("execute", connection="second", sql=sql, params=[])
        assert answer["rows"] == [[0]]
        artifacts.assert_sound(Path(session.object("SELECT queue_backup()")["backup_path"]))
        session.call("close", connection="second")
    assert session.value("SELECT queue_requeue_stale(60)") == 8


@pytest.mark.parametrize("first", ["sqlite3", "apsw"])
def test_the_stdlibs_sqlite_and_apsw_in_one_process(
    first: str, queue: Queue, library: Path, open_session: OpenSession
) -> None:
    host = find_host("stdlib")
    if host.missing:
        pytest.skip(host.missing)
    session = open_session(host, queue.path, load=False)
    assert isinstance(session, PythonSession)
    session.call("search", directory=sysconfig.get_path("platlib"))
    second = "apsw" if first == "sqlite3" else "sqlite3"
    try:
        session.call("open", path=str(queue.path), connection="first", module=first)
        session.call("open", path=":memory:", connection="second", module=second)
    except SqlError as error:
        pytest.skip(f"{host.program} cannot use this environment's apsw: {error.message}")
    session.call("load", path=str(library), connection="first")
    with pytest.raises(SqlError) as refusal:
        session.call("load", path=str(library), connection="second")
    for version in (host.version, find_host("apsw").version):
        assert version in refusal.value.message
    sql = "SELECT queue_requeue_stale(60)"
    answer = session.call("execute", connection="first", sql=sql, params=[])
    assert answer["rows"] == [[8]]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_library_brings_no_second_sqlite_into_the_process(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.object("SELECT queue_backup()")
    maps = Path(f"/proc/{session.process.pid}/maps").read_text("utf-8")
    mapped = {Path(line.split()[-1]).name for line in maps.splitlines() if os.sep in line}
    assert not {name for name in mapped if name.startswith("libsqlite3")}
    assert {name for name in mapped if "queuekeeper" in name}
