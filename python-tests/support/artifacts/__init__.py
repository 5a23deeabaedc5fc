"""Looks at backups without the library: with Python's sqlite3 module and plain file reads."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CATALOG = "backup_manifest.json"

# The bytes of page 1 that a copy may change: the WAL marks, the change counter, the schema cookie
# and what the backup API stamps. (First byte, byte behind the last.)
PAGE_1_FREE = ((18, 20), (24, 28), (40, 44), (92, 100))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A backup opened so that SQLite writes nothing beside it."""
    uri = path.resolve().as_uri() + "?immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of one statement on a backup."""
    with opened(path) as connection:
        return connection.execute(sql).fetchall()


def assert_sound(path: Path) -> None:
    """The backup is a database that passes SQLite's own check."""
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def sha256(path: Path) -> str:
    """As sha256sum prints it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def masked(content: bytes) -> bytes:
    """A database file with those bytes zeroed that no copy is bound to keep."""
    pages = bytearray(content)
    for begin, end in PAGE_1_FREE:
        pages[begin:end] = bytes(end - begin)
    return bytes(pages)


def catalog(directory: Path) -> list[dict[str, Any]]:
    """The catalog of a directory as it lies on disk."""
    parsed = json.loads((directory / CATALOG).read_text("utf-8"))
    assert isinstance(parsed, list)
    return parsed


def backups_in(directory: Path) -> list[str]:
    """The names of the backups in a directory, by their ending."""
    return sorted(path.name for path in directory.iterdir() if path.suffix == ".db")


def is_hash_file(path: Path) -> bool:
    """Whether a file begins as a hash file does, and is called as one, or as one set aside."""
    called = path.name.endswith(".hashes") or ".hashes.orphan-" in path.name
    return called and path.read_bytes().startswith(b"queuekeeper hashes 1")


def temporaries_in(directory: Path) -> list[str]:
    """What a run that was killed would have left."""
    return sorted(path.name for path in directory.iterdir() if path.name.endswith(".tmp"))
