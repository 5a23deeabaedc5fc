"""What a database holds, in forms that can be compared: rows with and without rowids, and pages."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from support.artifacts import masked, opened


@dataclass(frozen=True)
class Content:
    """A database at one moment."""

    #: Every row of every table, with its rowid where it has one.
    rows: tuple[str, ...]
    #: The same without what VACUUM need not keep: rowids, and a table of sequences of no table.
    plain: tuple[str, ...]
    #: The file, without the bytes of page 1 that no copy is bound to keep.
    pages: bytes


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def header(connection: sqlite3.Connection) -> list[str]:
    """What a database is apart from its rows."""
    names = ("page_size", "encoding", "auto_vacuum", "user_version", "application_id")
    settings = [(name, *connection.execute(f"PRAGMA {name}").fetchone()) for name in names]
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
    return [repr(line) for line in settings + sorted(schema, key=repr)]


def dump(connection: sqlite3.Connection, rowids: bool) -> tuple[str, ...]:
    """Like the shell's `.dump`, but with rowids on demand, and sorted."""
    lines = header(connection)
    if not rowids:
        lines = [line for line in lines if "'sqlite_sequence'" not in line]
    tables = connection.execute(
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
        "AND name <> 'sqlite_schema' ORDER BY name"
    ).fetchall()
    for name, without_rowid in tables:
        columns = "*" if without_rowid or not rowids else "rowid, *"
        found = connection.execute(f"SELECT {columns} FROM {quoted(name)}").fetchall()
        lines.extend(f"{name}: {row!r}" for row in sorted(found, key=repr))
    return tuple(lines)


def content_of_file(path: Path) -> Content:
    """What a database file holds that nobody uses and that has no WAL beside it."""
    with opened(path) as connection:
        return Content(dump(connection, True), dump(connection, False), masked(path.read_bytes()))


def content_of_live(path: Path, scratch: Path) -> Content:
    """What a database in use holds: its pages through SQLite's backup API, which keeps them all."""
    scratch.unlink(missing_ok=True)
    source = sqlite3.connect(path, timeout=10, isolation_level=None)
    copy = sqlite3.connect(scratch, isolation_level=None)
    try:
        copy.execute("PRAGMA synchronous=OFF")
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    found = content_of_file(scratch)
    scratch.unlink()
    return found


def difference(found: Content, expected: Content, rowids: bool, pages: bool) -> str:
    """In which way the two differ, or nothing."""
    got, wanted = (found.rows, expected.rows) if rowids else (found.plain, expected.plain)
    if got != wanted:
        changed = sorted(set(got) ^ set(wanted))[:4]
        return f"{len(got)} rows instead of {len(wanted)}, for example {changed}"
    if pages and found.pages != expected.pages:
        sizes = len(found.pages), len(expected.pages)
        pairs = enumerate(zip(found.pages, expected.pages))
        first = next((place for place, (one, other) in pairs if one != other), min(sizes))
        return f"{sizes[0]} bytes instead of {sizes[1]}, first different at {first}"
    return ""
