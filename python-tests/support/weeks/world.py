"""The faults of a simulation: when each holds, and what makes it hold."""

from __future__ import annotations

import ctypes
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

#: A Thursday.
BEGIN = datetime(2027, 11, 4, 12, tzinfo=timezone.utc)
DAY = 24 * 60

#: How many there are in a week, on average, and how many minutes one lasts at least and most.
KINDS = {
    "remote": (2.5, 2, 60 * 60),
    "disk": (2, 5, 30 * 60),
    "unmounted": (1, 5, 20 * 60),
    "deaf": (2, 2, 40 * 60),
    "beat": (2, 2, 20 * 60),
    "damage": (2, 60, 40 * 60),
    "locked": (1.5, 1, 3),
    "gone": (1, 1, 8),
    "off": (0.4, DAY, DAY),
    "ahead": (1, 3, 25),
    "back": (0.3, 20, 6 * 60),
}

#: Runs each statement that comes in, as another program would that uses the database.
OTHER = """
import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
for line in sys.stdin:
    print(json.dumps(database.execute(json.loads(line)).fetchall()), flush=True)
"""

INDEX = "CREATE INDEX weeks_index ON task_queue({})"


@dataclass(frozen=True)
class Fault:
    """A fault, from one minute to another."""

    kind: str
    begin: int
    end: int


def plan(chance: random.Random, days: int) -> list[Fault]:
    """The faults of so many days; none of them overlaps another of its kind."""
    found = [each for kind in KINDS for each in some(chance, days, kind)]
    # Friday evening, until some time on Saturday or Sunday.
    for week in range((days + 6) // 7):
        if chance.random() < 0.7:
            begin = week * 7 * DAY + DAY + 8 * 60
            found.append(Fault("index", begin, begin + chance.randrange(7 * 60, 40 * 60)))
    # Clocks are wrong in one way at a time.
    wrong = [each for each in found if each.kind in ("ahead", "back")]
    wrong.sort(key=lambda each: each.begin)
    for before, after in zip(wrong, wrong[1:]):
        if after.begin <= before.end + 30:
            found.remove(after)
    # The process that holds the lock cannot change the index meanwhile.
    edges = [edge for each in found if each.kind == "index" for edge in (each.begin, each.end)]
    for each in [each for each in found if each.kind == "locked"]:
        if any(each.begin - 2 <= edge <= each.end + 2 for edge in edges):
            found.remove(each)
    return sorted(found, key=lambda each: (each.begin, each.kind))


def some(chance: random.Random, days: int, kind: str) -> list[Fault]:
    """The faults of a kind."""
    weekly, shortest, longest = KINDS[kind]
    found, last = [], 30
    for _ in range(max(1, round(chance.gauss(weekly * days / 7, 0.7)))):
        begin = chance.randrange(30, days * DAY)
        length = min(longest, round(shortest * (longest / shortest) ** chance.random()))
        # Half of them begin with something to do, and some before the daily job.
        if chance.random() < 0.5:
            begin = begin // 60 * 60 - chance.randrange(0, min(3, length))
        if kind in ("disk", "remote", "damage", "unmounted") and chance.random() < 0.5:
            begin = begin // DAY * DAY + 14 * 60 - chance.randrange(1, 30)
        if begin > last:
            found.append(Fault(kind, begin, begin + length))
            last = begin + length + 60
    return found


class World:
    """What the calls live in."""

    def __init__(self, path: Path, remote: Path, faults: list[Fault]) -> None:
        self.path = path
        self.remote = remote
        self.backups = path.parent / "backups"
        self.holding: set[str] = set()
        self.minute = 0
        #: When, by the true clock, something last kept calls from doing their work.
        self.excused = -DAY * 9
        self._faults = faults
        self._preloaded = ctypes.CDLL(None)
        self._full = b""
        self._damaged: tuple[str, int] | None = None
        environment = {key: word for key, word in os.environ.items() if key != "LD_PRELOAD"}
        self._other = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.query(INDEX.format("priority"))

    def query(self, sql: str) -> list[Any]:
        """The rows of a statement, by another process."""
        assert self._other.stdin is not None
        assert self._other.stdout is not None
        self._other.stdin.write(json.dumps(sql) + "\n")
        self._other.stdin.flush()
        answer: list[Any] = json.loads(self._other.stdout.readline())
        return answer

    def close(self) -> None:
        """Ends the other process."""
        self._other.communicate(timeout=60)

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        wrong = {"ahead": timedelta(hours=1), "back": timedelta(days=-1)}
        leap = sum((wrong.get(kind, timedelta()) for kind in self.holding), timedelta())
        return BEGIN + timedelta(minutes=self.minute) + leap

    def turn(self, minute: int) -> None:
        """Goes on to that minute, with the faults that hold then."""
        self.minute = minute
        holding = {each.kind for each in self._faults if each.begin <= minute < each.end}
        for kind in sorted(self.holding - holding):
            getattr(self, f"_end_{kind}", lambda: None)()
        for kind in sorted(holding - self.holding):
            getattr(self, f"_begin_{kind}", lambda: None)()
        wrong_clock = (self.holding ^ holding) & {"ahead", "back"}
        self.holding = holding
        if holding & {"locked", "gone", "off", "ahead", "back"} or wrong_clock:
            self.excused = minute
        self._preloaded.world_show(ctypes.c_longlong(int(self.now.timestamp())))

    def damaged(self) -> str | None:
        """The name of the backup that is damaged, if it is still there."""
        if self._damaged is None or not (self._lying() / self._damaged[0]).exists():
            return None
        return self._damaged[0]

    def artifacts(self) -> set[str]:
        """The names of the backups that lie here."""
        return {path.name for path in self.backups.glob("*.db")}

    def _lying(self) -> Path:
        """Where the backups are now."""
        aside = self.backups.with_name("aside")
        return aside if aside.exists() else self.backups

    def _begin_remote(self) -> None:
        if self.remote.exists():
            self.remote.rename(self.remote.with_name("aside"))
        self.remote.write_text("not mounted")

    def _end_remote(self) -> None:
        self.remote.unlink()
        if self.remote.with_name("aside").exists():
            self.remote.with_name("aside").rename(self.remote)

    def _begin_disk(self) -> None:
        self._full = str(self.backups).encode()
        self._preloaded.world_fill(self._full)

    def _end_disk(self) -> None:
        self._full = b""
        self._preloaded.world_fill(self._full)

    def _flip(self, path: Path, place: int) -> None:
        self._preloaded.world_fill(b"")
        with path.open("r+b") as file:
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 0x55]))
        self._preloaded.world_fill(self._full)

    def _begin_damage(self) -> None:
        files = self._lying().glob("*.db")
        lying = sorted(files, key=lambda path: path.stat().st_mtime_ns)
        if lying:
            self._damaged = (lying[-1].name, lying[-1].stat().st_size // 2)
            self._flip(lying[-1], self._damaged[1])

    def _end_damage(self) -> None:
        if self.damaged() is not None and self._damaged is not None:
            name, place = self._damaged
            self._flip(self._lying() / name, place)
        self._damaged = None

    def _begin_unmounted(self) -> None:
        if self.backups.exists():
            self.backups.rename(self.backups.with_name("aside"))
        self.backups.write_text("not mounted")

    def _end_unmounted(self) -> None:
        self.backups.unlink()
        if self.backups.with_name("aside").exists():
            self.backups.with_name("aside").rename(self.backups)

    def _begin_locked(self) -> None:
        self.query("BEGIN IMMEDIATE")

    def _end_locked(self) -> None:
        self.query("ROLLBACK")

    def _move(self, source: str, target: str) -> None:
        for ending in ("", "-wal", "-shm"):
            path = self.path.with_name(source + ending)
            if path.exists():
                path.rename(self.path.with_name(target + ending))

    def _begin_gone(self) -> None:
        self._move(self.path.name, "gone")

    def _end_gone(self) -> None:
        self._move("gone", self.path.name)

    def _index(self, column: str) -> None:
        """Lets the index claim to be one of another column, which integrity_check finds out."""
        self.query("PRAGMA writable_schema = ON")
        sql = INDEX.format(column)
        self.query(f"UPDATE sqlite_master SET sql = '{sql}' WHERE name = 'weeks_index'")
        self.query("PRAGMA writable_schema = RESET")
        ((version,),) = self.query("PRAGMA schema_version")
        self.query(f"PRAGMA schema_version = {version + 1}")

    def _begin_index(self) -> None:
        self._index("type")

    def _end_index(self) -> None:
        self.query("DROP INDEX weeks_index")
        self.query(INDEX.format("priority"))
