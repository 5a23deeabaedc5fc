"""Part "snapshot": what a backup holds was true at one moment, however many processes write.

Four processes transfer money between accounts, and number the transfers in the order of their
commits. A round takes a backup of some type and compression by some host, restores it to a new file
and looks at that without the library: no money is lost, every transfer up to one is there and none
after it, each account has the balance to which they lead; and the backup has what was acknowledged
before it began.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from pathlib import Path

from hosts.python_host import PythonSession
from proof.workloads import bank, rounds
from proof.workloads.place import HOSTS, Worker, open_session, working
from proof.workloads.record import Job, Record
from support.artifacts import assert_sound, opened
from support.artifacts.kinds import ALL

WRITERS = 4
PAUSE_SECONDS = 0.008
ROUNDS_OF_A_SCENE = 120
#: In turn, since there are only a few banks.
JOURNALS = ("wal", "delete", "wal")
#: A chance that the WAL is put into the database between two backups.
CHECKPOINTS = 0.15
MEGABYTE = 1 << 20


def make(place: Path, chance: random.Random, journal: str) -> Path:
    """A bank whose accounts lie at both ends of the file, with up to 20 MB between them."""
    path = place / "bank.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={chance.choice((1024, 4096, 16384))}")
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.executescript(bank.SCHEMA)
        connection.execute("CREATE TABLE ballast(content BLOB)")
        connection.execute(
            "INSERT INTO ballast VALUES (zeroblob(?))", (chance.choice((0, 2, 20)) * MEGABYTE,)
        )
    return path


def read(path: Path) -> bank.Snapshot:
    """What a restored database holds, by a SQLite without the library."""
    assert_sound(path)
    with opened(path) as connection:
        return bank.Snapshot(
            connection.execute(bank.BALANCES).fetchall(), connection.execute(bank.BOOK).fetchall()
        )


def acknowledged(writers: list[Worker]) -> int:
    """The last transfer of which a writer was told that it is committed."""
    lines = [writer.lines[-1] for writer in writers if writer.lines]
    return max((int(line) for line in lines if not line.startswith("!")), default=0)


def one_round(
    session: PythonSession, path: Path, writers: list[Worker], record: Record, chance: random.Random
) -> None:
    """One backup, restored and looked at."""
    kind, compression = chance.choice(ALL)
    if chance.random() < CHECKPOINTS:
        session.rows("SELECT queue_checkpoint('TRUNCATE')")
        record.count("checkpoints")
    least = acknowledged(writers)
    options = json.dumps({"type": kind, "compression": compression})
    made = session.object("SELECT queue_backup(NULL, ?)", options)
    most = count(session)
    target = path.with_name("restored.db")
    session.rows("SELECT queue_restore(?, ?)", made["id"], str(target))
    snapshot = read(target)
    bank.check(snapshot, least, most)
    target.unlink()
    record.count("backups restored")
    record.count(f"{made['backup_type']}, {made['compression']}")
    record.count("transfers looked at", len(snapshot.book))
    record.count("transfers committed during backups", most - least)
    session.value("SELECT queue_rotate(9)")


def count(session: PythonSession) -> int:
    """How many transfers there are now."""
    return int(session.value("SELECT count(*) FROM book"))


def one_scene(job: Job, record: Record, place: Path, first: int) -> int:
    """Rounds on one bank, until one fails; the number of the last."""
    chance = record.chance(first)
    journal = JOURNALS[first // ROUNDS_OF_A_SCENE % len(JOURNALS)]
    path = make(place, chance, journal)
    host = chance.choice(HOSTS[:2])
    record.count(f"banks with journal mode {journal}")
    with open_session(job.library, path, host) as session:
        writers = [Worker("banker", path, number, PAUSE_SECONDS) for number in range(WRITERS)]
        with working(writers):
            for writer in writers:
                writer.until_first()
            for number in range(first, first + ROUNDS_OF_A_SCENE):
                try:
                    one_round(session, path, writers, record, record.chance(number))
                    for writer in writers:
                        record.count("transfers", len(writer.said()))
                except Exception as error:
                    record.fail(number, f"journal mode {journal}, {host}", error)
                    return number
                if job.limit.over(number):
                    break
        # The bank itself, now that nobody writes any more.
        session.rows("SELECT queue_backup(?)", str(path.with_name("last.db")))
        bank.check(read(path.with_name("last.db")), acknowledged(writers), count(session))
    return number


def run(job: Job) -> Record:
    """The part; a round is one backup."""
    return rounds.run("snapshot", job, one_scene, "transfers")
