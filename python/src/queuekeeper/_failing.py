"""Which steps fail now, judged by the log alone.

# Promise

- This is the one notion of it: the messages, the exit status of `run-due`, its heartbeat and the
  metric `failing_steps` of `queue_health()` go by the same rows.
- A step fails from its first row that ended badly (`failed`, `interrupted`) until one ends well
  (`ok`). Rows that were skipped, or have not ended, say nothing. A job that is off does not fail.
- A step of `LAPSING` lapses once its newest row is two days older than the log's: what it is about,
  a remote or an address, is no longer tried, so it is no longer configured.
- What failed is tried again after a pause: none after the first failure, then 1 minute, 2, 4 and so
  on, up to an hour.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from queuekeeper._data import plain
from queuekeeper._log import moment
from queuekeeper.results import HistoryEntry, ScheduledJob

OK = "ok"
BAD = ("failed", "interrupted")
#: Of a job or a step.
LONGEST_NAME = 60
LONGEST_PAUSE = timedelta(hours=1)
#: The jobs whose steps lapse. What is tried leaves a row at least each hour.
LAPSING, LAPSES_AFTER = ("offsite", "notify"), timedelta(days=2)


@dataclass(frozen=True)
class State:
    """How a step is."""

    job: str
    step: str
    #: What ended badly since it last ended well, newest first; nothing if it works.
    failures: Sequence[HistoryEntry]
    #: Whether it ever ended well, as far as the log reaches.
    worked: bool

    @property
    def name(self) -> str:
        """The step in words."""
        return name(self.job, self.step)

    @property
    def newest(self) -> HistoryEntry:
        """What ended badly last."""
        return self.failures[0]

    @property
    def since(self) -> str:
        """When it began to fail, as far as the log reaches."""
        return plain(self.failures[-1].started_utc, LONGEST_NAME)

    @property
    def has_failed(self) -> bool:
        """Whether it failed; else all that happened is that its process was ended."""
        return any(row.status == "failed" for row in self.failures)

    @property
    def died_once(self) -> bool:
        """Whether all that happened is that its process was ended; the next call does it."""
        return [row.status for row in self.failures] == ["interrupted"]


def states(history: Iterable[HistoryEntry], off: Container[str] = ()) -> list[State]:
    """Each step that ever ended; what fails longest comes first. The history is newest first."""
    newest: dict[tuple[str, str], HistoryEntry] = {}
    failures: dict[tuple[str, str], list[HistoryEntry]] = {}
    worked = set()
    order: dict[tuple[str, str], int] = {}
    for place, row in enumerate(history):
        key = (row.job, row.step)
        newest.setdefault(key, row)
        if row.job in off or key in worked:
            continue
        if row.status == OK:
            worked.add(key)
            failures.setdefault(key, [])
        elif row.status in BAD:
            failures.setdefault(key, []).append(row)
            order[key] = -place
    return [
        State(*key, failures[key], key in worked)
        for key in sorted(failures, key=lambda key: order.get(key, 1))
        if not (failures[key] and _is_lapsed(key, newest))
    ]


def _is_lapsed(key: tuple[str, str], newest: Mapping[tuple[str, str], HistoryEntry]) -> bool:
    """Whether a step is no longer tried, by the newest row of each, the log's newest first."""
    own, last = (moment(row.started_utc) for row in (newest[key], next(iter(newest.values()))))
    if key[0] not in LAPSING or own is None or last is None:
        return False
    return last - own >= LAPSES_AFTER


def failing(history: Iterable[HistoryEntry], off: Container[str] = ()) -> list[State]:
    """Each step that fails now, what fails longest first."""
    return [state for state in states(history, off) if state.failures]


def jobs_off(schedule: Iterable[ScheduledJob]) -> frozenset[str]:
    """The jobs that are turned off."""
    return frozenset(each.job for each in schedule if each.cron == "off")


def name(job: str, step: str) -> str:
    """A step in words."""
    return f"{plain(job, LONGEST_NAME)} {plain(step, LONGEST_NAME)}"


def pause_end(failures: int, tried: datetime) -> datetime:
    """When the pause after so many failures running is over."""
    if failures <= 1:
        return tried
    return tried + min(timedelta(minutes=1 << min(failures - 2, 6)), LONGEST_PAUSE)


def waited(failures: int, tried: datetime, now: datetime) -> bool:
    """Whether that pause is over. A clock that was set back ends it."""
    return now < tried or now >= pause_end(failures, tried)


def rounds(failures: Iterable[HistoryEntry]) -> tuple[int, datetime | None]:
    """How many calls failed, each of which did so at another time, and when the last one did."""
    times = list(dict.fromkeys(row.started_utc for row in failures))
    return len(times), moment(times[0]) if times else None


def next_try(failures: Iterable[HistoryEntry]) -> datetime | None:
    """When the pause after these is over; None if there are none."""
    count, tried = rounds(failures)
    return None if tried is None else pause_end(count, tried)


def is_time(failures: Iterable[HistoryEntry], now: datetime) -> bool:
    """Whether what failed so may be tried already."""
    count, tried = rounds(failures)
    return tried is None or waited(count, tried, now)
