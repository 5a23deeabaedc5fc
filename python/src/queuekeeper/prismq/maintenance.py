"""`QueueMaintenance`, as the backend's module of that name has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import queuekeeper
from queuekeeper.prismq.errors import QueueMaintenanceError, made, translated


class QueueMaintenance:
    """Keeps the database in shape; each call on a connection of its own."""

    CHECKPOINT_PASSIVE = "PASSIVE"
    CHECKPOINT_FULL = "FULL"
    CHECKPOINT_RESTART = "RESTART"
    CHECKPOINT_TRUNCATE = "TRUNCATE"

    def __init__(self, db: Any) -> None:
        self.db = db

    def checkpoint(self, mode: str = CHECKPOINT_PASSIVE) -> dict[str, int]:
        """Copies the WAL into the database; `busy`, `log` and `checkpointed`."""
        modes = (
            self.CHECKPOINT_PASSIVE,
            self.CHECKPOINT_FULL,
            self.CHECKPOINT_RESTART,
            self.CHECKPOINT_TRUNCATE,
        )
        if mode not in modes:
            message = f"Invalid checkpoint mode: {mode}. Must be one of {', '.join(modes)}"
            raise made(self.db, QueueMaintenanceError, message)
        with self._translated("Checkpoint failed"), self._connected() as queue:
            done = queue.checkpoint(mode)
        return {"busy": done.busy, "log": done.log, "checkpointed": done.checkpointed}

    def vacuum(self) -> None:
        """Rewrites the database without its free pages; nobody can write meanwhile."""
        with self._translated("VACUUM failed"), self._connected() as queue:
            queue.vacuum()

    def analyze(self, table: str | None = None) -> None:
        """Gathers the query planner's statistics of all tables, or of one."""
        with self._translated("ANALYZE failed"), self._connected() as queue:
            queue.analyze(table or None)

    def integrity_check(self) -> list[str]:
        """What is wrong with the database, or ['ok']."""
        with self._translated("Integrity check failed"), self._connected() as queue:
            return queue.integrity()

    def cleanup_stale_leases(self, timeout_seconds: int = 300) -> int:
        """Requeues the tasks whose lease ended longer ago than that; how many those were."""
        with self._translated("Stale lease cleanup failed"), self._connected() as queue:
            return queue.requeue_stale(timeout_seconds)

    def get_database_stats(self) -> dict[str, Any]:
        """The size in pages and MB, the free pages, whether it is in WAL mode, the WAL's size."""
        with self._translated("Failed to get database stats"), self._connected() as queue:
            return _shown(queue.stats())

    def optimize(self, full: bool = False) -> dict[str, Any]:
        """ANALYZE, with `full` a VACUUM, too; what was done, and the statistics around it."""
        with self._translated("Optimization failed"), self._connected() as queue:
            done = queue.optimize(bool(full))
        return {
            "analyzed": done.analyzed,
            "vacuumed": done.vacuumed,
            "stats_before": _shown(done.stats_before),
            "stats_after": _shown(done.stats_after),
        }

    def _connected(self) -> queuekeeper.Queue:
        # The backend's database makes its file when it is first connected.
        self.db.get_connection()
        return queuekeeper.open(Path(self.db.db_path))

    def _translated(self, what: str) -> Any:
        return translated(self.db, QueueMaintenanceError, what)


def _shown(stats: queuekeeper.Stats) -> dict[str, Any]:
    return {
        "page_count": stats.page_count,
        "page_size": stats.page_size,
        "total_size_mb": stats.total_size_mb,
        "freelist_count": stats.freelist_count,
        "wal_mode": stats.wal_mode,
        "wal_size_mb": stats.wal_size_mb,
    }
