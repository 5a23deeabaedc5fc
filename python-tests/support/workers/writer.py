"""A process that keeps committing: writer DATABASE RATE SEED.

Each commit moves some priority from one task to another, so the sum over all tasks stays the same
in every true snapshot. Any line on standard input, or its end, stops it; then it prints its report.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import time

from support.workers import told

BUSY_TIMEOUT_SECONDS = 30.0
MOVE = "UPDATE task_queue SET priority = priority + ? WHERE id = ?"


def transfer(connection: sqlite3.Connection, chance: random.Random, ids: list[int]) -> float:
    """One commit; for how many seconds it waited for its turn."""
    giver, taker = chance.sample(ids, 2)
    amount = chance.randint(1, 9)
    begun = time.monotonic()
    connection.execute("BEGIN IMMEDIATE")
    waited = time.monotonic() - begun
    connection.execute(
        "UPDATE task_queue SET priority = priority - ? WHERE id = ?", (amount, giver)
    )
    connection.execute(
        "UPDATE task_queue SET priority = priority + ? WHERE id = ?", (amount, taker)
    )
    connection.execute("COMMIT")
    return waited


def main() -> None:
    path, rate, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    stop = told.to_stop()
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.execute("PRAGMA synchronous=NORMAL")
    ids = [row[0] for row in connection.execute("SELECT id FROM task_queue")]
    chance = random.Random(seed)
    errors: list[str] = []
    commits, longest, longest_wait = 0, 0.0, 0.0
    print("ready", flush=True)
    due = time.monotonic()
    while not stop.is_set():
        begun = time.monotonic()
        try:
            longest_wait = max(longest_wait, transfer(connection, chance, ids))
            commits += 1
        except sqlite3.Error as error:
            errors.append(str(error))
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        longest = max(longest, time.monotonic() - begun)
        # A late writer doesn't catch up: a burst would not be the rate that was asked for.
        due = max(due + 1 / rate, time.monotonic() - 1 / rate)
        time.sleep(max(0.0, due - time.monotonic()))
    connection.close()
    report = {"commits": commits, "errors": errors, "longest_seconds": longest}
    print(json.dumps({**report, "longest_wait_seconds": longest_wait}))


if __name__ == "__main__":
    main()
