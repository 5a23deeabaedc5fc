"""A process that transfers money: banker DATABASE WRITER PAUSE.

The number of each transfer goes to standard output after its COMMIT has succeeded. The end of
standard input stops it.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time

from support.workers import told

BUSY_TIMEOUT_SECONDS = 30.0
MOVE = "UPDATE accounts SET balance = balance + ? WHERE id = ?"


def transfer(connection: sqlite3.Connection, writer: int, number: int, ids: list[int]) -> int:
    """One commit; its place in the book."""
    giver, taker = random.sample(ids, 2)
    amount = random.randint(1, 99)
    connection.execute("BEGIN IMMEDIATE")
    (seq,) = connection.execute("SELECT ifnull(max(seq), 0) + 1 FROM book").fetchone()
    connection.execute(MOVE, (-amount, giver))
    connection.execute(
        "INSERT INTO book VALUES (?, ?, ?, ?, ?, ?)", (seq, writer, number, giver, taker, amount)
    )
    connection.execute(MOVE, (amount, taker))
    connection.execute("COMMIT")
    return int(seq)


def main() -> None:
    path, writer, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    stop = told.to_stop()
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA synchronous=NORMAL")
    # A few pages only, so that a transfer may spill some of them before it commits.
    connection.execute("PRAGMA cache_size=10")
    ids = [row[0] for row in connection.execute("SELECT id FROM accounts")]
    number = 1
    while not stop.is_set():
        try:
            os.write(1, f"{transfer(connection, writer, number, ids)}\n".encode())
            number += 1
        except sqlite3.Error as error:
            if "database is locked" not in str(error):
                os.write(1, f"! {error}\n".encode())
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        time.sleep(random.uniform(0, 2 * pause))
    connection.close()


if __name__ == "__main__":
    main()
