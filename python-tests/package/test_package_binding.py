"""The Python package: loading, opening, closing, and its errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.package import Package
from support.queues import Queue


def test_loading_into_a_connection_and_loading_is_off_again(package: Package, queue: Queue) -> None:
    # Which of the two happens is the Python's own property; the tests need a Python of each kind.
    said = package.run(
        """
        import sqlite3
        with open(queuekeeper.loadable_path(), "rb") as file:
            assert file.read(4)
        connection = sqlite3.connect(sys.argv[1])
        try:
            queuekeeper.load(connection)
        except queuekeeper.BindingError as error:
            assert not hasattr(connection, "enable_load_extension")
            assert "queuekeeper.open" in str(error), error
            print(json.dumps("cannot"))
        else:
            (made,) = connection.execute("SELECT queue_backup()").fetchone()
            assert os.path.isfile(json.loads(made)["backup_path"])
            try:
                connection.execute("SELECT load_extension(?)", [queuekeeper.loadable_path()])
            except sqlite3.OperationalError as error:
                assert "not authorized" in str(error), error
            else:
                raise AssertionError("extension loading is still on")
            with queuekeeper.open(sys.argv[1]) as queue:
                assert len(queue.backups()) == 1
            print(json.dumps("loaded"))
        """,
        queue.path,
    )
    assert said in ("cannot", "loaded")
    assert len(list(queue.backups.glob("*.db"))) == (said == "loaded")


@pytest.mark.parametrize("module", ["apsw", "pysqlite3"])
def test_loading_into_connections_of_other_modules(module: str, own: Package, queue: Queue) -> None:
    own.run(
        """
        import importlib
        module = importlib.import_module(sys.argv[2])
        connect = module.Connection if sys.argv[2] == "apsw" else module.connect
        connection = connect(sys.argv[1])
        def raised(call, *arguments):
            try:
                call(*arguments)
            except Exception as error:
                return str(error)
            raise AssertionError("it went well")
        os.environ["QUEUEKEEPER_LIBRARY"] = sys.executable
        assert raised(queuekeeper.load, connection)
        assert "not authorized" in raised(connection.execute, "SELECT load_extension('x')")
        del os.environ["QUEUEKEEPER_LIBRARY"]
        queuekeeper.load(connection)
        assert "not authorized" in raised(connection.execute, "SELECT load_extension('x')")
        assert connection.execute("SELECT queue_version()").fetchone()[0]
        """,
        queue.path,
        module,
    )


def test_a_second_sqlite_is_refused_in_words(own: Package, queue: Queue) -> None:
    own.run(
        """
        import apsw
        with queuekeeper.open(sys.argv[1]) as queue:
            queue.stats()
        try:
            queuekeeper.load(apsw.Connection(":memory:"))
        except queuekeeper.BindingError as error:
            assert "another copy of SQLite" in str(error), error
        else:
            raise AssertionError("a second SQLite was let in")
        """,
        queue.path,
    )


def test_a_library_that_is_not_there(own: Package, queue: Queue) -> None:
    environment = {**os.environ, "QUEUEKEEPER_LIBRARY": "/nowhere/lib.so"}
    own.run(
        """
        for attempt in (queuekeeper.loadable_path, lambda: queuekeeper.open(sys.argv[1])):
            try:
                attempt()
            except queuekeeper.UnavailableError as error:
                assert "/nowhere/lib.so" in str(error) and "QUEUEKEEPER_LIBRARY" in str(error)
            else:
                raise AssertionError("it was found")
        """,
        queue.path,
        env=environment,
    )


def test_errors_carry_the_codes_of_sqlite(package: Package, queue: Queue) -> None:
    broken = queue.directory / "broken.db"
    broken.write_bytes(b"no database at all " * 1000)
    package.run(
        """
        path, broken = sys.argv[1:]
        queue = queuekeeper.open(path)
        def fails(kind, code, call, *arguments, **options):
            try:
                call(*arguments, **options)
            except queuekeeper.Error as error:
                assert type(error) is kind, (type(error), error)
                assert error.primary_code == code, (error.code, error)
                assert not str(error).startswith("qk_"), error
                return str(error)
            raise AssertionError(f"{call} went well")
        E = queuekeeper.Error
        fails(queuekeeper.CantOpenError, 14, queue.verify, "no-such-id")
        fails(E, 1, queue.backup, name="a/b")
        fails(E, 1, queue.backup, compression="lzma")
        fails(E, 1, queue.backup, "with\\0nul")
        fails(E, 1, queue.rotate, "nonsense")
        fails(E, 1, queue.rotate, True)
        fails(E, 1, queue.rotate, {"keep_last": 0})
        fails(E, 1, queue.rotate, {"keep_last": {1, 2}})
        fails(E, 1, queue.requeue_stale, "300")
        fails(E, 1, queue.requeue_stale, 2**70)
        fails(E, 1, queue.requeue_stale, -1)
        fails(E, 1, queue.stale, 1.5)
        fails(E, 1, queue.checkpoint, "SIDEWAYS")
        fails(E, 1, queue.set, "no_such_setting", 1)
        fails(E, 1, queue.run_due, "yesterday")
        fails(E, 1, queuekeeper.open, None)
        fails(E, 1, queuekeeper.open, "")
        fails(queuekeeper.CantOpenError, 14, queuekeeper.open, path + "-missing")
        fails(queuekeeper.CorruptError, 26, queuekeeper.open(broken).integrity)
        memory = queuekeeper.open(":memory:")
        fails(E, 1, memory.backups)
        queue.close()
        queue.close()
        assert "closed" in fails(queuekeeper.MisuseError, 21, queue.stats)
        assert "closed" in repr(queue) and path in repr(queue)
        """,
        queue.path,
        broken,
    )


def test_a_backup_that_is_in_the_way_or_cannot_be_written(own: Package, queue: Queue) -> None:
    own.run(
        """
        with queuekeeper.open(sys.argv[1]) as queue:
            made = queue.backup()
            for path, options in ((made.path, {}), (sys.argv[1], {"overwrite": True})):
                try:
                    queue.backup(path, **options)
                except queuekeeper.Error as error:
                    assert str(path) in str(error), error
                else:
                    raise AssertionError(f"{path} was overwritten")
            assert queue.backup(made.path, overwrite=True).path == made.path
            made.path.write_bytes(made.path.read_bytes()[:-1] + b"?")
            found = queue.verify(made.path, "checksum")
            assert not found.ok and found.details, found
        """,
        queue.path,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_child_uses_queues_of_its_own(package: Package, queue: Queue) -> None:
    package.run(
        """
        queue = queuekeeper.open(sys.argv[1])
        child = os.fork()
        if child == 0:
            try:
                queue.stats()
            except queuekeeper.MisuseError as error:
                assert "fork" in str(error), error
                queue.close()
                with queuekeeper.open(sys.argv[1]) as mine:
                    mine.backup(name="child")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert [each.name for each in queue.backups()] == ["child"]
        """,
        queue.path,
    )


def test_paths_of_all_kinds(own: Package, queue: Queue) -> None:
    # Windows has no such characters in names.
    quoted = "" if sys.platform == "win32" else '"?'
    odd = queue.directory / f"søren's {quoted} tasks 50%#.db"
    queue.path.rename(odd)
    own.run(
        """
        from pathlib import Path
        os.chdir(os.path.dirname(sys.argv[1]))
        for path in (sys.argv[1], Path(sys.argv[1]), os.path.basename(sys.argv[1])):
            with queuekeeper.open(path) as queue:
                os.chdir("/")
                made = queue.backup(Path(sys.argv[1]).parent / "bäckups", overwrite=True)
                assert made.path.is_file() and made.source_path == sys.argv[1], made
                os.chdir(os.path.dirname(sys.argv[1]))
        """,
        odd,
    )
    assert Path(odd.parent / "bäckups").exists()
