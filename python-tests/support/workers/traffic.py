"""A process that uses a database while it is restored: traffic FILE ROLE NUMBER.

A "writer" commits tokens and prints those that SQLite said were committed; a "reader" prints which
contents it saw, each in one transaction. A line on standard input, or its end, stops it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from support.workers import told

SEEN = "SELECT generation, count(*), sum(number) FROM marks GROUP BY generation"


@dataclass
class Report:
    """What one process did and saw."""

    tokens: list[str] = field(default_factory=list)
    seen: list[list[Any]] = field(default_factory=list)
    busy: int = 0
    errors: list[str] = field(default_factory=list)


def write(connection: sqlite3.Connection, number: str, report: Report) -> None:
    """One commit, remembered when it has succeeded."""
    token = f"{number}-{len(report.tokens)}-{report.busy}"
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO tokens VALUES (?)", (token,))
    connection.execute("COMMIT")
    report.tokens.append(token)


def read(connection: sqlite3.Connection, report: Report) -> None:
    """Looks twice within one transaction, with time in between, and must see the same."""
    connection.execute("BEGIN")
    once = connection.execute(SEEN).fetchall()
    time.sleep(0.002)
    twice = connection.execute(SEEN + " ORDER BY generation").fetchall()
    connection.execute("COMMIT")
    saw = [list(row) for row in once]
    if once != twice:
        report.errors.append(f"{once} became {twice} within a transaction")
    if saw not in report.seen:
        report.seen.append(saw)


def main() -> None:
    path, role, number = sys.argv[1:]
    stop = told.to_stop()
    connection = sqlite3.connect(path, timeout=0.05, isolation_level=None)
    report = Report()
    print("ready", flush=True)
    while not stop.is_set():
        try:
            if role == "writer":
                write(connection, number, report)
            else:
                read(connection, report)
        except sqlite3.Error as error:
            if "database is locked" in str(error):
                report.busy += 1
            else:
                report.errors.append(str(error))
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        time.sleep(0.003)
    connection.close()
    print(json.dumps(report.__dict__))


if __name__ == "__main__":
    main()
