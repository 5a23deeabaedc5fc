"""Rotating a remote: the library's plan, on what the remote lists.

# Promise

- It is about this queue's backups only (`source`); others' on the same remote stay.
- It is the plan of `queue_rotation`, with all that this never deletes: the newest backup, the
  newest verified one, what a kept one builds on, entries that are not as the library wrote them.
- Only objects that the catalog lists are deleted. They are noted as leaving, then the catalog gives
  them up, then they go: whatever dies in between, the catalog never lists what is not there, and
  the next rotation or push deletes the rest.
- What the remote does not let go keeps nothing else from going. Each rotation tells of it, as an
  error, until it is gone; then it is among what was deleted.
"""

from __future__ import annotations

import json

from queuekeeper._arguments import Keep
from queuekeeper.offsite.catalog import HASHES, RemoteCatalog, files_of
from queuekeeper.offsite.local import Local
from queuekeeper.offsite.planning import decide
from queuekeeper.offsite.remote import Remote
from queuekeeper.offsite.results import Rotated


def rotate(local: Local, remote: Remote, policy: Keep, *, dry_run: bool) -> Rotated:
    """Deletes what the policy does not keep, or with `dry_run` only says what that would be."""
    if dry_run:
        return _rotate(local, remote, policy, dry_run=True)
    with local.lock():
        return _rotate(local, remote, policy, dry_run=False)


def _rotate(local: Local, remote: Remote, policy: Keep, *, dry_run: bool) -> Rotated:
    catalog = RemoteCatalog.read(remote, remote.objects())
    plan = decide(local, catalog.entries, policy)
    names = [name for name, decision in plan.items() if decision.decision == "delete"]
    kept = len(plan) - len(names)
    if not dry_run:
        doomed = [each for each in catalog.entries if each["backup_path"] in names]
        if doomed:
            catalog.note_leaving(name for entry in doomed for name, _ in files_of(entry))
            catalog.entries = [each for each in catalog.entries if each not in doomed]
            catalog.write()
        files = {name for name in catalog.clear_leaving() if not name.endswith(HASHES)}
        names += sorted(files.difference(names))
    return Rotated(
        remote=remote.shown,
        policy=policy if isinstance(policy, str) else json.dumps(policy),
        deleted=names,
        kept=kept,
        decisions=list(plan.values()),
    )
