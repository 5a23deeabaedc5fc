"""The tables of the page: figures as text. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks import peers
from benchmarks.figures import Spread, percentile, ratios, spread
from benchmarks.goals import P99, Goal, seconds, times
from benchmarks.idle import SHARES, incremental_name
from benchmarks.raw import Records, labels

Cells = Sequence[str]

OURS = (
    "full",
    *(incremental_name(share) for share in SHARES),
    "zstd level 1",
    "zstd",
    "gzip level 1",
    "gzip",
    "snapshot",
    "verify checksum",
    "verify quick",
    "verify full",
    "restore to a file",
    "restore live",
)
PEERS: tuple[tuple[str, ...], ...] = (
    ("cp, sync",),
    (".backup",),
    (peers.AT_ONCE,),
    (peers.PACED,),
    ("VACUUM INTO",),
    ("sqlite3_rsync",),
    ("zstd -1 -T0",),
    ("gzip -1",),
    ("PRAGMA quick_check",),
    (".backup", "then zstd -3 -T0"),
    (".backup", "then gzip"),
    (".backup", "then sha256sum"),
    (".backup", "then integrity_check"),
    (".backup", "then integrity_check", "then gzip"),
)
LIMITS = ("read memory", "write disk", "SHA-256")
#: Measured on every queue.
GROWING = ("full", incremental_name(0.01), "zstd", "verify quick", "restore to a file")
GROWING_PEERS = ("cp, sync", ".backup")
UNDER_LOAD_PEERS = ("cp, sync", "VACUUM INTO", peers.AT_ONCE, "sqlite3_rsync")


def table(head: Cells, rows: Sequence[Cells]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def duration(value: float) -> str:
    """Seconds with about three digits, small ones in milliseconds."""
    if value < 1:
        return f"{value * 1000:.{0 if value >= 0.1 else 1}f} ms"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} s"


def range_of(found: Spread) -> str:
    return f"{duration(found.lowest)} to {duration(found.highest)}"


def ratio(found: Spread | None) -> str:
    return "" if found is None else f"{found.median:.2f}"


def megabytes(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:.0f} MB"


def goals(found: Sequence[Goal]) -> str:
    rows = []
    for goal in found:
        measured, between, runs = "", "", ""
        if goal.ratio is not None:
            measured = f"**{goal.ratio.median:.2f}**"
            between = f"{goal.ratio.lowest:.2f} to {goal.ratio.highest:.2f}"
            runs = str(goal.ratio.runs)
        what = goal.what + (f" ({goal.note})" if goal.note else "")
        rows.append([what, measured, between, runs, f"{goal.limit:.2f}", goal.verdict])
    return table(["ratio", "measured", "lowest to highest", "runs", "goal: at most", ""], rows)


def series_name(names: Sequence[str]) -> str:
    return ", ".join(names)


def idle(records: Records, queue: str, wanted: Sequence[Sequence[str]]) -> str:
    """A row for each, in seconds and relative to cp with a sync."""
    copied = seconds(records, queue, "cp, sync")
    rows = []
    for names in wanted:
        series = seconds(records, queue, *names)
        found = spread(series.values())
        if found is None:
            continue
        runs = [records.of(queue, name) for name in names]
        cpu = sum(statistics.median(run.cpu or 0.0 for run in one.values()) for one in runs)
        peaks = [run.peak for one in runs for run in one.values() if run.peak]
        rows.append(
            [
                series_name(names),
                duration(found.median),
                range_of(found),
                ratio(ratios(series, copied)),
                duration(cpu),
                megabytes(max(peaks, default=None)),
                str(found.runs),
            ]
        )
    head = ["", "median", "lowest to highest", "÷ cp, sync", "processor", "peak memory", "runs"]
    return table(head, rows)


def load(records: Records, queue: str, names: Sequence[str]) -> str:
    rows = []
    for name in names:
        runs = list(records.of(queue, name, "load").values())
        if not runs:
            continue
        rows.append([name, *load_cells(records, queue, name)])
    head = ["", "time", "÷ idle", "commits p50", "p99", "longest", "peak WAL", "runs"]
    return table(head, rows)


def load_cells(records: Records, queue: str, name: str) -> list[str]:
    runs = list(records.of(queue, name, "load").values())
    found = spread(run.seconds for run in runs)
    alone = times(records, queue, name, "idle") or times(records, queue, name, "tasks")
    idle_time = spread(alone.values())
    assert found is not None
    before = [value / 1e6 for run in runs for value in run.found["before_us"]]
    during = [value / 1e6 for run in runs for value in run.found["during_us"]]
    unfinished = [run.found["share"] for run in runs if not run.found.get("finished", True)]
    if unfinished:
        took = f"**never**: {max(unfinished) * 100:.0f} % in {duration(found.median)}"
    else:
        took = f"{duration(found.median)} ({range_of(found)})"
    against = f"{found.median / idle_time.median:.2f}" if idle_time and not unfinished else ""
    return [
        took,
        against,
        change(percentile(before, 50), percentile(during, 50)),
        change(percentile(before, P99), percentile(during, P99)),
        change(max(before, default=0), max(during, default=0)),
        megabytes(max(run.found["wal_bytes"] for run in runs)),
        str(len(runs)),
    ]


def change(before: float, during: float) -> str:
    """Before and during, in milliseconds."""
    return f"{before * 1000:.1f} → {during * 1000:.1f} ms"


def growth(records: Records) -> str:
    """Time and peak memory of the same on each queue."""
    queues = list(labels(records))
    rows = []
    for name in (*GROWING, *GROWING_PEERS):
        cells = [name]
        for queue in queues:
            found = spread(seconds(records, queue, name).values())
            peaks = [run.peak for run in records.of(queue, name).values() if run.peak]
            memory = f", {megabytes(max(peaks))}" if peaks else ""
            cells.append(f"{duration(found.median)}{memory}" if found else "")
        rows.append(cells)
    return table(["time, peak memory", *queues], rows)


def plain(records: Records, queue: str, group: str) -> str:
    """Every name of a group with its median and spread."""
    rows = []
    for name in records.names(queue, group):
        found = spread(times(records, queue, name, group).values())
        if found is not None:
            rows.append([name, duration(found.median), range_of(found), str(found.runs)])
    return table(["", "median", "lowest to highest", "runs"], rows)


def catalogs(records: Records, counts: Sequence[int]) -> str:
    """What a catalog of so many backups costs."""
    actions = ("backup {}", "list {}", "plan {}", "rotate one of {}", "rotate {} by 7/4/12")
    rows = []
    for action in actions:
        cells = [action.replace(" {}", "").replace("one of", "one")]
        for count in counts:
            name = action.format(f"{count:,}")
            found = spread(times(records, "catalogs", name, "catalogs").values())
            cells.append(duration(found.median) if found else "")
        rows.append(cells)
    return table(["backups in the catalog", *(f"{count:,}" for count in counts)], rows)


def limits(records: Records, queue: str) -> str:
    """Bytes of the database a second: what the machine can do, and what ours do of it."""
    size = records.queues[queue]["bytes"]
    rows = []
    for name in (*LIMITS, "cp, sync", *OURS):
        found = spread(seconds(records, queue, name).values())
        if found is None:
            continue
        cells = [name, f"{size / found.median / 1e9:.2f} GB/s"]
        for limit in LIMITS[:2]:
            share = ratios(seconds(records, queue, limit), seconds(records, queue, name))
            cells.append("" if name in LIMITS else ratio(share))
        rows.append(cells)
    head = ["", "bytes of the database a second", "of reading memory", "of writing to the disk"]
    return table(head, rows)
