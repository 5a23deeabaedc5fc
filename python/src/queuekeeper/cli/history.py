"""history: what the jobs have done, for a terminal of any width.

# Promise

Runs are listed newest first; within a run, what failed comes before what it kept from being done.
An error is shown whole, on lines of its own where it does not fit behind its step. JSON has each
entry with all columns, in the order of `queue_history()`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import click
from rich.console import Console
from rich.text import Text

from queuekeeper import Queue
from queuekeeper._arguments import present
from queuekeeper._data import loaded
from queuekeeper._log import moment
from queuekeeper.cli import show
from queuekeeper.cli.grammar import asked
from queuekeeper.cli.shared import on_queue, terminal
from queuekeeper.errors import Error
from queuekeeper.results import HistoryEntry

FAILED = ("failed", "interrupted")
UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
GAP = "  "


class Since(click.ParamType[datetime]):
    """A time in UTC, or how long ago."""

    name = "time"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The time that is meant."""
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"(\d+) ?(min|h|d)", value.strip(), re.ASCII)
        try:
            if ago:
                return datetime.now(timezone.utc) - int(ago[1]) * UNITS[ago[2]]
            return present(value)
        except (Error, OverflowError, OSError, ValueError):
            self.fail(f"'{value}' is no time such as 2026-11-05, '2026-11-05 02:00', 90min or 7d")


@on_queue()
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The newest N entries only.")
@click.option("--failed", is_flag=True, help="Only what failed, or was interrupted.")
@click.option("--job", metavar="JOB", help="Only this job, such as daily.")
@click.option("--since", type=Since(), metavar="TIME", help="From TIME on: UTC, or 90min, 12h, 7d.")
def history(
    queue: Queue,
    limit: int | None,
    failed: bool,
    job: str | None,
    since: datetime | None,
) -> None:
    """List what the jobs have done, the newest first.

    Of each run, what failed comes first. Errors are shown whole, other details shortened; --json
    has all.
    """
    everything = queue.history()
    found = [
        each
        for each in everything
        if (not failed or each.status in FAILED)
        and (job is None or each.job == job)
        and (since is None or (moment(each.started_utc) or since) >= since)
    ][:limit]
    if asked().as_json:
        show.as_json(found)
    elif not found:
        show.say("no such entries in the history" if everything else "no history")
    else:
        for line in told(found, terminal()):
            show.say(line)


def told(found: Sequence[HistoryEntry], console: Console) -> list[str]:
    """The entries in lines no longer than the terminal."""
    shown = [entry for run in runs(found) for entry in failures_first(run)]
    rows = [("status", "started (UTC)", "job", "step"), *map(_columns, shown)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    heads = [GAP.join(map(str.ljust, row, widths)) for row in rows]
    lines = [click.style(heads[0].rstrip(), bold=True)]
    for entry, head in zip(shown, heads[1:]):
        status = show.cell(entry.status)
        colour = show.COLOURS.get(status)
        coloured = (click.style(status, fg=colour) if colour else status) + head[len(status) :]
        room = console.width - len(head) - len(GAP)
        detail = _detail(entry, room)
        if Text(detail).cell_len <= room:
            lines.append(f"{coloured}{GAP}{detail}".rstrip())
            continue
        lines.append(coloured.rstrip())
        width = max(console.width - len(GAP), 1)
        wrapped = Text(detail).wrap(console, width, overflow="fold")
        lines += [f"{GAP}{line.plain.rstrip()}" for line in wrapped]
    return lines


def runs(found: Sequence[HistoryEntry]) -> list[list[HistoryEntry]]:
    """The entries by runs of a job, which does each step once."""
    grouped: list[list[HistoryEntry]] = []
    for entry in found:
        last = grouped[-1] if grouped else []
        if last and last[0].job == entry.job and all(each.step != entry.step for each in last):
            last.append(entry)
        else:
            grouped.append([entry])
    return grouped


def failures_first(run: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """The entries of a run, which else stay in their order."""
    return sorted(run, key=lambda each: each.status not in FAILED)


def _columns(entry: HistoryEntry) -> tuple[str, str, str, str]:
    shown = (entry.status, entry.started_utc, entry.job, entry.step)
    return (show.cell(shown[0]), show.cell(shown[1]), show.cell(shown[2]), show.cell(shown[3]))


def _detail(entry: HistoryEntry, room: int) -> str:
    """An error or a warning, whole; else what the step came to, in brief."""
    if entry.status in FAILED:
        return show.cell(" ".join((entry.detail or "").split()))
    try:
        found = loaded(entry.detail)
    except ValueError:
        found = entry.detail
    if isinstance(found, dict) and found.get("warning"):
        return f"warning: {show.cell(found['warning'])}"
    return str(show.shortened(show.cell(found), max(min(room, show.BRIEF), 1)))


COMMANDS = (history,)
