"""What version 0.1.0 wrote: two queues with their backups, and the remote of each.

tests/fixtures/0.1.0.tar.gz was made by that version with SQLite 3.40.1. Its `expected.json` says
what the backups that were made by hand restore to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).resolve().parents[3] / "tests" / "fixtures" / "0.1.0.tar.gz"
#: Where the databases were when the backups were made.
MADE_AT = Path("/srv/prismq/0.1.0")
#: WAL with pages of 4,096 bytes, and a rollback journal with pages of 1,024.
QUEUES = ("wal4096", "delete1024")


@dataclass(frozen=True)
class Old:
    """One of the queues, unpacked."""

    directory: Path
    name: str

    @property
    def queue(self) -> Path:
        return self.directory / self.name / "queue.db"

    @property
    def backups(self) -> Path:
        return self.directory / self.name / "backups"

    @property
    def remote(self) -> Path:
        return self.directory / f"{self.name}-remote"

    @property
    def source_path(self) -> str:
        """The database's path in the catalog."""
        return str(MADE_AT / self.name / "queue.db")

    def catalog(self) -> list[dict[str, Any]]:
        """The objects in its manifest, in the order of the file."""
        found = json.loads((self.backups / "backup_manifest.json").read_text())
        assert isinstance(found, list)
        return found

    def expected(self) -> dict[str, dict[str, str]]:
        """What is known of the backups, by file name."""
        known = json.loads((self.directory / "expected.json").read_text())
        start = f"{self.name}/backups/"
        return {key[len(start) :]: known[key] for key in known if key.startswith(start)}


def unpack(directory: Path, name: str) -> Old:
    """Unpacks the archive below a directory."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return Old(directory / "0.1.0", name)


def rows_sha256(path: Path) -> str:
    """A database's rows as `expected.json` counts them."""
    digest = hashlib.sha256()
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = database.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' "
            "AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name"
        ).fetchall()
        for (table,) in tables:
            digest.update(table.encode())
            for row in database.execute(f'SELECT * FROM "{table}" ORDER BY 1'):
                digest.update(repr(row).encode())
    return digest.hexdigest()
