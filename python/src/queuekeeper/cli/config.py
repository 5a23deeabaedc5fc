"""set, settings, schedule, run-due, history."""

from __future__ import annotations

import click

from queuekeeper import Queue
from queuekeeper.cli import show
from queuekeeper.cli.shared import FOUND, Finding, with_queue


@click.command("set")
@click.argument("name")
@click.argument("value", required=False)
@click.option("--reset", is_flag=True, help="Back to the default.")
@with_queue
def set_(queue: Queue, name: str, value: str | None, reset: bool, as_json: bool) -> None:
    """Store a setting in the database.

    The command settings lists what there is.
    """
    if reset == (value is not None):
        raise click.UsageError("give either a VALUE or --reset")
    stored = queue.set(name, value)
    if as_json:
        show.as_json(stored)
    else:
        click.echo(f"{name} is back to its default" if reset else f"{name} = {stored}")


@click.command()
@with_queue
def settings(queue: Queue, as_json: bool) -> None:
    """List all settings and what they mean."""
    found = queue.settings()
    if as_json:
        show.as_json(found)
        return
    columns: list[show.Column] = [
        ("setting", lambda each: each.name),
        ("value", lambda each: each.value),
        ("default", lambda each: each.default_value),
        ("meaning", lambda each: each.description),
    ]
    show.rows(found, columns, "no settings")


@click.command()
@with_queue
def schedule(queue: Queue, as_json: bool) -> None:
    """List the jobs, and when they are due."""
    found = queue.schedule()
    if as_json:
        show.as_json(found)
        return
    columns: list[show.Column] = [
        ("job", lambda each: each.job),
        ("cron", lambda each: each.cron),
        ("last run (UTC)", lambda each: each.last_run_utc),
        ("next due (UTC)", lambda each: each.next_due_utc),
        ("last status", lambda each: each.last_status),
    ]
    show.rows(found, columns, "no jobs")


@click.command("run-due")
@click.option("--now", metavar="TIME", help="Another time than the present, in UTC.")
@with_queue
def run_due(queue: Queue, now: str | None, as_json: bool) -> None:
    """Run the jobs that are due.

    For cron and the like, as often as once a minute. The exit status is 1 if a job failed.
    """
    ran = queue.run_due(now)
    if as_json:
        show.as_json(ran)
    else:
        columns: list[show.Column] = [
            ("job", lambda each: each.job),
            ("status", lambda each: each.status),
        ]
        show.rows(ran, columns, "nothing is due")
    if any(each.status not in (None, "ok") for each in ran):
        raise Finding(FOUND)


@click.command()
@with_queue
def history(queue: Queue, as_json: bool) -> None:
    """List what the jobs have done."""
    found = queue.history()
    if as_json:
        show.as_json(found)
        return
    columns: list[show.Column] = [
        ("started (UTC)", lambda each: each.started_utc),
        ("finished (UTC)", lambda each: each.finished_utc),
        ("job", lambda each: each.job),
        ("step", lambda each: each.step),
        ("status", lambda each: each.status),
        ("detail", lambda each: each.detail),
    ]
    show.rows(found, columns, "no history")


COMMANDS = (set_, settings, schedule, run_due, history)
