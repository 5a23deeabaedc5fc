"""Generated from src/calls/operations.toml by scripts/operations; change that instead."""

from __future__ import annotations

#: The arguments of each function between the handle and the place for the result.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "qk_analyze": ("text",),
    "qk_backup": ("text", "text", "progress"),
    "qk_backups": ("text",),
    "qk_checkpoint": ("text",),
    "qk_delete_backup": ("text", "text"),
    "qk_depth": (),
    "qk_health": (),
    "qk_history": (),
    "qk_integrity": ("text", "number"),
    "qk_leases": (),
    "qk_optimize": ("number", "progress"),
    "qk_record": ("text", "text", "text", "text", "text"),
    "qk_requeue": ("text", "text"),
    "qk_requeue_stale": ("number",),
    "qk_restore": ("text", "text", "text", "progress"),
    "qk_rotate": ("text", "text"),
    "qk_rotation": ("text", "text"),
    "qk_run_due": ("text",),
    "qk_schedule": (),
    "qk_set": ("text", "text"),
    "qk_settings": (),
    "qk_stale": ("number",),
    "qk_stats": (),
    "qk_vacuum": ("progress",),
    "qk_verify": ("text", "text", "text", "progress"),
}

#: Those whose result is a number; that of all others is JSON.
COUNTS = frozenset({"qk_rotate", "qk_requeue_stale", "qk_record"})
