"""stats, depth, health, integrity, checkpoint, vacuum, analyze, optimize, requeue, stale."""

from __future__ import annotations

import click

from queuekeeper import Queue
from queuekeeper.cli import show
from queuekeeper.cli.shared import CRITICAL, FOUND, Finding, progress, with_named_queue, with_queue

MODES = click.Choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"], case_sensitive=False)


@click.command()
@with_named_queue
def stats(queue: Queue, as_json: bool) -> None:
    """Measure the database."""
    found = queue.stats()
    if as_json:
        show.as_json(found)
        return
    show.pairs(
        {
            "database": found.path,
            "size": show.size(found.size_bytes),
            "pages": found.page_count,
            "page size": show.size(found.page_size),
            "free pages": f"{found.freelist_count:,} ({found.fragmentation_pct:.1f} %)",
            "journal mode": found.journal_mode,
            "WAL": show.size(found.wal_size_bytes),
            "free disk": show.size(found.free_disk_bytes),
            "SQLite": found.sqlite_version,
        }
    )


@click.command()
@with_named_queue
def depth(queue: Queue, as_json: bool) -> None:
    """Count the tasks by status."""
    columns: list[show.Column] = [
        ("status", lambda each: each.status),
        ("tasks", lambda each: each.tasks),
        ("oldest (UTC)", lambda each: each.oldest_utc),
        ("newest (UTC)", lambda each: each.newest_utc),
    ]
    show.listing(queue.depth(), columns, "no tasks", json_asked=as_json)


@click.command()
@with_named_queue
def health(queue: Queue, as_json: bool) -> None:
    """Judge the queue's health.

    The exit status is 0 if all is well, 1 for a warning, 2 if something is critical.
    """
    found = queue.health()
    if as_json:
        show.as_json(found)
    else:
        columns: list[show.Column] = [
            ("metric", lambda each: each.metric),
            ("value", lambda each: each.value),
            ("unit", lambda each: each.unit),
            ("warning", lambda each: each.warning),
            ("critical", lambda each: each.critical),
            ("level", lambda each: each.level),
        ]
        show.rows(found, columns, "nothing was measured")
        for each in (each for each in found if each.action):
            click.echo(f"{each.metric}: {show.cell(each.action)}")
    levels = {each.level for each in found}
    if "critical" in levels:
        raise Finding(CRITICAL)
    if "warning" in levels:
        raise Finding(FOUND)


@click.command()
@click.option("--level", type=click.Choice(["quick", "full"]), help="full by default.")
@click.option("--max-errors", type=int, help="How many findings to list at most.")
@with_named_queue
def integrity(queue: Queue, level: str | None, max_errors: int | None, as_json: bool) -> None:
    """Check the database for damage.

    The exit status is 1 if there is any. What could not be checked is none.
    """
    found = queue.integrity(level, max_errors)
    if as_json:
        show.as_json(found)
    else:
        for message in found:
            click.echo(show.cell(message))
    if any(message != "ok" and not message.startswith("not checked") for message in found):
        raise Finding(FOUND)


@click.command()
@click.argument("mode", required=False, type=MODES, metavar="[MODE]")
@with_queue
def checkpoint(queue: Queue, mode: str | None, as_json: bool) -> None:
    """Copy the WAL into the database.

    MODE is PASSIVE (the default), FULL, RESTART or TRUNCATE.
    """
    done = queue.checkpoint(mode)
    if as_json:
        show.as_json(done)
        return
    show.pairs(
        {
            "mode": done.mode,
            "busy": bool(done.busy),
            "frames in the WAL": done.log,
            "copied": done.checkpointed,
            "note": done.note,
        }
    )


@click.command()
@with_named_queue
def vacuum(queue: Queue, as_json: bool) -> None:
    """Give free pages back to the disk.

    The database is rewritten, which takes up to twice its size of free disk. Nobody can write
    meanwhile.
    """
    with progress("Compacting") as bar:
        done = queue.vacuum(progress=bar)
    if as_json:
        show.as_json(done)
        return
    show.pairs(
        {
            "before": show.size(done.size_before_bytes),
            "after": show.size(done.size_after_bytes),
            "won": show.size(done.reclaimed_bytes),
            "note": done.note,
        }
    )


@click.command()
@click.argument("table", required=False)
@with_queue
def analyze(queue: Queue, table: str | None, as_json: bool) -> None:
    """Gather the query planner's statistics.

    Of all tables, or of TABLE, which may be an index as well.
    """
    done = queue.analyze(table)
    if as_json:
        show.as_json(done)
    else:
        show.pairs({"analyzed": done.analyzed, "note": done.note})


@click.command()
@click.option("--full", is_flag=True, help="Vacuum first. Nobody can write meanwhile.")
@with_named_queue
def optimize(queue: Queue, full: bool, as_json: bool) -> None:
    """Analyze; with --full, vacuum first."""
    with progress("Optimizing") as bar:
        done = queue.optimize(full, progress=bar)
    if as_json:
        show.as_json(done)
        return
    show.pairs(
        {
            "analyzed": done.analyzed,
            "vacuumed": done.vacuumed,
            "before": show.size(done.stats_before.size_bytes),
            "after": show.size(done.stats_after.size_bytes),
            "note": done.note,
        }
    )


@click.command()
@click.argument("seconds", type=int)
@with_queue
def requeue(queue: Queue, seconds: int, as_json: bool) -> None:
    """Requeue the tasks of dead workers.

    Those are the tasks whose lease ended more than SECONDS ago.
    """
    count = queue.requeue_stale(seconds)
    if as_json:
        show.as_json({"requeued": count})
    else:
        click.echo(f"{count:,} task{'s' if count != 1 else ''} requeued")


@click.command()
@click.argument("seconds", type=int, required=False)
@with_queue
def stale(queue: Queue, seconds: int | None, as_json: bool) -> None:
    """List the leases that requeue would end.

    SECONDS is by default what the setting stale_secs says.
    """
    columns: list[show.Column] = [
        ("task", lambda each: show.plain(each.task_id)),
        ("status", lambda each: each.status),
        ("worker", lambda each: each.locked_by),
        ("lease until", lambda each: show.plain(each.lease_until_utc)),
        ("overdue (s)", lambda each: each.overdue_seconds),
        ("attempts", lambda each: each.attempts),
        ("blocked", lambda each: show.plain(each.blocked)),
    ]
    show.listing(queue.stale(seconds), columns, "no stale leases", json_asked=as_json)


COMMANDS = (
    stats,
    depth,
    health,
    integrity,
    checkpoint,
    vacuum,
    analyze,
    optimize,
    requeue,
    stale,
)
