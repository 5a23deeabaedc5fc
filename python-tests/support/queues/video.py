"""A large queue of the project's own schema, with tasks as a video service has them.

# Promise

The same size gives the same rows, and with the same SQLite the same bytes. A queue of N bytes has
about N / 654 tasks, so one of 1 GB has a good 1,500,000.

# How

The tasks come from a random generator with a fixed seed and from fixed times, and go in without
indexes, which are made at the end: that takes half the time. Identifiers and file names are random
digits, as in a real queue, because they decide how well a backup can be compressed; payloads that
repeat themselves would flatter everyone.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.queues import SCHEMA

BYTES_A_TASK = 654
SEED = 20260101

TYPES = ("video.transcode", "video.thumbnail", "audio.mix", "subtitle.render", "asset.publish")
FORMATS = ("mp4", "webm", "mkv", "mov", "m4a", "vtt")
REGIONS = ("eu-central", "eu-west", "us-east", "us-west", "ap-south")
WIDTHS = (640, 854, 1280, 1280, 1920, 1920, 3840)
ERROR = "ffmpeg exited with 1: Invalid data found when processing input"
# How many of a hundred tasks have that status.
SHARES = (
    ("completed", 80),
    ("queued", 10),
    ("failed", 5),
    ("dead_letter", 2),
    ("leased", 2),
    ("processing", 1),
)
STATUSES = [status for status, share in SHARES for _ in range(share)]
# The leases hold, so that only those are stale that a measurement makes so.
FAR_AWAY = "2099-01-01 00:00:00"

INSERT = """
INSERT INTO task_queue(id, type, priority, payload, compatibility, status, attempts,
  run_after_utc, lease_until_utc, reserved_at_utc, processing_started_utc, finished_at_utc,
  locked_by, error_message, idempotency_key, created_at_utc, updated_at_utc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
LOG = "INSERT INTO task_logs(task_id, at_utc, level, message, details) VALUES (?, ?, ?, ?, ?)"

Row = tuple[object, ...]


@dataclass(frozen=True)
class Queue:
    """A queue on disk, nobody connected to it and nothing left in its WAL."""

    path: Path
    bytes: int
    pages: int
    tasks: int


def minute(number: int) -> str:
    """A moment in 2026, three tasks a minute."""
    day, rest = divmod(number // 3, 1440)
    month, day = divmod(day % 336, 28)
    return f"2026-{month + 1:02}-{day + 1:02} {rest // 60:02}:{rest % 60:02}:"


def tasks(count: int) -> Iterator[Row]:
    """Every task, in the order of their ids."""
    chance = random.Random(SEED)
    for number in range(1, count + 1):
        # One draw a task, in slices: drawing each value by itself takes as long as all the rest.
        digits = f"{chance.getrandbits(320):080x}"
        yield task(number, digits[:64], int(digits[64:], 16))


def task(number: int, digits: str, draw: int) -> Row:
    """One task; `digits` and `draw` are the random part."""
    status, width = STATUSES[draw % 100], WIDTHS[draw % 7]
    ending, name, moment = FORMATS[number % 6], digits[:16], minute(number)
    payload = (
        f'{{"source":"s3://media-ingest/{name[:2]}/{name}.mov","format":"{ending}",'
        f'"target":"s3://media-public/{number}/{width}.{ending}","width":{width},'
        f'"bitrate_kbps":{400 + draw % 17600},"audio":{{"codec":"aac","channels":2}},'
        f'"trace_id":"{digits[16:48]}","callback":"https://api.example.com/v2/jobs/{number}/done"}}'
    )
    needs = f'{{"region":"{REGIONS[draw % 11 % 5]}","gpu":{"true" if number % 3 else "false"}}}'
    held = status in ("leased", "processing")
    begun = None if status == "queued" else moment + "07"
    ended = moment + "41" if begun and not held else None
    return (
        number,
        TYPES[number % 5],
        50 + draw % 13 * 10,
        payload,
        needs,
        status,
        0 if status == "queued" else 1,
        moment + "02",
        FAR_AWAY if held else None,
        begun if held else None,
        begun,
        ended,
        f"worker-{draw % 41:02}" if held else None,
        ERROR if status in ("failed", "dead_letter") else None,
        f"job-{digits[48:60]}-{number}" if number % 2 else None,
        moment + "02",
        ended or begun or moment + "02",
    )


def logs(count: int) -> Iterator[Row]:
    """A log row for every fifth task."""
    for number in range(5, count + 1, 5):
        details = f'{{"worker":"worker-{number % 40:02}","seconds":{number % 97}}}'
        yield number, minute(number) + "41", "INFO", "finished", details


def make(path: Path, size: int) -> Queue:
    """A queue of about that many bytes at a path where there is nothing yet."""
    count = max(1, size // BYTES_A_TASK)
    schema = SCHEMA.read_text("utf-8")
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(schema)
        # If the machine dies now, the queue is made anew; the checks hold by construction.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "ignore_check_constraints=1"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA cache_size=-131072")
        connection.execute("PRAGMA threads=2")
        indexes = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        for (name,) in connection.execute(indexes).fetchall():
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        connection.executemany(INSERT, tasks(count))
        connection.executemany(LOG, logs(count))
        connection.execute("COMMIT")
        connection.executescript(schema)
        connection.execute("PRAGMA journal_mode=WAL")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    finally:
        connection.close()
    return Queue(path, path.stat().st_size, pages, count)


def spread(tasks: int, rows: int, turn: int) -> Iterator[tuple[int]]:
    """That many ids, evenly spread over all; another `turn` gives others."""
    step = max(1, tasks // rows)
    return ((turn * 7 % step + 1 + index * step,) for index in range(min(rows, tasks // step)))


def change(path: Path, share: float, turn: int) -> None:
    """Changes that share of the database's pages, one row a page."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (tasks,) = connection.execute("SELECT max(id) FROM task_queue").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        # In no index, so that one row is one page.
        add = "UPDATE task_queue SET attempts = attempts + 1 WHERE id = ?"
        connection.executemany(add, spread(tasks, max(1, round(pages * share)), turn))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
