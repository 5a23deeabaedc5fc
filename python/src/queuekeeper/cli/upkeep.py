"""integrity, checkpoint, vacuum, analyze, optimize."""

from __future__ import annotations

from typing import get_args

import click

from queuekeeper import CheckpointMode, IntegrityLevel, Queue
from queuekeeper.cli import show
from queuekeeper.cli.progress import progress
from queuekeeper.cli.shared import FOUND, Finding, on_queue

MODES = click.Choice(get_args(CheckpointMode), case_sensitive=False)


@on_queue()
@click.option("--level", type=click.Choice(get_args(IntegrityLevel)), help="full by default.")
@click.option("--max-errors", type=int, metavar="N", help="List N findings at most.")
def integrity(queue: Queue, level: IntegrityLevel | None, max_errors: int | None) -> None:
    """Check the database for damage.

    The exit status is 1 if there is any. What could not be checked is none.
    """
    found = queue.integrity(level, max_errors)
    show.result(found, *(show.cell(message) for message in found))
    if any(message != "ok" and not message.startswith("not checked") for message in found):
        raise Finding(FOUND)


@on_queue()
@click.argument("mode", required=False, type=MODES, metavar="[MODE]")
def checkpoint(queue: Queue, mode: CheckpointMode | None) -> None:
    """Copy the WAL into the database.

    MODE is PASSIVE (the default), FULL, RESTART or TRUNCATE.
    """
    done = queue.checkpoint(mode)
    show.result(
        done,
        pairs={
            "mode": done.mode,
            "busy": bool(done.busy),
            "frames in the WAL": done.log,
            "copied": done.checkpointed,
            "note": done.note,
        },
    )


DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what it would win; change nothing.")


@on_queue()
@DRY_RUN
def vacuum(queue: Queue, dry_run: bool) -> None:
    """Give free pages back to the disk.

    The database is rewritten, which takes up to twice its size of free disk. Nobody can write
    meanwhile.
    """
    if dry_run:
        _show_what_is_free(queue)
        return
    with progress("Compacting", queue, queue.stats().page_size) as bar:
        done = queue.vacuum(progress=bar)
    show.result(
        done,
        pairs={
            "before": show.mebibytes(done.size_before_bytes),
            "after": show.mebibytes(done.size_after_bytes),
            "won": show.mebibytes(done.reclaimed_bytes),
            "note": done.note,
        },
    )


def _show_what_is_free(queue: Queue) -> None:
    found = queue.stats()
    free = found.freelist_count * found.page_size
    show.result(
        {"size_before_bytes": found.size_bytes, "free_bytes": free, "dry_run": True},
        pairs={
            "before": show.mebibytes(found.size_bytes),
            "would win": f"{show.mebibytes(free)} or more",
            "free disk": None
            if found.free_disk_bytes is None
            else show.mebibytes(found.free_disk_bytes),
        },
    )


@on_queue()
@click.argument("table", required=False)
def analyze(queue: Queue, table: str | None) -> None:
    """Gather the query planner's statistics.

    Of all tables, or of TABLE, which may be an index as well.
    """
    done = queue.analyze(table)
    show.result(done, pairs={"analyzed": done.analyzed, "note": done.note})


@on_queue()
@click.option("--full", is_flag=True, help="Vacuum first. Nobody can write meanwhile.")
@DRY_RUN
def optimize(queue: Queue, full: bool, dry_run: bool) -> None:
    """Analyze; with --full, vacuum first."""
    if dry_run:
        _show_what_is_free(queue)
        return
    with progress("Optimizing", queue, queue.stats().page_size) as bar:
        done = queue.optimize(full, progress=bar)
    show.result(
        done,
        pairs={
            "analyzed": done.analyzed,
            "vacuumed": done.vacuumed,
            "before": show.mebibytes(done.stats_before.size_bytes),
            "after": show.mebibytes(done.stats_after.size_bytes),
            "note": done.note,
        },
    )


COMMANDS = (integrity, checkpoint, vacuum, analyze, optimize)
