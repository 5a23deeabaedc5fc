"""What loading the library must add, and nothing else; docs/reference.md says the same."""

from __future__ import annotations

import re

from support.pages import page

#: The names of all settings; a test compares the page's table with the library.
SETTINGS = re.findall(r"^\| `(\w+)` \|", page("settings"), re.MULTILINE)

#: Each scalar function, and the numbers of arguments that it takes.
FUNCTIONS = {
    "queue_analyze": (0, 1),
    "queue_backup": (0, 1, 2),
    "queue_checkpoint": (0, 1),
    "queue_delete_backup": (1, 2),
    "queue_optimize": (0, 1),
    "queue_requeue_stale": (1,),
    "queue_restore": (1, 2, 3),
    "queue_rotate": (1, 2),
    "queue_run_due": (0, 1),
    "queue_set": (2,),
    "queue_stats": (0,),
    "queue_vacuum": (0,),
    "queue_verify": (1, 2, 3),
    "queue_version": (0,),
}

#: Each table-valued function, its columns, and the names of its arguments.
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "queue_stats": (
        (
            "page_count",
            "page_size",
            "total_size_mb",
            "freelist_count",
            "wal_mode",
            "wal_size_mb",
            "path",
            "size_bytes",
            "wal_size_bytes",
            "fragmentation_pct",
            "free_disk_bytes",
            "journal_mode",
            "sqlite_version",
        ),
        (),
    ),
    "queue_schedule": (
        ("job", "cron", "last_run_utc", "next_due_utc", "last_status"),
        (),
    ),
    "queue_history": (
        ("job", "step", "started_utc", "finished_utc", "status", "detail"),
        (),
    ),
    "queue_settings": (("name", "value", "default_value", "description"), ()),
    "queue_health": (
        ("metric", "value", "unit", "warning", "critical", "level", "action"),
        (),
    ),
    "queue_depth": (("status", "tasks", "oldest_utc", "newest_utc"), ()),
    "queue_stale": (
        (
            "task_id",
            "status",
            "locked_by",
            "lease_until_utc",
            "overdue_seconds",
            "attempts",
            "blocked",
        ),
        ("secs",),
    ),
    "queue_integrity": (("message",), ("level", "max_errors")),
    "queue_rotation": (
        ("backup_path", "created_at", "decision", "reasons", "source"),
        ("keep", "dir"),
    ),
    "queue_backups": (
        (
            "id",
            "backup_type",
            "name",
            "source_path",
            "backup_path",
            "created_at",
            "size_bytes",
            "compressed",
            "compression",
            "checksum",
            "database_version",
            "page_count",
            "page_size",
            "parent_id",
            "content_digest",
            "hash_file_checksum",
            "pages_stored",
            "task_counts",
            "duration_ms",
            "verified_at",
            "verified_level",
            "object_digest",
            "sequence",
            "queue_name",
            "deletion_error",
        ),
        ("dir",),
    ),
}

#: The fields that every object of queue_backup() has, "note" not counted.
BACKUP_FIELDS = frozenset(TABLES["queue_backups"][0]) - {"deletion_error"} | {"blocked_writers_ms"}
