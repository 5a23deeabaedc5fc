"""Which backups of a remote a policy keeps: the library's own plan, for a catalog elsewhere.

# Promise

It is a plan for this queue's own backups (`source`). All others are left alone.

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
from queuekeeper.offsite.source import own
from queuekeeper.results import Decision


def decide(local: Local, entries: Iterable[Entry], policy: Keep) -> dict[str, Decision]:
    """What becomes of each backup of this queue, by its name; the newest first."""
    plan = planned(local, own(local, entries), policy)
    return {Path(decision.backup_path).name: decision for decision in plan}


def planned(local: Local, entries: Iterable[Entry], policy: Keep) -> list[Decision]:
    """The library's plan for a catalog with these entries."""
    with tempfile.TemporaryDirectory(prefix="queuekeeper-") as place:
        path = Path(place) / MANIFEST
        path.write_bytes(written(entries))
        return local.queue.rotation(policy, path)
