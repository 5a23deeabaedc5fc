"""Random changes to a database, of every kind that can happen between two backups."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from support.queues.content import quoted

PAGE_SIZES = (512, 1024, 4096, 8192, 65536)

TABLES = (
    "CREATE TABLE {}(id INTEGER PRIMARY KEY, a, b)",
    "CREATE TABLE {}(a, b)",
    "CREATE TABLE {}(a PRIMARY KEY, b) WITHOUT ROWID",
    "CREATE TABLE {}(id INTEGER PRIMARY KEY AUTOINCREMENT, a, b)",
)


class Changes:
    """Changes one database; each change opens and closes it, as another process would."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path = path
        self.chance = chance
        self.made = 0
        self.connection: sqlite3.Connection

    def create(self) -> None:
        """The database as it begins: any page size, encoding, auto_vacuum and journal mode."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as self.connection:
            self.run(f"PRAGMA page_size={self.chance.choice(PAGE_SIZES)}")
            self.run(f"PRAGMA encoding='{self.chance.choice(('UTF-8', 'UTF-16le', 'UTF-16be'))}'")
            self.run(f"PRAGMA auto_vacuum={self.chance.randrange(3)}")
            self.run(f"PRAGMA journal_mode={self.chance.choice(('wal', 'wal', 'delete'))}")
            self.make_table()
            self.insert()

    def change(self) -> str:
        """Makes one change; its name."""
        kinds: dict[Callable[[], None], int] = {
            self.insert: 6,
            self.update: 6,
            self.delete: 4,
            self.grow: 2,
            self.shrink: 1,
            self.vacuum: 1,
            self.change_page_size: 1,
            self.change_journal: 1,
            self.make_table: 2,
            self.drop_table: 1,
            self.make_index: 1,
            self.add_column: 1,
            self.tidy: 1,
            self.mark: 1,
            self.roll_back: 1,
        }
        (kind,) = self.chance.choices(list(kinds), list(kinds.values()))
        with closing(sqlite3.connect(self.path, 10, isolation_level=None)) as self.connection:
            self.run("PRAGMA synchronous=OFF")
            kind()
        return kind.__name__

    def run(self, sql: str, *params: object) -> None:
        self.connection.execute(sql, params).fetchall()

    def table(self) -> str:
        """Any table that is there."""
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 't%'"
        return quoted(self.chance.choice([name for (name,) in self.connection.execute(sql)]))

    def value(self) -> object:
        """Any value: a number, a text, bytes that no compression shortens."""
        length = self.chance.choice((0, 3, 40, 400, 3000))
        return self.chance.choice(
            (
                self.chance.randrange(-(2**63), 2**63),
                self.chance.random(),
                "täglich €" * (length // 8),
                self.chance.randbytes(length),
            )
        )

    def insert(self) -> None:
        table = self.table()
        self.run("BEGIN")
        for _ in range(self.chance.choice((1, 5, 40))):
            key = f"{self.chance.random()}"
            self.run(f"INSERT INTO {table}(a, b) VALUES (?, ?)", key, self.value())
        self.run("COMMIT")

    def update(self) -> None:
        rest = self.chance.randrange(5)
        sql = f"UPDATE {self.table()} SET b = ? WHERE length(a) % 5 = {rest}"
        self.run(sql, self.value())

    def delete(self) -> None:
        self.run(f"DELETE FROM {self.table()} WHERE length(a) % 3 = {self.chance.randrange(3)}")

    def grow(self) -> None:
        blob = self.chance.randbytes(self.chance.choice((20_000, 200_000)))
        key = f"{self.chance.random()}"
        self.run(f"INSERT INTO {self.table()}(a, b) VALUES (?, ?)", key, blob)

    def shrink(self) -> None:
        self.run(f"DELETE FROM {self.table()}")
        self.run("VACUUM")

    def vacuum(self) -> None:
        self.run("VACUUM")

    def change_page_size(self) -> None:
        (journal,) = self.connection.execute("PRAGMA journal_mode").fetchone()
        try:
            self.run("PRAGMA journal_mode=delete")
        except sqlite3.OperationalError:
            # Somebody else has it open in WAL mode.
            return
        self.run(f"PRAGMA page_size={self.chance.choice(PAGE_SIZES)}")
        self.run("VACUUM")
        self.run(f"PRAGMA journal_mode={journal}")

    def change_journal(self) -> None:
        try:
            self.run(f"PRAGMA journal_mode={self.chance.choice(('wal', 'delete', 'truncate'))}")
        except sqlite3.OperationalError:
            return

    def make_table(self) -> None:
        self.made += 1
        self.run(self.chance.choice(TABLES).format(f"t{self.made}"))

    def drop_table(self) -> None:
        sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 't%'"
        if self.connection.execute(sql).fetchone() > (1,):
            self.run(f"DROP TABLE {self.table()}")

    def make_index(self) -> None:
        self.made += 1
        self.run(f"CREATE INDEX i{self.made} ON {self.table()}(a)")

    def add_column(self) -> None:
        self.made += 1
        self.run(f"ALTER TABLE {self.table()} ADD COLUMN c{self.made} DEFAULT 'none'")

    def tidy(self) -> None:
        self.run("PRAGMA incremental_vacuum(3)")
        self.run("ANALYZE")
        self.run("PRAGMA wal_checkpoint(PASSIVE)")

    def mark(self) -> None:
        self.run(f"PRAGMA user_version={self.chance.randrange(1000)}")
        self.run(f"PRAGMA application_id={self.chance.randrange(1000)}")

    def roll_back(self) -> None:
        self.run("BEGIN")
        self.run(f"DELETE FROM {self.table()}")
        self.run("ROLLBACK")
