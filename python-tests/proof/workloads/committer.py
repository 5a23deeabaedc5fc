"""A process that keeps committing tokens: committer DATABASE WRITER FIRST PAUSE.

Each commit is a row in the table `tokens` and a change of a task. Its number goes to standard
output after the COMMIT has succeeded. The end of standard input stops it.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time

from support.workers import told

BUSY_TIMEOUT_SECONDS = 30.0


def main() -> None:
    path, writer, first, pause = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4])
    stop = told.to_stop()
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA synchronous=NORMAL")
    number = first
    while not stop.is_set():
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO tokens VALUES (?, ?)", (writer, number))
            connection.execute(
                "UPDATE task_queue SET priority = ? WHERE id = ?", (number, number % 100 + 1)
            )
            connection.execute("COMMIT")
            os.write(1, f"{number}\n".encode())
        except sqlite3.Error as error:
            if "database is locked" not in str(error):
                os.write(1, f"! commit {number}: {error}\n".encode())
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        # What may have been committed is never said again.
        number += 1
        time.sleep(random.uniform(0, 2 * pause))
    connection.close()


if __name__ == "__main__":
    main()
