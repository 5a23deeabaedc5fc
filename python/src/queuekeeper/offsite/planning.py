"""Which backups of a remote a policy keeps: the library's own plan, for a catalog elsewhere.

# Promise

It is a plan for this queue's own backups (`source`). All others are left alone; and what the
settings say is this queue's own, but may be another's, is `doubted`.

# How

`queue_rotation(keep, dir)` takes a catalog's file for `dir`, and then plans by its word alone. So
the catalog is written into a file of its own, for as long as the call takes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from queuekeeper._arguments import Keep
from queuekeeper.offsite.catalog import MANIFEST, Entry, written
from queuekeeper.offsite.local import Local
from queuekeeper.offsite.source import ALL_OF_THEM, own
from queuekeeper.results import Decision

#: Why the library does not delete a backup of which nobody can say whose it is.
DOUBT = "made of a path at which another database lies now"


def decide(local: Local, entries: Iterable[Entry], policy: Keep) -> dict[str, Decision]:
    """What becomes of each backup of this queue, by its name; the newest first."""
    plan = planned(local, own(local, entries), policy)
    return {Path(decision.backup_path).name: decision for decision in plan}


def doubted(local: Local, entries: Iterable[Entry]) -> set[str]:
    """The names of this queue's backups that may be of another database."""
    plan = planned(local, entries, ALL_OF_THEM)
    held = (each for each in plan if DOUBT in each.reasons)
    return {Path(each.backup_path).name for each in held}


def planned(local: Local, entries: Iterable[Entry], policy: Keep) -> list[Decision]:
    """The library's plan for a catalog with these entries."""
    with tempfile.TemporaryDirectory(prefix="queuekeeper-") as place:
        path = Path(place) / MANIFEST
        path.write_bytes(written(entries))
        return local.queue.rotation(policy, path)
