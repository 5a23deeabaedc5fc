"""How long a part goes on, and what came of it."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONGEST_FAILURE = 1500


@dataclass
class Limit:
    """So many rounds, or so many seconds; whichever is given and comes first."""

    rounds: int | None = None
    seconds: float | None = None
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        assert self.rounds is not None or self.seconds is not None, "a part without an end"

    def left(self) -> float:
        """The seconds that are left."""
        if self.seconds is None:
            return float("inf")
        return self.begun + self.seconds - time.monotonic()

    def over(self, done: int) -> bool:
        """Whether that many rounds are enough."""
        return self.left() <= 0 or (self.rounds is not None and done >= self.rounds)


@dataclass
class Record:
    """What a part did, how often, and what it found wrong."""

    part: str
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    begun: float = field(default_factory=time.monotonic)

    def chance(self, number: int) -> random.Random:
        """The random choices of a round."""
        return random.Random(f"{self.part} {self.seed} {number}")

    def count(self, what: str, by: int = 1) -> None:
        """Something was done."""
        self.counts[what] += by

    def fail(self, number: int, what: str, error: Exception) -> None:
        """A round found something."""
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        text = f"{kind}{error}"[:LONGEST_FAILURE]
        self.failures.append(f"seed {self.seed}, round {number}, {what}: {text}")
        self.say(f"FAILED {self.failures[-1]}")
        traceback.print_exception(error, file=sys.stderr)

    def say(self, text: str) -> None:
        """Tells whoever watches."""
        print(f"{self.part}: {text}", file=sys.stderr, flush=True)

    def finish(self) -> Record:
        """The part is over."""
        self.seconds = time.monotonic() - self.begun
        return self

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {
            "part": self.part,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "counts": dict(self.counts),
            "failures": self.failures,
        }


@dataclass(frozen=True)
class Job:
    """What a part is run with."""

    library: Path
    limit: Limit
    seed: int
