"""Values of every type for a row of queuekeeper_settings, as whoever may write rows writes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

#: No setting's value, or the worst that a number or a text can be. "{outside}" becomes a directory.
VALUES: dict[str, Any] = {
    "NULL": None,
    "blob": b"\xff\x00../",
    "empty": "",
    "huge text": "x" * 300_000,
    "deep JSON": "[" * 60_000,
    "smallest": -(2**63),
    "negative": -1,
    "largest": 2**63 - 1,
    "fraction": 1e308,
    "infinity": float("inf"),
    "control characters": "\x1b]0;x\x07\x9b2J\u202e\r\nqueued",
    "directory": "{outside}/",
    "file": "{outside}/secret.txt",
    "statements": "x'; DROP TABLE task_queue; --\"",
    "option": "--config={outside}/secret.txt",
    "not UTF-8": "CAST(x'ff2f' AS TEXT)",
}


def store(path: Path, name: str, what: str, outside: Path) -> None:
    """Writes the row that `queue_set()` would not have made."""
    value = VALUES[what]
    if isinstance(value, str):
        value = value.replace("{outside}", str(outside))
    expression = value if what == "not UTF-8" else "?"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS queuekeeper_settings(name, value)")
        connection.execute("DELETE FROM queuekeeper_settings")
        sql = f"INSERT INTO queuekeeper_settings(value, name) VALUES ({expression}, ?)"
        connection.execute(sql, (name,) if what == "not UTF-8" else (value, name))
