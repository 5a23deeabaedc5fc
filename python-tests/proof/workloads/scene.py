"""A queue in use: two writers that commit, and backups of it, for the part that kills."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hosts.python_host import PythonSession
from proof.workloads.ledger import Ledger, Token
from proof.workloads.place import Worker, open_session, working
from proof.workloads.record import Record
from support.artifacts import CATALOG, query, temporaries_in
from support.queues import Queue, Shape, make_queue, utc

WRITERS = 2
PAUSE_SECONDS = 0.01
LISTED = "SELECT id, name, backup_path FROM queue_backups() WHERE backup_type <> 'adopted'"
TOKENS = "SELECT writer, number FROM tokens"
#: What lies beside a database and its backups that is no backup.
PASSING = ("-wal", "-shm", "-journal", "-schedule", ".lock", CATALOG)


def some_shape(chance: random.Random) -> Shape:
    """A queue of some size."""
    return Shape(
        tasks=chance.choice((200, 1000, 4000)),
        page_size=chance.choice((1024, 4096, 16384)),
        journal_mode=chance.choice(("wal", "wal", "wal", "delete")),
    )


def make(directory: Path, shape: Shape) -> Queue:
    """A queue with an empty table of tokens."""
    queue = make_queue(directory / "queue.db", shape)
    with contextlib.closing(sqlite3.connect(queue.path)) as connection, connection:
        connection.execute(
            "CREATE TABLE tokens(writer INTEGER, number INTEGER, PRIMARY KEY (writer, number))"
        )
    return queue


def tokens_of(artifact: Path) -> set[Token]:
    """What a plain full backup holds."""
    return {(writer, number) for writer, number in query(artifact, TOKENS)}


@dataclass
class Scene:
    """The queue, its writers, and what they were told."""

    library: Path
    queue: Queue
    #: A process that lives as long as the scene, and looks on.
    watcher: PythonSession
    record: Record
    ledger: Ledger = field(default_factory=Ledger)
    writers: list[Worker] = field(default_factory=list)

    def start(self, writer: int, first: int) -> Worker:
        """A writer whose tokens begin with that number."""
        return Worker("committer", self.queue.path, writer, first, PAUSE_SECONDS)

    def listen(self) -> None:
        """Takes down what the writers were told."""
        for number, writer in enumerate(self.writers):
            said = [(number, int(line)) for line in writer.said()]
            self.record.count("acknowledged commits", len(said))
            self.ledger.acknowledge(said)

    def replace_writer(self, number: int) -> None:
        """Kills a writer, and starts another one in its place, which begins far above."""
        self.writers[number].kill()
        self.listen()
        said = [0, *map(int, self.writers[number].lines)]
        self.writers[number] = self.start(number, said[-1] + 1000)
        self.record.count("writers killed")

    def live(self) -> set[Token]:
        """What the database holds, which is sound."""
        found = self.watcher.rows("PRAGMA integrity_check")
        assert found == [("ok",)], f"integrity_check: {found[:5]}"
        return {(int(str(row[0])), int(str(row[1]))) for row in self.watcher.rows(TOKENS)}

    def look(self) -> set[Token]:
        """What the writers were told, then what is there."""
        self.listen()
        return self.live()

    def listed(self) -> list[dict[str, Any]]:
        """What the catalog lists."""
        return self.watcher.dicts(LISTED)

    def verify_all(self, level: str) -> None:
        """Every backup that is listed verifies."""
        for entry in self.listed():
            found = self.watcher.object("SELECT queue_verify(?, ?)", entry["id"], level)
            assert found["status"] == "ok", f"{entry['backup_path']}: {found}"
            self.record.count("backups verified")

    def leftovers(self) -> list[str]:
        """The temporary files, where backups lie and where restores rebuild."""
        places = [self.queue.directory, self.queue.backups]
        return [name for place in places if place.exists() for name in temporaries_in(place)]

    def check_swept(self) -> None:
        """Nothing lies about that nobody knows.

        A hash file without its artifact may be one that arrives first: it waits for two days. The
        jobs that run here run at times that come later, so they set it aside.
        """
        names = {Path(entry["backup_path"]).name for entry in self.listed()}
        known = {f"backups/{name}" for name in names}
        known |= {name + ".hashes" for name in known} | {"queue.db", "backups"}
        files = set(self.queue.files())
        known |= {name for name in files if name.removesuffix(".hashes") not in files}
        known |= {name for name in files if ".hashes.orphan-" in name}
        found = {name for name in files if not name.endswith(PASSING)}
        assert not found - known, f"left: {sorted(found - known)}"

    def age_leases(self, count: int) -> None:
        """More stale leases."""
        self.watcher.rows(
            "UPDATE task_queue SET status = 'leased', locked_by = 'gone', lease_until_utc = ? "
            "WHERE id IN (SELECT id FROM task_queue ORDER BY random() LIMIT ?)",
            utc(-3600),
            count,
        )

    def tidy(self) -> None:
        """So that the backups don't become too many to verify them all."""
        if len(self.listed()) > 9:
            self.watcher.value("SELECT queue_rotate(4)")

    def back_up(self, **options: Any) -> dict[str, Any]:
        """A backup by the process that looks on."""
        return self.watcher.object("SELECT queue_backup(NULL, ?)", json.dumps(options))


@contextlib.contextmanager
def scene_in(place: Path, library: Path, record: Record, shape: Shape) -> Iterator[Scene]:
    """A scene with writers at work and a first backup."""
    queue = make(place, shape)
    watcher = open_session(library, queue.path)
    scene = Scene(library, queue, watcher, record)
    scene.writers = [scene.start(number, 1) for number in range(WRITERS)]
    try:
        for writer in scene.writers:
            writer.until_first()
        scene.back_up()
        with working(scene.writers):
            yield scene
        # A host that crashes when it ends is an error, too.
        watcher.close()
    finally:
        for writer in scene.writers:
            writer.kill()
        watcher.process.kill()
