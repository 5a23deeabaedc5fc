"""Copying the backups elsewhere, as a part of what is due: pushing, and rotating there.

# Promise

- There is something to push whenever the catalog lists others than when the last push succeeded;
  the catalog and the log say so, and no process is started to find out.
- After each push the remote is rotated, by the policy for remotes. What failed is tried again by
  the next call, then after longer and longer pauses; a new backup ends the pause.
- Nothing that fails here is an error of the call: it is recorded, and its step says so.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from queuekeeper._arguments import Now
from queuekeeper._data import Detail
from queuekeeper._failing import is_time
from queuekeeper._lock import locked
from queuekeeper._log import RUNNING, is_about, record
from queuekeeper._ownership import beside
from queuekeeper._queue import Queue
from queuekeeper.configuration import Configuration
from queuekeeper.errors import BusyError, Error, InterruptError
from queuekeeper.results import Backup, HistoryEntry, JobRun, StepRun

if TYPE_CHECKING:
    from queuekeeper.offsite import Offsite

JOB = "offsite"
PUSH, ROTATE = "push", "rotate remote"
LOCK = "-run-due-offsite"
#: The status of a step, and of its job, that would be done.
DUE = "due"


class ElsewhereError(Exception):
    """Another process is copying."""


def copy(
    queue: Queue,
    history: Sequence[HistoryEntry],
    file: Path,
    configuration: Configuration,
    present: datetime,
    now: Now | None,
    *,
    at_once: bool = False,
) -> JobRun | None:
    """Copies what is to be copied; None if there is nothing, or it is not yet time to try again.

    `at_once` ignores the pause. Raises ElsewhereError if another process is at it.
    """
    if not configuration.has("remote"):
        return None
    if not wanted(queue, history, present, at_once=at_once):
        return None
    with locked(Path(f"{file}{LOCK}"), beside(file)) as held:
        if held is None:
            raise ElsewhereError
        # Perhaps the other one was done between the question and the lock.
        if not wanted(queue, queue.history(), present, at_once=at_once):
            return None
        return _Copying(queue, configuration, now).run()


def planned(
    queue: Queue,
    history: Sequence[HistoryEntry],
    configuration: Configuration,
    present: datetime,
    jobs: Sequence[JobRun],
    *,
    at_once: bool,
) -> JobRun | None:
    """What `copy` would do after these jobs, which would run; nothing is written."""
    makes = any(step.step == "backup" and step.status == DUE for job in jobs for step in job.steps)
    if not configuration.has("remote"):
        return None
    if not makes and not wanted(queue, history, present, at_once=at_once):
        return None
    steps = [PUSH, *([ROTATE] if configuration.text("remote_keep") is not None else [])]
    due = [{"step": step, "status": DUE} for step in steps]
    return JobRun.of({"job": JOB, "attempt": 1, "status": DUE, "steps": due})


def all_copied(history: Sequence[HistoryEntry]) -> bool:
    """Whether the last of each step succeeded."""
    states = (newest(history, step) for step in (PUSH, ROTATE))
    return all(row is None or row.status == "ok" for row in states)


def newest(history: Sequence[HistoryEntry], step: str) -> HistoryEntry | None:
    """The newest row of a step."""
    return next((row for row in history if is_about(row, JOB, step)), None)


def wanted(
    queue: Queue, history: Sequence[HistoryEntry], present: datetime, *, at_once: bool = False
) -> bool:
    """Whether there is something to do, and it is time to do it."""
    something = not all_copied(history) or _has_changed(queue, newest(history, PUSH))
    return something and (at_once or is_time(failures(history), present))


def _has_changed(queue: Queue, pushed: HistoryEntry | None) -> bool:
    """Whether the catalog lists others than when that push succeeded."""
    try:
        backups = _listed(queue)
    except BusyError:
        raise
    except Error:
        # Pushing says what is wrong, in its step.
        return True
    told = Detail.of(pushed.detail).text("catalog") if pushed else None
    return bool(backups) and told != _mark(backups)


def _listed(queue: Queue) -> list[Backup]:
    """The backups that can be pushed: this queue's own, and not the files of other tools."""
    listed = [each for each in queue.backups() if each.is_kept and each.backup_type != "adopted"]
    try:
        # A plan that keeps all of this queue's.
        own = {each.backup_path for each in queue.rotation(1_000_000)}
    except Error:
        # Pushing says what is wrong, in its step.
        return listed
    return [each for each in listed if each.backup_path in own]


def _mark(backups: Sequence[Backup]) -> str:
    """A fingerprint of the listed ids."""
    ids = ",".join(sorted(each.id for each in backups))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


def failures(history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """What failed since a step last succeeded and a backup was made, newest first."""
    for step in (PUSH, ROTATE):
        found: list[HistoryEntry] = []
        for row in history:
            if row.step == "backup" and row.status == "ok" and row.job != JOB:
                break
            if is_about(row, JOB, step):
                if row.status == "ok":
                    break
                found.append(row)
        if found:
            return found
    return []


class _Copying:
    """One call's copying."""

    def __init__(self, queue: Queue, configuration: Configuration, now: Now | None) -> None:
        self._queue = queue
        self._keep = configuration.text("remote_keep")
        self._configuration = configuration
        self._now = now
        self._steps: list[StepRun] = []
        self._opened: Offsite | None = None

    def run(self) -> JobRun:
        try:
            self._step(PUSH, self._push)
            if self._keep is not None and self._steps[0].status == "ok":
                self._step(ROTATE, self._rotate)
        finally:
            if self._opened is not None:
                self._opened.close()
        history = self._queue.history()
        begun, ended = newest(history, PUSH), newest(history, self._steps[-1].step)
        fine = all(step.status == "ok" for step in self._steps)
        return JobRun.of(
            {
                "job": JOB,
                "due_utc": begun and begun.started_utc,
                "attempt": 1,
                "started_utc": begun and begun.started_utc,
                "finished_utc": ended and ended.finished_utc,
                "status": "ok" if fine else "failed",
                "steps": [dict(step.raw) for step in self._steps],
            }
        )

    def _step(self, step: str, work: Callable[[Offsite], dict[str, Any]]) -> None:
        record(self._queue, JOB, step, RUNNING, None, self._now)
        status = "ok"
        detail: str | dict[str, Any]
        try:
            detail = work(self._offsite())
        except InterruptError:
            record(self._queue, JOB, step, "failed", "interrupted", self._now)
            raise
        except (Error, OSError) as error:
            status, detail = "failed", self._configuration.redacted(str(error))
            if _is_held(error):
                # Somebody copies by hand, and does what this would do.
                record(self._queue, JOB, step, "skipped", detail, self._now)
                raise ElsewhereError from error
        record(self._queue, JOB, step, status, detail, self._now)
        self._steps.append(StepRun.of({"step": step, "status": status, "detail": detail}))

    def _offsite(self) -> Offsite:
        """One for all steps: one process of rclone serves them."""
        # Most calls have nothing to copy, and need not load what they would do it with.
        from queuekeeper.offsite import Offsite

        if self._opened is None:
            self._opened = Offsite(self._queue, found=self._configuration)
        return self._opened

    def _push(self, offsite: Offsite) -> dict[str, Any]:
        backups = _listed(self._queue)
        if not backups:
            # It failed when there were some; a disk that is not mounted looks so.
            raise Error("there are no backups here that could be pushed; see 'queuekeeper backups'")
        begun = time.monotonic()
        pushed = offsite.push(policy=self._keep)
        if pushed.skipped:
            left = "; ".join(f"'{each.backup_path}': {each.reason}" for each in pushed.skipped)
            raise Error(f"not all backups could be pushed to {pushed.remote}: {left}")
        return {
            "pushed": len(pushed.pushed),
            "size_bytes": pushed.bytes,
            "duration_ms": round((time.monotonic() - begun) * 1000),
            "remote": pushed.remote,
            "link": _link(offsite, pushed.pushed),
            "catalog": _mark(backups),
        }

    def _rotate(self, offsite: Offsite) -> dict[str, Any]:
        rotated = offsite.rotate(self._keep)
        return {"keep": rotated.policy, "deleted": len(rotated.deleted)}


def _is_held(error: Exception) -> bool:
    """Whether somebody else is at it."""
    from queuekeeper.offsite.errors import HeldError

    return isinstance(error, HeldError)


def _link(offsite: Offsite, pushed: Sequence[str]) -> str | None:
    """A link to what was pushed last, where the remote has such a thing."""
    try:
        return offsite.link(pushed[-1]) if pushed else None
    except Error:
        # What was pushed is there; only the message lacks a line.
        return None
