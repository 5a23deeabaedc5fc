"""history: what the jobs have done, for a terminal of any width.

# Promise

Runs are listed newest first; within a run, what failed comes before what it kept from being done.
An error is shown whole, on lines of its own where it does not fit behind its step. JSON has each
entry with all columns, in the order of `queue_history()`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click

from queuekeeper import Queue
from queuekeeper._arguments import present
from queuekeeper._data import loaded
from queuekeeper._log import moment
from queuekeeper.cli import layout, show, words
from queuekeeper.cli.grammar import asked
from queuekeeper.cli.shared import on_queue
from queuekeeper.errors import Error
from queuekeeper.results import HistoryEntry

FAILED = ("failed", "interrupted")
UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
#: How much of a detail is shown that nobody asked for.
BRIEF = 80


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

    Of each run, what failed comes first. Errors, and why a step was skipped, are shown whole, other
    details in brief; --json has all.
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
        show.print_lines(told(found, layout.width(sys.stdout)))


def told(found: Sequence[HistoryEntry], columns: int) -> list[str]:
    """The entries in lines no longer than the terminal."""
    shown = [entry for run in runs(found) for entry in failures_first(run)]
    names = ("status", "started (UTC)", "job", "step")
    rows = [_columns(entry) for entry in shown]
    taken = sum(max(map(len, column)) + len(layout.GAP) for column in zip(names, *rows))
    cells = [(*row, _detail(entry, columns - taken)) for entry, row in zip(shown, rows)]
    return layout.table((*names, "detail"), cells, [False] * 5, columns)


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
    """An error, a warning or why it was skipped, whole; else what it came to, in brief."""
    if entry.status in FAILED:
        said = words.of_command_line(entry.detail or "", asked().queue())
        return show.cell(" ".join(said.split()))
    try:
        found = loaded(entry.detail)
    except ValueError:
        found = entry.detail
    if isinstance(found, dict) and found.get("warning"):
        return f"warning: {show.cell(found['warning'])}"
    if entry.status == "skipped":
        return show.cell(found["note"] if isinstance(found, dict) and "note" in found else found)
    parts = list(_parts(found)) if isinstance(found, dict) else [show.cell(found)]
    return layout.brief(parts, min(room, BRIEF))


def _parts(found: dict[str, Any]) -> Iterator[str]:
    """What a step came to, the most telling first."""
    if "backup_path" in found:
        if "made_by" in found:
            yield f"made by {show.cell(found['made_by'])}"
        elif isinstance(found.get("size_bytes"), int):
            yield show.mebibytes(found["size_bytes"])
        else:
            yield show.cell(found.get("status"))
        yield f"id {show.cell(found.get('id'))[:8]}"
        yield show.cell(Path(str(found["backup_path"])).name)
    elif {"checkpointed", "log"} <= found.keys():
        yield f"{show.cell(found['checkpointed'])} of {show.cell(found['log'])} pages copied"
    elif "note" in found:
        yield show.cell(found["note"])
    else:
        for name, value in found.items():
            yield f"{show.cell(name)} {show.cell(value)}"


COMMANDS = (history,)
