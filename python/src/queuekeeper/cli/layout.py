"""Lines for a terminal of any width: the one layout of all that people are shown.

# Promise

- No line is wider than the terminal, by cells. Where nobody looks, a line is as long as it must be.
- A word stays in one piece if a line has room for it, and so do a time, and what is in quotation
  marks, which may be a command. A path is folded behind a slash.
- In a table, the last column and, in a list of names and values, the value give way: they stand
  behind the others where they fit, else below, indented.
- The text that comes in is printable already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import IO

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console

ENDLESS = 10_000
#: What a terminal that calls itself narrower, such as one of no columns, is taken for.
NARROWEST = 40
GAP = "  "
INDENT = 2
#: What a column keeps where the terminal is too narrow for all; no id or time is longer.
LEAST = 24
#: What the last column is left, if it needs as much.
LAST = 20
TIME = r"\S*\d{4}-\d\d-\d\d \d\d:\d\d\S*"
PIECE = re.compile(rf"(?<!\S)\(?'[^']+'[^\s']*|{TIME}|\S+| +")
WORD = re.compile(rf"{TIME}|\S+| +")
COLOURS = {
    "ok": "green",
    "keep": "green",
    "warning": "yellow",
    "delete": "yellow",
    "critical": "red",
    "corrupted": "red",
    "damaged": "red",
    "failed": "red",
    "interrupted": "red",
}


def width(stream: IO[str]) -> int:
    """How wide a line may be there."""
    return max(Console(file=stream).width, NARROWEST) if stream.isatty() else ENDLESS


def wrapped(text: str, columns: int, hang: int = INDENT) -> list[str]:
    """A text in lines, which begin with so many spaces from the second on."""
    room = max(columns - hang, 1)
    lines, line = [], ""
    for piece in PIECE.findall(text):
        for part in [piece] if cell_len(piece) <= room else WORD.findall(piece):
            if cell_len(line + part) <= columns:
                line += part
                continue
            if line.strip():
                lines.append(line.rstrip())
                line = " " * hang
            if not part.isspace():
                *full, rest = _folded(part, room)
                lines += [line + each for each in full[:1]]
                lines += [" " * hang + each for each in full[1:]]
                line = (" " * hang if full else line) + rest
    return [*lines, line.rstrip()]


def _folded(word: str, room: int) -> list[str]:
    """A word in pieces that fit."""
    found = [""]
    for part in re.findall(r"[^/]*/|[^/]+", word):
        for each in [part] if cell_len(part) <= room else part:
            if cell_len(found[-1] + each) <= room:
                found[-1] += each
            else:
                found.append(each)
    return found


def brief(parts: Sequence[str], room: int) -> str:
    """As many of the parts as there is room for; of the first, perhaps only its beginning."""
    found = parts[0] if parts else ""
    for part in parts[1:]:
        if cell_len(f"{found}, {part}") > room:
            break
        found += f", {part}"
    if cell_len(found) <= room:
        return found
    return f"{set_cell_size(found, max(room - 1, 0)).rstrip()}…"


def pairs(values: Sequence[tuple[str, str]], columns: int) -> list[str]:
    """A name and its value on each line."""
    longest = max(cell_len(name) for name, _ in values)
    lines = []
    for name, value in values:
        lines += _with_last([_padded(name, longest, False, True)], longest, value, columns)
    return lines


def table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    columns: int,
    spare: Sequence[str] = (),
) -> list[str]:
    """Rows below their names; columns that are spare are left out where not all fit."""
    *kept, end = _kept(names, rows, columns, spare)
    first = [max(cell_len(row[place]) for row in (names, *rows)) for place in kept]
    taken = sum(first) + len(GAP) * (len(first) - 1)
    while taken > columns and max(first) > LEAST:
        first[first.index(max(first))] -= 1
        taken -= 1
    last = max(cell_len(row[end]) for row in (names, *rows))
    lines = []
    for row in (names, *rows):
        cells = [wrapped(row[place], room, 0) for place, room in zip(kept, first)]
        heads = [
            GAP.join(
                _padded(text, room, numeric[place], row is names)
                for text, room, place in zip(parts, first, kept)
            )
            for parts in zip_longest(*cells, fillvalue="")
        ]
        at_end = " " * (last - cell_len(row[end])) if numeric[end] else ""
        lines += _with_last(heads, taken, at_end + row[end], columns, row is names)
    return lines


def _kept(
    names: Sequence[str], rows: Sequence[Sequence[str]], columns: int, spare: Sequence[str]
) -> list[int]:
    """The columns that are shown."""
    widths = [max(map(cell_len, column)) for column in zip(names, *rows)]
    kept = list(range(len(names)))
    for place in map(list(names).index, spare):
        *first, end = (widths[each] + len(GAP) for each in kept)
        last = end if names[kept[-1]] in spare else min(end, LAST + len(GAP))
        if sum(first) + last - len(GAP) > columns:
            kept.remove(place)
    return kept


def _with_last(
    heads: Sequence[str], taken: int, ending: str, columns: int, is_head: bool = False
) -> list[str]:
    """What gives way, behind the rest or below it."""
    if taken > columns:
        whole = " ".join([*map(click.unstyle, heads), ending])
        return wrapped(" ".join(whole.split()), columns)
    if taken + len(GAP) + cell_len(ending) <= columns:
        first = f"{heads[0]}{GAP}{_styled(ending, is_head)}"
        return [each.rstrip() for each in (first, *heads[1:])]
    return [each.rstrip() for each in heads] + wrapped(" " * INDENT + ending, columns)


def _padded(text: str, room: int, at_right: bool, is_head: bool) -> str:
    spaces = " " * (room - cell_len(text))
    shown = _styled(text, is_head)
    return spaces + shown if at_right else shown + spaces


def _styled(text: str, is_head: bool) -> str:
    colour = COLOURS.get(text)
    return click.style(text, fg=colour, bold=is_head or None) if is_head or colour else text
