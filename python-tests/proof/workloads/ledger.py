"""Which commits a database must hold, by what its writers were told.

A writer commits tokens, and says each after its COMMIT succeeded. A restore takes tokens away,
rightly, if they are in the backup that it made before; and it leaves the old content or the new,
never a mix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

#: The writer, and the number of its commit, which only grows.
Token = tuple[int, int]


@dataclass
class Ledger:
    """The tokens that must be there."""

    expected: set[Token] = field(default_factory=set)
    #: What a restore replaced and saved before: a writer may say only afterwards that it committed.
    excused: set[Token] = field(default_factory=set)

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        """The writers were told that these are committed."""
        self.expected |= set(tokens) - self.excused

    def check(self, live: set[Token]) -> None:
        """Nothing has replaced the content."""
        lost = self.expected - live
        assert not lost, f"{len(lost)} acknowledged commits are missing, as {sorted(lost)[:5]}"

    def check_restored(
        self, live: set[Token], backup: set[Token], saved: set[Token], done: bool
    ) -> bool:
        """A restore of `backup` came to its end, or perhaps did; whether it did.

        `saved` is what the backups named before_restore hold that it made.
        """
        gone = self.expected - live
        if not gone and not done:
            return False
        lost = gone - saved
        assert not lost, f"{len(lost)} commits are in neither, as {sorted(lost)[:5]}"
        absent = backup - live
        assert not absent, f"{len(absent)} commits of the backup are missing"
        last: dict[int, int] = {}
        for writer, number in saved:
            last[writer] = max(number, last.get(writer, 0))
        mixed = {one for one in live - backup if one[1] <= last.get(one[0], 0)}
        assert not mixed, f"{len(mixed)} commits of the old content stayed: {sorted(mixed)[:5]}"
        self.excused |= saved - live
        self.expected = set(live)
        return True
