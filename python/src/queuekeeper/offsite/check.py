"""Checking a remote: whether it holds what its catalog lists, and what the local catalog lists.

# Promise

- Every object is looked at: whether it is there, its length, and its hash where the remote knows
  one that can be compared. With `download` each object is read back as well: a remote may keep the
  hash of what arrived, and not notice what became of it.
- How many were compared by content and how many by length only is part of the result, so that "no
  findings" says how much it is worth.
- Nothing is changed, neither here nor there.

# How

A remote that knows SHA-256 answers by itself. What another hash must be is known where the file is
still here, and right.
"""

from __future__ import annotations

from collections.abc import Iterator

from queuekeeper._arguments import Keep
from queuekeeper._calls import Progress
from queuekeeper.offsite.catalog import OWN, Entry, RemoteCatalog, fault_of, files_of
from queuekeeper.offsite.local import Local
from queuekeeper.offsite.meter import Meter
from queuekeeper.offsite.planning import decide, doubted
from queuekeeper.offsite.remote import SHA256, Remote, Stored
from queuekeeper.offsite.results import Checked, Finding
from queuekeeper.offsite.source import own
from queuekeeper.results import Decision


def check(
    local: Local, remote: Remote, policy: Keep | None, progress: Progress | None, *, download: bool
) -> Checked:
    """Compares a remote with its catalog, and that with the local one."""
    return _Check(local, remote, progress, download).run(policy)


class _Check:
    """One check."""

    def __init__(
        self, local: Local, remote: Remote, progress: Progress | None, download: bool
    ) -> None:
        self.local = local
        self.remote = remote
        self.meter = Meter(progress)
        self.download = download
        # A directory's hashes are made when they are asked for, however long its files are.
        self.catalog = RemoteCatalog.read(remote, remote.objects())
        self.objects = remote.objects(hashes=True)
        self.compared = 0
        self.by_size = 0

    def run(self, policy: Keep | None) -> Checked:
        """All of it."""
        entries = self.catalog.entries
        self.meter.total = sum(entry["size_bytes"] for entry in entries)
        findings = [finding for entry in entries for finding in self._entry(entry)]
        findings += self._unlisted()
        findings += self._not_pushed(policy)
        return Checked(
            remote=self.remote.shown,
            findings=findings,
            backups=len(entries),
            compared=self.compared,
            by_size_only=self.by_size,
        )

    def _entry(self, entry: Entry) -> Iterator[Finding]:
        name = entry["backup_path"]
        fault = fault_of(entry)
        if fault is not None:
            yield Finding("damaged", name, f"{name}: {fault}")
        parent = entry.get("parent_id")
        if parent is not None and parent not in {each["id"] for each in self.catalog.entries}:
            yield Finding(
                "chain", name, f"{name} builds on the backup {parent}, which is not listed"
            )
        for file, checksum in files_of(entry):
            finding = self._object(file, checksum, entry["size_bytes"] if file == name else None)
            if finding is not None:
                yield finding
        self.meter.add(entry["size_bytes"])

    def _object(self, name: str, checksum: str, size: int | None) -> Finding | None:
        found = self.objects.get(name)
        if found is None:
            return Finding("missing", name, f"{name} is listed, but not there")
        hashes = {SHA256: checksum, **self._known_hashes(name, checksum, found)}
        wanted = Stored(name, found.size if size is None else size, hashes)
        if self.download or set(found.hashes) & set(hashes):
            self.compared += 1
        else:
            self.by_size += 1
        fault = self.remote.difference(found, wanted, read=self.download, trust=False)
        return None if fault is None else Finding("damaged", name, f"{name} is damaged: {fault}")

    def _known_hashes(self, name: str, checksum: str, found: Stored) -> dict[str, str]:
        """The hashes of the same file here, if it is here and right."""
        if SHA256 in found.hashes or not found.hashes:
            return {}
        here = self.remote.local(self.local.directory / name)
        if here is None or here.sha256 != checksum:
            return {}
        return dict(here.hashes)

    def _unlisted(self) -> Iterator[Finding]:
        listed = {name for entry in self.catalog.entries for name, _ in files_of(entry)}
        for name in sorted(set(self.objects) - listed - set(OWN)):
            text = "is there, but not listed: a push or a rotation has not been finished, or it is "
            yield Finding("unlisted", name, f"{name} {text}somebody else's")

    def _not_pushed(self, policy: Keep | None) -> Iterator[Finding]:
        listed = {entry["id"] for entry in self.catalog.entries}
        lacking = [
            each for each in own(self.local, self.local.entries()) if each["id"] not in listed
        ]
        if lacking:
            others = doubted(self.local, lacking)
            lacking = [each for each in lacking if each["backup_path"] not in others]
        plan: dict[str, Decision] = {}
        if policy is not None:
            plan = decide(self.local, [*self.catalog.entries, *lacking], policy)
        for entry in lacking:
            name = entry["backup_path"]
            if name not in plan or plan[name].decision == "keep":
                yield Finding("not_pushed", name, f"{name} is not on the remote")
