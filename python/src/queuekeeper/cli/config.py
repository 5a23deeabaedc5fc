"""set, get, unset, settings, schedule."""

from __future__ import annotations

import difflib
from datetime import datetime, timezone

import click

import queuekeeper
from queuekeeper import Queue
from queuekeeper.cli import show
from queuekeeper.cli.grammar import asked
from queuekeeper.cli.shared import MEMORY, on_queue
from queuekeeper.results import ScheduledJob, Setting


def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The names of settings that begin so, which are those of any queue."""
    with queuekeeper.open(MEMORY) as queue:
        return [each.name for each in queue.settings() if each.name.startswith(begun)]


NAME = click.argument("name", shell_complete=complete)


@on_queue("set")
@NAME
@click.argument("value", required=False)
@click.option("--reset", is_flag=True, hidden=True)
def set_(queue: Queue, name: str, value: str | None, reset: bool) -> None:
    """Store a setting in the database.

    NAME is one of those that the command settings lists; VALUE is checked first.
    """
    if reset == (value is not None):
        raise click.UsageError(f"give either a VALUE, or reset it: queuekeeper unset {name}")
    _named(queue, name)
    if reset:
        asked().hint(f"set {name} --reset", f"unset {name}")
        _reset(queue, name)
        return
    stored = queue.set(name, value)
    show.result(stored, f"{name} = {show.cell(str(stored))}")


@on_queue()
@NAME
def unset(queue: Queue, name: str) -> None:
    """Set a setting back to its default.

    NAME is one of those that the command settings lists.
    """
    _named(queue, name)
    _reset(queue, name)


def _reset(queue: Queue, name: str) -> None:
    show.result(queue.set(name, None), f"{name} is back to its default")


@on_queue()
@NAME
def get(queue: Queue, name: str) -> None:
    """Print a setting.

    NAME is one of those that the command settings lists. Of one that is not set, the default.
    """
    found = _named(queue, name)
    value = found.default_value if found.value is None else found.value
    show.whole(value, "" if value is None else show.cell(str(value)))


def _named(queue: Queue, name: str) -> Setting:
    """The setting of that name, or an error that names the one that was meant."""
    known = {each.name: each for each in queue.settings()}
    if name not in known:
        like = difflib.get_close_matches(name, known, 1)
        meant = f"did you mean '{like[0]}'?" if like else "'queuekeeper settings' lists them"
        raise click.ClickException(f"there is no setting '{name}'; {meant}")
    return known[name]


def due(job: ScheduledJob, now: str) -> str | None:
    """When a job is due; what is over waits for a call of run-due."""
    next_due = job.next_due_utc
    return next_due if next_due is None or next_due > now else f"{next_due} (now)"


@on_queue()
def settings(queue: Queue) -> None:
    """List all settings and what they mean.

    A default is shown where another value was set.
    """
    columns: list[show.Column] = [
        ("setting", lambda each: each.name),
        ("value", lambda each: show.plain(each.value)),
        ("default", default),
        ("meaning", lambda each: each.description),
    ]
    show.listing(queue.settings(), columns, "no settings")


def default(setting: Setting) -> str | None:
    """The default, where it is not what holds."""
    if setting.value == setting.default_value:
        return None
    return "none" if setting.default_value is None else str(setting.default_value)


@on_queue()
def schedule(queue: Queue) -> None:
    """List the jobs, and when they are due.

    The line offsite shows the copies elsewhere: when they are due is when a failure is tried again.
    """
    now = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}"
    columns: list[show.Column] = [
        ("job", lambda each: each.job),
        ("cron", lambda each: each.cron),
        ("last run (UTC)", lambda each: each.last_run_utc),
        ("next due (UTC)", lambda each: due(each, now)),
        ("last status", lambda each: each.last_status),
    ]
    show.listing(queue.schedule(), columns, "no jobs")


COMMANDS = (set_, get, unset, settings)
