"""`QueueBackup`, as the backend's module of that name has it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import queuekeeper
from queuekeeper import _ownership as ownership
from queuekeeper._arguments import PathLike
from queuekeeper.prismq.errors import QueueBackupError, made, translated

MEGABYTE = 1024 * 1024
LONGEST_NAME = 64


@dataclass
class BackupInfo:
    """A backup: where it is, how large, and when it was made, in local time."""

    path: Path
    size_bytes: int
    created_at: datetime

    @property
    def size_mb(self) -> float:
        """The size in MB of 2^20 bytes."""
        return self.size_bytes / MEGABYTE

    @classmethod
    def from_path(cls, path: Path) -> BackupInfo:
        """From what the file system says."""
        status = path.stat()
        return cls(path, status.st_size, datetime.fromtimestamp(status.st_mtime))


class QueueBackup:
    """Backs up, verifies, restores and cleans up; each call on a connection of its own."""

    def __init__(self, db: Any, backup_dir: PathLike | None = None) -> None:
        """`backup_dir`, which is made if missing, is by default `backups` beside the database."""
        self.db = db
        default = Path(db.db_path).absolute().parent / "backups"
        self.backup_dir = default if backup_dir is None else Path(backup_dir)
        with self._translated("Cannot make the backup directory"):
            ownership.make_directories(self.backup_dir, ownership.of(Path(db.db_path)))

    def create_backup(self, name: str | None = None) -> Path:
        """Backs up the database; the new file."""
        series = _series(name) if name else None
        with self._translated("Backup failed"), connected(self.db) as queue:
            return queue.backup(self.backup_dir, name=series).path

    def verify_backup(self, backup_path: PathLike) -> bool:
        """True if a backup is sound; if not, that is an error that says why."""
        path = self._existing(backup_path)
        with self._translated("Failed to verify backup"), self._beside(path) as queue:
            verification = queue.verify(path, "full")
        if not verification.ok:
            reasons = "; ".join(map(str, verification.details))
            raise made(self.db, QueueBackupError, f"Backup integrity check failed: {reasons}")
        return True

    def restore_backup(self, backup_path: PathLike, target_path: PathLike | None = None) -> None:
        """Restores a backup into the database, or into another; what was there is saved first."""
        path = self._existing(backup_path)
        target = Path(self.db.db_path if target_path is None else target_path).absolute()
        # What is wrong with the backup is to be said as verify_backup() says it, and before the
        # database is closed.
        self.verify_backup(path)
        self.db.close()
        with self._translated("Failed to restore backup"):
            _restore(path, target)

    def list_backups(self) -> list[BackupInfo]:
        """This queue's backups in the directory, the newest first, with those of the old module."""
        with self._translated("Cannot list the backups"), self._own() as queue:
            plan = queue.rotation({"keep_last": 1_000_000, "adopted": True}, self.backup_dir)
            own = {each.backup_path for each in plan}
            return [
                BackupInfo(
                    each.path, each.size_bytes, each.created.astimezone().replace(tzinfo=None)
                )
                for each in queue.backups(self.backup_dir)
                if each.is_kept and each.backup_path in own
            ]

    def cleanup_old_backups(self, keep_count: int = 10) -> int:
        """Deletes all but the newest so many backups; how many those were.

        Backups of the old module count and go like those of this one.
        """
        with self._translated("Cannot clean up the backups"), self._own() as queue:
            return queue.rotate({"keep_last": keep_count, "adopted": True}, self.backup_dir)

    def get_latest_backup(self) -> BackupInfo | None:
        """The newest backup, if there is one."""
        return next(iter(self.list_backups()), None)

    def _own(self) -> queuekeeper.Queue:
        """The queue itself, or one that stands for nobody where there is none yet."""
        database = Path(self.db.db_path)
        return queuekeeper.open(database if database.exists() else ":memory:")

    def _beside(self, path: Path) -> queuekeeper.Queue:
        """A queue to work on that file from, which knows the live database if it is that."""
        database = Path(self.db.db_path)
        if database.exists() and path.samefile(database):
            return queuekeeper.open(database)
        return queuekeeper.open(":memory:")

    def _existing(self, backup_path: PathLike) -> Path:
        path = Path(backup_path).absolute()
        if not path.exists():
            raise made(self.db, QueueBackupError, f"Backup file not found: {path}")
        return path

    def _translated(self, what: str) -> contextlib.AbstractContextManager[None]:
        return translated(self.db, QueueBackupError, what)


def connected(db: Any) -> queuekeeper.Queue:
    """The queue of a backend's database, which makes its file when it is first connected."""
    db.get_connection()
    return queuekeeper.open(Path(db.db_path))


def _series(name: str) -> str:
    """The name of a series that is most like what the old module would have put into the file's."""
    return re.sub(r"[^\w./\\-]", "_", name, flags=re.ASCII)[:LONGEST_NAME]


def _restore(path: Path, target: Path) -> None:
    if target.exists():
        try:
            with queuekeeper.open(target) as queue:
                queue.restore(path)
            return
        except queuekeeper.CorruptError:
            # Some versions of SQLite refuse every call on a connection to a broken database.
            pass
    with queuekeeper.open(":memory:") as queue:
        queue.restore(path, target, overwrite=True)
