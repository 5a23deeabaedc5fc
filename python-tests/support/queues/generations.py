"""Two contents that are easily told apart, to restore one over the other."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.workers import running, script

ROWS = 3000
SEEN = "SELECT generation, count(*), sum(number) FROM marks GROUP BY generation"


def make_generation(
    path: Path, generation: str, page_size: int = 4096, journal: str = "wal"
) -> Path:
    """A database all of whose rows belong to one generation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE tokens(token TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE marks(number INTEGER PRIMARY KEY, generation, filling)")
        connection.executemany(
            "INSERT INTO marks VALUES (?, ?, zeroblob(?))",
            ((number, generation, 300 + ord(generation)) for number in range(ROWS)),
        )
        # An index that only one of them has: the schema has to change with the content.
        connection.execute(f"CREATE INDEX marks_{generation} ON marks(generation, number)")
        connection.execute("COMMIT")
    return path


def seen_in(path: Path) -> list[list[Any]]:
    """The generations in a database, which is checked."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [list(row) for row in connection.execute(SEEN)]


def whole(generation: str) -> list[list[Any]]:
    """What a look at one generation, and nothing else, gives."""
    return [[generation, ROWS, ROWS * (ROWS - 1) // 2]]


def tokens_in(path: Path) -> set[str]:
    """The tokens in a database."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        return {token for (token,) in connection.execute("SELECT token FROM tokens")}


@dataclass
class Traffic:
    """What the processes did, once they have ended."""

    tokens: set[str] = field(default_factory=set)
    seen: list[list[list[Any]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, report: dict[str, Any]) -> None:
        self.tokens.update(report["tokens"])
        self.seen.extend(seen for seen in report["seen"] if seen not in self.seen)
        self.errors.extend(report["errors"])


@contextlib.contextmanager
def traffic(path: Path) -> Iterator[Traffic]:
    """Two readers and two writers, for as long as the block runs."""
    roles = enumerate(("reader", "reader", "writer", "writer"))
    found = Traffic()
    with running([script("traffic", path, role, number) for number, role in roles]) as workers:
        yield found
    for report in workers.answers:
        found.add(report)
