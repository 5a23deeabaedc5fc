"""leases, requeue: the tasks that workers hold."""

from __future__ import annotations

from typing import Any

import click

from queuekeeper import Queue
from queuekeeper.cli import show
from queuekeeper.cli.grammar import asked
from queuekeeper.cli.shared import on_queue

STALE_SETTING = "stale_secs"


@on_queue()
@click.option(
    "--stale",
    "seconds",
    type=int,
    metavar="[SECS]",
    is_flag=False,
    flag_value=-1,
    help="Only those that ended more than SECS seconds ago; else what stale_secs says.",
)
def leases(queue: Queue, seconds: int | None) -> None:
    """List the leases that requeue would end."""
    secs = None if seconds is None or seconds < 0 else seconds
    _list_leases(list(queue.stale(secs)), "no stale leases")


def _list_leases(found: list[Any], empty: str) -> None:
    columns: list[show.Column] = [
        ("task", lambda each: show.plain(each.task_id)),
        ("status", lambda each: each.status),
        ("worker", lambda each: each.locked_by),
        ("lease until", lambda each: show.plain(each.lease_until_utc)),
        ("overdue (s)", lambda each: each.overdue_seconds),
        ("attempts", lambda each: each.attempts),
        ("blocked", lambda each: show.plain(each.blocked)),
    ]
    show.listing(found, columns, empty)


@on_queue("stale", hidden=True)
@click.argument("seconds", type=int, required=False)
def stale(queue: Queue, seconds: int | None) -> None:
    """List the leases that requeue would end."""
    given = "" if seconds is None else f" {seconds}"
    asked().hint(f"stale{given}", f"leases --stale{given}")
    _list_leases(list(queue.stale(seconds)), "no stale leases")


@on_queue()
@click.argument("seconds", type=int, required=False)
@click.option("--dry-run", is_flag=True, help="Show how many match; change nothing.")
def requeue(queue: Queue, seconds: int | None, dry_run: bool) -> None:
    """Requeue the tasks of dead workers.

    Those are the tasks whose lease ended more than SECONDS ago; by default what the setting
    stale_secs says.
    """
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
