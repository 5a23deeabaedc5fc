"""The rows of `queuekeeper_log`, which `queue.history()` shows: recording steps, and reading them.

The log is written by the library, like all else in the database: Python's own `sqlite3` module may
be another SQLite than the one that the process uses for the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from queuekeeper import _arguments as arguments
from queuekeeper._arguments import Now
from queuekeeper._queue import Queue
from queuekeeper.results import HistoryEntry

#: The status of a step that has begun.
RUNNING = "running"


def record(
    queue: Queue,
    job: str,
    step: str,
    status: str,
    detail: str | Mapping[str, Any] | None = None,
    now: Now | None = None,
) -> int:
    """Records that a step began (`running`) or ended (`ok`, `failed`, `skipped`); its number.

    An end belongs to the same step's beginning, if that was recorded. `detail` is an object, or an
    error in words.
    """
    if isinstance(detail, Mapping):
        detail = json.dumps(detail)
    words = [(job, "job"), (step, "step"), (status, "status"), (detail, "detail")]
    given = [*(arguments.text(word, name) for word, name in words), arguments.moment(now)]
    number: int = queue._handle.call("qk_record", list(given))
    return number


def is_about(row: HistoryEntry, job: str, step: str) -> bool:
    """Whether a row is one of that step."""
    return (row.job, row.step) == (job, step)


def moment(text: str | None) -> datetime | None:
    """A time of the log; None if somebody wrote something else there."""
    try:
        return datetime.fromisoformat(text or "").replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        return None
