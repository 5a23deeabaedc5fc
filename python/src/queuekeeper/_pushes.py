"""A push of the backups elsewhere as a step of the log, whoever pushes: `run-due`, or a hand.

# Promise

- A push is recorded when it begins and when it ends, with what it came to and with a fingerprint of
  what was listed when it began: so health, schedule and `run-due` know of it, and one that failed
  by hand is tried again.
- By hand, nothing that keeps the log from being written is an error. While somebody else copies
  by the same log, or where there is nothing to push, nothing is recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from queuekeeper._arguments import Keep, PathLike
from queuekeeper._calls import Progress
from queuekeeper._lock import Held, locked
from queuekeeper._log import RUNNING, record
from queuekeeper._ownership import beside
from queuekeeper._queue import Queue
from queuekeeper.errors import Error, InterruptError
from queuekeeper.results import Backup

if TYPE_CHECKING:
    from pathlib import Path

    from queuekeeper.offsite import Offsite, Pushed

JOB, PUSH = "offsite", "push"
LOCK = "-run-due-offsite"

Result = TypeVar("Result")
#: Records the status and the detail of a step.
Note = Callable[[str, "str | Mapping[str, Any] | None"], object]


class LeftOutError(Error):
    """Not all could be pushed."""

    def __init__(self, message: str, pushed: Pushed) -> None:
        super().__init__(message)
        self.pushed = pushed


@contextlib.contextmanager
def alone(database: Path) -> Iterator[Held | None]:
    """Keeps others from copying by the log of that database; None if one does already."""
    with locked(database.with_name(f"{database.name}{LOCK}"), beside(database)) as held:
        yield held


def recorded(
    note: Note, redacted: Callable[[str], str], work: Callable[[], tuple[Result, dict[str, Any]]]
) -> tuple[Result, dict[str, Any]]:
    """Does a step, which returns its result and its detail, and records it."""
    note(RUNNING, None)
    try:
        result, detail = work()
    except InterruptError:
        note("failed", "interrupted")
        raise
    except (Error, OSError) as error:
        # Somebody who holds the remote's lock does what this would do.
        note("skipped" if is_held(error) else "failed", redacted(str(error)))
        raise
    note("ok", detail)
    return result, detail


def is_held(error: Exception) -> bool:
    """Whether somebody else is at it."""
    from queuekeeper.offsite.errors import HeldError

    return isinstance(error, HeldError)


def listed(queue: Queue, directory: PathLike | None = None) -> list[Backup]:
    """The backups that can be pushed: this queue's own, and not the files of other tools."""
    found = queue.backups(directory)
    found = [each for each in found if each.is_kept and each.backup_type != "adopted"]
    try:
        # A plan that keeps all of this queue's.
        own = {each.backup_path for each in queue.rotation(1_000_000, directory)}
    except Error:
        # Pushing says what is wrong, in its step.
        return found
    return [each for each in found if each.backup_path in own]


def mark(backups: Sequence[Backup]) -> str:
    """A fingerprint of the listed ids."""
    ids = ",".join(sorted(each.id for each in backups))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


def push(
    offsite: Offsite,
    backups: Sequence[Backup],
    policy: Keep | None = None,
    progress: Progress | None = None,
) -> tuple[Pushed, dict[str, Any]]:
    """Pushes what is listed, and says what that came to."""
    begun = time.monotonic()
    pushed = offsite.push(policy=policy, progress=progress)
    if pushed.skipped:
        left = "; ".join(f"'{each.backup_path}': {each.reason}" for each in pushed.skipped)
        raise LeftOutError(f"not all backups could be pushed to {pushed.remote}: {left}", pushed)
    return pushed, {
        "pushed": len(pushed.pushed),
        "size_bytes": pushed.bytes,
        "duration_ms": round((time.monotonic() - begun) * 1000),
        "remote": pushed.remote,
        "link": _link(offsite, pushed.pushed),
        "catalog": mark(backups),
    }


def by_hand(offsite: Offsite, progress: Progress | None = None) -> Pushed:
    """Pushes as `Offsite.push` does, and records it where that can be."""
    local = offsite._local
    with contextlib.ExitStack() as stack:
        backups: list[Backup] = []
        if local.database is not None and local.is_live:
            with contextlib.suppress(Error, OSError):
                if stack.enter_context(alone(local.database.resolve())) is not None:
                    backups = listed(local.queue, local.directory)
        if not backups:
            return offsite.push(progress=progress)

        def note(status: str, detail: str | Mapping[str, Any] | None) -> None:
            with contextlib.suppress(Error):
                record(local.queue, JOB, PUSH, status, detail)

        redacted = offsite._configuration.redacted
        try:
            return recorded(note, redacted, lambda: push(offsite, backups, None, progress))[0]
        except LeftOutError as error:
            return error.pushed


def _link(offsite: Offsite, pushed: Sequence[str]) -> str | None:
    """A link to what was pushed last, where the remote has such a thing."""
    try:
        return offsite.link(pushed[-1]) if pushed else None
    except Error:
        # What was pushed is there; only the message lacks a line.
        return None
