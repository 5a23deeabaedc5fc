"""What the demo checks when the tour is over, so that it cannot look well and be wrong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_children import open_session
from demo_hosts import DemoError, Host

Commit = tuple[float, float]
Span = tuple[float, float]


@dataclass(frozen=True)
class Tasks:
    """How many tasks the queue had before the writer began and when it had ended."""

    first: int
    last: int


def check(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DemoError(otherwise)


def check_writer(commits: list[Commit], backups: list[Span]) -> str:
    """That the writer went on while the backups ran."""
    check(bool(backups), "the tour made no backup")
    total = sum(end - start for start, end in backups)
    during = sum(1 for when, _ in commits if any(start <= when <= end for start, end in backups))
    slowest = max(seconds for _, seconds in commits)
    ran = commits[-1][0] - commits[0][0]
    # A backup so quick that a writer may have slept through it proves nothing either way.
    held_up = during == 0 and total > 0.1
    check(not held_up, f"the writer was held up: no commit in {total:.2f} s of backups")
    return (
        f"the writer made {len(commits):,} commits in {ran:.1f} s, {during} of them during the"
        f" {total:.2f} s that backups ran; the slowest took {slowest * 1000:.0f} ms"
    )


def read_catalog(directory: Path) -> list[dict[str, Any]]:
    manifest = directory / "backup_manifest.json"
    check(manifest.is_file(), f"there is no catalog {manifest}")
    entries: list[dict[str, Any]] = json.loads(manifest.read_text(encoding="utf-8"))
    check(len(entries) > 0, f"the catalog {manifest} is empty")
    return entries


def check_backup(host: Host, directory: Path, entry: dict[str, Any], tasks: Tasks) -> str:
    """That a backup is what the catalog says, sound, and one moment of the queue."""
    path = directory / entry["backup_path"]
    check(path.is_file(), f"the catalog names {path}, which is not there")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    check(checksum == entry["checksum"], f"{path} doesn't have the checksum of the catalog")
    with open_session(host, path) as session:
        verdict = session.run("PRAGMA integrity_check").rows[0][0]
        check(verdict == "ok", f"integrity_check of {path}: {verdict}")
        count = session.number("SELECT count(*) FROM task_queue")
        enqueued = session.number("SELECT count(*) FROM task_logs WHERE message = 'enqueued'")
        by_status = session.run("SELECT status, count(*) FROM task_queue GROUP BY status").rows
    plausible = tasks.first <= count <= tasks.last
    check(plausible, f"{path} has {count} tasks, not {tasks.first} to {tasks.last}")
    # The writer adds a task and its log row in one transaction.
    check(count == tasks.first + enqueued, f"{path} is not one snapshot: it has half a transaction")
    counted = entry.get("task_counts")
    if counted is not None:
        nonzero = {status: number for status, number in counted.items() if number}
        check(nonzero == dict(by_status), f"{path}: the catalog counted {counted}")
    return f"{path.name}: integrity_check ok, {count:,} tasks, one snapshot, checksum right"
