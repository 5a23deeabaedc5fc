"""One run of everything, then one of everything again: peers share good and bad moments.

# How

A block is what belongs together, such as a full backup and the incrementals that build on it. It
is a generator: it yields the name and the action of each run, and what stands between the yields
(making changes, say) is not timed. Blocks that are compared with each other stand in one line;
every other round walks a line backwards, so that nobody always comes second.

When the rounds would take longer than there is time, the dearest blocks end first, after at least
`fewest` rounds, and the page shows how many runs each figure has. The last to end are those that
most goals are about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from benchmarks.measure import MeasureError, Run, read_through, settle
from benchmarks.raw import Record, Records
from benchmarks.setting import Setting

Step = tuple[str, Callable[[], Run]]
Block = Callable[[Setting, int], Iterator[Step]]
Line = Sequence[Block]
Say = Callable[[str], None]

FEWEST = 3


def name_of(block: Block) -> str:
    """The name of the function."""
    return getattr(block, "__name__", repr(block))


def in_order(lines: Sequence[Line], turn: int) -> list[Block]:
    """The blocks of a round: each line forwards in even rounds, backwards in odd ones."""
    return [block for line in lines for block in (line if turn % 2 == 0 else reversed(line))]


def affordable(
    costs: Mapping[str, float],
    rounds_left: int,
    seconds_left: float,
    firm: Collection[str] = (),
) -> set[str]:
    """The blocks that there is time for: the dearest ones go first, those that are firm last."""
    kept = dict(costs)
    while kept and sum(kept.values()) * rounds_left > seconds_left:
        del kept[max(kept, key=lambda name: (name not in firm, kept[name]))]
    return set(kept)


class Rounds:
    """Runs blocks on one setting and records every run."""

    def __init__(
        self, setting: Setting, records: Records, say: Say, save: Callable[[], None]
    ) -> None:
        self.setting, self.records, self.say, self.save = setting, records, say, save

    def run(
        self,
        group: str,
        lines: Sequence[Line],
        rounds: int,
        deadline: float,
        firm: Collection[str] = (),
        fewest: int = FEWEST,
    ) -> None:
        """All rounds, as far as there is time until the deadline (of time.monotonic())."""
        costs: dict[str, float] = {}
        left_out: set[str] = set()
        for turn in range(rounds):
            self.setting.clear(self.setting.scratch, self.setting.kept)
            for block in in_order(lines, turn):
                if name_of(block) in left_out:
                    continue
                begun = time.monotonic()
                found = self.block(group, block, turn)
                costs[name_of(block)] = time.monotonic() - begun
                took = ", ".join(f"{name} {run.seconds:.3f} s" for name, run in found)
                if took:
                    self.say(f"{self.setting.label} {group} {turn + 1}/{rounds}: {took}")
            self.save()
            if fewest <= turn + 1 < rounds:
                running = {name: cost for name, cost in costs.items() if name not in left_out}
                left = deadline - time.monotonic()
                kept = affordable(running, rounds - turn - 1, left, firm)
                for name in sorted(running.keys() - kept):
                    left_out.add(name)
                    self.say(f"no time for more of {name}, which takes {running[name]:.0f} s")
        self.setting.clear(self.setting.scratch, self.setting.kept)

    def block(self, group: str, block: Block, turn: int) -> list[tuple[str, Run]]:
        """One block: each run from the same start; what it wrote is deleted afterwards."""
        found: list[tuple[str, Run]] = []
        try:
            read_through(self.setting.database)
            for name, action in block(self.setting, turn):
                settle(self.setting.queue.bytes)
                run = action()
                self.records.add(Record(self.setting.label, group, name, turn, run))
                found.append((name, run))
        except MeasureError as error:
            raise MeasureError(f"{name_of(block)}: {error}") from error
        self.setting.clear()
        return found
