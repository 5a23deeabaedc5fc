"""What is broken now, with its error, since when, and when it is tried again.

# Promise

- A step that fails (`_failing`) is broken, if this call's configuration has what it is about: an
  address that is no longer told, and a remote that is no longer copied to, are not, nor is what
  has lapsed. A check of the database whose process was ended says nothing of its pages.
- So is the newest backup, if it warns of missing tasks, until one is made that does not.
- What is broken is one line for each, in every call, until it works again.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from queuekeeper import _copies, _failing, _pushes
from queuekeeper import _news as news
from queuekeeper._data import Detail, plain
from queuekeeper._failing import State
from queuekeeper._log import moment
from queuekeeper.results import HistoryEntry, ScheduledJob

NEXT_CALL = "it is tried again by the next call"


@dataclass(frozen=True)
class Broken:
    """Something that is broken."""

    job: str
    step: str
    #: `failed`, `interrupted`, or `warning`.
    status: str
    error: str
    #: When it began, in UTC, as far as the log reaches.
    since_utc: str
    #: When it is tried again, in words.
    again: str
    #: Whether the database may be damaged: its check fails, not only by the end of its process.
    is_critical: bool = False

    @property
    def line(self) -> str:
        """All of it in one line."""
        what = f"{self.job} {self.step} {self.status}: {self.error}"
        if self.status == "warning":
            what = f"warning: {self.step}: {self.error}"
        return f"{what} (since {self.since_utc} UTC; {self.again})"


def broken(
    history: Sequence[HistoryEntry],
    schedule: Sequence[ScheduledJob],
    *,
    copied: Container[str],
    addresses: Sequence[str],
    present: datetime,
) -> list[Broken]:
    """Everything, what has been broken longest first."""
    jobs = {each.job: each for each in schedule}
    off = _failing.jobs_off(schedule)
    found = [
        _failed(state, history, jobs, present)
        for state in _failing.failing(history, off)
        if (state.job != news.JOB or state.step in addresses)
        and (state.job != _pushes.JOB or state.step in copied)
    ]
    warned = _newest_backup(history, off)
    if warned is not None and (text := news.warning(warned)):
        again = _when(jobs, warned.job, present)
        since = plain(warned.started_utc, _failing.LONGEST_NAME)
        found.append(Broken(warned.job, warned.step, "warning", text, since, again))
    return found


def _newest_backup(history: Sequence[HistoryEntry], off: frozenset[str]) -> HistoryEntry | None:
    """The row of the newest backup that was made; other jobs' rows only say which one served."""
    return next(
        (
            row
            for row in history
            if row.step == "backup"
            and row.status == "ok"
            and row.job not in off
            and Detail.of(row.detail).text("made_by") is None
        ),
        None,
    )


def _failed(
    state: State,
    history: Sequence[HistoryEntry],
    jobs: Mapping[str, ScheduledJob],
    present: datetime,
) -> Broken:
    row = state.newest
    if row.status == "interrupted":
        error = "its process was ended"
    elif state.job == news.JOB and state.step != news.HEARTBEAT:
        # What was told is in the row, too.
        error = Detail.of(row.detail).text("error") or plain(row.detail)
    else:
        error = plain(row.detail or "without an error")
    if state.job == _pushes.JOB:
        again = _in_words(_failing.next_try(_copies.failures(history)), present)
    elif state.job == news.JOB:
        again = _in_words(_again(state, history), present)
    else:
        again = _when(jobs, state.job, present)
    job, step = (plain(word, _failing.LONGEST_NAME) for word in (state.job, state.step))
    critical = state.step == "integrity" and state.has_failed
    return Broken(job, step, row.status, error, state.since, again, critical)


def _again(state: State, history: Sequence[HistoryEntry]) -> datetime | None:
    if state.step == news.HEARTBEAT:
        return _failing.next_try(state.failures)
    return news.again(history, state.step)


def _when(jobs: Mapping[str, ScheduledJob], job: str, present: datetime) -> str:
    """When a job is due next; what is no job of the schedule is done by every call."""
    return _in_words(moment(jobs[job].next_due_utc) if job in jobs else None, present)


def _in_words(again: datetime | None, present: datetime) -> str:
    if again is None or again <= present:
        return NEXT_CALL
    return f"it is tried again at {again:%Y-%m-%d %H:%M:%S} UTC"
