"""Which backups of a remote a policy keeps: the library's own plan, for a catalog elsewhere.

# Promise

It is a plan for this queue's own backups (`source`). All others are left alone; and what the
settings say is this queue's own, but may be another's, is `doubted`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from queuekeeper._arguments import Keep
from queuekeeper.offsite.catalog import Entry
from queuekeeper.offsite.local import Local
from queuekeeper.offsite.source import ALL_OF_THEM, own
from queuekeeper.results import Decision

#: Why the library does not delete a backup of which nobody can say whose it is.
DOUBT = "made of a path at which another database lies now"


def decide(local: Local, entries: Iterable[Entry], policy: Keep) -> dict[str, Decision]:
    """What becomes of each backup of this queue, by its name; the newest first."""
    plan = local.planned(own(local, entries), policy)
    return {Path(decision.backup_path).name: decision for decision in plan}


def doubted(local: Local, entries: Iterable[Entry]) -> set[str]:
    """The names of this queue's backups that may be of another database."""
    plan = local.planned(entries, ALL_OF_THEM)
    held = (each for each in plan if DOUBT in each.reasons)
    return {Path(each.backup_path).name for each in held}
