"""Makes the queues whose screens are captured: `contents.py CONTENT DIRECTORY`.

It runs in the package's own Python, with the clock preloaded.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
from pathlib import Path

import queuekeeper

SCHEMA = Path(__file__).parents[3] / "sql" / "schema.sql"
NOW = int(os.environ["WORLD_NOW"])
FORM = "%Y-%m-%d %H:%M:%S"
DAY = 86400
#: What a terminal would obey, mistake or print twice as wide.
HOSTILE = "\033[2J\033]0;owned\a\u202egro\u202c[bold red]盘满 \u200bé\u0301"


class Content:
    """A queue, and what lies beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "queue.db"
        with sqlite3.connect(self.path) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(SCHEMA.read_text("utf-8"))
        self.queue = queuekeeper.open(str(self.path))

    def at(self, seconds: int) -> None:
        """Sets the clock, relative to when the screens are made."""
        ctypes.CDLL(None).world_show(ctypes.c_longlong(NOW + seconds))

    def sql(self, statement: str, *values: object) -> None:
        """One statement, as another program's."""
        database = sqlite3.connect(self.path, isolation_level=None)
        # Other schemas than ours check less.
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute(statement, values)
        database.close()

    def tasks(self, count: int, status: str, kind: str, age: int) -> None:
        """Tasks without a worker."""
        self.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO task_queue(type, status, created_at_utc, updated_at_utc) "
            "SELECT ?, ?, datetime(?, 'unixepoch', '+' || i || ' seconds'), "
            "datetime(?, 'unixepoch') FROM n",
            count,
            kind,
            status,
            NOW - age,
            NOW - age,
        )

    def lease(self, worker: str, until: int, kind: str = "video.transcode") -> None:
        """A task that a worker holds, or held."""
        self.sql(
            "INSERT INTO task_queue(type, status, locked_by, lease_until_utc, reserved_at_utc, "
            "attempts) VALUES (?, 'leased', ?, datetime(?, 'unixepoch'), "
            "datetime(?, 'unixepoch'), 1)",
            kind,
            worker,
            NOW + until,
            NOW + until - 600,
        )

    def damage(self, path: str) -> None:
        """Changes what is in a backup, and lets the library find that out."""
        with Path(path).open("r+b") as file:
            file.seek(5000)
            file.write(b"damage")
        self.queue.verify(path)


def empty(content: Content) -> None:
    """No task, no backup."""


def usual(content: Content) -> None:
    """A week of a queue at work: the jobs ran, a backup is damaged, today's daily job failed."""
    queue = content.queue
    content.tasks(1200, "completed", "video.transcode", 6 * DAY)
    content.tasks(35, "queued", "video.transcode", 7200)
    content.tasks(3, "dead_letter", "mail.send", 3 * DAY)
    queue.set("remote", str(content.directory / "remote"))
    for day in range(6, 0, -1):
        content.at(-day * DAY)
        queue.run_due()
        content.tasks(20, "completed", "mail.send", day * DAY)
    content.at(-5 * 3600)
    queue.backup(name="before-deploy", compression="zstd", verify="quick")
    content.damage(queue.backups()[3].backup_path)
    content.at(-600)
    queue.set("backup_dir", str(content.path))
    queue.run_due()
    queue.set("backup_dir", None)
    for number in range(3):
        content.lease("render-01.example.com:4711", -4000 - number)
    content.lease("render-02.example.com:815", -90000)
    content.lease("render-03.example.com:99", 240)
    content.at(0)


def huge(content: Content) -> None:
    """Long names, many backups, a long error, large numbers."""
    queue = content.queue
    for number in range(200):
        content.at(-(200 - number) * 20000)
        queue.backup(name="n" * 60 if number % 50 == 7 else None, verify="none")
    content.at(-600)
    queue.set("backup_dir", str(content.path / ("d" * 120) / ("e" * 120)))
    queue.run_due()
    queue.set("backup_dir", None)
    content.sql(
        "UPDATE queuekeeper_log SET detail = detail || ? WHERE status = 'failed'",
        "; " + "the disk says so at length " * 8 + "x" * 150,
    )
    content.tasks(20000, "queued", "a" * 200, 400 * DAY)
    content.tasks(123456, "completed", "a", 400 * DAY)
    for number in range(40):
        worker = f"worker-{number:03}." + "very-long-name-of-a-node." * 6 + "example.com"
        content.lease(worker, 100 - number * 1000000)
    content.at(0)


def hostile(content: Content) -> None:
    """What a terminal would obey, wherever somebody else writes."""
    queue = content.queue
    content.tasks(3, "queued", HOSTILE, 100)
    content.tasks(2, HOSTILE, "mail.send", 100)
    content.at(-3 * DAY)
    (content.directory / "backups").mkdir()
    queue.backup(str(content.directory / "backups" / "plain.db"), verify="quick")
    content.at(-2 * DAY)
    queue.backup(str(content.directory / "backups" / f"{HOSTILE}\n.db"), verify="quick")
    content.at(-DAY)
    queue.backup(str(content.directory / "backups" / ("盘" * 50 + "[.db")))
    content.damage(queue.backups()[1].backup_path)
    content.at(-600)
    queue.set("backup_dir", str(content.directory / "backups" / f"{HOSTILE}\n.db" / "below"))
    queue.run_due()
    queue.set("backup_dir", None)
    content.sql(
        "UPDATE queuekeeper_log SET detail = detail || ? WHERE status = 'failed'", HOSTILE + "\r\n"
    )
    content.lease(HOSTILE + "\r\nworker-2", -5000)
    content.lease("[red]" + "盘" * 30, -5000, HOSTILE)
    content.lease("\x9b2J\x7f\x00", -6000)
    content.at(0)


def errors(content: Content) -> None:
    """The usual, and a file that is no database."""
    usual(content)
    (content.directory / "text.db").write_text("no database " * 1000)


CONTENTS = {
    "help": empty,
    "empty": empty,
    "usual": usual,
    "errors": errors,
    "huge": huge,
    "hostile": hostile,
}

if __name__ == "__main__":
    made = Content(Path(sys.argv[2]))
    CONTENTS[sys.argv[1]](made)
    made.queue.close()
