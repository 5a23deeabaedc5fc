"""What the off-site operations return."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from queuekeeper.results import Backup, Decision, Verification


@dataclass(frozen=True)
class Skipped:
    """A backup that was left out, and why."""

    backup_path: str
    reason: str


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    #: The remote, without the secrets in its name.
    remote: str
    #: Names of the backups that the remote has now and had not before.
    pushed: list[str] = field(default_factory=list)
    #: How many bytes went over the line.
    bytes: int = 0
    #: How many backups were there already.
    present: int = 0
    #: Those that the remote's own policy does not keep.
    unwanted: list[str] = field(default_factory=list)
    #: Those that are damaged, or have lost what they build on.
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the remote now has all that it should have."""
        return not self.skipped

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Pulled:
    """What a pull brought back."""

    remote: str
    directory: Path
    #: The newest of the backups that were asked for.
    path: Path
    id: str
    #: Names of the files that were fetched; others were there already.
    fetched: list[str] = field(default_factory=list)
    bytes: int = 0
    #: What the library found out about each backup, the newest first.
    verified: list[Verification] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "remote": self.remote,
            "directory": str(self.directory),
            "path": str(self.path),
            "id": self.id,
            "fetched": self.fetched,
            "bytes": self.bytes,
            "verified": [dict(each.raw) for each in self.verified],
        }


@dataclass(frozen=True)
class Finding:
    """Something about a remote that is not as it should be."""

    #: `missing`, `damaged`, `unlisted`, `chain` or `not_pushed`.
    kind: str
    #: The object, or the backup.
    name: str
    message: str


@dataclass(frozen=True)
class Checked:
    """What a check found out."""

    remote: str
    findings: list[Finding] = field(default_factory=list)
    #: How many backups the remote lists.
    backups: int = 0
    #: How many objects were compared by their content or its hash.
    compared: int = 0
    #: How many only by their length: the remote knows no hash of them that could be compared.
    by_size_only: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Rotated:
    """What a rotation did, or with `dry_run` would do."""

    remote: str
    #: The policy, as it was used.
    policy: str
    #: Names of the backups that are gone.
    deleted: list[str] = field(default_factory=list)
    kept: int = 0
    #: What became of each backup and why, the newest first.
    decisions: list[Decision] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "remote": self.remote,
            "policy": self.policy,
            "deleted": self.deleted,
            "kept": self.kept,
            "decisions": [dict(each.raw) for each in self.decisions],
        }


__all__ = ["Backup", "Checked", "Finding", "Pulled", "Pushed", "Rotated", "Skipped"]
