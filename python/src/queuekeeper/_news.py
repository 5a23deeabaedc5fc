"""What there is to tell the operator, judged by the log alone.

# Promise

- Of each step that fails, the operator hears once that it fails, then once a day for as long as it
  does, and once that it works again, however often it is tried between. What was backed up or
  copied elsewhere he hears once.
- A message names first what still fails, whatever it is about; a day is counted from the last one.
- He does not hear of a step that died and was done by the next attempt; he does if it died twice
  running.
- What a step that was done warns of, such as a backup without the tasks that were there before, is
  told like a failure, each time that it does.
- Each address is told by itself: one that could not be reached hears later what others know.
- Whatever a row holds, the others are told. What was done but cannot be read is told as that.

# How

The log is the memory. A row of the job `notify`, with the address as its step, says up to where
the address has been told, and which steps it was told to fail. Rows before it are old; rows after
it are news. Nothing else is remembered anywhere, so a restored database knows what its log knows.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from queuekeeper._data import Detail, plain
from queuekeeper._failing import LONGEST_NAME, State, name, pause_end, states, waited
from queuekeeper._log import is_about, moment
from queuekeeper.results import HistoryEntry

#: The job under which the log has what was told; its steps are the addresses.
JOB = "notify"
#: The step of the same job for the URL that is fetched when all is well.
HEARTBEAT = "heartbeat"

SUCCESS, FAILURE, RECOVERY = "success", "failure", "recovery"

#: A telephone is small, and an address that was away for months has missed much.
MOST_LINES = 20
#: Of steps, in a title.
MOST_NAMES = 8
#: How long after it was last told a failure that lasts is told again. A clock that was set back by
#: more than the other tells it, too.
REMINDED_AFTER, CLOCK_BACK = timedelta(days=1), timedelta(hours=12)

#: What to do about a step that fails, besides what its error says.
ADVICE = {
    "backup": "no new backup was made, the older ones are as they were",
    "verify": "do not rely on that backup; the older ones are as they were",
    "rotate": "nothing is lost, but old backups pile up; see 'queuekeeper rotate KEEP --dry-run'",
    "integrity": "'queuekeeper verify' the newest backups, and 'queuekeeper restore' a sound one",
    "push": "the local backups are safe; look at 'queuekeeper offsite check'",
    "rotate remote": "nothing is lost, but old backups pile up on the remote",
    "run": "correct what the error names, and look at 'queuekeeper schedule'",
}
#: Of what was done, the rest is worth no word.
TOLD = ("backup", "push", "rotate", "rotate remote", "requeue", "verify", "integrity", "optimize")
OVER = "Nothing fails any more."
RETRIED = "It is tried again by itself; 'queuekeeper history' shows each attempt."


@dataclass(frozen=True)
class Message:
    """What is to be told."""

    #: `success`, `failure` or `recovery`.
    kind: str
    title: str
    body: str
    #: All steps that fail now, told before or not.
    failing: list[str]


@dataclass(frozen=True)
class Told:
    """What an address knows."""

    #: Whether it was ever told anything.
    known: bool
    failing: frozenset[str]
    #: The rows that are news to it, oldest first.
    news: list[HistoryEntry]
    #: How often running it could not be reached, and when that was last tried.
    failures: int
    tried: datetime | None
    #: When it was last told anything.
    reached: datetime | None

    def is_to_be_reminded(self, now: datetime | None) -> bool:
        """Whether it is time to tell again what still fails."""
        if now is None or self.reached is None:
            return False
        return not -CLOCK_BACK < now - self.reached < REMINDED_AFTER


def told(history: Sequence[HistoryEntry], address: str) -> Told:
    """What an address knows; the history has the newest row first."""
    own = [(place, row) for place, row in enumerate(history) if is_about(row, JOB, address)]
    ended = [(place, row) for place, row in own if row.status in ("ok", "failed")]
    reached = next((place for place, row in ended if row.status == "ok"), None)
    failed = [row for place, row in ended if reached is None or place < reached]
    news = history[:reached] if reached is not None else history
    return Told(
        known=bool(ended),
        failing=frozenset(Detail.of(ended[0][1].detail).texts("failing") if ended else ()),
        news=[row for row in reversed(news) if row.job != JOB],
        failures=len(failed),
        tried=moment(failed[0].started_utc) if failed else None,
        reached=None if reached is None else moment(history[reached].started_utc),
    )


def message(
    history: Sequence[HistoryEntry],
    address: str,
    *,
    where: str,
    quiet: bool = False,
    now: datetime | None = None,
    off: Container[str] = (),
) -> Message | None:
    """What an address is to be told; None if there is nothing."""
    known = told(history, address)
    found = [each for each in states(history, off) if each.job != JOB]
    failing = {each.name: each for each in found if each.failures and not each.died_once}
    fresh = sorted(failing.keys() - known.failing, key=lambda key: (not _advice(failing[key]), key))
    still = [key for key in failing if key in known.failing]
    well = {each.name for each in found if each.worked} - failing.keys()
    recovered = sorted(known.failing & well)
    made = [row for row in known.news if row.status == "ok" and row.step in ("backup", "push")]
    done = _done(known.news) if made else []
    made_names = list(dict.fromkeys(name(row.job, row.step) for row in made))
    warned = {name(row.job, row.step): row for row in known.news if warning(row)}
    warnings = _few([f"{key} warns: {warning(row)}." for key, row in warned.items()])
    head = [f"Still failing: {_and(still)}."] if still else []
    # What works again would not be told by the next message.
    works = [f"Works again: {_and(recovered)}."] if recovered else []
    if fresh:
        failures = _few([_failure(failing[key]) for key in fresh])
        what, kind = f"{_and(fresh)} failed", FAILURE
        paragraphs = [*head, *failures, RETRIED, *warnings, *works]
    elif warnings:
        what, kind = f"{_and(list(warned))}: warning", FAILURE
        paragraphs = [*head, *warnings, *works]
    elif recovered:
        what, kind = f"{_and(recovered)} {_verb('work', recovered)} again", RECOVERY
        paragraphs = head or [OVER]
    elif still and (known.is_to_be_reminded(now) or (made and not quiet)):
        besides = f"; {_and(made_names)} done" if made else ""
        what, kind = f"{_and(still)} still {_verb('fail', still)}{besides}", FAILURE
        paragraphs = [*_few([_failure(failing[key]) for key in still]), RETRIED]
    elif made and not quiet:
        what, kind, paragraphs = f"{_and(made_names)} done", SUCCESS, []
    elif known.failures:
        # What could not be told is over; that it could not be told is over, too.
        what, kind, paragraphs = "notifications arrive again", RECOVERY, head or [OVER]
    else:
        return None
    body = "\n\n".join([*paragraphs, *done])
    return Message(kind, f"{where}: {what}", body, sorted(failing))


def due(history: Sequence[HistoryEntry], address: str, now: datetime) -> bool:
    """Whether an address that could not be reached is to be tried again already."""
    known = told(history, address)
    if known.tried is None:
        return True
    newest = next(iter(history), None)
    return newest is None or newest.job != JOB or waited(known.failures, known.tried, now)


def again(history: Sequence[HistoryEntry], address: str) -> datetime | None:
    """When an address that could not be reached is tried again at the latest."""
    known = told(history, address)
    return None if known.tried is None else pause_end(known.failures, known.tried)


def _and(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _few(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"And {more} more."]


def _verb(word: str, names: Sequence[str]) -> str:
    return f"{word}s" if len(names) == 1 else word


def _advice(state: State) -> str | None:
    return ADVICE.get(state.newest.step)


def _failure(state: State) -> str:
    row = state.newest
    interrupted = "it was interrupted twice running: its process was ended"
    reason = interrupted if row.status == "interrupted" else (row.detail or "without an error")
    line = f"{state.name} at {plain(row.started_utc)} UTC: {plain(reason)}"
    since = [f"It fails since {state.since} UTC."] if len(state.failures) > 1 else []
    advice = [f"What to do: {_advice(state)}."] if _advice(state) else []
    return "\n".join([line, *since, *advice])


def _done(news: Sequence[HistoryEntry]) -> list[str]:
    """What was done, a paragraph for each job."""
    # An hour's checkpoint is worth no word.
    lines = [(row.job, line) for row in news if row.status == "ok" and (line := _line(row))]
    jobs: dict[str, list[str]] = {}
    for job, line in lines[-MOST_LINES:]:
        jobs.setdefault(plain(job, LONGEST_NAME), []).append(line)
    found = [f"{job}:\n" + "\n".join(f"- {each}" for each in said) for job, said in jobs.items()]
    if len(lines) > MOST_LINES:
        found.append(f"Before that, {len(lines) - MOST_LINES} more: see 'queuekeeper history'.")
    return found


def _line(row: HistoryEntry) -> str | None:
    """What a step came to, in brief, and whether its row says what cannot be read."""
    came_to = Detail.of(row.detail)
    line = _came_to(row.step, came_to)
    came_to.text("warning")
    if row.step not in TOLD or not came_to.faults:
        return line
    place = f"the log's row of {plain(row.started_utc, LONGEST_NAME)}"
    return f"{line or row.step} ({place} cannot be read: {', '.join(came_to.faults)})"


def _came_to(step: str, came_to: Detail) -> str | None:
    duration = came_to.number("duration_ms")
    took = "" if duration is None else f" in {duration / 1000:.1f} s"
    if step == "backup":
        if made_by := came_to.text("made_by"):
            return f"backup: the one of {made_by}"
        size, path = _megabytes(came_to.number("size_bytes")), came_to.text("backup_path")
        return f"backup of {size}{took}: {path or 'at an unknown path'}"
    if step == "push":
        size, link = _megabytes(came_to.number("size_bytes")), came_to.text("link")
        pushed = _counted(came_to.count("pushed"))
        remote = came_to.text("remote") or "an unknown remote"
        return f"{pushed} pushed to {remote}, {size}{took}{f', {link}' if link else ''}"
    if step in ("rotate", "rotate remote"):
        deleted = _counted(came_to.count("deleted"))
        return f"{step}: {deleted} deleted (keep {came_to.word('keep')})"
    if step == "requeue":
        return _requeued(came_to)
    return f"{step}: ok" if step in TOLD else None


def _requeued(came_to: Detail) -> str | None:
    requeued, blocked = came_to.count("requeued"), came_to.count("blocked")
    if not blocked:
        return f"requeue: {requeued} tasks rescued" if requeued else None
    tasks = came_to.objects("blocked_tasks")
    named = plain(", ".join(f"{each.word('task_id')} ({each.text('reason')})" for each in tasks))
    counts = f"{_counted(requeued)} tasks rescued, {blocked} cannot be put back"
    return f"requeue: {counts}{f': {named}' if named else ''}"


def _counted(count: int | None) -> str:
    return "an unknown number" if count is None else str(count)


def _megabytes(size: float | None) -> str:
    """A size in MB of 2^20 bytes."""
    return "unknown size" if size is None else f"{size / 2**20:.2f} MB"


def warning(row: HistoryEntry) -> str | None:
    """What a step that was done warns of."""
    return Detail.of(row.detail).text("warning") if row.status == "ok" else None
