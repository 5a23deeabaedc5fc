"""Over random schemas: every task that can be put back is, the count is right, the rest is named.

What can be put back, SQLite itself says: each task has a transaction of its own in a copy, in the
order of the keys.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
from conftest import OpenPython
from hypothesis import strategies as st

from hosts.protocol import Value
from hosts.python_host import PythonSession

OLD = "2026-01-01 00:00:00"
LATER = "9999-01-01 00:00:00"
COLUMNS = (
    "id INTEGER PRIMARY KEY, key TEXT, n INTEGER, status TEXT, lease_until_utc TEXT, locked_by"
)
ALL = "SELECT id, key, n, status, lease_until_utc, locked_by FROM task_queue ORDER BY id"
# What queue_requeue_stale does to one task by the reference.
ONE = (
    "UPDATE task_queue SET status = 'queued', lease_until_utc = NULL, locked_by = NULL "
    f"WHERE id = ? AND status = 'leased' AND lease_until_utc = '{OLD}'"
)

numbers = st.integers(0, 3)
keys = st.sampled_from("abc")
ways = st.sampled_from(["ABORT", "FAIL", "ROLLBACK", "IGNORE"])
conflicts = st.sampled_from(
    ["", " ON CONFLICT FAIL", " ON CONFLICT ROLLBACK", " ON CONFLICT IGNORE"]
)
moments = st.sampled_from(["BEFORE", "AFTER"])
deferred = st.sampled_from(["", " DEFERRABLE INITIALLY DEFERRED"])


@dataclass(frozen=True)
class Rule:
    """What may keep a task: a constraint of the table, or statements behind it."""

    constraint: str = ""
    statements: tuple[str, ...] = ()


def trigger(number: int, moment: str, condition: str, body: str) -> Rule:
    """A trigger on the change that puts a task back."""
    return Rule(
        statements=(
            f"CREATE TRIGGER t{number} {moment} UPDATE ON task_queue "
            f"WHEN new.status = 'queued' AND old.status = 'leased' AND {condition} "
            f"BEGIN {body}; END",
        )
    )


names = st.integers(0, 10**6)
rules = st.one_of(
    st.just(Rule(statements=("CREATE UNIQUE INDEX u ON task_queue(key) WHERE status = 'queued'",))),
    st.just(Rule(statements=("CREATE UNIQUE INDEX v ON task_queue(key, locked_by IS NULL, n)",))),
    st.builds(lambda way: Rule(f"UNIQUE(key, n, status){way}"), conflicts),
    st.builds(lambda n: Rule(f"CHECK (status <> 'queued' OR n <> {n})"), numbers),
    st.builds(
        lambda name, n: Rule(
            f"g{name} AS (CASE WHEN status = 'queued' AND n = {n} THEN NULL ELSE 1 END) NOT NULL"
        ),
        names,
        numbers,
    ),
    st.builds(
        lambda way: Rule(f"FOREIGN KEY(key, status) REFERENCES allowed(key, status){way}"),
        deferred,
    ),
    st.builds(
        lambda name, moment, n, way: trigger(
            name,
            moment,
            f"old.n = {n}",
            "SELECT RAISE(IGNORE)" if way == "IGNORE" else f"SELECT RAISE({way}, 'no')",
        ),
        names,
        moments,
        numbers,
        ways,
    ),
    # A note that is unique, and a foreign key from it.
    st.builds(
        lambda name, moment: trigger(name, moment, "1", "INSERT INTO notes VALUES (new.key)"),
        names,
        moments,
    ),
    # Handed out again at once, given the old lease back, or taken away.
    st.builds(
        lambda name, n, lease: trigger(
            name,
            "AFTER",
            f"old.n = {n}",
            f"UPDATE task_queue SET status = 'leased', lease_until_utc = {lease}, "
            "locked_by = old.locked_by WHERE id = new.id",
        ),
        names,
        numbers,
        st.sampled_from(["old.lease_until_utc", f"'{LATER}'"]),
    ),
    st.builds(
        lambda name, n: trigger(
            name, "AFTER", f"old.n = {n}", "DELETE FROM task_queue WHERE id = new.id"
        ),
        names,
        numbers,
    ),
)
leases = st.sampled_from(
    [("leased", OLD), ("leased", OLD), ("leased", LATER), ("queued", None), ("completed", OLD)]
)
tasks = st.lists(st.tuples(keys, numbers, leases), min_size=1, max_size=9)
allowed = st.lists(keys, unique=True)


def statements(
    chosen: list[Rule], among: list[tuple[str, int, tuple[str, str | None]]]
) -> list[tuple[str, tuple[Value, ...]]]:
    """What makes the database; a row or index that the schema itself refuses is left out."""
    # Columns come before the table's constraints.
    parts = sorted((rule.constraint for rule in chosen), key=lambda part: not part.startswith("g"))
    constraints = "".join(f", {part}" for part in parts if part)
    made: list[tuple[str, tuple[Value, ...]]] = [
        ("PRAGMA foreign_keys=ON", ()),
        ("CREATE TABLE allowed(key, status, PRIMARY KEY(key, status))", ()),
        ("CREATE TABLE notes(key UNIQUE)", ()),
        (f"CREATE TABLE task_queue({COLUMNS}{constraints})", ()),
    ]
    for key in "abc":
        for status in ("leased", "completed"):
            made.append(("INSERT INTO allowed VALUES (?, ?)", (key, status)))
    for number, (key, n, (status, lease)) in enumerate(among, 1):
        row = (number, key, n, status, lease, "w")
        columns = "id, key, n, status, lease_until_utc, locked_by"
        made.append((f"INSERT INTO task_queue({columns}) VALUES (?, ?, ?, ?, ?, ?)", row))
    made += [(statement, ()) for rule in chosen for statement in rule.statements]
    return made


@contextlib.contextmanager
def ours() -> Iterator[sqlite3.Connection]:
    """A database in memory, in autocommit."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def expected(
    made: list[tuple[str, tuple[Value, ...]]],
) -> tuple[set[int], int, set[int], list[tuple[Value, ...]]]:
    """What was refused, how many are put back, who is left, and all tasks afterwards."""
    refused = set()
    with ours() as connection:
        for place, (sql, params) in enumerate(made):
            try:
                connection.execute(sql, params)
            except sqlite3.Error:
                # Two constraints may contradict each other.
                hypothesis.assume("CREATE TABLE" not in sql)
                refused.add(place)
        stale = [row[0] for row in connection.execute(ALL) if row[3] == "leased" and row[4] == OLD]
        count, left = 0, set()
        for task in stale:
            before = connection.execute("SELECT * FROM task_queue WHERE id = ?", (task,)).fetchall()
            try:
                connection.execute("BEGIN")
                changed = connection.execute(ONE, (task,)).rowcount
                after = connection.execute(
                    "SELECT * FROM task_queue WHERE id = ?", (task,)
                ).fetchall()
                if changed != 1 or after == before:
                    left.add(task)
                    connection.execute("ROLLBACK")
                    continue
                connection.execute("COMMIT")
                count += 1
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                left.add(task)
        return refused, count, left, connection.execute(ALL).fetchall()


def rolls_back(made: list[tuple[str, tuple[Value, ...]]]) -> bool:
    """Whether the schema may end a transaction."""
    return any("ROLLBACK" in sql for sql, _ in made)


def test_every_task_that_can_be_put_back_is_and_the_rest_is_named(
    open_python: OpenPython, library: Path
) -> None:
    session = open_python(":memory:")

    @hypothesis.settings(max_examples=400, deadline=None, database=None)
    @hypothesis.given(
        st.lists(rules, max_size=4, unique=True),
        tasks,
        allowed,
        st.sampled_from([None, "BEGIN", "SAVEPOINT s", "BEGIN IMMEDIATE"]),
    )
    def judge(
        chosen: list[Rule],
        among: list[tuple[str, int, tuple[str, str | None]]],
        queued: list[str],
        begin: str | None,
    ) -> None:
        made = statements(chosen, among)
        made[3:3] = [("INSERT INTO allowed VALUES (?, 'queued')", (key,)) for key in queued]
        refused, count, left, after = expected(made)
        session.reopen(":memory:")
        session.load(library)
        present = [each for place, each in enumerate(made) if place not in refused]
        for sql, params in present:
            session.rows(sql, *params)
        inside = begin is not None and not rolls_back(present)
        if begin and inside:
            session.rows(begin)
        check(session, count, left, after)
        if inside:
            session.rows("RELEASE s" if begin == "SAVEPOINT s" else "COMMIT")
            assert session.rows(ALL) == after

    judge()


def check(
    session: PythonSession, count: int, left: set[int], after: list[tuple[Value, ...]]
) -> None:
    """The call does what SQLite says can be done, and again finds what is left."""
    assert session.value("SELECT queue_requeue_stale(60)") == count
    assert session.rows(ALL) == after
    named = session.dicts("SELECT task_id, blocked FROM queue_stale(60)")
    assert {row["task_id"] for row in named if row["blocked"] is not None} == left
