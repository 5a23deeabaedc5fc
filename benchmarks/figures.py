"""Medians, spreads and ratios. Pure: numbers in, numbers out.

A time by itself says little on a machine whose disk takes 0.3 s for a copy now and 2 s a minute
later. So two things are compared round by round, each pair within the same moments, and what counts
is the median of these ratios.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: Seconds (or anything else) by round.
Series = Mapping[int, float]


@dataclass(frozen=True)
class Spread:
    """What several runs came to."""

    median: float
    lowest: float
    highest: float
    runs: int


def spread(values: Iterable[float]) -> Spread | None:
    """None without a run."""
    found = sorted(values)
    if not found:
        return None
    return Spread(statistics.median(found), found[0], found[-1], len(found))


def added(*series: Series) -> dict[int, float]:
    """Steps that follow each other, in the rounds that have them all."""
    rounds = set.intersection(*(set(one) for one in series)) if series else set()
    return {turn: sum(one[turn] for one in series) for turn in sorted(rounds)}


def ratios(over: Series, under: Series) -> Spread | None:
    """The ratios of the pairs: one a round that has both."""
    return spread(over[turn] / under[turn] for turn in over.keys() & under.keys() if under[turn])


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed."""
    found = sorted(values)
    if not found:
        return math.nan
    return found[max(0, math.ceil(len(found) * percent / 100) - 1)]
