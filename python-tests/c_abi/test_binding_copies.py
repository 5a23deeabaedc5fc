"""Rule 1 with more than one copy of the library in a process: they are bound as one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue

from support import artifacts
from support.compiling import build_shared
from support.queues import Queue, Shape

pytestmark = [
    pytest.mark.rule(1),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of Linux"),
]

SECONDS = 60
SYMBOL = b"queuekeeper_binding\0"
#: What the programs begin with.
HEAD = f"""
import ctypes, json, os, sys, threading
sys.path.append({sysconfig.get_path("platlib")!r})
import apsw
from pysqlite3 import dbapi2 as sqlite3

ENTRY = "sqlite3_queuekeeper_init"
PYSQLITE, APSW = sqlite3.sqlite_version, apsw.sqlite_lib_version()

def by_pysqlite(path, db=":memory:"):
    connection = sqlite3.connect(db, isolation_level=None, check_same_thread=False)
    connection.enable_load_extension(True)
    connection.execute("SELECT load_extension(?, ?)", [path, ENTRY])
    return connection

def by_apsw(path, db=":memory:"):
    connection = apsw.Connection(db)
    connection.enable_load_extension(True)
    connection.load_extension(path, ENTRY)
    return connection

def by_system(path):
    host = ctypes.CDLL("libsqlite3.so.0")
    db, message = ctypes.c_void_p(), ctypes.c_char_p()
    host.sqlite3_open(b":memory:", ctypes.byref(db))
    host.sqlite3_db_config(db, 1005, 1, None)
    code = host.sqlite3_load_extension(db, path.encode(), ENTRY.encode(), ctypes.byref(message))
    assert code == 0, message.value.decode()

def refused(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return str(error)
    raise AssertionError("it was let in")

class C:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL)
        self.lib.qk_errmsg.restype = ctypes.c_char_p
        self.lib.qk_errmsg.argtypes = [ctypes.c_void_p]
        self.queue = ctypes.c_void_p()

    def open(self, db):
        code = self.lib.qk_open(db.encode(), ctypes.byref(self.queue))
        assert code == 0, f"{{code}}: {{self.lib.qk_errmsg(None).decode()}}"
        return self

    def stats(self):
        out = ctypes.c_void_p()
        code = self.lib.qk_stats(self.queue, ctypes.byref(out))
        assert code == 0, self.lib.qk_errmsg(self.queue).decode()
        return json.loads(ctypes.string_at(out.value))
"""


def run(program: str, *arguments: object) -> None:
    """Runs a program in a process of its own, which must succeed."""
    command = [sys.executable, "-I", "-c", HEAD + textwrap.dedent(program)]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copies(library: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of the library, at two paths and under two names."""
    made = (tmp_path / "one" / library.name, tmp_path / "two" / "another name.so")
    for path in made:
        path.parent.mkdir()
        shutil.copyfile(library, path)
    return made


@pytest.fixture
def older(copies: tuple[Path, Path]) -> Path:
    """A copy that does not export what later versions tell each other."""
    content = copies[1].read_bytes()
    if SYMBOL in content:
        # The first is that of the table of exported names.
        place = content.index(SYMBOL)
        content = content[:place] + b"q" * (len(SYMBOL) - 1) + content[place + len(SYMBOL) - 1 :]
    copies[1].write_bytes(content)
    return copies[1]


COMMITTING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("INSERT INTO task_queue(type, payload) VALUES ('foreign', '{}')")
except sqlite3.OperationalError as error:
    print(error)
else:
    print("committed")
"""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_what_another_process_was_told_is_committed_stays(
    journal: str, make: MakeQueue, copies: tuple[Path, Path]
) -> None:
    queue = make(Shape(journal_mode=journal))
    run(
        """
        import subprocess
        one, two, db, committing = sys.argv[1:]
        held = by_pysqlite(one, db)
        held.execute("BEGIN IMMEDIATE")
        held.execute("UPDATE task_queue SET priority = priority + 1")
        # Kept open: closing it would give up the locks whatever the library does.
        other = apsw.Connection(db)
        other.enable_load_extension(True)
        try:
            other.load_extension(two, ENTRY)
            other.execute("SELECT queue_backup()").fetchall()
        except Exception as error:
            message = str(error)
        else:
            message = ""
        command = [sys.executable, "-I", "-c", committing, db]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        held.execute("COMMIT")
        held.close()
        own = sqlite3.connect(db)
        (rows,) = own.execute("SELECT count(*) FROM task_queue WHERE type='foreign'").fetchone()
        assert rows == (said == "committed"), (rows, said)
        assert own.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert "locked" in said, said
        assert "another copy of SQLite" in message, message
        """,
        *copies,
        queue.path,
        COMMITTING,
    )


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_restore_goes_into_no_file_that_another_sqlite_has_open(
    journal: str, make: MakeQueue, copies: tuple[Path, Path]
) -> None:
    queue, target = make(), make(Shape(journal_mode=journal))
    run(
        """
        import subprocess
        one, db, target, committing = sys.argv[1:]
        bound = by_apsw(one, db)
        made = json.loads(list(bound.execute("SELECT queue_backup()"))[0][0])["backup_path"]
        held = sqlite3.connect(target, isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        held.execute("UPDATE task_queue SET priority = priority + 1")
        order = ("SELECT queue_restore(?, ?, ?)", [made, target, '{"overwrite": true}'])
        message = refused(lambda: list(bound.execute(*order)))
        command = [sys.executable, "-I", "-c", committing, target]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        assert "locked" in said, said
        assert "open in this process" in message, message
        held.execute("COMMIT")
        held.close()
        assert json.loads(list(bound.execute(*order))[0][0])["safety_backup"]
        """,
        copies[0],
        queue.path,
        target.path,
        COMMITTING,
    )


@pytest.mark.parametrize("first", ["by_pysqlite", "by_apsw"])
def test_another_sqlite_is_refused_to_every_copy(
    first: str, queue: Queue, copies: tuple[Path, Path]
) -> None:
    run(
        """
        one, two, db, first = sys.argv[1:]
        load, other = (by_pysqlite, by_apsw) if first == "by_pysqlite" else (by_apsw, by_pysqlite)
        bound = load(one, db)
        for path in (two, one, two):
            message = refused(other, path)
            assert PYSQLITE in message and APSW in message, message
        assert json.loads(list(bound.execute("SELECT queue_backup()"))[0][0])["backup_path"]
        """,
        *copies,
        queue.path,
        first,
    )


def test_two_copies_on_one_sqlite_work_at_the_same_time(
    make: MakeQueue, copies: tuple[Path, Path]
) -> None:
    queue = make(Shape(tasks=2000))
    run(
        """
        one, two, db = sys.argv[1:]
        connections = [by_pysqlite(path, db) for path in (one, two, one, two)]
        failures = []
        def work(number):
            try:
                for kind in ("full", "incremental", "snapshot") * 3:
                    options = json.dumps({"name": f"n{number}", "type": kind, "verify": "quick"})
                    made = connections[number].execute("SELECT queue_backup(NULL, ?)", [options])
                    assert json.loads(made.fetchone()[0])["verified_at"]
            except Exception as error:
                failures.append(repr(error))
        threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not failures, failures
        """,
        *copies,
        queue.path,
    )
    assert len(list(queue.backups.glob("*.db"))) == 36
    for made in queue.backups.glob("*full*.db"):
        artifacts.assert_sound(made)


def test_one_copy_may_be_loaded_again_and_again(queue: Queue, copies: tuple[Path, Path]) -> None:
    run(
        """
        one, two, db = sys.argv[1:]
        def often():
            for _ in range(20):
                by_pysqlite(one, db).execute("SELECT queue_version()")
        threads = [threading.Thread(target=often) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        link = two + "-link.so"
        os.symlink(one, link)
        assert by_pysqlite(link, db).execute("SELECT queue_stats()").fetchone()
        assert C(one).open(db).stats()["sqlite_version"] == PYSQLITE
        """,
        *copies,
        queue.path,
    )


@pytest.mark.parametrize("first", ["by_pysqlite", "by_apsw"])
def test_the_c_door_of_a_second_copy_adopts_the_binding(
    first: str, queue: Queue, copies: tuple[Path, Path]
) -> None:
    run(
        """
        one, two, db, first = sys.argv[1:]
        load, other = (by_pysqlite, by_apsw) if first == "by_pysqlite" else (by_apsw, by_pysqlite)
        load(one)
        c = C(two).open(db)
        assert c.stats()["sqlite_version"] == (PYSQLITE if first == "by_pysqlite" else APSW)
        assert "another copy of SQLite" in refused(other, two)
        # A handle of one copy is none of the other.
        own = C(one).open(db)
        assert c.queue.value != own.queue.value
        assert own.lib.qk_interrupt(c.queue) == 21
        """,
        *copies,
        queue.path,
        first,
    )


def test_the_c_door_first_and_an_extension_second(queue: Queue, copies: tuple[Path, Path]) -> None:
    run(
        """
        one, two, db = sys.argv[1:]
        version = C(one).open(db).stats()["sqlite_version"]
        assert version not in (PYSQLITE, APSW)
        assert "another copy of SQLite" in refused(by_apsw, two)
        by_system(two)
        assert C(two).open(db).stats()["sqlite_version"] == version
        """,
        *copies,
        queue.path,
    )


def test_two_copies_that_bind_at_once_agree(queue: Queue, copies: tuple[Path, Path]) -> None:
    for attempt in range(15):
        run(
            """
            one, two, attempt = sys.argv[1:]
            start, done = threading.Barrier(2), []
            libraries = [ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL) for path in (one, two)]
            loads = [by_pysqlite, by_apsw]
            if int(attempt) % 2:
                loads.reverse()
            def load(number):
                start.wait()
                try:
                    done.append(loads[number]((one, two)[number]))
                except Exception as error:
                    assert "another copy of SQLite" in str(error), error
            threads = [threading.Thread(target=load, args=[number]) for number in range(2)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert len(done) == 1, done
            """,
            *copies,
            attempt,
        )


def test_a_copy_whose_file_was_deleted_or_replaced_still_counts(
    queue: Queue, copies: tuple[Path, Path]
) -> None:
    run(
        """
        import shutil
        one, two, db = sys.argv[1:]
        bound = by_pysqlite(one, db)
        os.remove(one)
        assert "another copy of SQLite" in refused(by_apsw, two)
        shutil.copyfile(two, one)
        third = two + "-third.so"
        shutil.copyfile(two, third)
        assert "another copy of SQLite" in refused(by_apsw, third)
        assert bound.execute("SELECT queue_stats()").fetchone()
        """,
        *copies,
        queue.path,
    )


def test_copies_in_the_global_scope_keep_bindings_of_their_own(
    queue: Queue, copies: tuple[Path, Path]
) -> None:
    run(
        """
        one, two, db = sys.argv[1:]
        for path in (one, two):
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        bound = by_pysqlite(two, db)
        message = refused(by_apsw, one)
        assert "another copy of SQLite" in message and two in message, message
        assert by_pysqlite(one, db).execute("SELECT queue_stats()").fetchone()
        """,
        *copies,
        queue.path,
    )


def test_a_forked_child_has_the_binding_of_its_parent(
    queue: Queue, copies: tuple[Path, Path]
) -> None:
    run(
        """
        one, two, db = sys.argv[1:]
        by_pysqlite(one).close()
        child = os.fork()
        if child == 0:
            try:
                assert "another copy of SQLite" in refused(by_apsw, two)
                assert C(two).open(db).stats()["sqlite_version"] == PYSQLITE
                assert by_pysqlite(two, db).execute("SELECT queue_backup()").fetchone()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert "another copy of SQLite" in refused(by_apsw, two)
        """,
        *copies,
        queue.path,
    )


@pytest.mark.parametrize("same", [True, False], ids=["same SQLite", "another SQLite"])
def test_beside_an_older_copy_the_newer_is_refused(
    same: bool, queue: Queue, copies: tuple[Path, Path], older: Path
) -> None:
    run(
        """
        one, older, db, same = sys.argv[1:]
        old = by_pysqlite(older, db)
        message = refused(by_pysqlite if same == "True" else by_apsw, one)
        assert "older version" in message and older in message, message
        message = refused(C(one).open, db)
        assert message.startswith("1: ") and "older version" in message, message
        assert old.execute("SELECT queue_stats()").fetchone()
        """,
        *copies,
        queue.path,
        same,
    )


def test_an_older_copy_that_comes_later_is_noticed_with_the_next_load(
    queue: Queue, copies: tuple[Path, Path], older: Path
) -> None:
    run(
        """
        one, older, db = sys.argv[1:]
        by_pysqlite(one)
        C(one).open(db)
        by_pysqlite(older)
        for message in (refused(by_pysqlite, one), refused(C(one).open, db)):
            assert "older version" in message and older in message, message
        """,
        *copies,
        queue.path,
    )


FAKE = """
#include <stdint.h>
struct slot { uintptr_t layout, claimed, bound; const char *version; uintptr_t told; };
static struct slot own = { 1, 0, 0, 0, 0 };
const struct slot *const queuekeeper_binding = &own;
struct slot *fake_slot(void) { return &own; }
"""
#: A copy whose slot the program itself writes.
WITH_FAKE = """
class Slot(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("layout", "claimed", "bound")]
    _fields_ += [("version", ctypes.c_char_p), ("told", ctypes.c_size_t)]

one, fake, db = sys.argv[1:]
find = ctypes.CDLL(fake).fake_slot
find.restype = ctypes.POINTER(Slot)
slot = find().contents
failures = []

def open_it():
    try:
        C(one).open(db)
    except BaseException as error:
        failures.append(str(error))

def opening(change):
    thread = threading.Thread(target=open_it)
    slot.claimed = 1
    thread.start()
    thread.join(0.5)
    assert thread.is_alive(), failures or "it did not wait"
    change()
    thread.join(4)
    assert not thread.is_alive()
"""


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    source = tmp_path / "fake.c"
    source.write_text(FAKE)
    return build_shared(tmp_path / "fake.so", source)


def test_a_copy_waits_for_another_that_binds_at_once(
    queue: Queue, copies: tuple[Path, Path], fake: Path
) -> None:
    program = """
        def give_up():
            slot.claimed = 0
        opening(give_up)
        assert not failures, failures
    """
    run(WITH_FAKE + textwrap.dedent(program), copies[0], fake, queue.path)
    program = """
        def bind():
            slot.version = b"9.8.7"
            slot.bound = 1
        opening(bind)
        assert "version 9.8.7, by the library" in failures[0] and fake in failures[0], failures
    """
    run(WITH_FAKE + textwrap.dedent(program), copies[0], fake, queue.path)


def test_a_copy_that_never_ends_binding_at_once_is_waited_for_in_vain(
    queue: Queue, copies: tuple[Path, Path], fake: Path
) -> None:
    program = """
        slot.claimed = 1
        open_it()
        assert failures[0].startswith("5: "), failures
        slot.claimed = 0
        C(one).open(db)
    """
    run(WITH_FAKE + textwrap.dedent(program), copies[0], fake, queue.path)


def test_a_copy_with_a_slot_of_another_layout_is_refused_in_words(
    queue: Queue, copies: tuple[Path, Path], fake: Path
) -> None:
    program = """
        slot.layout = 2
        open_it()
        assert failures[0].startswith("1: ") and "another version" in failures[0], failures
    """
    run(WITH_FAKE + textwrap.dedent(program), copies[0], fake, queue.path)


def exported(library: Path) -> set[str]:
    """The names that the library exports."""
    found: Any = shutil.which("nm")
    if found is None:
        pytest.skip("there is no nm here")
    command = [found, "-D", "--defined-only", "--format=just-symbols", str(library)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_nothing_else_is_exported(library: Path) -> None:
    others = {name for name in exported(library) if not name.startswith("qk_")}
    entries = {name for name in others if name.startswith("sqlite3_queuekeeper")}
    assert others - entries == {"queuekeeper_binding"}
