"""Pulling: bringing backups back, with everything that they build on.

# Promise

- What was asked for is there whole, with its chain, and the library has verified it; or an error
  says what is wrong, and nothing that was there before has changed.
- A file that is there already is kept if it is the right one; another one of its name is an error,
  and nothing is fetched.
- `latest` and `all` are of this queue (`source`); without any, `all` is everything.
- It needs no database and no catalog: "the disk died" is what it is for.

# How

Each file gets its name when it is whole, the hash file before its artifact. From the hash file
the library knows what the artifact is: the next action in that directory, which is the
verification, takes it into the catalog, as it does after a crash or when a catalog was lost. So no
hash file is put beside a file that was there before, unless the local catalog lists that: the file
may be another tool's, and would become a backup on the remote's word, and be rotated away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from queuekeeper._arguments import VerifyLevel
from queuekeeper._calls import Progress
from queuekeeper.offsite import place
from queuekeeper.offsite.catalog import (
    BEFORE_RESTORE,
    Entry,
    RemoteCatalog,
    files_of,
    newest_first,
    oldest_first,
    with_chains,
)
from queuekeeper.offsite.errors import damaged, missing, usage
from queuekeeper.offsite.local import Local
from queuekeeper.offsite.meter import Meter
from queuekeeper.offsite.remote import SHA256, Remote, Stored
from queuekeeper.offsite.results import Pulled
from queuekeeper.offsite.source import none_of, own
from queuekeeper.results import Backup, Verification

LATEST = "latest"
ALL = "all"
#: Of an id, at least so much of its beginning.
SHORTEST_ID = 4


def pull(local: Local, remote: Remote, what: str, progress: Progress | None) -> Pulled:
    """Fetches what is meant and not there yet, and verifies it."""
    objects = remote.objects()
    catalog = RemoteCatalog.read(remote, objects)
    wanted = meant(local, remote, catalog, what)
    by_id = {entry["id"]: entry for entry in catalog.entries}
    entries = oldest_first(with_chains(wanted, by_id).values())
    with local.lock():
        listed = {each.path.name: each for each in local.queue.backups(local.directory)}
        backups = [_lacking(local, remote, entry, listed) for entry in entries]
        lacking = [file for files in backups for file in files]
        absent = [name for name, _ in lacking if name not in objects]
        if absent:
            raise missing(
                f"{remote.on(absent[0])} is listed but not there; nothing was fetched; see "
                "'queuekeeper offsite check'"
            )
        meter = Meter(progress)
        meter.total = sum(objects[name].size for name, _ in lacking)
        place.require(local.directory, meter.total)
        with place.staging(local.directory) as staged:
            for files in backups:
                for name, checksum in files:
                    file = Stored(name, objects[name].size, {SHA256: checksum})
                    _fetch(remote, file, staged, meter)
                _put(local, staged, [name for name, _ in files])
    newest = wanted[0]
    return Pulled(
        remote=remote.shown,
        directory=local.directory,
        path=local.directory / newest["backup_path"],
        id=newest["id"],
        fetched=[name for name, _ in lacking],
        bytes=meter.bytes,
        verified=_verified(local, entries if what == ALL else wanted, newest),
    )


def meant(local: Local, remote: Remote, catalog: RemoteCatalog, what: str) -> list[Entry]:
    """The backups that a word means, the newest first."""
    entries = newest_first(catalog.entries)
    if not entries:
        raise missing(f"'{remote.shown}' lists no backups; is that the right remote and directory?")
    if what in (ALL, LATEST) and not (what == ALL and local.database is None):
        found = own(local, entries)
        if not found:
            raise none_of(local, remote.shown, entries)
        entries = found
    regular = [each for each in entries if each.get("name") != BEFORE_RESTORE] or entries
    if what == ALL:
        return [regular[0], *(each for each in entries if each is not regular[0])]
    if what == LATEST:
        return regular[:1]
    found = [each for each in entries if what in (each["id"].lower(), each["backup_path"])]
    found = found or [each for each in entries if each["id"].lower() == what.lower()]
    if not found and len(what) >= SHORTEST_ID:
        found = [each for each in entries if each["id"].lower().startswith(what.lower())]
        if len(found) > 1:
            listed = ", ".join(each["id"] for each in found)
            raise usage(f"several ids on '{remote.shown}' begin with '{what}': {listed}")
    if not found:
        raise usage(
            f"'{remote.shown}' lists no backup '{what}'; pass an id or a name from 'queuekeeper "
            "offsite list', or latest, or all"
        )
    return found[:1]


def _lacking(
    local: Local, remote: Remote, entry: Entry, listed: Mapping[str, Backup]
) -> list[tuple[str, str]]:
    """The files of a backup that are not there yet, of a directory that lists these."""
    lacking = []
    artifact, *_ = files = files_of(entry)
    for name, checksum in files:
        path = local.directory / name
        if not path.is_symlink() and not path.exists():
            lacking.append((name, checksum))
            continue
        found = remote.local(path)
        if found is None or found.sha256 != checksum:
            raise usage(
                f"'{path}' is there already with other content; nothing was fetched; move it "
                "away, or pull into another directory"
            )
    if not lacking or artifact in lacking:
        return lacking
    here = listed.get(artifact[0])
    if here is None or here.checksum != artifact[1]:
        raise usage(
            f"'{local.directory / artifact[0]}' is there already, but no catalog lists it there; "
            "nothing was fetched; move it away, or pull into another directory"
        )
    # By the hash file of another it would be damaged.
    return lacking if here.hash_file_checksum == entry.get("hash_file_checksum") else []


def _fetch(remote: Remote, wanted: Stored, staged: Path, meter: Meter) -> None:
    path = staged / wanted.name
    remote.download(wanted.name, path, meter.moved)
    meter.add(wanted.size)
    found = remote.local(path)
    if found is None or found.sha256 != wanted.sha256:
        raise damaged(
            f"{remote.on(wanted.name)} is damaged: what arrived is not what was written; nothing "
            "of it was kept; pull another backup, and see 'queuekeeper offsite check'"
        )


def _put(local: Local, staged: Path, names: Sequence[str]) -> None:
    """Gives the files of a backup their names, the artifact last, or none of them."""
    with contextlib.ExitStack() as undone:
        for name in reversed(names):
            target = local.directory / name
            made = place.put(staged / name, target, local.database)
            undone.callback(place.take_back, target, made)
        undone.pop_all()


def _verified(local: Local, entries: list[Entry], newest: Entry) -> list[Verification]:
    """What the library says of each, of the newest with all that it builds on."""
    verified = []
    for entry in newest_first(entries):
        path = local.directory / entry["backup_path"]
        level: VerifyLevel = "quick" if entry is newest else "checksum"
        found = local.queue.verify(path, level)
        if not found.ok:
            raise damaged(f"'{path}' was fetched, but is damaged: {'; '.join(found.details)}")
        verified.append(found)
    return verified
