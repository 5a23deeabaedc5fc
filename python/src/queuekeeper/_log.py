"""Recording steps in `queuekeeper_log`, where `queue.history()` shows them.

The log is written by the library, like all else in the database: Python's own `sqlite3` module may
be another SQLite than the one that the process uses for the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from queuekeeper import _arguments as arguments
from queuekeeper._arguments import Now
from queuekeeper._queue import Queue

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
