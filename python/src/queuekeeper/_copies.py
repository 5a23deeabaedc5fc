"""Copying the backups elsewhere, as a part of what is due: pushing, and rotating there.

# Promise

- There is something to push whenever the catalog lists others than when the last push succeeded;
  the catalog and the log say so, and no process is started to find out.
- After each push the remote is rotated, by the policy for remotes. What failed is tried again by
  the next call, then after longer and longer pauses; a new backup ends the pause.
- Nothing that fails here is an error of the call: it is recorded, and its step says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from queuekeeper import _pushes
from queuekeeper._arguments import Now
from queuekeeper._data import Detail
from queuekeeper._failing import is_time
from queuekeeper._log import is_about, record
from queuekeeper._pushes import JOB, PUSH, is_held, listed, mark, recorded
from queuekeeper._queue import Queue
from queuekeeper.configuration import Configuration
from queuekeeper.errors import BusyError, Error, InterruptError
from queuekeeper.results import HistoryEntry, JobRun, StepRun

if TYPE_CHECKING:
    from queuekeeper.offsite import Offsite, Pushed, Rotated

ROTATE = "rotate remote"
STEPS = (PUSH, ROTATE)
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
    if not wanted(queue, history, configuration, present, at_once=at_once):
        return None
    with _pushes.alone(file) as held:
        if held is None:
            raise ElsewhereError
        # Perhaps the other one was done between the question and the lock.
        if not wanted(queue, queue.history(), configuration, present, at_once=at_once):
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
    if not makes and not wanted(queue, history, configuration, present, at_once=at_once):
        return None
    due = [{"step": step, "status": DUE} for step in steps(configuration)]
    return JobRun.of({"job": JOB, "attempt": 1, "status": DUE, "steps": due})


def steps(configuration: Configuration) -> Sequence[str]:
    """What is done now; without a policy, nothing is rotated."""
    if not configuration.has("remote"):
        return ()
    return STEPS if configuration.has("remote_keep") else (PUSH,)


def all_copied(history: Sequence[HistoryEntry], steps: Sequence[str] = STEPS) -> bool:
    """Whether the last of each step succeeded."""
    states = (newest(history, step) for step in steps)
    return all(row is None or row.status == "ok" for row in states)


def newest(history: Sequence[HistoryEntry], step: str) -> HistoryEntry | None:
    """The newest row of a step."""
    return next((row for row in history if is_about(row, JOB, step)), None)


def wanted(
    queue: Queue,
    history: Sequence[HistoryEntry],
    configuration: Configuration,
    present: datetime,
    *,
    at_once: bool = False,
) -> bool:
    """Whether there is something to do, and it is time to do it."""
    now = steps(configuration)
    if not now:
        return False
    something = not all_copied(history, now) or _has_changed(queue, history, configuration)
    return something and (at_once or is_time(failures(history, now), present))


def _has_changed(
    queue: Queue, history: Sequence[HistoryEntry], configuration: Configuration
) -> bool:
    """Whether the catalog lists others than when the last push succeeded, or it went elsewhere."""
    try:
        backups = listed(queue)
        remote = configuration.text("remote") or ""
    except BusyError:
        raise
    except Error:
        # Pushing says what is wrong, in its step.
        return True
    pushed = newest(history, PUSH)
    told = Detail.of(pushed.detail if pushed else None)
    if not backups or told.text("catalog") != mark(backups):
        return bool(backups)
    from queuekeeper.offsite.remote import shown

    # Somebody may have pushed by hand, to another remote.
    return told.text("remote") != shown(remote)


def failures(history: Sequence[HistoryEntry], steps: Sequence[str] = STEPS) -> list[HistoryEntry]:
    """What failed since a step last succeeded and a backup was made, newest first."""
    for step in steps:
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

    def _step(self, step: str, work: Callable[[Offsite], tuple[Any, dict[str, Any]]]) -> None:
        def note(status: str, detail: str | Mapping[str, Any] | None) -> None:
            record(self._queue, JOB, step, status, detail, self._now)

        redacted = self._configuration.redacted
        status = "ok"
        detail: str | dict[str, Any]
        try:
            _, detail = recorded(note, redacted, lambda: work(self._offsite()))
        except InterruptError:
            raise
        except (Error, OSError) as error:
            if is_held(error):
                raise ElsewhereError from error
            status, detail = "failed", redacted(str(error))
        self._steps.append(StepRun.of({"step": step, "status": status, "detail": detail}))

    def _offsite(self) -> Offsite:
        """One for all steps: one process of rclone serves them."""
        # Most calls have nothing to copy, and need not load what they would do it with.
        from queuekeeper.offsite import Offsite

        if self._opened is None:
            self._opened = Offsite(self._queue, found=self._configuration)
        return self._opened

    def _push(self, offsite: Offsite) -> tuple[Pushed, dict[str, Any]]:
        backups = listed(self._queue)
        if not backups:
            # It failed when there were some; a disk that is not mounted looks so.
            raise Error("there are no backups here that could be pushed; see 'queuekeeper backups'")
        return _pushes.push(offsite, backups, self._keep)

    def _rotate(self, offsite: Offsite) -> tuple[Rotated, dict[str, Any]]:
        rotated = offsite.rotate(self._keep)
        return rotated, {"keep": rotated.policy, "deleted": len(rotated.deleted)}
