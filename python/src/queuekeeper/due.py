"""Everything that is due: the jobs, the copies elsewhere, and telling the operator.

# Promise

- The jobs come first, and nothing that comes after them makes them fail: not a remote that cannot
  be reached, not a notification that cannot be delivered. Each of these is recorded under a job of
  its own (`offsite`, `notify`), and tried again by the next call, then after pauses of 1, 2, 4 and
  so on up to 60 minutes, also when nothing else is due.
- Calls at the same time do nothing twice: the jobs have their lock, the remote has one, and so has
  telling. A call that finds the remote's taken leaves it to the other to tell what was done, and
  tells only failures.
- A call that finds nothing to do starts no process and sends nothing.
- The heartbeat is fetched by a call that did something, and only if nothing that was due has
  failed, warns or is left undone: neither a job, nor the copies.
- A database that cannot be used any more is told once, too, although it can remember nothing: the
  lock's file beside it, `NAME-run-due`, does. That somebody else holds its lock is not told, unless
  it is for longer than a job may take.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from queuekeeper import _copies, notifications
from queuekeeper import _news as news
from queuekeeper import _queue as queues
from queuekeeper._arguments import Now
from queuekeeper._data import plain
from queuekeeper._lock import Held, locked
from queuekeeper._log import RUNNING, record
from queuekeeper._ownership import beside
from queuekeeper._queue import Queue
from queuekeeper.configuration import Configuration
from queuekeeper.errors import BusyError, Error, InterruptError
from queuekeeper.notifications import Address, Delivery
from queuekeeper.results import HistoryEntry, JobRun

#: The job and step under which the log records that not all jobs could be run.
JOB, RUN = "schedule", "run"
LOCK = "-run-due"
NOT_USABLE = "Nothing is backed up until that is corrected. It is tried again at each call."
USABLE_AGAIN = "The queue's database can be used again, and what is due is done."


@dataclass
class Outcome:
    """What a call came to."""

    #: The jobs that ran; the last of them may be `offsite`.
    jobs: list[JobRun] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    #: Why not all of the jobs could be run.
    error: Error | None = None

    @property
    def failed(self) -> bool:
        """Whether anything failed, or a step that was done warns."""
        undelivered = any(each.failure for each in self.deliveries)
        return undelivered or bool(self.warnings) or any(job.status != "ok" for job in self.jobs)

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
) -> Outcome:
    """Does all that is due for the queue at that path, and tells the operator.

    What keeps it from running at all is raised, after it was told.
    """
    configuration = configuration or Configuration()
    places = notifications.addresses(configuration)
    moment = present(now)
    try:
        with queues.open(path) as queue:
            call = _Call(queue, Path(path).resolve(), configuration, places, now, moment)
            return call.run()
    except (BusyError, InterruptError):
        raise
    except Error as error:
        _tell_without_database(Path(path), places, configuration, error)
        raise


class _Call:
    """One call."""

    def __init__(
        self,
        queue: Queue,
        file: Path,
        configuration: Configuration,
        places: list[Address],
        now: Now | None,
        moment: datetime,
    ) -> None:
        self._queue = queue
        self._file = file
        self._configuration = configuration.with_settings(functools.cache(self._settings))
        self._places = places
        self._now = now
        self._present = moment
        self._outcome = Outcome()

    def run(self) -> Outcome:
        history = self._queue.history()
        self._run_jobs(history)
        alone = self._copy()
        if self._outcome != Outcome():
            history = self._queue.history()
        if self._is_something_to_tell(history):
            with locked(self._lock, beside(self._file)) as held:
                if held is not None:
                    self._tell(held, alone)
        return self._outcome

    @property
    def _lock(self) -> Path:
        return Path(f"{self._file}{LOCK}")

    def _settings(self) -> dict[str, Any]:
        return {each.name: each.value for each in self._queue.settings()}

    def _run_jobs(self, history: list[HistoryEntry]) -> None:
        self._outcome.deliveries += notifications.greet(
            self._queue, history, self._places, self._now
        )
        try:
            self._outcome.jobs += self._queue.run_due(self._now)
        except (BusyError, InterruptError):
            raise
        except Error as error:
            self._outcome.error = error
            # Where that cannot be recorded, it is what is raised.
            record(self._queue, JOB, RUN, "failed", str(error), self._now)
            return
        before = next((row for row in history if news.is_about(row, JOB, RUN)), None)
        if before is not None and before.status == "failed":
            record(self._queue, JOB, RUN, "ok", None, self._now)

    def _copy(self) -> bool:
        """Copies the backups; false if another process does."""
        try:
            ran = _copies.copy(
                self._queue, self._file, self._configuration, self._present, self._now
            )
        except BusyError:
            return False
        if ran is not None:
            self._outcome.jobs.append(ran)
        return True

    def _is_something_to_tell(self, history: list[HistoryEntry]) -> bool:
        """Whether the lock is worth taking: most calls have nothing to tell."""
        if self._outcome.jobs and self._configuration.text("heartbeat") is not None:
            return True
        if not self._places:
            return False
        if self._lock.exists() and self._lock.stat().st_size > 0:
            return True
        quiet = self._quiet()
        return any(news.message(history, each.name, where="", quiet=quiet) for each in self._places)

    def _tell(self, held: Held, alone: bool) -> None:
        jobs = {each.job for each in self._queue.schedule()}
        if any(row.status == RUNNING and row.job in jobs for row in self._queue.history()):
            # Somebody is at it. What comes of it is told when it has ended.
            return
        self._outcome.deliveries += _tell_of_return(held, self._places, self._file)
        self._outcome.deliveries += notifications.tell(
            self._queue,
            self._file,
            self._places,
            self._configuration,
            self._present,
            self._now,
            quiet=self._quiet(),
            failures_only=not alone,
        )
        if self._outcome.jobs and alone and self._all_is_well():
            beat = notifications.beat(self._queue, self._configuration, self._now)
            self._outcome.deliveries += [beat] if beat else []

    def _quiet(self) -> bool:
        try:
            return self._configuration.truth("quiet")
        except Error as error:
            # What is wrong with it is said, but rather too much is told than too little.
            self._outcome.error = self._outcome.error or error
            return False

    def _all_is_well(self) -> bool:
        if self._outcome.error is not None or self._outcome.warnings:
            return False
        planned = [each for each in self._queue.schedule() if each.next_due_utc is not None]
        if any(each.last_status != "ok" for each in planned):
            return False
        return not self._configuration.has("remote") or _copies.all_copied(self._queue.history())


def _tell_of_return(held: Held, places: Sequence[Address], file: Path) -> list[Delivery]:
    """Tells those who were told that the database could not be used."""
    waiting = held.words()
    if not waiting:
        return []
    found = []
    for address in places:
        if address.name in waiting:
            title = f"{notifications.place(file)}: works again"
            failure = address.send(news.RECOVERY, title, USABLE_AGAIN)
            found.append(Delivery(address.name, news.RECOVERY, failure))
            if failure is None:
                del waiting[address.name]
    names = {address.name for address in places}
    held.keep({name: told for name, told in waiting.items() if name in names})
    return found


def _tell_without_database(
    path: Path, places: Sequence[Address], configuration: Configuration, error: Error
) -> None:
    """Tells what keeps the database from being used, once to each address.

    Without a place to remember it, nothing is told: else it would be, at every call.
    """
    if not places:
        return
    text = configuration.redacted(plain(error))
    title = f"{notifications.place(path)}: nothing can be done"
    body = f"{text}\n\n{NOT_USABLE}"
    try:
        file = path.resolve()
        with locked(Path(f"{file}{LOCK}"), beside(file)) as held:
            if held is None:
                return
            words: dict[str, Any] = held.words()
            for address in places:
                if address.name not in words and address.send(news.FAILURE, title, body) is None:
                    words[address.name] = text
            held.keep(words)
    except OSError:
        return


def present(now: Now | None) -> datetime:
    """The time that a call takes for the present."""
    if now is None:
        return datetime.now(timezone.utc)
    if isinstance(now, datetime):
        return now.astimezone(timezone.utc)
    if isinstance(now, (int, float)) or now.strip().isdigit():
        return datetime.fromtimestamp(float(now), timezone.utc)
    try:
        found = datetime.fromisoformat(now.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise Error(f"now is '{now}', but must be a time such as 2026-11-05 02:00:00") from error
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
