"""A process that inserts as fast as it can: recorder DATABASE.

Each commit is one row in the table "record". Any line on standard input, or its end, stops it; then
it prints how many commits SQLite has acknowledged, and the longest time that one took.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time

from support.workers import told


def main() -> None:
    stop = told.to_stop()
    connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
    connection.execute("PRAGMA synchronous=NORMAL")
    print("ready", flush=True)
    commits, longest = 0, 0.0
    while not stop.is_set():
        begun = time.monotonic()
        connection.execute("INSERT INTO record(content) VALUES (randomblob(300))")
        commits += 1
        longest = max(longest, time.monotonic() - begun)
    connection.close()
    print(json.dumps({"commits": commits, "errors": [], "longest_seconds": longest}))


if __name__ == "__main__":
    main()
