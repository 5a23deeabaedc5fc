"""What loading the library must add, and nothing else: what src/calls/operations.toml declares."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from hosts import Row, Session
from support.documents.pages import ROOT, page

#: The names of all settings; a test compares the page's table with the library.
SETTINGS = re.findall(r"^\| `(\w+)` \|", page("settings"), re.MULTILINE)

#: What the library declares of each operation; scripts/operations says what.
OPERATIONS: list[dict[str, Any]] = tomllib.loads(
    (ROOT / "src/calls/operations.toml").read_text("utf-8")
)["operation"]
OFFERED = [each for each in OPERATIONS if "sql" in each.get("doors", ["sql"])]


def _names(texts: list[str]) -> list[str]:
    """Without the types that are declared with them."""
    return [re.split("[ :]", text)[0] for text in texts]


def _counts(arguments: list[str]) -> tuple[int, ...]:
    least = sum(not name.endswith("?") for name in _names(arguments))
    return tuple(range(least, len(arguments) + 1))


#: Each scalar function, and the numbers of arguments that it takes.
FUNCTIONS = {
    f"queue_{each['name']}": _counts(each["arguments"])
    for each in OFFERED
    if each["kind"] == "function"
}

#: Each table-valued function, its columns, and the names of its arguments.
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    f"queue_{each['name']}": (
        tuple(_names(each["columns"])),
        tuple(name.rstrip("?") for name in _names(each["arguments"])),
    )
    for each in OFFERED
    if each["kind"] == "table"
}

#: A statement for each, "{dir}" being where the database lies; functions by their names, tables
#: with FROM before them.
EXAMPLES = {
    ("" if each["kind"] == "function" else "FROM ") + f"queue_{each['name']}": each["example"]
    .replace("{", "{{")
    .replace("}", "}}")
    .replace("'/backups/'", "'{dir}/backups/'")
    .rstrip(";")
    for each in OFFERED
}

#: The metrics of queue_health(), in their order, but for `offsite_age`, which not every queue has.
METRICS = [
    "database_size",
    "wal_size",
    "fragmentation",
    "stale_leases",
    "unreadable_leases",
    "unknown_statuses",
    "blocked_leases",
    "free_disk",
    "backup_age",
    "tasks_missing",
    "failed_deletions",
    "failing_steps",
    "sqlite_version",
    "journal_mode",
    "busy_timeout",
]

#: The fields that every object of queue_backup() has, "note" not counted.
LATER_FIELDS = {"deletion_error", "damaged_at"}
BACKUP_FIELDS = frozenset(TABLES["queue_backups"][0]) - LATER_FIELDS | {"blocked_writers_ms"}


def functions_of(session: Session) -> set[Row]:
    """Every function of a connection, with its number of arguments."""
    return set(session.rows("SELECT name, narg, flags & 524288 FROM pragma_function_list"))


def modules_of(session: Session) -> set[Row]:
    """Every module of a connection; SQLite adds pragma_… itself as they are used."""
    rows = session.rows("SELECT name FROM pragma_module_list")
    return {row for row in rows if not str(row[0]).startswith("pragma_")}
