"""set, settings, schedule, run-due, history."""

from __future__ import annotations

import click

from queuekeeper import Queue
from queuekeeper.cli import show
from queuekeeper.cli.shared import FOUND, Finding, with_named_queue, with_queue


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


@click.command("run-due")
@click.option("--now", metavar="TIME", help="Another time than the present, in UTC.")
@with_named_queue
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
            ("due (UTC)", lambda each: each.due_utc),
            ("status", lambda each: each.status),
            ("steps", lambda each: [f"{step.step} {step.status}" for step in each.steps]),
        ]
        show.rows(ran, columns, "nothing is due")
        for step in (step for each in ran for step in each.steps if step.status == "failed"):
            click.echo(f"{step.step} failed: {show.cell(step.detail)}", err=True)
    if any(each.status != "ok" for each in ran):
        raise Finding(FOUND)


def detail(status: str, text: str | None) -> str | None:
    """What a step came to, in brief; an error is shown whole."""
    return text if status == "failed" else show.shortened(text)


@click.command()
@with_named_queue
def history(queue: Queue, as_json: bool) -> None:
    """List what the jobs have done, the newest first.

    Long details are shortened; --json has them whole.
    """
    columns: list[show.Column] = [
        ("started (UTC)", lambda each: each.started_utc),
        ("finished (UTC)", lambda each: each.finished_utc),
        ("job", lambda each: each.job),
        ("step", lambda each: each.step),
        ("status", lambda each: each.status),
        ("detail", lambda each: detail(each.status, each.detail)),
    ]
    show.listing(queue.history(), columns, "no history", json_asked=as_json)


COMMANDS = (set_, settings, schedule, run_due, history)
