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
BYTES = 1024.0
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


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return dict(value.raw)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def size(count: Any) -> str:
    """Bytes, in the unit that suits them."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < BYTES:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= BYTES
    return f"{amount:.1f} TiB"


def megabytes(count: int) -> str:
    """Bytes in MB of 2^20 bytes, as the library counts them."""
    return f"{count / BYTES / BYTES:,.2f} MB"


def aged(moment: str | None, seconds: int | None) -> str | None:
    """A time, and how long ago that is."""
    if moment is None or seconds is None or seconds < 0:
        return moment
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{moment} ({seconds // length:,} {unit} ago)"
    return f"{moment} ({seconds} s ago)"


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
    results: Sequence[Any], columns: Sequence[Column], empty: str, *, json_asked: bool
) -> None:
    """All that a command has to say that lists results and nothing else."""
    if json_asked:
        as_json(results)
    else:
        rows(results, columns, empty)


def rows(results: Sequence[Any], columns: Sequence[Column], empty: str) -> None:
    """A table with a row for each result, or what to say when there are none."""
    if not results:
        click.echo(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    values = [[take(each) for _, take in columns] for each in results]
    for number, (name, _) in enumerate(columns):
        numeric = all(isinstance(row[number], (int, float, type(None))) for row in values)
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name not in LONG)
    for row in values:
        table.add_row(*[coloured(cell(value)) for value in row])
    console = terminal()
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().strip("\n").split("\n")]
    click.echo("\n".join(line for line in lines if line))


def decisions(plan: Sequence[Decision]) -> None:
    """What rotation would do, and why."""
    columns: list[Column] = [
        ("decision", lambda each: each.decision),
        ("created (UTC)", lambda each: each.created_at[:19].replace("T", " ")),
        ("reasons", lambda each: each.reasons),
        ("file", lambda each: Path(each.backup_path).name),
    ]
    rows(plan, columns, "no backups")


def pairs(values: Mapping[str, Any]) -> None:
    """A name and its value on each line; those without a value are left out."""
    shown = {name: cell(value) for name, value in values.items() if value is not None}
    width = max(map(len, shown))
    for name, value in shown.items():
        colour = COLOURS.get(value)
        line = f"{click.style(name.ljust(width), bold=True)}  {click.style(value, fg=colour)}"
        click.echo(line, color=uncoloured())


def coloured(text: str) -> str:
    """For rich, with a colour for words that mean something."""
    colour = COLOURS.get(text)
    return f"[{colour}]{text}[/]" if colour else escape(text)
