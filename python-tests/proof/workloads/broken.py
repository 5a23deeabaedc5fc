"""A live database with damaged pages: nothing passes it on silently, and a restore replaces it."""

from __future__ import annotations

import random
from pathlib import Path

from hosts import SqlError
from hosts.protocol import SQLITE_CORRUPT, SQLITE_NOTADB
from hosts.python_host import PythonSession
from proof.workloads.place import open_session, some_host
from proof.workloads.record import Record
from support.memory import scratch
from support.queues import Queue, Shape, make_queue

BROKEN = {SQLITE_CORRUPT, SQLITE_NOTADB}
DUMP = "SELECT * FROM task_queue ORDER BY id"


def spoil(queue: Queue, chance: random.Random) -> None:
    """Puts nonsense over some pages, sometimes the first one. No process has the database open."""
    size = queue.shape.page_size
    with queue.path.open("r+b") as file:
        pages = file.seek(0, 2) // size
        for _ in range(chance.choice((1, 1, 3))):
            file.seek(chance.choice((0, chance.randrange(pages), chance.randrange(pages))) * size)
            file.write(chance.choice((b"\xff" * size, bytes(size), chance.randbytes(size))))


def check_broken(error: SqlError) -> None:
    """SQLite says that the database is broken; it may quote names of which Python makes no text."""
    assert error.primary_code in BROKEN or error.class_name == "UnicodeDecodeError", error


def findings(session: PythonSession, sql: str) -> list[str]:
    """What a check says; a database that it cannot even look at is a finding, too."""
    try:
        return [str(row[0]) for row in session.rows(sql)]
    except SqlError as error:
        check_broken(error)
        return [error.message]


def check_told(session: PythonSession, record: Record) -> bool:
    """What SQLite finds, the library finds; whether there is something."""
    # SQLite's own check quotes damaged names as they are, and they need not be text any more.
    checked = findings(session, "SELECT hex(integrity_check) FROM pragma_integrity_check")
    sound = checked == [b"ok".hex()]
    listed = findings(session, "SELECT message FROM queue_integrity()") == ["ok"]
    assert sound == listed, f"SQLite's check says {sound}, queue_integrity {listed}"
    if sound:
        # Nonsense on a free page, or in a text, is none that can be found.
        return False
    try:
        answer = session.object('SELECT queue_backup(NULL, \'{"verify": "full"}\')')
    except SqlError as error:
        check_broken(error)
        record.count("live databases whose verified backup was refused")
        return True
    raise AssertionError(f"a damaged database was backed up as if it were sound: {answer}")


def is_perhaps_newer(error: SqlError) -> bool:
    """A schema that cannot be read may be damaged, or a newer SQLite's; then nothing is moved."""
    return "cannot read its schema" in error.message and "move it away" in error.message


def restore(library: Path, queue: Queue, backup: str, host: str, record: Record) -> None:
    """Replaces the database: from within, or from outside if SQLite lets nobody in any more."""
    try:
        with open_session(library, queue.path, host) as session:
            session.rows("SELECT queue_restore(?)", backup)
            return
    except SqlError as error:
        # From SQLite 3.51 on, no statement is prepared on such a database.
        if not is_perhaps_newer(error):
            check_broken(error)
    target = (backup, str(queue.path), '{"overwrite": true}')
    with open_session(library, ":memory:", host) as session:
        try:
            session.rows("SELECT queue_restore(?, ?, ?)", *target)
            return
        except SqlError as error:
            assert is_perhaps_newer(error), error
        for ending in ("", "-wal", "-shm", "-journal"):
            lying = queue.path.with_name(queue.path.name + ending)
            if lying.exists():
                lying.rename(lying.with_name("aside-" + lying.name))
        session.rows("SELECT queue_restore(?, ?, ?)", *target)
        record.count("live databases with a schema that nobody can read moved away by hand")


def one_round(library: Path, record: Record, chance: random.Random) -> None:
    """One database, damaged and replaced."""
    with scratch() as place:
        shape = Shape(
            tasks=chance.choice((100, 1000)),
            page_size=chance.choice((512, 4096)),
            journal_mode=chance.choice(("wal", "delete")),
        )
        queue = make_queue(place / "queue.db", shape)
        host = some_host(chance)
        with open_session(library, queue.path, host) as session:
            backup = session.object("SELECT queue_backup()")
            content = session.rows(DUMP)
        spoil(queue, chance)
        try:
            with open_session(library, queue.path, host) as session:
                found = check_told(session, record)
        except SqlError as error:
            check_broken(error)
            found = True
            record.count("live databases that SQLite does not open any more")
        restore(library, queue, backup["backup_path"], host, record)
        with open_session(library, queue.path, host) as session:
            assert session.rows("PRAGMA integrity_check") == [("ok",)]
            assert session.rows(DUMP) == content, "the restored database has another content"
        record.count("live databases replaced by a restore")
        record.count("live databases found damaged", found)
