"""A process that backs a database up twice: python two_ways.py LIBRARY DIRECTORY.

Once through a VFS of SQLite's own, where the library reads the files straight, and once through one
that it does not know, where it asks SQLite for each page. It makes the database in many states, and
prints a JSON array a line: the state, the size of a page, and for each way the artifact's SHA-256
and how often the process has read.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

OWN, OTHER = "unix", "somebody-elses"
#: Pages of each database, and those that its spilled transaction has touched.
PAGES, SPILLED = 200, 100


class Other(apsw.VFS):
    """The same VFS under a name that nobody knows."""

    def __init__(self) -> None:
        super().__init__(OTHER, OWN)


def connect(path: Path, vfs: str = OWN) -> apsw.Connection:
    """A connection that checkpoints when it is told to."""
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def change(connection: apsw.Connection, seed: int) -> None:
    """A commit that touches every fifth page or so."""
    connection.execute(
        "UPDATE ballast SET content = randomblob(length(content)) WHERE id % 5 = ?", (seed,)
    )


def checkpoint(connection: apsw.Connection, mode: str) -> None:
    """By SQLite's own rules."""
    connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()


# Each state is made by a generator that holds what has to be held until the backups are done.


def rollback_journal(connection: apsw.Connection, _path: Path) -> Iterator[None]:
    """No WAL."""
    connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    change(connection, 0)
    yield


def empty_wal(connection: apsw.Connection, _path: Path) -> Iterator[None]:
    """All is in the database file, and the WAL has no length."""
    change(connection, 0)
    checkpoint(connection, "TRUNCATE")
    yield


def whole_wal(connection: apsw.Connection, _path: Path) -> Iterator[None]:
    """Nothing of the last commits is in the database file."""
    change(connection, 0)
    change(connection, 1)
    change(connection, 0)
    yield


def copied_wal(connection: apsw.Connection, _path: Path) -> Iterator[None]:
    """All is in the database file, and still in the WAL."""
    change(connection, 0)
    checkpoint(connection, "PASSIVE")
    yield


def half_copied_wal(connection: apsw.Connection, path: Path) -> Iterator[None]:
    """A reader has kept the last commits out of the database file."""
    change(connection, 0)
    with closing(connect(path)) as reader:
        reader.execute("BEGIN; SELECT count(*) FROM ballast").fetchall()
        change(connection, 1)
        change(connection, 0)
        checkpoint(connection, "PASSIVE")
        yield


def second_generation(connection: apsw.Connection, _path: Path) -> Iterator[None]:
    """The WAL has begun anew, and older frames stand behind the new ones."""
    change(connection, 0)
    change(connection, 1)
    checkpoint(connection, "RESTART")
    connection.execute("UPDATE ballast SET content = randomblob(length(content)) WHERE id = 7")
    yield


def spilled(connection: apsw.Connection, path: Path) -> Iterator[None]:
    """Somebody has written half a transaction to the WAL."""
    change(connection, 0)
    with closing(connect(path)) as writer:
        writer.execute("PRAGMA cache_size=10; PRAGMA cache_spill=10; BEGIN IMMEDIATE").fetchall()
        writer.execute(
            "UPDATE ballast SET content = randomblob(length(content)) WHERE id < ?", (SPILLED,)
        )
        yield
        writer.execute("ROLLBACK")


def shrunk(connection: apsw.Connection, _path: Path) -> Iterator[None]:
    """Frames of pages that are no more."""
    change(connection, 0)
    connection.execute("DELETE FROM ballast WHERE id > 120; VACUUM")
    change(connection, 2)
    yield


def grown(connection: apsw.Connection, _path: Path) -> Iterator[None]:
    """Pages that the database file does not have yet."""
    checkpoint(connection, "TRUNCATE")
    connection.execute(
        "INSERT INTO ballast(content) SELECT randomblob(length(content)) FROM ballast"
    )
    yield


STATES: tuple[Callable[[apsw.Connection, Path], Iterator[None]], ...] = (
    rollback_journal,
    empty_wal,
    whole_wal,
    copied_wal,
    half_copied_wal,
    second_generation,
    spilled,
    shrunk,
    grown,
)


def make(path: Path, page_size: int) -> None:
    """A database whose rows fill a page each."""
    with closing(connect(path)) as connection:
        connection.execute(f"PRAGMA page_size={page_size}; PRAGMA journal_mode=WAL").fetchall()
        connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, content)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
            "INSERT INTO ballast(content) SELECT randomblob(?) FROM n",
            (PAGES, page_size * 3 // 4),
        )
        checkpoint(connection, "TRUNCATE")


def reads() -> int:
    """How often this process has called the system to read."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["syscr"])


def back_up(path: Path, vfs: str, library: str) -> tuple[str, int]:
    """The artifact's checksum and the number of reads."""
    with closing(connect(path, vfs)) as connection:
        connection.enable_load_extension(True)
        connection.load_extension(library)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        before = reads()
        made = json.loads(str(connection.execute("SELECT queue_backup(NULL)").fetchall()[0][0]))
        return made["checksum"], reads() - before


def main() -> None:
    """Every state at every size of a page."""
    library, directory = sys.argv[1], Path(sys.argv[2])
    # As long as the process runs.
    other = Other()
    for number, (state, page_size) in enumerate(itertools.product(STATES, (512, 4096, 65536))):
        path = directory / str(number) / "queue.db"
        path.parent.mkdir()
        make(path, page_size)
        with closing(connect(path)) as connection, contextmanager(state)(connection, path):
            ways = [back_up(path, vfs, library) for vfs in (OWN, OTHER)]
        print(json.dumps([state.__name__, page_size, *ways]), flush=True)
    del other


if __name__ == "__main__":
    main()
