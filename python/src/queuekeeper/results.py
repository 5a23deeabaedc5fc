"""What the operations return: one frozen dataclass for each kind of object and row.

# Promise

The fields have the names that docs/reference.md gives them. Every object keeps the whole JSON
object that it was made from in `raw`, so what a newer library adds is there, too; a field that an
older one does not have is None.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar, Union

T = TypeVar("T", bound="Result")
Scalar = Union[str, int, float, None]


def _object(value: Any) -> Any:
    """Tables give an object as its text."""
    return json.loads(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Result:
    """What all of them have."""

    #: The JSON object, complete.
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls: type[T], raw: Mapping[str, Any]) -> T:
        """Made from a JSON object."""
        values: dict[str, Any] = {}
        for name, convert in _converters(cls):
            value = raw.get(name)
            values[name] = value if convert is None or value is None else convert(value)
        return cls(raw=raw, **values)


#: What `_converters` found out before.
_known: dict[type[Result], tuple[tuple[str, Any], ...]] = {}


def _converters(kind: type[Result]) -> tuple[tuple[str, Any], ...]:
    """The names of a kind's fields, each with what converts it: thousands of rows ask for them."""
    if kind not in _known:
        fields = [each for each in dataclasses.fields(kind) if each.name != "raw"]
        _known[kind] = tuple((each.name, each.metadata.get("convert")) for each in fields)
    return _known[kind]


@dataclass(frozen=True)
class Backup(Result):
    """A backup: its object in the catalog."""

    id: str
    backup_type: str
    name: str | None
    #: The setting `queue_name` of the database, if it had one.
    queue_name: str | None
    source_path: str
    backup_path: str
    created_at: str
    size_bytes: int
    compressed: bool = field(metadata={"convert": bool})
    compression: str
    checksum: str | None
    database_version: str | None
    page_count: int | None
    page_size: int | None
    parent_id: str | None
    content_digest: str | None
    hash_file_checksum: str | None
    pages_stored: int | None
    task_counts: Mapping[str, int] | None = field(metadata={"convert": _object})
    duration_ms: int | None
    verified_at: str | None
    verified_level: str | None
    object_digest: str | None
    #: Its place in the order in which backups were made, whatever the clock showed.
    sequence: int | None
    #: Why its deletion failed, if it did: then it is no backup any more, but still lies there.
    deletion_error: str | None
    #: When it was last found damaged, if no verification passed since.
    damaged_at: str | None
    #: Only of a backup that was just made: how long writers may have had to wait.
    blocked_writers_ms: int | None
    #: Only of a backup that was just made: what its maker should know.
    note: str | None

    @property
    def is_kept(self) -> bool:
        """Whether it is not one that should be gone."""
        return self.deletion_error is None

    @property
    def path(self) -> Path:
        """Where the backup is."""
        return Path(self.backup_path)

    @property
    def created(self) -> datetime:
        """When it was made, in UTC; 1970 of one whose catalog entry has no time."""
        try:
            moment = datetime.fromisoformat(self.created_at.replace("Z", "+00:00"))
            return moment.astimezone(timezone.utc)
        except (ValueError, OverflowError):
            return datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True)
class Verification(Result):
    """What was found out about a backup."""

    #: `ok` or `corrupted`; `failed` of one of all that could not be verified, as a missing one.
    status: str
    level: str
    id: str | None
    backup_path: str
    #: What is wrong, one text each.
    details: list[str]
    verified_at: str | None

    @property
    def ok(self) -> bool:
        """Whether the backup is sound."""
        return self.status == "ok"


@dataclass(frozen=True)
class Restoration(Result):
    """What was restored."""

    id: str | None
    backup_path: str
    created_at: str | None
    #: How old it is, in seconds; less than 0 of one from the future.
    age_seconds: int | None
    target_path: str
    #: What the target held before, as a backup; None for a new target and for a broken one, which
    #: is moved aside.
    safety_backup: str | None
    #: Where a broken target was moved.
    moved_aside: str | None
    requeued: int | None
    page_count: int
    page_size: int
    duration_ms: int
    #: Whether that was only asked for.
    dry_run: bool | None
    note: str | None


@dataclass(frozen=True)
class Deletion(Result):
    """What was deleted."""

    deleted: int
    ids: list[str]
    backup_paths: list[str]
    #: Whether that was only asked for.
    dry_run: bool | None


@dataclass(frozen=True)
class Decision(Result):
    """What rotation would do with one backup, and why."""

    backup_path: str
    created_at: str
    #: `keep` or `delete`.
    decision: str
    reasons: str
    #: Whose it is: a `queue_name`, else a path; None of a file that was adopted.
    source: str | None


@dataclass(frozen=True)
class Stats(Result):
    """The database in numbers."""

    page_count: int
    page_size: int
    total_size_mb: float
    freelist_count: int
    wal_mode: bool = field(metadata={"convert": bool})
    wal_size_mb: float
    path: str | None
    size_bytes: int
    wal_size_bytes: int
    fragmentation_pct: float
    free_disk_bytes: int | None
    journal_mode: str
    sqlite_version: str


@dataclass(frozen=True)
class Depth(Result):
    """How many tasks have a status."""

    status: Scalar
    tasks: int
    oldest_utc: Scalar
    newest_utc: Scalar


@dataclass(frozen=True)
class StaleLease(Result):
    """A task whose worker seems to be dead."""

    task_id: Scalar
    status: Scalar
    locked_by: str | None
    lease_until_utc: Scalar
    overdue_seconds: int
    attempts: int | None
    blocked: str | None


@dataclass(frozen=True)
class Lease(Result):
    """A task that a worker holds."""

    task_id: Scalar
    type: str | None
    status: Scalar
    locked_by: str | None
    lease_until_utc: Scalar
    #: None if that cannot be read, or the queue's leases have no end.
    ends_utc: str | None
    #: Below 0 until the lease ends.
    overdue_seconds: int | None
    attempts: int | None
    blocked: str | None


@dataclass(frozen=True)
class Requeue(Result):
    """What became of tasks that were to be requeued."""

    matched: int
    requeued: int
    dry_run: bool
    #: How many could not be put back; None if all could.
    blocked: int | None
    #: The first of these, each with `task_id` and `reason`.
    blocked_tasks: list[Any] | None


@dataclass(frozen=True)
class HealthMetric(Result):
    """One measure of the queue's health."""

    metric: str
    value: Scalar
    unit: str | None
    warning: Scalar
    critical: Scalar
    #: `ok`, `warning`, `critical`, or `accepted` by the setting `accepted_risks`.
    level: str
    action: str | None


@dataclass(frozen=True)
class Setting(Result):
    """A setting."""

    name: str
    value: Scalar
    default_value: Scalar
    description: str


@dataclass(frozen=True)
class Checkpoint(Result):
    """How far a checkpoint came."""

    mode: str
    busy: int
    log: int
    checkpointed: int
    note: str | None


@dataclass(frozen=True)
class Vacuum(Result):
    """What a VACUUM won."""

    size_before_bytes: int
    size_after_bytes: int
    reclaimed_bytes: int
    page_count_before: int
    page_count_after: int
    freelist_count_before: int
    freelist_count_after: int
    #: In WAL mode, the checkpoint that lets the file shrink.
    checkpoint: Checkpoint | None = field(metadata={"convert": Checkpoint.of})
    duration_ms: int
    note: str | None


@dataclass(frozen=True)
class Analysis(Result):
    """What was analyzed."""

    analyzed: list[str]
    #: How long writers may have had to wait.
    blocked_writers_ms: int
    duration_ms: int
    note: str | None


@dataclass(frozen=True)
class Optimization(Result):
    """What was optimized."""

    analyzed: bool = field(metadata={"convert": bool})
    vacuumed: bool = field(metadata={"convert": bool})
    stats_before: Stats = field(metadata={"convert": Stats.of})
    stats_after: Stats = field(metadata={"convert": Stats.of})
    note: str | None


@dataclass(frozen=True)
class ScheduledJob(Result):
    """A job of the schedule, or the copies off-site (`offsite`)."""

    job: str
    #: None of the copies off-site, which have no time of their own.
    cron: str | None
    last_run_utc: str | None
    next_due_utc: str | None
    last_status: str | None


@dataclass(frozen=True)
class StepRun(Result):
    """A step of a job that ran, or would be run."""

    step: str
    #: `ok`, `failed` or `skipped`; of a dry run `due` or `skipped`.
    status: str
    #: What it came to, or the error in words.
    detail: Any


def _steps(steps: list[Mapping[str, Any]]) -> list[StepRun]:
    return [StepRun.of(step) for step in steps]


@dataclass(frozen=True)
class JobRun(Result):
    """A job that was due and ran, or of a dry run, would be run."""

    job: str
    #: Which of its times it ran for.
    due_utc: str
    #: Which attempt at that it was, from 1.
    attempt: int
    #: None in a dry run, like the next.
    started_utc: str | None
    finished_utc: str | None
    #: `ok`, or `failed` when any step was; `due` in a dry run.
    status: str
    steps: list[StepRun] = field(metadata={"convert": _steps})


@dataclass(frozen=True)
class HistoryEntry(Result):
    """A step of a past run."""

    job: str
    step: str
    started_utc: str
    finished_utc: str | None
    status: str
    #: JSON, or the error in words.
    detail: str | None
