"""A process that makes SQLite begin its WAL anew: restarting_writer DATABASE SEED.

Each commit gives every row of "ballast" the same new number. Then the WAL is copied to the database
file, so that the next reader does without it, and the next commit may write over it. It says
"ready" after the first commit, and in the end how many there were.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time

from support.workers import told


def main() -> None:
    """Commits until it is told to stop."""
    path, seed = sys.argv[1:]
    chance, stop = random.Random(int(seed)), told.to_stop()
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA synchronous=OFF")
    number = 0
    while not stop.is_set():
        number += 1
        connection.execute("UPDATE ballast SET number = ?", (number,))
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if number == 1:
            print("ready", flush=True)
        time.sleep(chance.random() * 0.003)
    print(number)


if __name__ == "__main__":
    main()
