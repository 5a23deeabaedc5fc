"""The plots, each as an SVG for light and one for dark pages.

Dots with a line from the lowest to the highest run stand on logarithmic axes, because the quickest
and the slowest are a factor of a hundred apart; the labels say the seconds, so nobody needs to read
the axis. Ours have one colour in all plots, and peers another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.catalogs import COUNTS
from benchmarks.figures import Spread, percentile, spread
from benchmarks.goals import P99, seconds, times
from benchmarks.idle import SHARES, incremental_name
from benchmarks.raw import Records, labels
from benchmarks.tables import (
    GROWING,
    GROWING_PEERS,
    OURS,
    PEERS,
    UNDER_LOAD_PEERS,
    duration,
    series_name,
)


@dataclass(frozen=True)
class Palette:
    name: str
    text: str
    grid: str
    ours: str
    peers: str
    more: tuple[str, ...]


LIGHT = Palette(
    "light",
    "#24292f",
    "#d0d7de",
    "#0969da",
    "#8c959f",
    ("#0969da", "#8250df", "#1a7f37", "#bc4c00", "#bf3989"),
)
DARK = Palette(
    "dark",
    "#e6edf3",
    "#3d444d",
    "#58a6ff",
    "#8b949e",
    ("#58a6ff", "#bc8cff", "#3fb950", "#f0883e", "#f778ba"),
)

Draw = Callable[[Records, str, Palette], Figure]
Dot = tuple[str, Spread, bool]


def style(palette: Palette) -> dict[str, Any]:
    return {
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "text.color": palette.text,
        "axes.labelcolor": palette.text,
        "axes.edgecolor": palette.grid,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": palette.grid,
        "grid.linewidth": 0.5,
        "xtick.color": palette.text,
        "ytick.color": palette.text,
        "font.size": 9,
        # As text, so that the file is small and the words can be found.
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
        # The same figures give the same file.
        "svg.hashsalt": "queuekeeper",
    }


def seconds_axis(axis: Any) -> None:
    """A logarithmic axis that says 10 ms, 20 ms, 50 ms instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())


def short(value: float) -> str:
    return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"


def dots(axes: Any, found: Sequence[Dot], palette: Palette, text: Callable[[Spread], str]) -> None:
    """One line a name: its median as a dot, its range as a line, its number beside it."""
    for position, (_, values, is_ours) in enumerate(reversed(found)):
        colour = palette.ours if is_ours else palette.peers
        axes.plot([values.lowest, values.highest], [position] * 2, color=colour, lw=2, alpha=0.5)
        axes.plot([values.median], [position], "o", color=colour, ms=6)
        axes.annotate(
            text(values),
            (values.highest, position),
            textcoords="offset points",
            xytext=(8, 0),
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(found)), [name for name, *_ in reversed(found)])
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.grid(axis="y", visible=False)
    for label, (_, _, is_ours) in zip(axes.get_yticklabels(), reversed(found)):
        label.set_color(palette.ours if is_ours else palette.text)
    seconds_axis(axes.xaxis)


def idle(records: Records, queue: str, palette: Palette) -> Figure:
    """Every call's time on the main queue, the quickest first."""
    found: list[Dot] = []
    for names, is_ours in [*(((name,), True) for name in OURS), *((n, False) for n in PEERS)]:
        values = spread(seconds(records, queue, *names).values())
        if values is not None:
            found.append((series_name(names), values, is_ours))
    found.sort(key=lambda dot: dot[1].median)
    figure = Figure(figsize=(9, 0.27 * len(found) + 0.9), layout="constrained")
    axes = figure.subplots()
    dots(axes, found, palette, lambda values: duration(values.median))
    axes.set_title(f"A queue of {queue}, nobody else on it (blue: queuekeeper)")
    return figure


def load(records: Records, queue: str, palette: Palette) -> Figure:
    """The commits' p99 before (ring) and during (dot) each backup."""
    rows: list[tuple[str, float, float, bool, str]] = []
    ours = ("full", incremental_name(0.01), "zstd", "gzip", "snapshot")
    for name in (*ours, *UNDER_LOAD_PEERS, *never(records, queue)):
        runs = list(records.of(queue, name, "load").values())
        if not runs:
            continue
        before = [value / 1e6 for run in runs for value in run.found["before_us"]]
        during = [value / 1e6 for run in runs for value in run.found["during_us"]]
        middle = spread(run.seconds for run in runs)
        ended = all(run.found.get("finished", True) for run in runs)
        took = f"in {duration(middle.median)}" if middle and ended else "never ends"
        rows.append((name, percentile(before, P99), percentile(during, P99), name in ours, took))
    figure = Figure(figsize=(9, 0.32 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    for position, (_, early, late, is_ours, took) in enumerate(reversed(rows)):
        colour = palette.ours if is_ours else palette.peers
        axes.plot([early, late], [position] * 2, color=colour, lw=2, alpha=0.5)
        axes.plot([early], [position], "o", mfc="none", color=colour, ms=6)
        axes.plot([late], [position], "o", color=colour, ms=6)
        text = f"{late / early:.1f} times, {took}"
        place = {"textcoords": "offset points", "va": "center", "fontsize": 8}
        axes.annotate(text, (max(early, late), position), xytext=(8, 0), **place)
    axes.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    axes.set_xscale("log")
    axes.margins(x=0.3)
    axes.grid(axis="y", visible=False)
    seconds_axis(axes.xaxis)
    axes.set_title("p99 of others' commits, before (ring) and during (dot) each backup of " + queue)
    return figure


def never(records: Records, queue: str) -> Iterator[str]:
    """What was stopped at the limit."""
    for name in records.names(queue, "load"):
        runs = records.of(queue, name, "load").values()
        if any("share" in run.found for run in runs):
            yield name


def growth(records: Records, _queue: str, palette: Palette) -> Figure:
    """Time and peak memory against the size of the queue."""
    queues = list(labels(records))
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for position, name in enumerate((*GROWING, *GROWING_PEERS)):
        is_ours = name in GROWING
        look = {
            "color": palette.more[position] if is_ours else palette.peers,
            "marker": "o" if is_ours else "s",
            "ls": "-" if is_ours else ("--" if position % 2 else ":"),
            "ms": 4,
            "label": name,
        }
        points = []
        for queue in queues:
            values = spread(seconds(records, queue, name).values())
            peak = spread(r.peak / 1e6 for r in records.of(queue, name).values() if r.peak)
            if values:
                size = records.queues[queue]["bytes"] / 1e6
                points.append((size, values.median, peak.median if peak else None))
        left.plot([p[0] for p in points], [p[1] for p in points], **look)
        known = [(size, memory) for size, _, memory in points if memory is not None]
        right.plot([size for size, _ in known], [memory for _, memory in known], **look)
    for axes, title in ((left, "Time"), (right, "Peak memory, MB")):
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_xticks([records.queues[queue]["bytes"] / 1e6 for queue in queues], queues)
        axes.minorticks_off()
    left.set_yscale("log")
    seconds_axis(left.yaxis)
    right.set_ylim(bottom=0)
    left.legend(frameon=False, fontsize=8)
    return figure


def changes(records: Records, queue: str, palette: Palette) -> Figure:
    """An incremental against the pages that changed, a catalog against its backups."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for position, label in enumerate(labels(records)):
        points = []
        for name in (*(incremental_name(share) for share in SHARES), "full"):
            runs = records.of(queue=label, name=name).values()
            share = spread(run.found["pages_stored"] / run.found["page_count"] for run in runs)
            values = spread(run.seconds for run in runs)
            if share and values:
                points.append((share.median * 100, values.median))
        colour = palette.more[position % len(palette.more)]
        x, y = [point[0] for point in points], [point[1] for point in points]
        left.plot(x, y, "o-", color=colour, ms=4, label=label)
    left.set_title("Incremental against changed pages, %\n(100: a full backup)")
    for position, action in enumerate(("backup {}", "list {}", "plan {}", "rotate one of {}")):
        points = []
        for count in COUNTS:
            name = action.format(f"{count:,}")
            values = spread(times(records, "catalogs", name, "catalogs").values())
            if values:
                points.append((count, values.median))
        x, y = [point[0] for point in points], [point[1] for point in points]
        right.plot(x, y, "o-", color=palette.more[position], ms=4, label=action.split()[0])
    right.set_title("Calls against the backups in the catalog\n(of a tiny queue)")
    for axes in (left, right):
        if not axes.lines:
            continue
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        seconds_axis(axes.yaxis)
        axes.legend(frameon=False, fontsize=8)
    return figure


#: By name: the group that it needs, and what draws it.
PLOTS: dict[str, tuple[str, Draw]] = {
    "idle": ("idle", idle),
    "load": ("load", load),
    "growth": ("idle", growth),
    "changes": ("idle", changes),
}


def write(records: Records, queue: str, directory: Path) -> None:
    """Every plot of which something was measured, as NAME-light.svg and NAME-dark.svg."""
    measured = {record.group for record in records.all}
    for palette in (LIGHT, DARK):
        with mpl.rc_context(style(palette)):
            for name, (group, draw) in PLOTS.items():
                if group not in measured:
                    continue
                figure = draw(records, queue, palette)
                figure.savefig(directory / f"{name}-{palette.name}.svg", metadata={"Date": None})
