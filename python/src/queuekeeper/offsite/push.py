"""Pushing: what the local catalog lists and the remote lacks.

# Promise

- Only backups of this queue are pushed (`source`), whatever else the directory holds. What its
  settings claim, but was made of a path at which another database lies, is left out and named:
  whoever writes the settings shall not read other databases. So root also leaves out what only
  they claim and another user owns than their database.
- A backup is pushed whole: its artifact, then its hash file, each checked after it arrived by the
  remote's own hash, or by reading it back. Only then the remote's catalog lists it.
- What it builds on is there before it; what is damaged here, or builds on something that is
  nowhere, is left out and named.
- A push that died is finished by the next one: what has arrived whole is not sent again.
- Another backup of the same name is never replaced, but left out. What the remote's catalog does
  not list is what a push left that died, and is replaced unless it is right.
- With a policy, backups that the next rotation there would delete are not sent.

# How

The catalog is written when a backup has taken its time, and at the end: so a first push of many
small ones costs little, and one of large ones that dies leaves all but the last listed.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from queuekeeper import _ownership as ownership
from queuekeeper._arguments import Keep
from queuekeeper._calls import Progress
from queuekeeper.offsite import place
from queuekeeper.offsite.catalog import Entry, RemoteCatalog, fault_of, files_of, oldest_first
from queuekeeper.offsite.errors import OffsiteError, damaged
from queuekeeper.offsite.local import Local
from queuekeeper.offsite.meter import Meter
from queuekeeper.offsite.planning import DOUBT, decide, doubted
from queuekeeper.offsite.remote import Remote, Stored
from queuekeeper.offsite.results import Pushed, Skipped
from queuekeeper.offsite.source import own

COMMIT_SECONDS = 20.0


def push(local: Local, remote: Remote, policy: Keep | None, progress: Progress | None) -> Pushed:
    """Pushes what the remote lacks and its policy keeps."""
    if not own(local, local.entries()):
        return Pushed(remote.shown)
    with local.lock():
        return _Push(local, remote, progress).run(policy)


class _Push:
    """One push, while the lock is held."""

    def __init__(self, local: Local, remote: Remote, progress: Progress | None) -> None:
        self.local = local
        self.remote = remote
        self.meter = Meter(progress)
        self.objects = remote.objects()
        self.catalog = RemoteCatalog.read(remote, self.objects)
        self.listed = {each["id"]: each for each in self.catalog.entries}
        #: The ids of the backups that the remote has whole.
        self.there = {each["id"] for each in self.catalog.entries if self._is_whole(each)}
        self.doubted: set[str] = set()
        self.present = 0
        self.pushed: list[str] = []
        self.unwanted: list[str] = []
        self.skipped: list[Skipped] = []
        self.unwritten = False
        self.written_at = time.monotonic()

    def run(self, policy: Keep | None) -> Pushed:
        """All of it."""
        entries = own(self.local, self.local.entries())
        lacking = [entry for entry in entries if not self._is_there(entry)]
        self.doubted = doubted(self.local, lacking) if lacking else set()
        if policy is not None and lacking:
            lacking = self._wanted(lacking, policy)
        self.meter.total = sum(entry["size_bytes"] for entry in lacking)
        try:
            for entry in oldest_first(lacking):
                self._push(entry)
        except OffsiteError:
            # What has arrived is listed, if that can be; the next push may fail at the same place.
            with contextlib.suppress(OffsiteError):
                if self.unwritten:
                    self._write()
            raise
        if self.unwritten:
            self._write()
        if self.catalog.leaving:
            # What resists is told by each rotation; what was pushed has arrived.
            with contextlib.suppress(OffsiteError):
                self.catalog.clear_leaving()
        return Pushed(
            remote=self.remote.shown,
            pushed=self.pushed,
            bytes=self.meter.bytes,
            present=self.present,
            unwanted=self.unwanted,
            skipped=self.skipped,
        )

    def _push(self, entry: Entry) -> None:
        """Pushes one backup, or notes why not."""
        reason = self._refusal(entry) or self._send(entry)
        if reason is not None:
            self.skipped.append(Skipped(entry["backup_path"], reason))
            return
        self._list(entry)
        self.there.add(entry["id"])
        self.pushed.append(entry["backup_path"])
        if time.monotonic() - self.written_at > COMMIT_SECONDS:
            self._write()

    def _is_whole(self, entry: Entry) -> bool:
        """Whether all objects of a backup are there, as far as a listing tells."""
        if not all(name in self.objects for name, _ in files_of(entry)):
            return False
        return self.objects[entry["backup_path"]].size == int(entry["size_bytes"])

    def _is_there(self, entry: Entry) -> bool:
        """The same for a local backup; the remote then lists what is known of it now."""
        if entry["id"] not in self.there:
            return False
        self.present += 1
        listed = self.listed[entry["id"]]
        # It may have been verified since.
        if listed != entry and fault_of(entry) is None and files_of(listed) == files_of(entry):
            self._list(entry)
        return True

    def _wanted(self, lacking: list[Entry], policy: Keep) -> list[Entry]:
        """Those that the policy would keep there."""
        plan = decide(self.local, [*self.catalog.entries, *lacking], policy)
        doomed = {name for name, decision in plan.items() if decision.decision == "delete"}
        self.unwanted = [e["backup_path"] for e in lacking if e["backup_path"] in doomed]
        return [entry for entry in lacking if entry["backup_path"] not in doomed]

    def _refusal(self, entry: Entry) -> str | None:
        """Why a backup is not to be pushed, if so."""
        fault = fault_of(entry)
        if fault is not None:
            return fault
        if entry["backup_path"] in self.doubted:
            return f"it was {DOUBT} ('{entry.get('source_path')}'), and may be of that one"
        parent = entry.get("parent_id")
        if parent is not None and parent not in self.there:
            return f"it builds on the backup {parent}, which is not on the remote"
        for other in self.catalog.entries:
            if other["backup_path"] == entry["backup_path"] and other["id"] != entry["id"]:
                return (
                    f"{self.remote.on(entry['backup_path'])} is another backup of the same name, "
                    "which was not replaced; give each queue a remote directory of its own"
                )
        return None

    def _send(self, entry: Entry) -> str | None:
        """Pushes the files of a backup; why not, if the local ones are not what was written."""
        with place.to_send(self.local.directory) as way:
            files = []
            for name, checksum in files_of(entry):
                path = self.local.directory / name
                try:
                    staged = way(name)
                    found = self.remote.local(staged)
                except OSError as error:
                    return f"'{path}' cannot be read: {error.strerror}"
                if found is None:
                    return f"'{path}' is missing"
                if found.sha256 != checksum:
                    return f"'{path}' is damaged: its SHA-256 is not that in the catalog"
                if self._is_anothers(entry, staged):
                    return (
                        f"'{path}' belongs to another user than the database, and only the rows of "
                        "that say that it is its backup; root does not pass it on"
                    )
                files.append((found, staged))
            for found, staged in files:
                self._put(found, staged)
        return None

    def _is_anothers(self, entry: Entry, file: Path) -> bool:
        database = self.local.database
        heir = ownership.heir(database)
        if database is None or heir is None or entry["source_path"] in self.local.names():
            return False
        found = os.lstat(file)
        return found.st_uid != heir or ownership.is_kept_from_readers(found, database)

    def _put(self, file: Stored, way: Path) -> None:
        """Pushes one file, unless it has arrived before."""
        before = self.objects.get(file.name)
        if before is not None and before.size == file.size and self.remote.confirm(file) is None:
            self.meter.add(file.size, moved=False)
            return
        path = self.local.directory / file.name
        self.remote.upload(way, file.name, self.meter.moved)
        self.meter.add(file.size)
        fault = self.remote.confirm(file)
        if fault is not None:
            raise damaged(
                f"'{path}' did not arrive as {self.remote.on(file.name)}: {fault}; it is not "
                "listed there; push again"
            )

    def _list(self, entry: Entry) -> None:
        others = [each for each in self.catalog.entries if each["id"] != entry["id"]]
        self.catalog.entries = oldest_first([*others, entry])
        self.unwritten = True

    def _write(self) -> None:
        self.catalog.write()
        self.unwritten = False
        self.written_at = time.monotonic()
