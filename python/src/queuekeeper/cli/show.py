"""Results as people like to read them, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import click

from queuekeeper.cli import layout
from queuekeeper.cli.grammar import asked
from queuekeeper.cli.shared import printable, uncoloured
from queuekeeper.results import Decision, Result

MIB = 1024.0 * 1024.0


def as_json(value: Any) -> None:
    """A result, or a list of them, complete; what a terminal would obey is escaped."""
    text = json.dumps(_plain(value), ensure_ascii=False, indent=2)
    shown = (
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )
    click.echo("".join(shown))


def result(value: Any, *lines: str, pairs: Mapping[str, Any] | None = None) -> None:
    """What a command came to: as JSON, or in lines, or as names and values."""
    if asked().as_json:
        as_json(value)
        return
    for line in lines:
        say(line)
    if pairs is not None:
        shown = [(name, cell(value)) for name, value in pairs.items() if value is not None]
        print_lines(layout.pairs(shown, layout.width(sys.stdout)))


def whole(value: Any, line: str) -> None:
    """What is there to be copied: as JSON, or in one line, however long it is."""
    if asked().as_json:
        as_json(value)
    else:
        print_lines([line])


def say(line: str) -> None:
    """A line for people, which may take several of the terminal's."""
    print_lines(layout.wrapped(line, layout.width(sys.stdout)))


def print_lines(lines: Sequence[str]) -> None:
    """Lines that are no wider than the terminal."""
    if asked().quiet:
        return
    for line in lines:
        click.echo(line, color=uncoloured())


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return dict(value.raw)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


class Figure(str):
    """A number as it is shown, at the right of its column."""


def mib(count: int) -> Figure:
    """The number of MiB, for a column that says so; not 0 where there is a byte."""
    return rounded(max(count / MIB, 0.01) if count else 0)


def rounded(amount: float) -> Figure:
    """An amount with three figures, and at most two places."""
    places = 0 if amount >= 100 else 1 if amount >= 10 else 2
    return Figure(f"{amount:,.{places}f}")


def mebibytes(count: int) -> str:
    """Bytes in MiB, the one unit of all sizes: 2^20 bytes, as the library counts them."""
    return f"{mib(count)} MiB"


def time(moment: str | None) -> str | None:
    """A time of the catalog as the lists show it."""
    return moment and moment[:19].replace("T", " ")


def aged(moment: str | None, seconds: int | None) -> str | None:
    """A time, and how long ago that is."""
    if moment is None or seconds is None or seconds < 0:
        return time(moment)
    return f"{time(moment)} ({lasting(seconds)} ago)"


def lasting(seconds: int) -> str:
    """How long something takes, in the largest unit of which there are two."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"


def short_ids(found: Sequence[Any], least: int = 8) -> dict[str, str]:
    """Of each id the beginning that tells it from all others."""
    ids = sorted({each.id for each in found})
    shortened = {}
    for before, own, behind in zip(["", *ids], ids, [*ids[1:], ""]):
        length = least
        while length < len(own) and own[:length] in (before[:length], behind[:length]):
            length += 1
        shortened[own] = own[:length]
    return shortened


def counted(count: int) -> str:
    """A number of backups, in words."""
    return f"{count:,} backup{'s' if count != 1 else ''}"


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{cell(name)} {cell(each)}" for name, each in value.items())
    return printable(str(value))


Column = tuple[str, Callable[[Any], Any]]


def plain(value: Any) -> Any:
    """An id, a time or a setting as it is, without thousands separators."""
    return None if value is None else str(value)


def listing(
    results: Sequence[Any], columns: Sequence[Column], empty: str, spare: Sequence[str] = ()
) -> None:
    """All that a command has to say that lists results and nothing else."""
    if asked().as_json:
        as_json(results)
    else:
        rows(results, columns, empty, spare)


def rows(
    results: Sequence[Any], columns: Sequence[Column], empty: str, spare: Sequence[str] = ()
) -> None:
    """A table with a row for each result, or what to say when there are none.

    The last column gives way, and those that are spare may be left out: see `layout`.
    """
    if not results:
        say(empty)
        return
    names = [name for name, _ in columns]
    values = [[take(each) for _, take in columns] for each in results]
    numeric = [
        all(isinstance(each, (int, float, Figure, type(None))) for each in column)
        for column in zip(*values)
    ]
    cells = [[cell(value) for value in row] for row in values]
    print_lines(layout.table(names, cells, numeric, layout.width(sys.stdout), spare))


def decisions(plan: Sequence[Decision], backups: Sequence[Any]) -> None:
    """What rotation would do with these backups, and why."""
    ids = short_ids(backups)
    shown = {each.backup_path: ids[each.id] for each in backups}
    columns: list[Column] = [
        ("decision", lambda each: each.decision),
        ("id", lambda each: shown.get(each.backup_path)),
        ("created (UTC)", lambda each: time(each.created_at)),
        ("file", lambda each: Path(each.backup_path).name),
        ("reasons", lambda each: each.reasons),
    ]
    rows(plan, columns, "no backups", spare=["file"])
