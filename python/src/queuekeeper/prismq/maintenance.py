"""`QueueMaintenance`, as the backend's module of that name has it."""

from __future__ import annotations

import contextlib
from typing import Any, cast

import queuekeeper
from queuekeeper._arguments import CheckpointMode
from queuekeeper.prismq.backup import connected
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
        with self._translated("Checkpoint failed"), connected(self.db) as queue:
            done = queue.checkpoint(cast(CheckpointMode, mode))
        return {"busy": done.busy, "log": done.log, "checkpointed": done.checkpointed}

    def vacuum(self) -> None:
        """Rewrites the database without its free pages; nobody can write meanwhile."""
        with self._translated("VACUUM failed"), self._committed() as queue:
            queue.vacuum()

    def analyze(self, table: str | None = None) -> None:
        """Gathers the query planner's statistics of all tables, or of one."""
        with self._translated("ANALYZE failed"), self._committed() as queue:
            queue.analyze(table or None)

    def integrity_check(self) -> list[str]:
        """What is wrong with the database, or ['ok']."""
        with self._translated("Integrity check failed"), connected(self.db) as queue:
            return queue.integrity()

    def cleanup_stale_leases(self, timeout_seconds: int = 300) -> int:
        """Requeues the tasks whose lease ended longer ago than that; how many those were.

        One that was claimed `max_attempts` times becomes `dead_letter`, and is counted, too.
        """
        with self._translated("Stale lease cleanup failed"), connected(self.db) as queue:
            return queue.requeue_stale(timeout_seconds)

    def get_database_stats(self) -> dict[str, Any]:
        """The size in pages and MB, the free pages, whether it is in WAL mode, the WAL's size."""
        with self._translated("Failed to get database stats"), connected(self.db) as queue:
            return _shown(queue.stats())

    def optimize(self, full: bool = False) -> dict[str, Any]:
        """ANALYZE, with `full` a VACUUM, too; what was done, and the statistics around it."""
        with self._translated("Optimization failed"), self._committed() as queue:
            done = queue.optimize(bool(full))
        return {
            "analyzed": done.analyzed,
            "vacuumed": done.vacuumed,
            "stats_before": _shown(done.stats_before),
            "stats_after": _shown(done.stats_after),
        }

    def _committed(self) -> queuekeeper.Queue:
        """The queue, after a commit of what the backend's connection has pending.

        The old module committed, too: Python opens transactions by itself, so one may be open
        without anybody's knowing, and it would keep our connection out.
        """
        # Another thread's transaction, on the connection that they share, is not ours to commit.
        with getattr(self.db, "_lock", contextlib.nullcontext()):
            connection = self.db.get_connection()
            if getattr(connection, "in_transaction", False):
                connection.commit()
        return connected(self.db)

    def _translated(self, what: str) -> contextlib.AbstractContextManager[None]:
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
