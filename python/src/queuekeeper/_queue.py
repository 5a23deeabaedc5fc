"""A queue database, with a method for each of the library's operations."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from queuekeeper import _arguments as arguments
from queuekeeper import _library, results
from queuekeeper._arguments import (
    BackupType,
    CheckpointMode,
    Compression,
    IntegrityLevel,
    Keep,
    Now,
    PathLike,
    VerifyLevel,
    VerifyOption,
)
from queuekeeper._calls import Progress
from queuekeeper._handle import Handle
from queuekeeper.errors import Error


class Queue:
    """An open queue database; `queuekeeper.open()` makes one.

    Each method is the SQL function or table of its name, with `queue_` in front: the same
    arguments, the same results, as docs/reference.md describes them. `progress` is called with the
    pages done and the pages in all of the present `phase`, about 50 times a second and as each
    phase begins and ends; what it raises ends the call and goes on to the caller, and if it
    returns something true, the call ends with an InterruptError. So
    does Ctrl-C, with a KeyboardInterrupt. The work then undoes what it has begun; batches of
    `requeue_stale` and steps of `run_due` that were done before stay done.

    Any thread may use a queue; calls run one at a time. Closing it twice is allowed.
    """

    def __init__(self, path: PathLike) -> None:
        encoded = arguments.text(path, "path")
        if encoded is None:
            raise Error("path must be a str or a path, not None")
        self._handle = Handle(_library.bound(), encoded)
        self._path = path

    def __repr__(self) -> str:
        state = "closed " if self._handle.closed else ""
        return f"<{state}queuekeeper.Queue {str(self._path)!r}>"

    def __enter__(self) -> Queue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def phase(self) -> str | None:
        """What the call that is running is doing; None when there is none, or it just began.

        It is `copying`, `saving` (the present database, before a restore), `compressing`,
        `syncing`, `reading`, `rebuilding`, `comparing`, `checking`, `writing`, `compacting` or
        `analyzing`; further ones may come. Any thread may ask, and so may a progress function.
        """
        return self._handle.phase

    def close(self) -> None:
        """Closes the database."""
        self._handle.close()

    @staticmethod
    def version() -> str:
        """The version of the library."""
        return _library.bound().version()

    # Backups

    def backup(
        self,
        path: PathLike | None = None,
        *,
        name: str | None = None,
        type: BackupType | None = None,  # noqa: A002
        compression: Compression | None = None,
        level: int | None = None,
        verify: VerifyOption | None = None,
        overwrite: bool | None = None,
        progress: Progress | None = None,
    ) -> results.Backup:
        """Backs up the database into a directory or a file: one snapshot, however busy it is.

        `type`: full, incremental, snapshot. `compression`: none, gzip, zstd. `verify`: none,
        checksum, quick, full.
        """
        options = arguments.options(
            name=name,
            type=type,
            compression=compression,
            level=level,
            verify=verify,
            overwrite=overwrite,
        )
        given = [arguments.text(path, "path"), options]
        return results.Backup.of(self._handle.call("qk_backup", list(given), progress))

    def restore(
        self,
        backup: PathLike,
        target: PathLike | None = None,
        *,
        dir: PathLike | None = None,  # noqa: A002
        overwrite: bool | None = None,
        requeue_leases: bool | None = None,
        dry_run: bool | None = None,
        progress: Progress | None = None,
    ) -> results.Restoration:
        """Restores a backup (a path, an id, or 'latest') into this database, or into another.

        With `dry_run` it only says which backup into which database.
        """
        options = arguments.options(
            dir=dir, overwrite=overwrite, requeue_leases=requeue_leases, dry_run=dry_run
        )
        given = [arguments.text(backup, "backup"), arguments.text(target, "target"), options]
        return results.Restoration.of(self._handle.call("qk_restore", list(given), progress))

    def verify(
        self,
        backup: PathLike,
        level: VerifyLevel | None = None,
        *,
        dir: PathLike | None = None,  # noqa: A002
        progress: Progress | None = None,
    ) -> results.Verification:
        """Verifies a backup. That it is corrupted is a result, not an error.

        `level`: checksum, quick, full.
        """
        options = arguments.options(dir=dir)
        given = [arguments.text(backup, "backup"), arguments.text(level, "level"), options]
        return results.Verification.of(self._handle.call("qk_verify", list(given), progress))

    def delete_backup(
        self,
        backup: PathLike,
        *,
        dir: PathLike | None = None,  # noqa: A002
        dependants: bool | None = None,
        dry_run: bool | None = None,
    ) -> results.Deletion:
        """Deletes one backup, and with `dependants` those that build on it.

        With `dry_run` it only says which.
        """
        options = arguments.options(dir=dir, dependants=dependants, dry_run=dry_run)
        given = [arguments.text(backup, "backup"), options]
        return results.Deletion.of(self._handle.call("qk_delete_backup", list(given)))

    def rotate(self, keep: Keep, dir: PathLike | None = None) -> int:  # noqa: A002
        """Deletes the backups that a policy does not keep; how many those were."""
        count: int = self._handle.call("qk_rotate", self._policy(keep, dir))
        return count

    def rotation(self, keep: Keep, dir: PathLike | None = None) -> list[results.Decision]:  # noqa: A002
        """What `rotate` would do, and why; the newest backup first."""
        rows = self._handle.call("qk_rotation", self._policy(keep, dir))
        return [results.Decision.of(row) for row in rows]

    def backups(self, dir: PathLike | None = None) -> list[results.Backup]:  # noqa: A002
        """The catalog, the newest backup first."""
        rows = self._handle.call("qk_backups", [arguments.text(dir, "dir")])
        return [results.Backup.of(row) for row in rows]

    # The queue

    def requeue_stale(self, secs: int) -> int:
        """Requeues the tasks whose lease ended more than `secs` seconds ago; how many."""
        count: int = self._handle.call("qk_requeue_stale", [arguments.number(secs, "secs")])
        return count

    def stale(self, secs: int | None = None) -> list[results.StaleLease]:
        """The leases that `requeue_stale` would requeue."""
        rows = self._handle.call("qk_stale", [arguments.number(secs, "secs")])
        return [results.StaleLease.of(row) for row in rows]

    def requeue(
        self,
        filter: Mapping[str, Any],  # noqa: A002
        *,
        dry_run: bool | None = None,
        expect: int | None = None,
    ) -> results.Requeue:
        """Requeues the tasks that a worker holds and the filter chooses, stale or not.

        `filter`: `ids`, `types`, `workers`, `after`, `before`, `limit`; all that is given holds,
        and `{"all": True}` is all. With `expect`, nothing is changed unless so many match.
        """
        options = arguments.options(dry_run=dry_run, expect=expect)
        given = [arguments.to_json(filter, "filter"), options]
        return results.Requeue.of(self._handle.call("qk_requeue", list(given)))

    def leases(self) -> list[results.Lease]:
        """The tasks that workers hold, the first lease to end first."""
        return [results.Lease.of(row) for row in self._handle.call("qk_leases", [])]

    def depth(self) -> list[results.Depth]:
        """The number of tasks by status."""
        return [results.Depth.of(row) for row in self._handle.call("qk_depth", [])]

    # Upkeep

    def stats(self) -> results.Stats:
        """The database in numbers."""
        return results.Stats.of(self._handle.call("qk_stats", []))

    def health(self) -> list[results.HealthMetric]:
        """The measures of the queue's health, each with its level."""
        return [results.HealthMetric.of(row) for row in self._handle.call("qk_health", [])]

    def integrity(
        self, level: IntegrityLevel | None = None, max_errors: int | None = None
    ) -> list[str]:
        """What is wrong with the database, or ['ok']. `level`: quick, full."""
        given = [arguments.text(level, "level"), arguments.number(max_errors, "max_errors")]
        return [row["message"] for row in self._handle.call("qk_integrity", list(given))]

    def checkpoint(self, mode: CheckpointMode | None = None) -> results.Checkpoint:
        """Copies the WAL into the database. `mode`: PASSIVE, FULL, RESTART, TRUNCATE."""
        given = [arguments.text(mode, "mode")]
        return results.Checkpoint.of(self._handle.call("qk_checkpoint", list(given)))

    def vacuum(self, *, progress: Progress | None = None) -> results.Vacuum:
        """Rewrites the database without its free pages."""
        return results.Vacuum.of(self._handle.call("qk_vacuum", [], progress))

    def analyze(self, table: str | None = None) -> results.Analysis:
        """Gathers the query planner's statistics."""
        given = [arguments.text(table, "table")]
        return results.Analysis.of(self._handle.call("qk_analyze", list(given)))

    def optimize(
        self, full: bool | None = None, *, progress: Progress | None = None
    ) -> results.Optimization:
        """`analyze`, and with `full` a `vacuum` before it."""
        given = [arguments.number(None if full is None else int(full), "full")]
        return results.Optimization.of(self._handle.call("qk_optimize", list(given), progress))

    # Settings and schedule

    def set(self, name: str, value: object) -> Any:
        """Stores a setting in the database, and returns it as stored; None resets it."""
        given = [arguments.text(name, "name"), arguments.setting(value)]
        return self._handle.call("qk_set", list(given))

    def settings(self) -> list[results.Setting]:
        """All settings."""
        return [results.Setting.of(row) for row in self._handle.call("qk_settings", [])]

    def run_due(
        self,
        now: Now | None = None,
        *,
        retry_now: bool | None = None,
        dry_run: bool | None = None,
    ) -> list[results.JobRun]:
        """Runs the jobs that are due, each once however many processes call this.

        `retry_now` ignores the pauses after failures; `dry_run` only says what would be run.
        """
        given = arguments.moment(now)
        if retry_now is not None or dry_run is not None:
            time = None if given is None else given.decode("utf-8", "surrogateescape")
            given = arguments.options(now=time, retry_now=retry_now, dry_run=dry_run)
        rows = self._handle.call("qk_run_due", [given])
        return [results.JobRun.of(row) for row in rows]

    def schedule(self) -> list[results.ScheduledJob]:
        """The jobs, and when they are due."""
        return [results.ScheduledJob.of(row) for row in self._handle.call("qk_schedule", [])]

    def history(self) -> list[results.HistoryEntry]:
        """What ran in the past."""
        return [results.HistoryEntry.of(row) for row in self._handle.call("qk_history", [])]

    @staticmethod
    def _policy(keep: Keep, dir: PathLike | None) -> list[Any]:  # noqa: A002
        return [arguments.keep(keep), arguments.text(dir, "dir")]


def open(path: PathLike) -> Queue:  # noqa: A001
    """Opens a queue database that exists, or ':memory:'."""
    return Queue(path)
