"""stats, depth, health: what the queue looks like."""

from __future__ import annotations

import click

from queuekeeper import Queue
from queuekeeper._data import loaded
from queuekeeper.cli import show, words
from queuekeeper.cli.grammar import asked, or_queue
from queuekeeper.cli.naming import ANY
from queuekeeper.cli.shared import CRITICAL, FOUND, Finding, agreed, on_queue
from queuekeeper.errors import Error
from queuekeeper.results import HealthMetric, Scalar

#: The library's units of 2^20 and 2^30 bytes, by the names that are unmistakable.
UNITS = {"MB": "MiB", "GB": "GiB"}
ACCEPTED = "accepted_risks"
#: `--ack` without a metric.
ALL = ANY


@on_queue()
def stats(queue: Queue) -> None:
    """Measure the database."""
    found = queue.stats()
    show.result(
        found,
        pairs={
            "database": found.path,
            "size": show.mebibytes(found.size_bytes),
            "pages": f"{found.page_count:,} of {found.page_size:,} bytes",
            "free pages": f"{found.freelist_count:,} ({found.fragmentation_pct:.1f} %)",
            "journal mode": found.journal_mode,
            "WAL": show.mebibytes(found.wal_size_bytes),
            "free disk": None
            if found.free_disk_bytes is None
            else show.mebibytes(found.free_disk_bytes),
            "SQLite": found.sqlite_version,
        },
    )


@on_queue()
def depth(queue: Queue) -> None:
    """Count the tasks by status."""
    columns: list[show.Column] = [
        ("status", lambda each: each.status),
        ("tasks", lambda each: each.tasks),
        ("oldest (UTC)", lambda each: each.oldest_utc),
        ("newest (UTC)", lambda each: each.newest_utc),
    ]
    show.listing(queue.depth(), columns, "no tasks")


@on_queue()
@click.option(
    "--ack",
    "accepted",
    metavar="[METRIC]",
    is_flag=False,
    flag_value=ALL,
    callback=or_queue(ALL),
    help="Accept the risk that METRIC shows, or every one that is shown now, from now on.",
)
def health(queue: Queue, accepted: str | None) -> None:
    """Judge the queue's health.

    The exit status is 0 if all is well, 1 for a warning, 2 if something is critical. What --ack
    accepts is shown and not counted; the setting accepted_risks has the list.
    """
    found = queue.health()
    if accepted is not None:
        accept(queue, found, accepted)
        found = queue.health()
    if asked().as_json:
        show.as_json(found)
    else:
        columns: list[show.Column] = [
            ("metric", lambda each: each.metric),
            ("value", measured),
            ("unit", lambda each: UNITS.get(each.unit, each.unit)),
            ("warning", lambda each: threshold(each.warning)),
            ("critical", lambda each: threshold(each.critical)),
            ("level", lambda each: each.level),
        ]
        show.rows(found, columns, "nothing was measured")
        for each in found:
            if each.action:
                action = words.of_command_line(each.action, asked().queue())
                show.say(f"{each.metric}: {show.cell(action)}")
    levels = {each.level for each in found}
    if "critical" in levels:
        raise Finding(CRITICAL)
    if "warning" in levels:
        raise Finding(FOUND)


def measured(metric: HealthMetric) -> show.Figure | None:
    """A value with the places that its unit deserves."""
    value = metric.value
    if value is None:
        return show.Figure("never") if metric.unit == "hours" else None
    if not isinstance(value, float):
        return show.Figure(show.cell(value))
    if metric.unit in UNITS:
        return show.rounded(value)
    return show.Figure(f"{value:,.{0 if value.is_integer() else 1}f}")


def threshold(value: Scalar) -> show.Figure | None:
    """A threshold as it was set."""
    return show.Figure(f"{value:,.10g}") if isinstance(value, (int, float)) else None


def accept(queue: Queue, found: list[HealthMetric], metric: str) -> None:
    """Adds a metric, or all that are not well, to the risks that are accepted."""
    shown = [each.metric for each in found if each.level in ("warning", "critical")]
    added = [metric] if metric != ALL else shown
    if added != [metric]:
        agreed(f"From now on these are not counted: {', '.join(added) or 'none'}.")
    (before,) = (each.value for each in queue.settings() if each.name == ACCEPTED)
    try:
        risks = loaded(before) if isinstance(before, str) else []
    except ValueError:
        risks = None
    if not isinstance(risks, list):
        raise Error(f"{ACCEPTED} cannot be read; reset it: SELECT queue_set('{ACCEPTED}', NULL)")
    queue.set(ACCEPTED, [*risks, *(each for each in added if each not in risks)])


COMMANDS = (stats, depth, health)
