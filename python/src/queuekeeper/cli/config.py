"""set, settings, schedule."""

from __future__ import annotations

import click

from queuekeeper import Queue
from queuekeeper.cli import show
from queuekeeper.cli.shared import with_named_queue, with_queue


@click.command("set")
@click.argument("name")
@click.argument("value", required=False)
@click.option("--reset", is_flag=True, help="Back to the default.")
@with_queue
def set_(queue: Queue, name: str, value: str | None, reset: bool, as_json: bool) -> None:
    """Store a setting in the database.

    NAME is one of those that the command settings lists; VALUE is checked first.
    """
    if reset == (value is not None):
        raise click.UsageError("give either a VALUE or --reset")
    stored = queue.set(name, value)
    if as_json:
        show.as_json(stored)
    else:
        click.echo(
            f"{name} is back to its default" if reset else f"{name} = {show.cell(str(stored))}"
        )


@click.command()
@with_named_queue
def settings(queue: Queue, as_json: bool) -> None:
    """List all settings and what they mean."""
    columns: list[show.Column] = [
        ("setting", lambda each: each.name),
        ("value", lambda each: show.plain(each.value)),
        ("default", lambda each: show.plain(each.default_value)),
        ("meaning", lambda each: each.description),
    ]
    show.listing(queue.settings(), columns, "no settings", json_asked=as_json)


@click.command()
@with_named_queue
def schedule(queue: Queue, as_json: bool) -> None:
    """List the jobs, and when they are due."""
    columns: list[show.Column] = [
        ("job", lambda each: each.job),
        ("cron", lambda each: each.cron),
        ("last run (UTC)", lambda each: each.last_run_utc),
        ("next due (UTC)", lambda each: each.next_due_utc),
        ("last status", lambda each: each.last_status),
    ]
    show.listing(queue.schedule(), columns, "no jobs", json_asked=as_json)


COMMANDS = (set_, settings, schedule)
