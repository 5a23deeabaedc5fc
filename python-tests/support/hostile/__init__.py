"""A database and a backup directory that an attacker made, and what lies around them.

    TOP/outside/    what nothing may touch: files, a database, another queue's backups
    TOP/opened/     the attacker's: queue.db, and backups/ beside it

A world is made once and put back as often as needed, always at the same place. While somebody
calls functions in it, every file that the process opens on the whole machine is noted.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from support import faults as f
from support.artifacts import CATALOG
from support.artifacts.kinds import state
from support.documents.declared import EXAMPLES, FUNCTIONS
from support.faults import Answer, Faults
from support.faults.actions import steps
from support.queues import Queue, Shape, make_queue

#: Every function and table that there is, as somebody calls them who trusts the database. "{dir}"
#: is where the database lies, "{outside}" what is none of its business.
CALLS = {
    **{name: [example] for name, example in EXAMPLES.items()},
    "FROM queue_stale": ["SELECT * FROM queue_stale()", "SELECT * FROM queue_stale(60)"],
    "FROM queue_integrity": [
        "SELECT * FROM queue_integrity()",
        "SELECT * FROM queue_integrity('quick', 3)",
    ],
    "FROM queue_rotation": [
        "SELECT * FROM queue_rotation('7/4/12')",
        'SELECT * FROM queue_rotation(\'{{"keep_last": 1, "adopted": true}}\')',
    ],
    "queue_verify": [
        "SELECT queue_verify('latest', 'checksum')",
        "SELECT queue_verify('latest', 'full')",
    ],
    "queue_requeue_stale": ["SELECT queue_requeue_stale(60)"],
    "queue_requeue": ["SELECT queue_requeue('{{\"all\": true}}')"],
    "queue_backup": [
        "SELECT queue_backup()",
        'SELECT queue_backup(NULL, \'{{"type": "incremental", "compression": "zstd"}}\')',
        'SELECT queue_backup(NULL, \'{{"type": "snapshot", "verify": "full", "name": "x"}}\')',
        "SELECT queue_backup('{dir}/backups/other.db', '{{\"overwrite\": true}}')",
    ],
    "queue_analyze": ["SELECT queue_analyze()", "SELECT queue_analyze('task_queue')"],
    "queue_run_due": ["SELECT queue_run_due('2036-05-04 12:00:00')"],
    "queue_restore": [
        "SELECT queue_restore('latest')",
        "SELECT queue_restore('latest', '{dir}/new.db', '{{\"overwrite\": true}}')",
    ],
    "queue_set": ["SELECT queue_set('stale_secs', 7)", "SELECT queue_set('stale_secs', NULL)"],
    "queue_rotate": [
        "SELECT queue_rotate(2)",
        'SELECT queue_rotate(\'{{"keep_last": 1, "adopted": true}}\')',
    ],
    "queue_delete_backup": ["SELECT queue_delete_backup('latest', '{{\"dependants\": true}}')"],
}

#: What is done with each file of the backup directory besides.
WITH_EACH = (
    "SELECT queue_verify('{path}', 'full')",
    "SELECT queue_restore('{path}', '{dir}/new.db', '{{\"overwrite\": true}}')",
    "SELECT queue_restore('{path}')",
    "SELECT queue_delete_backup('{path}', '{{\"dependants\": true}}')",
)

#: What a process may read that is no user's file.
SYSTEM = ("/proc", "/sys/", "/dev/urandom", "/dev/null", "/etc/localtime", "/usr/share/zoneinfo")
#: What bears a name that only the library or SQLite gives, in whatever directory it is told to use.
OWN_NAMES = (CATALOG, ".queuekeeper-", "queue_backup_")
TEMPORARY = "etilqs_"

BACKUPS = (
    "SELECT queue_backup('{dir}/backups/other.db')",
    "SELECT queue_backup('{dir}/backups/one.db')",
    "UPDATE task_queue SET priority = priority + 1 WHERE id % 7 = 1",
    'SELECT queue_backup(NULL, \'{{"type": "incremental"}}\')',
    "UPDATE task_queue SET priority = priority + 1 WHERE id % 7 = 2",
    'SELECT queue_backup(NULL, \'{{"type": "incremental", "compression": "zstd"}}\')',
    'SELECT queue_backup(NULL, \'{{"compression": "gzip"}}\')',
    "SELECT queue_verify('latest')",
)


@dataclass
class World:
    """The attacker's files, and everybody else's."""

    faults: Faults
    place: Path
    before: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes it, with sound backups of an honest queue, and keeps a copy."""
        self.top.mkdir(parents=True)
        shape = Shape(tasks=8, stale_leased=2, live_leases=1, page_size=512)
        for name in ("opened", "outside"):
            queue = make_queue(self.top / name / "queue.db", shape)
            made = [sql.format(dir=queue.directory) for sql in BACKUPS]
            (queue.directory / "backups").mkdir()
            answer = self.faults.ask(queue.path, steps(*made))
            assert not [one for one in answer.answers if "error" in one], answer.answers
        (self.outside / "secret.txt").write_text("secret")
        for name in ("queue_2025-01-01.db", "backup_20250101_010101_x.db", "loot.delta.db"):
            shutil.copy(self.outside / "queue.db", self.outside / name)
        shutil.copytree(self.top, self.kept, symlinks=True)
        self.put_back()

    @property
    def top(self) -> Path:
        return self.place / "world"

    @property
    def kept(self) -> Path:
        return self.place / "kept"

    @property
    def outside(self) -> Path:
        """What is none of the database's business."""
        return self.top / "outside"

    @property
    def queue(self) -> Queue:
        """The attacker's database."""
        return Queue(self.top / "opened" / "queue.db")

    def put_back(self) -> None:
        """As if nothing had happened."""
        shutil.rmtree(self.top)
        shutil.copytree(self.kept, self.top, symlinks=True)
        self.before = state(self.outside)

    def calls(self) -> list[str]:
        """Everything that somebody can call here."""
        directory, outside = self.queue.directory, self.outside
        plain = [sql for each in CALLS.values() for sql in each]
        files = [path for path in sorted(self.queue.backups.iterdir()) if "'" not in path.name]
        each = [
            sql.replace("{path}", "{dir}/backups/" + path.name)
            for path in files
            if not path.name.endswith(".hashes")
            for sql in WITH_EACH
        ]
        return [sql.format(dir=directory, outside=outside) for sql in (*plain, *each)]

    def call(self, *statements: str) -> Answer:
        """Calls, in a host that must live."""
        armed = [{**step, "armed": True} for step in steps(*statements)]
        answer = self.faults.ask(self.queue.path, armed, opens=True)
        assert answer.status == 0, f"the host ended with {answer.status}: {statements}"
        return answer

    def touched(self) -> list[str]:
        """What is no longer outside as it was."""
        now = state(self.outside)
        return [name for name, what in self.before.items() if now.get(name) != what]

    def strayed(self, directory: Path | None = None) -> list[str]:
        """What the last calls opened or changed outside the directory for backups."""
        done = {(one.kind, one.path, one.other) for one in self.faults.operations()}
        return [
            f"{kind:#x} {path}"
            for kind, *names in sorted(done)
            for path in paths_of(kind, *names)
            if not self.is_allowed(path, kind, directory or self.queue.backups)
        ]

    def is_allowed(self, path: Path, kind: int, directory: Path) -> bool:
        """Whether the library has business with that file."""
        if path.name.startswith(TEMPORARY):
            return True
        if path in (directory, self.queue.backups, self.queue.directory):
            return kind == f.OPEN or kind & (f.SYNC | f.MKDIR) != 0
        if path.parent == self.queue.directory:
            return path.name.startswith(("queue.db", "new.db", ".queuekeeper-"))
        if path.parent == self.queue.backups:
            return True
        if path.parent == directory:
            return path.name.startswith(OWN_NAMES)
        return kind == f.OPEN and str(path).startswith(SYSTEM)


def paths_of(kind: int, path: str, other: str) -> list[Path]:
    """What an operation was about, with all links resolved that the kernel followed."""
    if kind in (f.OPEN, f.CREATE):
        return [Path(other)]
    given = [name for name in (path, other) if name.startswith("/")]
    # The last part of what is renamed or deleted may be a link itself, which is not followed.
    return [Path(os.path.realpath(Path(name).parent)) / Path(name).name for name in given]


#: What an attacker does to a world.
Prepare = Callable[[World], object]


def call_all(
    world: World, prepare: Prepare, directory: Path | None = None, orders: tuple[int, ...] = (1,)
) -> list[str]:
    """Everything, in one order or more; the messages of the errors."""
    messages = []
    for order in orders:
        world.put_back()
        prepare(world)
        answer = world.call(*world.calls()[::order])
        strayed, touched = world.strayed(directory), world.touched()
        assert strayed == [], strayed
        assert touched == [], touched
        if directory is None:
            assert sorted(state(world.outside)) == sorted(world.before)
        messages += [one["error"]["message"] for one in answer.answers if "error" in one]
    return messages


def edit(world: World, sql: str) -> None:
    """What the attacker does, with functions of the same names that a schema may call."""
    path = world.queue.path
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name, counts in FUNCTIONS.items():
            for count in counts:
                connection.create_function(name, count, lambda *_: None, deterministic=True)
        connection.executescript(sql.format(dir=path.parent, outside=world.outside))
