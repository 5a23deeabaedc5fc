"""Reading a SQL file for a tour, and showing results the way the sqlite3 shell does."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from hosts import Result

# What a ";" inside of doesn't end the statement; and what does.
TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|;", re.DOTALL)
PROMPT, CONTINUED = "sqlite> ", "   ...> "
# Corner, line, crossing, corner of the three rules; then what stands between the cells.
BOX = {"top": tuple("┌─┬┐"), "mid": tuple("├─┼┤"), "end": tuple("└─┴┘"), "bar": ("│",)}
ASCII = {"top": tuple("+-++"), "mid": tuple("+-++"), "end": tuple("+-++"), "bar": ("|",)}


@dataclass(frozen=True)
class Statement:
    comments: list[str]
    sql: str


def statements(script: str) -> Iterator[Statement]:
    """The statements of a script, each with the "--" comments before it.

    Comments between slashes and stars are for the readers of the file, and left out.
    """
    comments: list[str] = []
    sql = ""
    position = 0
    for token in TOKEN.finditer(script):
        sql += script[position : token.start()]
        position = token.end()
        if token[0] == ";":
            yield Statement(comments, sql.strip() + ";")
            comments, sql = [], ""
        elif token[0].startswith("--") and not sql.strip():
            # A blank line between two comments is there for the eye: keep it.
            comments += [""] if comments and "\n\n" in sql else []
            comments.append(token[0])
            sql = ""
        elif not token[0].startswith("/*"):
            sql += token[0]
    if (sql + script[position:]).strip():
        yield Statement(comments, (sql + script[position:]).strip() + ";")


def echo(statement: Statement) -> str:
    lines = statement.sql.splitlines()
    shown = [PROMPT + lines[0], *(CONTINUED + line for line in lines[1:])]
    return "\n".join(["", *statement.comments, *shown])


def pretty(value: Any, indent: str = "") -> str:
    """JSON in lines; what fits into one stays in one."""
    text = json.dumps(value, ensure_ascii=False)
    if len(indent + text) <= 72 or not value or not isinstance(value, (dict, list)):
        return text
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {pretty(item, deeper)}" for key, item in value.items()]
    else:
        parts = [pretty(item, deeper) for item in value]
    inner = ",\n".join(deeper + part for part in parts)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}\n{indent}{closing}"


def cell(value: Any) -> list[str]:
    """The lines of one value; JSON that is too long for a line is laid out."""
    if value is None:
        return [""]
    text = str(value)
    if isinstance(value, str) and len(text) > 60 and text[0] in "{[":
        with contextlib.suppress(ValueError):
            text = pretty(json.loads(text))
    return text.splitlines() or [""]


def box(columns: Sequence[str], rows: list[list[list[str]]], right: Sequence[bool]) -> list[str]:
    look = BOX
    try:
        "".join(BOX["top"]).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        look = ASCII
    widths = [
        max(len(line) for line in [name, *(line for row in rows for line in row[index])])
        for index, name in enumerate(columns)
    ]

    def rule(kind: str) -> str:
        left, dash, cross, end = look[kind]
        return left + cross.join(dash * (width + 2) for width in widths) + end

    def line(cells: Sequence[str]) -> str:
        bar = look["bar"][0]
        return bar + bar.join(f" {text} " for text in cells) + bar

    lines = [rule("top"), line([name.center(w) for name, w in zip(columns, widths)]), rule("mid")]
    for row in rows:
        for parts in zip_longest(*row, fillvalue=""):
            fitted = zip(parts, widths, right)
            lines.append(line([t.rjust(w) if r else t.ljust(w) for t, w, r in fitted]))
    return [*lines, rule("end")]


def one_a_line(columns: Sequence[str], rows: list[list[list[str]]]) -> list[str]:
    """For rows that are too wide for a box: what the shell calls line mode."""
    width = max(len(name) for name in columns)
    lines: list[str] = []
    for row in rows:
        lines += [""] if lines else []
        for name, parts in zip(columns, row):
            lines.append(f"{name:>{width}} = {parts[0]}")
            lines += [" " * (width + 3) + part for part in parts[1:]]
    return lines


def render(result: Result) -> str:
    if not result.rows:
        return ""
    rows = [[cell(value) for value in row] for row in result.rows]
    numeric = [
        all(isinstance(value, (int, float, type(None))) for value in column)
        for column in zip(*result.rows)
    ]
    lines = box(result.columns, rows, numeric)
    if len(lines[0]) > shutil.get_terminal_size((110, 24)).columns and len(result.columns) > 1:
        lines = one_a_line(result.columns, rows)
    return "\n".join(lines)
