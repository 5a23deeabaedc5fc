"""What the demo checks when the tour is over, so that it cannot look well and be wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hosts import Session
from support.workers import Commit

Span = tuple[float, float]


class DemoError(Exception):
    """What went wrong, in one line."""


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


def plain_backups(directory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Those that are a database each; what is compressed or a delta, queue_verify() has rebuilt."""
    manifest = directory / "backup_manifest.json"
    check(manifest.is_file(), f"there is no catalog {manifest}")
    entries: list[dict[str, Any]] = json.loads(manifest.read_text(encoding="utf-8"))
    check(len(entries) > 0, f"the catalog {manifest} is empty")
    for entry in entries:
        if (entry["backup_type"], entry["compression"]) == ("full", "none"):
            path = directory / entry["backup_path"]
            check(path.is_file(), f"the catalog names {path}, which is not there")
            yield path, entry


def check_backup(session: Session, path: Path, entry: dict[str, Any], first: int, last: int) -> str:
    """That a backup is what the catalog says, sound, and one moment of the queue."""
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    check(checksum == entry["checksum"], f"{path} doesn't have the checksum of the catalog")
    verdict = session.value("PRAGMA integrity_check")
    check(verdict == "ok", f"integrity_check of {path}: {verdict}")
    count = session.value("SELECT count(*) FROM task_queue")
    newest = session.value("SELECT max(id) FROM task_queue")
    check(first <= count <= last, f"{path} has {count} tasks, not {first} to {last}")
    # The writer completes each task before it adds the next.
    undone = "SELECT count(*) FROM task_queue WHERE id > ? AND id < ? AND status <> 'completed'"
    torn = count != newest or session.value(undone, first, newest) > 0
    check(not torn, f"{path} is not one snapshot: it has a task, and not what came before it")
    by_status = session.rows("SELECT status, count(*) FROM task_queue GROUP BY status")
    counted = entry.get("task_counts")
    if counted is not None:
        nonzero = [(status, number) for status, number in counted.items() if number]
        check(
            sorted(nonzero, key=str) == sorted(by_status, key=str),
            f"{path}: the catalog counted {counted}",
        )
    return f"{path.name}: integrity_check ok, {count:,} tasks, one snapshot, checksum right"
