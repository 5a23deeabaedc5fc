"""Makes the demo's queue: tasks in every status, workers alive and dead, and logs.

    demo_queue.py MODULE DATABASE

The tasks are the same in every run, except that all times are relative to now.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from demo_sqlite import Database

SCHEMA = Path(__file__).resolve().parent.parent / "sql" / "schema.sql"
SEED = 331

# How many tasks of which kind; "stale" ones are leases whose worker died.
FINISHED = {
    "completed": 28_500,
    "failed": 3_400,
    "dead_letter": 1_100,
    "stale leased": 1_350,
    "stale processing": 650,
}
CURRENT = {"queued": 17_000, "leased": 320, "processing": 180}

# When the first and the last task of each kind was created.
FINISHED_SPAN = (timedelta(days=14), timedelta(hours=3))
CURRENT_SPAN = (timedelta(hours=3), timedelta(minutes=5))
LEASE = timedelta(minutes=10)
# When the dead workers died, as hours ago.
DEAD = {
    "worker-03": 121.0,
    "worker-07": 74.5,
    "worker-11": 26.2,
    "worker-12": 9.7,
    "worker-19": 2.4,
}
ALIVE = ["worker-01", "worker-02", "worker-04", "worker-05", "worker-08", "worker-14"]

# Each with the formats that it makes and the errors that it meets.
TYPES: dict[str, tuple[list[str], list[str]]] = {
    "video.transcode": (
        ["mp4", "webm", "hls"],
        ["ffmpeg exited with 137: out of memory", "source not found (404)"],
    ),
    "thumbnail.render": (["png", "webp"], ["frame 0 is not decodable", "source not found (404)"]),
    "subtitle.align": (["srt", "vtt"], ["no speech found", "language model timed out after 120 s"]),
    "script.draft": (["markdown"], ["language model timed out after 120 s", "answer was not JSON"]),
    "story.publish": (["html"], ["HTTP 429 from the publishing API", "token expired"]),
}
WEIGHTS = [40, 25, 15, 12, 8]
REGIONS = ["eu-central", "us-east", "ap-south", "sa-east"]
COLUMNS = (
    "type, priority, payload, compatibility, status, attempts, run_after_utc, lease_until_utc,"
    " reserved_at_utc, processing_started_utc, finished_at_utc, locked_by, error_message,"
    " idempotency_key, created_at_utc, updated_at_utc"
)


def text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(" ", "seconds")


def payload(rng: random.Random, number: int, kind: str, form: str) -> str:
    customer = rng.choice(["aurora", "brightside", "cinder", "delta-news", "everglow"])
    return json.dumps(
        {
            "format": form,
            "source": f"s3://media-in/{customer}/2025/{number % 53:02}/{number:08}/original.mov",
            "target": f"s3://media-out/{customer}/{kind}/{number:08}.{form}",
            "duration_ms": rng.randrange(4_000, 5_400_000),
            "size_bytes": rng.randrange(1_000_000, 9_000_000_000),
            "sha256": f"{rng.getrandbits(256):064x}",
            "language": rng.choice(["en", "de", "cs", "pt", "hi"]),
            "requested_by": f"{customer}-editor-{rng.randrange(40)}",
            "notify": f"https://hooks.example.com/{customer}/tasks",
            "tags": rng.sample(["news", "short", "series", "archive", "live", "uhd"], 3),
        }
    )


def lifetime(rng: random.Random, now: datetime, created: datetime, kind: str) -> dict[str, Any]:
    """The columns that depend on what has become of a task since it was created."""
    if kind == "queued":
        # Some wait for a time to come, as retries and scheduled tasks do.
        later = timedelta(minutes=rng.randrange(5, 600)) if rng.random() < 0.1 else timedelta(0)
        return {"run_after": created if not later else now + later}
    if kind in ("leased", "processing"):
        reserved = now - timedelta(seconds=rng.randrange(1, 240))
        holder, end = rng.choice(ALIVE), reserved + LEASE
    elif kind.startswith("stale"):
        deaths = {name: now - timedelta(hours=hours) for name, hours in DEAD.items()}
        holder = rng.choice([name for name, died in deaths.items() if died > created + LEASE])
        reserved = deaths[holder] - timedelta(seconds=rng.randrange(1, 500))
        end = reserved + LEASE
    else:
        reserved = created + timedelta(seconds=rng.randrange(2, 900))
        return {
            "reserved": reserved,
            "started": reserved + timedelta(seconds=1),
            "finished": reserved + timedelta(seconds=rng.randrange(2, 1_200)),
        }
    started = reserved + timedelta(seconds=1) if kind.endswith("processing") else None
    return {"reserved": reserved, "started": started, "lease": end, "holder": holder}


def task(
    rng: random.Random, now: datetime, number: int, created: datetime, kind: str
) -> tuple[Any, ...]:
    name = rng.choices(list(TYPES), WEIGHTS)[0]
    formats, errors = TYPES[name]
    form = rng.choice(formats)
    life = lifetime(rng, now, created, kind)
    status = kind.replace("stale ", "")
    failed = status in ("failed", "dead_letter")
    attempts = {"queued": 0, "failed": rng.randrange(1, 5), "dead_letter": 5}.get(status, 1)
    times = [life.get(key) for key in ("lease", "reserved", "started", "finished")]
    updated = max(time for time in [created, *times[1:]] if time is not None)
    return (
        name,
        rng.choice([10, 50, 100, 100, 100, 200]),
        payload(rng, number, name, form),
        json.dumps({"region": rng.choice(REGIONS), "min_memory_gb": rng.choice([2, 4, 16])}),
        status,
        attempts,
        text(life.get("run_after", created)),
        *(text(time) for time in times),
        life.get("holder"),
        rng.choice(errors) if failed else None,
        f"{name}:{number:08}" if rng.random() < 0.3 else None,
        text(created),
        text(updated),
    )


def tasks(now: datetime) -> Iterator[tuple[Any, ...]]:
    rng = random.Random(SEED)
    number = 0
    for counts, (first, last) in ((FINISHED, FINISHED_SPAN), (CURRENT, CURRENT_SPAN)):
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        rng.shuffle(kinds)
        for index, kind in enumerate(kinds):
            created = now - first + (first - last) * (index / len(kinds))
            yield task(rng, now, number, created, kind)
            number += 1


def workers(now: datetime) -> Iterator[tuple[Any, ...]]:
    for index, worker in enumerate(ALIVE + list(DEAD)):
        seen = now - timedelta(hours=DEAD[worker]) if worker in DEAD else now
        offers = {"region": REGIONS[index % len(REGIONS)], "memory_gb": 16, "gpu": index % 3 == 0}
        yield worker, json.dumps(offers), text(seen)


def make(database: Database) -> None:
    # SQLite's clock, because that is the one by which leases end.
    now = datetime.fromisoformat(database.run("SELECT datetime('now')")[1][0][0])
    database.run_script(SCHEMA.read_text(encoding="utf-8"))
    # Nothing to lose yet: a crash here means a demo that never began.
    database.run("PRAGMA synchronous = OFF")
    database.run("BEGIN")
    marks = ", ".join("?" * len(COLUMNS.split(",")))
    database.run_for_each(f"INSERT INTO task_queue({COLUMNS}) VALUES ({marks})", tasks(now))
    database.run_for_each("INSERT INTO workers VALUES (?, ?, ?)", workers(now))
    database.run(
        """INSERT INTO task_logs(task_id, at_utc, level, message, details)
           SELECT id, finished_at_utc, 'ERROR', error_message, json_object('attempt', attempts)
             FROM task_queue WHERE error_message IS NOT NULL ORDER BY id"""
    )
    database.run("COMMIT")
    database.run("ANALYZE")


def main() -> None:
    module, path = sys.argv[1:]
    database = Database(path, module)
    make(database)
    database.close()


if __name__ == "__main__":
    main()
