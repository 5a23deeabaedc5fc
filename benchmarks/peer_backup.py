"""Python's Connection.backup(): peer_backup.py DATABASE TARGET PAGES PAUSE LIMIT.

Prints one JSON object: the seconds of the call, the pages of the database, the highest number that
was copied at any time, how often the copy began anew, and whether the limit ended it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time


class OutOfTimeError(Exception):
    """The limit has come."""


class Progress:
    """How far a backup is, and was."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.begun = time.perf_counter()
        self.total = self.highest = self.last = self.restarts = 0

    def __call__(self, _status: int, remaining: int, total: int) -> None:
        done = total - remaining
        self.restarts += done < self.last
        self.last, self.total, self.highest = done, total, max(self.highest, done)
        # After the last page nothing is left to stop.
        if remaining and time.perf_counter() - self.begun > self.limit:
            raise OutOfTimeError


def main() -> None:
    database, target = sys.argv[1:3]
    pages, pause, limit = int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
    source, copy = sqlite3.connect(database, timeout=60), sqlite3.connect(target)
    progress = Progress(limit)
    finished = True
    try:
        source.backup(copy, pages=pages, sleep=pause, progress=progress)
    except OutOfTimeError:
        finished = False
    seconds = time.perf_counter() - progress.begun
    found = {
        "seconds": seconds,
        "finished": finished,
        "pages_done": progress.highest,
        "page_count": progress.total,
        "restarts": progress.restarts,
    }
    print(json.dumps(found))
    copy.close()
    source.close()


if __name__ == "__main__":
    main()
