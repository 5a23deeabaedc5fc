"""The goals, judged from the figures alone. Pure.

Each goal is a ratio that may not be exceeded, as the median over the rounds. A goal of which one
side could not be measured is open, neither met nor missed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import Spread, added, percentile, ratios, spread
from benchmarks.idle import incremental_name
from benchmarks.measure import Run
from benchmarks.raw import Records

OURS_UNDER_LOAD = ("full", incremental_name(0.01), "zstd", "gzip", "snapshot")
P99 = 99.0


@dataclass(frozen=True)
class Goal:
    """A ratio, what it may be, and what it is."""

    what: str
    limit: float
    ratio: Spread | None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return "not measured"
        if self.ratio.median <= self.limit:
            return "met"
        return f"missed by {(self.ratio.median / self.limit - 1) * 100:.0f} %"


def seconds(records: Records, queue: str, *names: str, group: str = "idle") -> dict[int, float]:
    """The seconds of what has these names, one after the other, by round."""
    return added(*(times(records, queue, name, group) for name in names))


def times(records: Records, queue: str, name: str, group: str) -> dict[int, float]:
    return {turn: run.seconds for turn, run in records.of(queue, name, group).items()}


#: What is compared: a text, ours, the peer, and how many times the peer's time ours may take.
PAIRS = (
    ("full ÷ `cp` and sync", ("full",), ("cp, sync",), 1.1),
    ("full ÷ `.backup`", ("full",), (".backup",), 0.9),
    ("zstd level 1 ÷ `zstd -1 -T0` at rest", ("zstd level 1",), ("zstd -1 -T0",), 1.1),
    ("zstd (level 3) ÷ `zstd -3 -T0` at rest", ("zstd",), ("then zstd -3 -T0",), 1.1),
    (
        "zstd (level 3) ÷ `.backup`, then `zstd -3 -T0`",
        ("zstd",),
        (".backup", "then zstd -3 -T0"),
        0.6,
    ),
    ("incremental at 1 % ÷ `cp` and sync", (incremental_name(0.01),), ("cp, sync",), 0.25),
    (
        "verify quick (checksum included) of a zstd backup ÷ `PRAGMA quick_check`",
        ("verify quick",),
        ("PRAGMA quick_check",),
        2.0,
    ),
    (
        "zstd, then verify full ÷ `.backup`, `integrity_check`, `gzip`",
        ("zstd", "verify full"),
        (".backup", "then integrity_check", "then gzip"),
        1 / 3,
    ),
)


def in_pairs(records: Records, queue: str) -> Iterator[Goal]:
    for what, ours, peer, limit in PAIRS:
        ratio = ratios(seconds(records, queue, *ours), seconds(records, queue, *peer))
        yield Goal(what, limit, ratio)


def under_load(records: Records, queue: str) -> Iterator[Goal]:
    """Time against the same without load, and what the others' commits took."""
    for name in OURS_UNDER_LOAD:
        idle = spread(times(records, queue, name, "idle").values())
        busy = spread(times(records, queue, name, "load").values())
        ratio = None
        if idle and busy:
            lowest, highest = busy.lowest / idle.median, busy.highest / idle.median
            ratio = Spread(busy.median / idle.median, lowest, highest, busy.runs)
        yield Goal(f"{name} under load ÷ idle", 1.5, ratio)
    for name in OURS_UNDER_LOAD:
        yield Goal(f"commits' p99 during {name} ÷ before", 1.5, waits(records, queue, name))


def waits(records: Records, queue: str, name: str) -> Spread | None:
    """The p99 of the commits of all rounds; the spread is that of the single rounds."""
    runs = records.of(queue, name, "load").values()
    pairs = [(run.found["before_us"], run.found["during_us"]) for run in runs]
    pairs = [(before, during) for before, during in pairs if before and during]
    if not pairs:
        return None
    before = [value for values, _ in pairs for value in values]
    during = [value for _, values in pairs for value in values]
    each = [percentile(late, P99) / percentile(early, P99) for early, late in pairs]
    ratio = percentile(during, P99) / percentile(before, P99)
    return Spread(ratio, min(each), max(each), len(pairs))


def memory(records: Records) -> Iterator[Goal]:
    """How much more memory four times the pages take, against how much more hash list.

    On smaller queues it says nothing: the buffers that a backup fills are larger than these.
    """
    for name in ("full", "zstd", incremental_name(0.01)):
        low, high = (list(records.of(queue, name).values()) for queue in ("1GB", "4GB"))
        what = f"{name}: more memory at 4GB than at 1GB ÷ the longer hash lists"
        if not (low and high):
            yield Goal(what, 1.0, None)
            continue
        more = median_of(high, peak_bytes) - median_of(low, peak_bytes)
        longer = median_of(high, hash_bytes) - median_of(low, hash_bytes)
        ratio = Spread(more / longer, more / longer, more / longer, len(high))
        note = f"{more / 1e6:.1f} MB more for {longer / 1e6:.1f} MB more of hashes"
        yield Goal(what, 1.0, ratio, note)


def peak_bytes(run: Run) -> float:
    return run.peak or 0


def hash_bytes(run: Run) -> float:
    return float(run.found["hashes_bytes"])


def median_of(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(map(value, runs))


def all_goals(records: Records, queue: str) -> list[Goal]:
    """Every goal, on that queue."""
    return [*in_pairs(records, queue), *under_load(records, queue), *memory(records)]
