"""What the commands share: their options, the open queue, the statuses, the progress bar."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Callable, TypeVar

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import queuekeeper
from queuekeeper.configuration import Configuration, database_path

FOUND = 1
CRITICAL = 2
FAILED = 3
BUSY = 4
USAGE = 64
INTERRUPTED = 130

VARIABLE = "PRISMQ_QUEUE_DB_PATH"
MEMORY = ":memory:"

F = TypeVar("F", bound=Callable[..., Any])


class Finding(Exception):  # noqa: N818 - it is no error
    """Ends the command with a status other than 0, after all was said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def common(function: F) -> F:
    """The options that every command has; it is called with the path of the database."""
    db = click.option(
        "--db",
        "-d",
        default=lambda: click.get_current_context().find_root().params.get("db"),
        metavar="FILE",
        help=f"The queue database; by default the one that {VARIABLE} names.",
    )
    json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
    return db(json(function))


def with_queue(function: F) -> F:
    """The same for a command that is called with the open queue instead of the path."""

    @functools.wraps(function)
    def opened(db: str | None, **arguments: Any) -> Any:
        with open_queue(db) as queue:
            return function(queue, **arguments)

    return common(opened)  # type: ignore[return-value]


def with_named_queue(function: F) -> F:
    """The same for a command without an argument of its own, which may so be the database."""

    @functools.wraps(function)
    def named(database: str | None, db: str | None, **arguments: Any) -> Any:
        with open_queue(named_once(database, db)) as queue:
            return function(queue, **arguments)

    argument = click.argument("database", required=False, metavar="[FILE]")
    return argument(common(named))  # type: ignore[return-value]


def named_once(database: str | None, db: str | None) -> str | None:
    """The database that an argument names, else the option; not both."""
    source = click.get_current_context().get_parameter_source("db")
    if database and source is ParameterSource.COMMANDLINE:
        raise click.UsageError("the database is named twice: by --db, and as an argument")
    return database or db


def open_queue(db: str | None) -> queuekeeper.Queue:
    """The queue, or an error of usage."""
    return queuekeeper.open(database_of(db))


def database_of(db: str | None, configuration: Configuration | None = None) -> str:
    """The path of the database, or an error of usage."""
    named = db or (configuration or Configuration()).text("database")
    if not named:
        raise click.UsageError(f"no database: name it with --db FILE, or set {VARIABLE}")
    return database_path(named)


def policy(keep: str) -> Any:
    """A count, '7/4/12', or a JSON object."""
    if not keep.lstrip().startswith("{"):
        return keep
    try:
        return json.loads(keep)
    except ValueError as error:
        raise click.UsageError(f"KEEP is no JSON object: {error}") from error


@contextlib.contextmanager
def progress(what: str, unit: str = "pages") -> Iterator[Callable[[int, int], None] | None]:
    """A function that moves a bar, if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[pages]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        # Until there is something to count, the bar only shows that work is going on.
        task = bar.add_task(what, total=None, pages="")

        def moved(done: int, total: int) -> None:
            if total > 0:
                bar.update(task, completed=done, total=total, pages=f"{done:,} of {total:,} {unit}")

        yield moved


def uncoloured() -> bool | None:
    """For click, which does not know of https://no-color.org by itself."""
    return False if os.environ.get("NO_COLOR") else None


def printable(text: str) -> str:
    """A text without what a terminal would obey: anybody may have written what is in a queue."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def complain(message: str, status: int) -> int:
    """One line on standard error; the status."""
    line = printable(" ".join(message.split()))
    click.echo(f"queuekeeper: {'' if status == INTERRUPTED else 'error: '}{line}", err=True)
    return status


def terminal() -> Console:
    """Where tables go: as wide as they need to be when nobody looks at them."""
    console = Console(highlight=False, soft_wrap=False)
    if not sys.stdout.isatty():
        console.width = 10_000
    return console
