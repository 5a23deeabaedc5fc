"""Results as people like to read them, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import click
from rich import box
from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table

from queuekeeper.cli.grammar import asked
from queuekeeper.cli.shared import printable, terminal, uncoloured
from queuekeeper.results import Decision, Result

COLOURS = {
    "ok": "green",
    "keep": "green",
    "warning": "yellow",
    "delete": "yellow",
    "critical": "red",
    "corrupted": "red",
    "failed": "red",
    "interrupted": "red",
}
MIB = 1024.0 * 1024.0
#: Of a detail that nobody asked for.
BRIEF = 60
#: The columns that give way where the terminal is too narrow for all.
LONG = ("file", "reasons", "steps", "detail", "value", "default", "meaning")


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
        _pairs(pairs)


def say(line: str) -> None:
    """A line for people."""
    if not asked().quiet:
        click.echo(line, color=uncoloured())


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return dict(value.raw)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def mib(count: int) -> str:
    """The number of MiB, for a column that says so; not 0 where there is a byte."""
    amount = max(count / MIB, 0.01) if count else 0
    places = 0 if amount >= 100 else 1 if amount >= 10 else 2
    return f"{amount:,.{places}f}"


def mebibytes(count: int) -> str:
    """Bytes in MiB, the one unit of all sizes: 2^20 bytes, as the library counts them."""
    return f"{mib(count)} MiB"


def aged(moment: str | None, seconds: int | None) -> str | None:
    """A time, and how long ago that is."""
    if moment is None or seconds is None or seconds < 0:
        return moment
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{moment} ({seconds // length:,} {unit} ago)"
    return f"{moment} ({seconds} s ago)"


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


def shortened(text: Any, longest: int = BRIEF) -> Any:
    """A text, or its beginning."""
    return text if text is None or len(text) <= longest else text[: longest - 1] + "…"


def listing(
    results: Sequence[Any], columns: Sequence[Column], empty: str, spare: str | None = None
) -> None:
    """All that a command has to say that lists results and nothing else."""
    if asked().as_json:
        as_json(results)
    else:
        rows(results, columns, empty, spare)


def rows(
    results: Sequence[Any], columns: Sequence[Column], empty: str, spare: str | None = None
) -> None:
    """A table with a row for each result, or what to say when there are none.

    The column `spare` is left out where the terminal is too narrow for all.
    """
    if not results:
        say(empty)
        return
    cells = [[take(each) for _, take in columns] for each in results]
    console = terminal()
    table = _table([name for name, _ in columns], cells)
    if spare is not None and console.measure(table).maximum > console.width:
        kept = [place for place, (name, _) in enumerate(columns) if name != spare]
        table = _table(
            [columns[each][0] for each in kept], [[row[each] for each in kept] for row in cells]
        )
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().strip("\n").split("\n")]
    for line in lines:
        if line:
            say(line)


def _table(names: Sequence[str], cells: Sequence[Sequence[Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        numeric = name == "MiB" or all(
            isinstance(row[place], (int, float, type(None))) for row in cells
        )
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name not in LONG)
    for row in cells:
        table.add_row(*[coloured(cell(value)) for value in row])
    return table


def decisions(plan: Sequence[Decision]) -> None:
    """What rotation would do, and why."""
    columns: list[Column] = [
        ("decision", lambda each: each.decision),
        ("created (UTC)", lambda each: each.created_at[:19].replace("T", " ")),
        ("reasons", lambda each: each.reasons),
        ("file", lambda each: Path(each.backup_path).name),
    ]
    rows(plan, columns, "no backups")


def _pairs(values: Mapping[str, Any]) -> None:
    """A name and its value on each line; those without a value are left out."""
    shown = {name: cell(value) for name, value in values.items() if value is not None}
    width = max(map(len, shown))
    for name, value in shown.items():
        colour = COLOURS.get(value)
        say(f"{click.style(name.ljust(width), bold=True)}  {click.style(value, fg=colour)}")


def coloured(text: str) -> str:
    """For rich, with a colour for words that mean something."""
    colour = COLOURS.get(text)
    return f"[{colour}]{text}[/]" if colour else escape(text)
