"""What the commands share: the open queue, the exit statuses, errors, questions."""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Callable

import click

import queuekeeper
from queuekeeper import Queue
from queuekeeper.cli import layout, words
from queuekeeper.cli.grammar import Command, asked, command, no_database
from queuekeeper.configuration import Configuration, database_path
from queuekeeper.errors import CantOpenError

FOUND = 1
CRITICAL = 2
FAILED = 3
BUSY = 4
USAGE = 64
INTERRUPTED = 130

MEMORY = ":memory:"


class Finding(Exception):  # noqa: N818 - it is no error
    """Ends the command with a status other than 0, after all was said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def on_queue(name: str | None = None, **given: Any) -> Callable[[Callable[..., Any]], Command]:
    """Makes a command of a function that is called with the open queue."""

    def made(function: Callable[..., Any]) -> Command:
        @functools.wraps(function)
        def called(**arguments: Any) -> Any:
            path = database()
            try:
                queue = opened(path)
            except CantOpenError as error:
                if Path(path).exists() or not Path(path).parent.is_dir():
                    raise
                shown = asked().queue() or shlex.quote(path)
                raise click.ClickException(
                    f"there is no database '{path}', and a missing database is not made; if it is "
                    f"lost, 'queuekeeper backups {shown}' lists its backups, and "
                    f"'queuekeeper restore {shown} latest' makes it anew"
                ) from error
            with queue:
                return function(queue, **arguments)

        return command(name, **given)(called)

    return made


def database(configuration: Configuration | None = None) -> str:
    """The path of the database, or an error of usage."""
    named = asked().db or (configuration or Configuration()).text("database")
    if not named:
        raise click.UsageError(no_database(click.get_current_context()))
    return database_path(named)


def opened(path: str) -> Queue:
    """The open queue; `--verbose` says which."""
    queue = queuekeeper.open(path)
    if asked().verbose:
        found = f"queuekeeper {queue.version()}, SQLite {queue.stats().sqlite_version}"
        say_beside(f"queuekeeper: {printable(path)} is opened ({found})")
    return queue


def policy(keep: str) -> Any:
    """A count, '7/4/12', or a JSON object."""
    if not keep.lstrip().startswith("{"):
        return keep
    try:
        return json.loads(keep)
    except ValueError as error:
        raise click.UsageError(f"KEEP is no JSON object: {error}") from error


def agreed(what: str) -> None:
    """Asks before what cannot be undone; ends the command where the answer is no.

    Where nobody can be asked, it goes on, as it did in the version before.
    """
    if asked().yes:
        return
    if not sys.stdin.isatty():
        asked().hints.append(
            "nobody could be asked, so it was done; the next version will want --yes for that"
        )
        return
    # With what click adds, " [y/N]: ".
    room = layout.width(sys.stderr) - 8
    *before, question = layout.wrapped(f"{printable(what)} Go on?", room, 0)
    for line in before:
        click.echo(line, err=True)
    try:
        is_agreed = click.confirm(question, err=True)
    except click.Abort:
        is_agreed = False
    if not is_agreed:
        raise Finding(complain("nothing was done", INTERRUPTED))


def uncoloured() -> bool | None:
    """For click, which does not know of https://no-color.org by itself."""
    return False if os.environ.get("NO_COLOR") else None


def printable(text: str) -> str:
    """A text without what a terminal would obey: anybody may have written what is in a queue."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def complain(message: str, status: int, queue: str | None = None) -> int:
    """Tells an error, in whose commands this queue is named; the status."""
    tell(f"{'' if status == INTERRUPTED else 'error: '}{message}", queue)
    return status


def warn(message: str, kind: str = "warning") -> None:
    """Tells what ends no command."""
    tell(f"{kind}: {message}")


def tell(message: str, queue: str | None = None) -> None:
    """Says something on standard error, in the words of the command line."""
    whole = words.of_command_line(f"queuekeeper: {message}", queue)
    say_beside(printable(" ".join(whole.split())))


def say_beside(line: str) -> None:
    """One line on standard error, which may take several of the terminal's."""
    for each in layout.wrapped(line, layout.width(sys.stderr)):
        click.echo(each, err=True)
