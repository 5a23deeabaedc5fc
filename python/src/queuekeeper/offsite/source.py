"""Whose backups: of a catalog, here or on the remote, those that are this queue's own.

# Promise

- What a push sends, `latest`, `all` and a rotation are of this queue only, however many queues
  share the directory or the remote. Who finds nothing of its own is told what there is.
- With a database it is the library that decides (`queue_name`, else the path).
- A database that died with its disk, or is too broken to say, has the backups of its path, and
  those of the name that the newest of these has: an older one may be of another queue, which lay
  there before. If that queue has gone on elsewhere, nobody can tell, and nothing is taken. Where
  the path has none, or no database was named, the backups of the only source that there is are
  meant.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from queuekeeper.errors import CorruptError, Error
from queuekeeper.offsite.catalog import Entry, newest_first
from queuekeeper.offsite.errors import OffsiteError, usage
from queuekeeper.offsite.local import Local

#: More than any catalog lists: a plan that keeps all, and shows whose they are.
ALL_OF_THEM = 1_000_000
MOST_LISTED = 8


def own(local: Local, entries: Iterable[Entry]) -> list[Entry]:
    """Those that are this queue's own."""
    entries = list(entries)
    if local.is_live:
        try:
            return _by_library(local, entries)
        except CorruptError:
            pass
        except OffsiteError:
            raise
        except Error as error:
            raise OffsiteError(str(error), error.code) from error
    found = [] if local.database is None else of_path(local.database, entries)
    if found or local.is_live or not entries:
        return found
    if len({_source(each) for each in entries}) > 1:
        raise usage(
            "there are backups of several databases, and nothing says whose are meant: "
            f"{listed(entries)}; name the database with --db, or pass the id of a backup"
        )
    return entries


def none_of(local: Local, where: str, entries: Sequence[Entry]) -> OffsiteError:
    """The error of who finds nothing of its own, but others'."""
    return usage(
        f"'{where}' holds no backups of '{local.database}', only of others: {listed(entries)}. If "
        "one of these was this database before it moved, say so with the setting former_paths, or "
        "give it that name with the setting queue_name; else pass the id of a backup"
    )


def listed(entries: Iterable[Entry]) -> str:
    """The sources that there are, in words."""
    ordered = newest_first(entries)
    counts = Counter(_source(each) for each in ordered)
    newest: dict[tuple[bool, str], str] = {}
    for each in ordered:
        newest.setdefault(_source(each), str(each["created_at"]))
    words = [
        f"{'the queue ' if key[0] else ''}{key[1]!r} ({counts[key]:,}, the newest made {moment})"
        for key, moment in newest.items()
    ]
    more = [f"{len(words) - MOST_LISTED} more"] if len(words) > MOST_LISTED else []
    return ", ".join(words[:MOST_LISTED] + more)


def _source(entry: Entry) -> tuple[bool, str]:
    name = entry.get("queue_name")
    return (True, str(name)) if name is not None else (False, str(entry.get("source_path")))


def _by_library(local: Local, entries: list[Entry]) -> list[Entry]:
    names = {each.backup_path for each in local.planned(entries, ALL_OF_THEM)}
    return [each for each in entries if each["backup_path"] in names]


def of_path(database: Path, entries: Iterable[Entry]) -> list[Entry]:
    """The backups of a database that cannot say itself which are its own, the newest first."""
    entries = list(entries)
    paths = {str(database), os.path.realpath(database)}
    there = newest_first(each for each in entries if each.get("source_path") in paths)
    name = there[0].get("queue_name") if there else None
    if name is None:
        return [each for each in there if each.get("queue_name") is None]
    ids = {each["id"] for each in there}
    found = newest_first(
        each for each in entries if each.get("queue_name") == name or each["id"] in ids
    )
    strangers = {each.get("queue_name") for each in there} - {None, name}
    if strangers or next(each for each in found if each.get("queue_name") == name) != there[0]:
        raise usage(
            f"nobody can tell which of these was '{database}': {listed(found)}; pass the id "
            "of a backup"
        )
    return found
