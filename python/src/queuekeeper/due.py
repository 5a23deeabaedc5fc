"""Everything that is due: the jobs, the copies elsewhere, and telling the operator.

# Promise

- The jobs come first, and nothing that comes after them makes them fail: not a remote that cannot
  be reached, not a notification that cannot be delivered. Each of these is recorded under a job of
  its own (`offsite`, `notify`), and tried again by the next call, then after pauses of 1, 2, 4 and
  so on up to 60 minutes, also when nothing else is due.
- Calls at the same time do nothing twice: the jobs have their lock, the remote has one, and so has
  telling. A call that finds the remote's taken leaves it to the other to tell what was done, and
  tells only failures.
- A call that finds nothing to do starts no process and sends nothing. What is broken is in its
  outcome all the same, until it works again (`_broken`).
- The heartbeat is fetched by a call that did something, and only if nothing is broken, warns or is
  left undone: neither a job, nor the copies, nor a notification. One that failed is tried again.
- A database that cannot be used any more is told once, too (`_unusable`). That somebody else holds
  its lock is not told, unless it is for longer than a job may take.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from queuekeeper import _arguments as arguments
from queuekeeper import _copies, _unusable, notifications
from queuekeeper import _news as news
from queuekeeper import _queue as queues
from queuekeeper._arguments import Now
from queuekeeper._broken import Broken, broken
from queuekeeper._copies import DUE
from queuekeeper._failing import is_time, jobs_off
from queuekeeper._lock import Held, locked
from queuekeeper._log import RUNNING, is_about, record
from queuekeeper._ownership import beside
from queuekeeper._queue import Queue
from queuekeeper.configuration import Configuration
from queuekeeper.errors import BusyError, Error, InterruptError
from queuekeeper.notifications import Address, Delivery
from queuekeeper.results import HistoryEntry, JobRun, ScheduledJob

#: The job and step under which the log records that not all jobs could be run.
JOB, RUN = "schedule", "run"


@dataclass
class Outcome:
    """What a call came to."""

    #: The jobs that ran; the last of them may be `offsite`.
    jobs: list[JobRun] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    #: Why not all of the jobs could be run.
    error: Error | None = None
    #: What is broken now, whether or not this call had anything to do with it.
    broken: list[Broken] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether anything failed or is broken, or a step that was done warns."""
        undelivered = any(each.failure for each in self.deliveries)
        done_badly = any(job.status not in ("ok", DUE) for job in self.jobs)
        return undelivered or bool(self.warnings) or done_badly or bool(self.broken)

    @property
    def is_critical(self) -> bool:
        """Whether the database may be damaged: its check fails."""
        return any(each.is_critical for each in self.broken)

    @property
    def warnings(self) -> list[str]:
        """What the steps that were done warn of."""
        steps = [step for job in self.jobs for step in job.steps if isinstance(step.detail, dict)]
        return [
            f"{each.step}: {each.detail['warning']}" for each in steps if "warning" in each.detail
        ]


def run_due(
    path: str | os.PathLike[str],
    configuration: Configuration | None = None,
    now: Now | None = None,
    *,
    retry_now: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Does all that is due for the queue at that path, and tells the operator.

    `retry_now` ignores the pauses after failures. `dry_run` says what would be done: nothing is
    written, sent or locked. What keeps it from running at all is raised, after it was told.
    """
    configuration = configuration or Configuration()
    places = notifications.addresses(configuration)
    options = _Options(now, arguments.present(now), retry_now)
    try:
        with queues.open(path) as queue:
            call = _Call(queue, Path(path).resolve(), configuration, places, options)
            return call.plan() if dry_run else call.run()
    except (BusyError, InterruptError):
        raise
    except Error as error:
        if not dry_run:
            _unusable.tell(Path(path), places, configuration, error)
        raise


@dataclass(frozen=True)
class _Options:
    """How a call was asked for."""

    now: Now | None
    present: datetime
    retry_now: bool


class _Call:
    """One call."""

    def __init__(
        self,
        queue: Queue,
        file: Path,
        configuration: Configuration,
        places: list[Address],
        options: _Options,
    ) -> None:
        self._queue = queue
        self._file = file
        self._configuration = configuration.with_settings(functools.cache(self._settings))
        self._places = places
        self._now = options.now
        self._present = options.present
        self._retry_now = options.retry_now
        self._outcome = Outcome()

    def run(self) -> Outcome:
        history = self._queue.history()
        self._run_jobs(history)
        if self._outcome != Outcome():
            history = self._queue.history()
        done = len(self._outcome.jobs)
        alone = self._copy(history)
        if len(self._outcome.jobs) > done:
            history = self._queue.history()
        if self._is_something_to_tell(history):
            with locked(self._lock, beside(self._file)) as held:
                if held is not None:
                    self._tell(held, alone)
            history = self._queue.history()
        self._outcome.broken = self._broken(history)
        return self._outcome

    def plan(self) -> Outcome:
        """What `run` would do."""
        self._outcome.jobs = self._queue.run_due(self._now, dry_run=True, **self._retrying)
        history = self._queue.history()
        ran = _copies.planned(
            self._queue,
            history,
            self._configuration,
            self._present,
            self._outcome.jobs,
            at_once=self._retry_now,
        )
        self._outcome.jobs += [ran] if ran else []
        self._outcome.broken = self._broken(history)
        return self._outcome

    @property
    def _lock(self) -> Path:
        return _unusable.lock(self._file)

    def _settings(self) -> dict[str, Any]:
        return {each.name: each.value for each in self._queue.settings()}

    @property
    def _retrying(self) -> dict[str, Any]:
        return {"retry_now": True} if self._retry_now else {}

    def _run_jobs(self, history: list[HistoryEntry]) -> None:
        self._outcome.deliveries += notifications.greet(
            self._queue, history, self._places, self._now
        )
        try:
            self._outcome.jobs += self._queue.run_due(self._now, **self._retrying)
        except (BusyError, InterruptError):
            raise
        except Error as error:
            self._outcome.error = error
            # Where that cannot be recorded, it is what is raised.
            record(self._queue, JOB, RUN, "failed", str(error), self._now)
            return
        before = next((row for row in history if is_about(row, JOB, RUN)), None)
        if before is not None and before.status == "failed":
            record(self._queue, JOB, RUN, "ok", None, self._now)

    def _copy(self, history: list[HistoryEntry]) -> bool:
        """Copies the backups; false if another process does."""
        try:
            ran = _copies.copy(
                self._queue,
                history,
                self._file,
                self._configuration,
                self._present,
                self._now,
                at_once=self._retry_now,
            )
        except _copies.ElsewhereError:
            return False
        if ran is not None:
            self._outcome.jobs.append(ran)
        return True

    def _is_something_to_tell(self, history: list[HistoryEntry]) -> bool:
        """Whether the lock is worth taking: most calls have nothing to tell."""
        if self._may_beat(history):
            return True
        if not self._places:
            return False
        if self._lock.exists() and self._lock.stat().st_size > 0:
            return True
        off, quiet = jobs_off(self._schedule()), self._quiet()
        return any(
            news.message(history, each.name, where="", quiet=quiet, now=self._present, off=off)
            for each in self._places
        )

    def _tell(self, held: Held, alone: bool) -> None:
        jobs = {each.job for each in self._schedule()}
        if any(row.status == RUNNING and row.job in jobs for row in self._queue.history()):
            # Somebody is at it. What comes of it is told when it has ended.
            return
        self._outcome.deliveries += _unusable.tell_of_return(held, self._places, self._file)
        self._outcome.deliveries += notifications.tell(
            self._queue,
            self._file,
            self._places,
            self._configuration,
            self._present,
            self._now,
            quiet=self._quiet(),
            failures_only=not alone,
            off=jobs_off(self._schedule()),
            at_once=self._retry_now,
        )
        history = self._queue.history()
        if alone and self._may_beat(history) and self._all_is_well(history):
            beat = notifications.beat(self._queue, self._configuration, self._now)
            self._outcome.deliveries += [beat] if beat else []

    def _quiet(self) -> bool:
        try:
            return self._configuration.truth("quiet")
        except Error as error:
            # What is wrong with it is said, but rather too much is told than too little.
            self._outcome.error = self._outcome.error or error
            return False

    def _may_beat(self, history: list[HistoryEntry]) -> bool:
        """Whether the heartbeat is to be fetched if all is well, such as one that failed."""
        if self._configuration.text("heartbeat") is None:
            return False
        failures = notifications.failed_beats(history)
        retry = self._retry_now or is_time(failures, self._present)
        return bool(self._outcome.jobs) or (bool(failures) and retry)

    def _all_is_well(self, history: list[HistoryEntry]) -> bool:
        if self._outcome.error is not None or self._outcome.warnings:
            return False
        if any(each.step != news.HEARTBEAT for each in self._broken(history)):
            return False
        planned = [each for each in self._schedule() if each.next_due_utc is not None]
        return all(each.last_status == "ok" for each in planned)

    def _broken(self, history: list[HistoryEntry]) -> list[Broken]:
        return broken(
            history,
            self._schedule(),
            copied=_copies.steps(self._configuration),
            addresses=[*(each.name for each in self._places), news.HEARTBEAT],
            present=self._present,
        )

    def _schedule(self) -> list[ScheduledJob]:
        try:
            return [each for each in self._queue.schedule() if each.cron is not None]
        except BusyError:
            raise
        except Error:
            # A setting that cannot be used, as running the jobs has said.
            return []
