"""leases, requeue: the tasks that workers hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import click

from queuekeeper import Queue
from queuekeeper.cli import show
from queuekeeper.cli.grammar import asked, or_queue
from queuekeeper.cli.naming import ANY
from queuekeeper.cli.shared import agreed, on_queue
from queuekeeper.results import Lease, StaleLease

STALE_SETTING = "stale_secs"


class Count(click.IntRange):
    """A number that SQLite has; the help does not say so."""

    def _describe_range(self) -> str:
        return ""


COUNT = Count(1, 2**63 - 1)


@on_queue()
@click.option("--by-worker", is_flag=True, help="Count them by worker.")
@click.option(
    "--stale",
    "stale_for",
    metavar="[SECS]",
    is_flag=False,
    flag_value=ANY,
    callback=or_queue(ANY),
    help="Only those that ended more than SECS seconds ago; else what stale_secs says.",
)
def leases(queue: Queue, by_worker: bool, stale_for: str | None) -> None:
    """List the tasks that are leased, and by whom.

    With --stale, the leases that requeue would end.
    """
    if stale_for is None:
        found: list[Lease] | list[StaleLease] = queue.leases()
    else:
        found = queue.stale(None if stale_for == ANY else _seconds(stale_for))
    if by_worker:
        _list_workers(found)
    else:
        _list_leases(found, "no leases" if stale_for is None else "no stale leases")


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is no number of seconds") from error


def _end(lease: Lease | StaleLease) -> Any:
    """When it ends; a stale one is shown as its worker wrote it."""
    return lease.ends_utc if isinstance(lease, Lease) else lease.lease_until_utc


def _overdue(lease: Lease | StaleLease) -> str | None:
    """For how long it has been over, if it is."""
    seconds = lease.overdue_seconds
    return show.lasting(seconds) if seconds is not None and seconds > 0 else None


def _list_leases(found: Sequence[Lease | StaleLease], empty: str) -> None:
    columns: list[show.Column] = [
        ("task", lambda each: show.plain(each.task_id)),
        ("status", lambda each: each.status),
        ("lease until", lambda each: show.plain(_end(each))),
        ("overdue", _overdue),
        ("attempts", lambda each: each.attempts),
        ("worker", lambda each: each.locked_by),
    ]
    if any(each.blocked for each in found):
        columns.append(("blocked", lambda each: each.blocked))
    show.listing(found, columns, empty, spare=["attempts"])


def _list_workers(found: Sequence[Lease | StaleLease]) -> None:
    """One row a worker, the one with the most leases first."""
    held: dict[Any, list[Any]] = defaultdict(list)
    for each in found:
        held[each.locked_by].append(each)
    workers = [
        {
            "worker": worker,
            "leases": len(tasks),
            "stale": sum((each.overdue_seconds or 0) > 0 for each in tasks),
            "last_until": max(
                (str(_end(each)) for each in tasks if _end(each) is not None), default=None
            ),
        }
        for worker, tasks in sorted(held.items(), key=lambda each: (-len(each[1]), str(each[0])))
    ]
    columns: list[show.Column] = [
        ("leases", lambda each: each["leases"]),
        ("overdue", lambda each: each["stale"]),
        ("last until", lambda each: each["last_until"]),
        ("worker", lambda each: each["worker"]),
    ]
    show.listing(workers, columns, "no leases")


@on_queue("stale", hidden=True)
@click.argument("seconds", type=int, required=False)
def stale(queue: Queue, seconds: int | None) -> None:
    """List the leases that requeue would end."""
    given = "" if seconds is None else f" {seconds}"
    asked().hint(f"stale{given}", f"leases --stale{given}")
    _list_leases(queue.stale(seconds), "no stale leases")


@on_queue()
@click.argument("seconds", type=int, required=False)
@click.option("--worker", "workers", multiple=True, metavar="WORKER", help="Held by this worker.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="The task with this id.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Of this type.")
@click.option("--after", metavar="TIME", help="Created at or after TIME (UTC).")
@click.option("--before", metavar="TIME", help="Created before TIME (UTC).")
@click.option("--limit", type=COUNT, metavar="N", help="The oldest N at most.")
@click.option("--all", "everything", is_flag=True, help="Every lease, of whatever worker.")
@click.option("--expect", type=Count(0), metavar="N", help="Fail unless so many match.")
@click.option("--dry-run", is_flag=True, help="Show how many match; change nothing.")
def requeue(
    queue: Queue,
    seconds: int | None,
    everything: bool,
    expect: int | None,
    dry_run: bool,
    **chosen: Any,
) -> None:
    """Requeue the tasks of dead workers.

    Those are the tasks whose lease ended more than SECONDS ago; by default what the setting
    stale_secs says. With --worker, --id, --type, --after, --before, --limit or --all, those that
    all of them mean, whether their lease ended or not: only for workers that are dead.
    """
    filtered = {
        name: list(each) if isinstance(each, tuple) else each for name, each in chosen.items()
    }
    filtered = {name: each for name, each in filtered.items() if each not in (None, [])}
    if everything:
        filtered["all"] = True
    if not filtered:
        _requeue_stale(queue, seconds, expect, dry_run)
        return
    if seconds is not None:
        raise click.UsageError("give either SECONDS, or what chooses the tasks")
    if not (dry_run or asked().yes):
        matched = queue.requeue(filtered, dry_run=True, expect=expect).matched
        if matched:
            held = ", ".join(f"'{each}'" for each in chosen["workers"]) or "their workers"
            agreed(f"{_tasks(matched)} will be taken from {held}, who may be at work on them.")
    done = queue.requeue(filtered, dry_run=dry_run or None, expect=expect)
    show.result(
        done,
        f"{_tasks(done.matched)} would be requeued"
        if dry_run
        else f"{_tasks(done.requeued)} requeued",
    )


def _requeue_stale(queue: Queue, seconds: int | None, expect: int | None, dry_run: bool) -> None:
    if expect is not None:
        raise click.UsageError("--expect needs what chooses the tasks, such as --worker")
    if seconds is None:
        (seconds,) = (
            int(str(each.value)) for each in queue.settings() if each.name == STALE_SETTING
        )
    if dry_run:
        count = len(queue.stale(seconds))
        show.result(
            {"matched": count, "requeued": 0, "dry_run": True}, f"{_tasks(count)} would be requeued"
        )
        return
    count = queue.requeue_stale(seconds)
    show.result({"requeued": count}, f"{_tasks(count)} requeued")


def _tasks(count: int) -> str:
    return f"{count:,} task{'s' if count != 1 else ''}"


COMMANDS = (leases, stale, requeue)
