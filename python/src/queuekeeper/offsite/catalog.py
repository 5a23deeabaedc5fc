"""Catalogs as they lie in files: the remote's, which says what the remote holds, and the local one.

# Promise

- The remote's catalog has the library's own format, under the same name. So who has nothing but
  rclone copies the directory back, and everything works on it.
- It lists what the remote holds, not what the local directory holds: what was rotated away here
  stays listed there.
- It never lists what the remote does not hold: it is written after the objects, and before they
  are deleted. What it gave up is noted first, so that a rotation that died goes on with the next.
- A catalog that was cut short by a crash never loses backups: there are two, written one after the
  other, of which one is always whole. Whatever else is wrong with it, is an error, and nothing is
  written over it.

# How

An entry is kept as the very object that the library wrote: `object_digest` is over all its fields,
so that the library believes it wherever it comes back to.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from queuekeeper._data import loaded
from queuekeeper.errors import SQLITE_BUSY, SQLITE_CANTOPEN
from queuekeeper.offsite import bounds
from queuekeeper.offsite.errors import SQLITE_AUTH, OffsiteError, damaged
from queuekeeper.offsite.remote import Remote, Stored, check_name

MANIFEST = "backup_manifest.json"
#: The second copy, which is written after the first.
COPY = "backup_manifest.copy.json"
#: The objects that the catalog has given up, and that may still be there.
LEAVING = "backup_manifest.leaving.json"
OWN = (MANIFEST, COPY, LEAVING)
HASHES = ".hashes"
SURROGATE = re.compile(rb"\\u[dD]")
#: What is saved before a restore is not meant by `latest`.
BEFORE_RESTORE = "before_restore"
#: Marks of the library on entries that are about to change, or whose file is damaged. They are of
#: the local files: such an entry is not pushed, and what the remote holds keeps the entry that it
#: came with. A copy there may be sound, and is judged by its own sum.
MARKS = ("deleting", "replacing", "damaged_at")

#: The codes of errors that each further call would meet, too.
UNREACHABLE = (SQLITE_AUTH, SQLITE_BUSY, SQLITE_CANTOPEN)

#: The library takes a larger number for none.
LARGEST_SEQUENCE = 1 << 53
UNIX = datetime(1970, 1, 1, tzinfo=timezone.utc)

#: No file is as large.
LARGEST_SIZE = 1 << 63
#: Fields that an entry must have, and those that it may have, whose values others are looked up by.
TEXTS = ("id", "backup_path", "created_at", "checksum", "backup_type")
OPTIONAL_TEXTS = ("name", "queue_name", "source_path", "parent_id", "hash_file_checksum")

Entry = Mapping[str, Any]


def digest_of(entry: Entry) -> str:
    """What `object_digest` must be: over the other fields, as compact JSON with sorted keys."""
    others = {name: value for name, value in entry.items() if name != "object_digest"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def fault_of(entry: Entry) -> str | None:
    """Why the library would not believe an entry, if so."""
    for mark in MARKS:
        if entry.get(mark):
            return f"it is marked as {mark.replace('_at', '')}"
    if entry["backup_path"].casefold().endswith(HASHES):
        return "its name is that of a hash file"
    if entry.get("object_digest") != digest_of(entry):
        return "its catalog entry was changed by somebody else"
    return None


def parse(content: bytes, shown: str) -> list[Entry] | None:
    """The entries of a catalog; None where it is none, such as one that was cut short."""
    bounds.check(content, shown)
    try:
        entries = loaded(content)
        if SURROGATE.search(content):
            # Half a character is in no catalog of the library's, and cannot be written.
            written(entries)
    except ValueError:
        return None
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        return None
    return entries


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    size = entry.get("size_bytes")
    return (
        all(isinstance(entry.get(name), str) for name in TEXTS)
        and all(isinstance(entry.get(name), (str, type(None))) for name in OPTIONAL_TEXTS)
        and isinstance(size, int)
        and not isinstance(size, bool)
        and 0 <= size < LARGEST_SIZE
        and isinstance(entry.get("task_counts"), (dict, type(None)))
    )


def written(entries: Iterable[Entry]) -> bytes:
    """A catalog as the library writes it."""
    return json.dumps(list(entries), ensure_ascii=False, indent=2).encode() + b"\n"


def files_of(entry: Entry) -> list[tuple[str, str]]:
    """The names and SHA-256 sums of an entry's files: the artifact, then its hash file."""
    name = check_name(entry["backup_path"])
    files = [(name, entry["checksum"])]
    if entry.get("hash_file_checksum"):
        files.append((check_name(name + HASHES), entry["hash_file_checksum"]))
    return files


def oldest_first(entries: Iterable[Entry]) -> list[Entry]:
    """In the library's order, as they were made; of one number the later in the file is newer."""
    return sorted(entries, key=_made)


def newest_first(entries: Iterable[Entry]) -> list[Entry]:
    """The same, from the last one made."""
    return oldest_first(entries)[::-1]


def _made(entry: Entry) -> int:
    """An entry's place in the order of making; an entry of version 0.1.0 goes by its time."""
    sequence = entry.get("sequence")
    if isinstance(sequence, int) and 0 <= sequence < LARGEST_SEQUENCE:
        return sequence
    try:
        moment = datetime.fromisoformat(str(entry["created_at"]).replace("Z", "+00:00"))
    except ValueError:
        return 0
    if moment.tzinfo is None:
        return 0
    return max(0, (moment - UNIX) // timedelta(milliseconds=1))


def with_chains(wanted: Iterable[Entry], by_id: Mapping[str, Entry]) -> dict[str, Entry]:
    """Entries and all that they build on, by id; each is looked at once, however many there are."""
    found: dict[str, Entry] = {}
    for entry in wanted:
        chain: dict[str, Entry] = {}
        link = entry
        while link["id"] not in found:
            chain[link["id"]] = link
            parent = link.get("parent_id")
            if parent is None:
                break
            if not isinstance(parent, str) or parent not in by_id or parent in chain:
                raise damaged(
                    f"'{entry['backup_path']}' builds on the backup {parent}, which is not listed"
                )
            link = by_id[parent]
        found.update(chain)
    return found


class RemoteCatalog:
    """The catalog of a remote, as it was read."""

    def __init__(self, remote: Remote, entries: Iterable[Entry], leaving: Iterable[str]) -> None:
        self._remote = remote
        self.entries = list(entries)
        #: Names of objects that were given up and may still be there.
        self.leaving = list(leaving)

    @classmethod
    def read(cls, remote: Remote, objects: Mapping[str, Stored]) -> RemoteCatalog:
        """Reads it from a remote that has these objects."""
        present = [name for name in (MANIFEST, COPY) if name in objects]
        with tempfile.TemporaryDirectory(prefix="queuekeeper-") as place:
            entries: list[Entry] | None = None
            for name in present:
                entries = parse(_fetched(remote, objects[name], Path(place)), remote.on(name))
                if entries is not None:
                    break
            noted = objects.get(LEAVING)
            leaving = b"[]" if noted is None else _fetched(remote, noted, Path(place))
        if entries is None and present:
            raise damaged(
                f"{remote.on(MANIFEST)} is no catalog; nothing was done; look at it, and move it "
                "away if somebody else wrote it"
            )
        for entry in entries or ():
            check_name(entry["backup_path"], HASHES)
        return cls(remote, entries or [], _names(leaving))

    def write(self) -> None:
        """Makes the remote's catalog say what this says."""
        listed = {name for entry in self.entries for name, _ in files_of(entry)}
        # What is listed again is there to stay.
        self.leaving = [name for name in self.leaving if name not in listed]
        content = written(self.entries)
        self._put(MANIFEST, content)
        self._put(COPY, content)

    def note_leaving(self, names: Iterable[str]) -> None:
        """Notes objects that the catalog is about to give up, before it does."""
        self.leaving = sorted({*self.leaving, *names})
        self._put(LEAVING, json.dumps(self.leaving).encode())

    def clear_leaving(self) -> list[str]:
        """Deletes what was given up; the names of what is gone.

        What resists stays noted, and is an error, when all that can be deleted is.
        """
        listed = {name for entry in self.entries for name, _ in files_of(entry)}
        noted, gone, first = self.leaving, list[str](), None
        self.leaving = [name for name in noted if name not in listed]
        for name in list(self.leaving):
            try:
                self._remote.delete(name)
            except OffsiteError as error:
                first = first or error
                if error.primary_code in UNREACHABLE:
                    break
            else:
                self.leaving.remove(name)
                gone.append(name)
        if first is not None:
            if self.leaving != noted:
                self._put(LEAVING, json.dumps(self.leaving).encode())
            raise OffsiteError(
                f"{first}; {len(gone)} other files were deleted, and {len(self.leaving)} are still "
                "there, which are listed no more; each rotation tries again",
                first.code,
            )
        if noted:
            self._remote.delete(LEAVING)
        return gone

    def _put(self, name: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="queuekeeper-") as place:
            path = Path(place) / name
            path.write_bytes(content)
            self._remote.upload(path, name)
            wanted = self._remote.local(path)
        fault = "it vanished" if wanted is None else self._remote.confirm(wanted)
        if fault is not None:
            raise damaged(f"{self._remote.on(name)} did not arrive as it was sent: {fault}")


def _fetched(remote: Remote, stored: Stored, place: Path) -> bytes:
    bounds.check_size(stored.size, remote.on(stored.name))
    path = place / stored.name
    remote.download(stored.name, path)
    return bounds.read(path, remote.on(stored.name))


def _names(content: bytes) -> list[str]:
    """What was noted; on the word of a note that was cut short nothing is deleted."""
    try:
        bounds.check(content, LEAVING)
        names = loaded(content)
    except (ValueError, OffsiteError):
        return []
    if not isinstance(names, list):
        return []
    try:
        return [check_name(name) for name in names]
    except OffsiteError:
        return []
