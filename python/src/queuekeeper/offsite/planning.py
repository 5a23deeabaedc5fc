"""Which backups of a remote a policy keeps: the library's own plan, for a catalog elsewhere.

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
from queuekeeper.results import Decision


def decide(local: Local, entries: Iterable[Entry], policy: Keep) -> dict[str, Decision]:
    """What becomes of each backup, by its name; the newest first."""
    with tempfile.TemporaryDirectory(prefix="queuekeeper-") as place:
        path = Path(place) / MANIFEST
        path.write_bytes(written(entries))
        plan = local.queue.rotation(policy, path)
    return {Path(decision.backup_path).name: decision for decision in plan}
