"""A remote: objects in one directory of one rclone remote, and what can be known of them.

# Promise

- `upload` and `download` move one file each; whether it arrived is another question, which `holds`
  answers: by the length and the hash that the remote gives of what it has.
- Hashes are SHA-256 where the remote knows them. Most know another one; what that would be is asked
  of a local file whose SHA-256 is right. Where a remote knows none, or no such file is at hand,
  the object is read back, if that is wanted.

# How

Local files are hashed by rclone, too: it is another process, so no descriptor of a file that might
be a live database is ever closed in this one, which would drop SQLite's locks.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from queuekeeper.errors import SQLITE_FULL
from queuekeeper.offsite.errors import (
    HIDDEN,
    SQLITE_IOERR,
    OffsiteError,
    Scrubber,
    damaged,
    full,
    full_here,
    is_secret,
    missing,
    options_of,
    usage,
)
from queuekeeper.offsite.rclone import Moved, Session

SHA256 = "sha256"
#: rclone's words for a remote that is no directory.
A_FILE = "is a file not a directory"
#: Of a file, in bytes, nearly everywhere.
LONGEST_NAME = 255
#: The strongest first.
PREFERRED = (SHA256, "blake3", "sha512", "sha1", "md5")


@dataclass(frozen=True)
class Stored:
    """A file somewhere, as far as it is known."""

    name: str
    size: int
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str | None:
        """Its SHA-256; None of what nobody can read."""
        return self.hashes.get(SHA256)

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Stored:
        """Made from an item of rclone's listings."""
        hashes = {kind: value for kind, value in (item.get("Hashes") or {}).items() if value}
        return cls(item["Path"], int(item["Size"]), hashes)


class Remote:
    """One directory of a remote."""

    def __init__(self, address: str, environment: Mapping[str, str], umask: int = -1) -> None:
        check(address)
        self._address = address
        self.shown = shown(address)
        self._session = Session(address, environment, umask)
        self._info: Mapping[str, Any] | None = None

    def close(self) -> None:
        """Ends rclone."""
        self._session.close()

    def on(self, name: str) -> str:
        """An object in words, for errors."""
        return f"'{name}' on '{self.shown}'"

    def hash_type(self) -> str | None:
        """The hash that the remote knows of its objects, if it knows one."""
        known = self._looked_at().get("Hashes") or ()
        return next(iter([*(kind for kind in PREFERRED if kind in known), *known]), None)

    def objects(self, hashes: bool = False) -> dict[str, Stored]:
        """All objects by their names; none where the directory is not there."""
        self._looked_at()
        wanted = self._hash_options() if hashes else {}
        found = self._session.call_or_none(
            "operations/list",
            f"cannot list '{self.shown}'",
            fs=self._address,
            remote="",
            opt={"filesOnly": True, "noModTime": True, "noMimeType": True, **wanted},
        )
        items = [Stored.of(item) for item in (found or {}).get("list") or ()]
        return {item.name: item for item in items}

    def stat(self, name: str) -> Stored | None:
        """One object with its hash, if it is there."""
        return self._stat(self._address, name, f"cannot look at {self.on(name)}")

    def local(self, path: Path) -> Stored | None:
        """A local file with its SHA-256, and with the hash that the remote knows."""
        kinds = sorted({SHA256, self.hash_type() or SHA256})
        return self._stat(str(path.parent), path.name, f"cannot read '{path}'", kinds)

    def upload(self, path: Path, name: str, moved: Moved | None = None) -> None:
        """Copies a local file to the remote, over what may be there."""
        try:
            self._copy(
                (str(path.parent), path.name), (self._address, name), moved, f"push '{path}' to"
            )
        except OffsiteError as error:
            if error.code == SQLITE_IOERR and self._lacks_room(path):
                raise full(error) from None
            raise

    def download(self, name: str, path: Path, moved: Moved | None = None) -> None:
        """Copies an object into a local file, over what may be there."""
        try:
            self._copy((self._address, name), (str(path.parent), path.name), moved, "pull")
        except OffsiteError as error:
            if error.code == SQLITE_FULL:
                raise full_here(error) from None
            raise

    def delete(self, name: str) -> None:
        """Deletes an object; that it is not there is fine."""
        self._session.call_or_none(
            "operations/deletefile",
            f"cannot delete {self.on(name)}",
            fs=self._address,
            remote=name,
        )

    def link(self, name: str) -> str | None:
        """A link for those who may see the object anyway; None where no such link is known."""
        if not str(self._looked_at().get("String")).startswith("Google drive"):
            return None
        what = f"cannot look at {self.on(name)}"
        found = self._session.call("operations/stat", what, fs=self._address, remote=name)
        identity = (found.get("item") or {}).get("ID")
        return f"https://drive.google.com/file/d/{identity}/view" if identity else None

    def public_link(self, name: str) -> str | None:
        """A link with which anybody sees the object; None where the remote has none."""
        if not (self._looked_at().get("Features") or {}).get("PublicLink"):
            return None
        what = f"cannot make a link to {self.on(name)}"
        found = self._session.call("operations/publiclink", what, fs=self._address, remote=name)
        return str(found["url"])

    def read_back(self, name: str) -> str:
        """The SHA-256 of what the remote gives when it is asked for an object."""
        what = f"cannot read {self.on(name)} back"
        found = self._session.call_or_none(
            "operations/hashsumfile",
            what,
            fs=self._address,
            remote=name,
            hashType=SHA256,
            download=True,
        )
        if found is not None:
            return str(found["hash"])
        # An rclone before 1.70 does not know that operation.
        with tempfile.TemporaryDirectory(prefix="queuekeeper-") as place:
            copy = Path(place) / "copy"
            self.download(name, copy)
            stored = self.local(copy)
        if stored is None:
            raise missing(f"{what}: nothing arrived")
        return str(stored.sha256)

    def difference(
        self, found: Stored | None, wanted: Stored, *, read: bool, trust: bool = True
    ) -> str | None:
        """What is wrong with an object, in words; None when nothing is known to be.

        `wanted` has at least the SHA-256. With `read`, what no hash can tell is read back; and all
        of it, without `trust`: a remote may keep the hash of what arrived, and not look again.
        """
        if found is None:
            return "it is not there"
        if found.size != wanted.size:
            return f"it has {found.size} bytes instead of {wanted.size}"
        common = [kind for kind in found.hashes if kind in wanted.hashes]
        for kind in common:
            if found.hashes[kind].lower() != wanted.hashes[kind].lower():
                return f"its {kind} is not that of what was written"
        needed = read and not (common and trust)
        if needed and self.read_back(wanted.name) != wanted.sha256:
            return "its content is not what was written"
        return None

    def confirm(self, wanted: Stored) -> str | None:
        """The same for an object that has just arrived: whatever it takes to know."""
        return self.difference(self.stat(wanted.name), wanted, read=True)

    def _looked_at(self) -> Mapping[str, Any]:
        """What rclone says of the remote, asked once."""
        if self._info is None:
            what = f"cannot look at '{self.shown}'"
            try:
                self._info = self._session.call("operations/fsinfo", what, fs=self._address)
            except OffsiteError as error:
                if A_FILE not in str(error):
                    raise
                # S3 says so of whatever it does not let us see; its directory tells which it is.
                parent = re.sub(r"(?<=[:/])[^:/]*/?$", "", self._address)
                self._session.call("operations/list", what, fs=parent, remote="")
                raise usage(f"'{self.shown}' is a file; name a directory") from None
        return self._info or {}

    def _lacks_room(self, path: Path) -> bool:
        """Whether a file is larger than what is left there, where the remote tells."""
        with contextlib.suppress(OffsiteError, OSError):
            what = f"cannot ask '{self.shown}' for its free space"
            about = self._session.call("operations/about", what, fs=self._address)
            return "free" in about and int(about["free"]) < path.stat().st_size
        return False

    def _copy(
        self, source: tuple[str, str], target: tuple[str, str], moved: Moved | None, what: str
    ) -> None:
        named = self.on(target[1] if target[0] == self._address else source[1])
        self._session.transfer(
            "operations/copyfile",
            f"cannot {what} {named}",
            moved,
            srcFs=source[0],
            srcRemote=source[1],
            dstFs=target[0],
            dstRemote=target[1],
            # Not by time and length, by which a file that was cut short may look finished.
            _config={"IgnoreTimes": True},
        )

    def _hash_options(self, kinds: list[str] | None = None) -> dict[str, Any]:
        kind = self.hash_type()
        wanted = kinds if kinds is not None else [kind] if kind else []
        return {"showHash": True, "hashTypes": wanted} if wanted else {}

    def _stat(
        self, place: str, name: str, what: str, kinds: list[str] | None = None
    ) -> Stored | None:
        found = self._session.call_or_none(
            "operations/stat", what, fs=place, remote=name, opt=self._hash_options(kinds)
        )
        item = (found or {}).get("item")
        return None if item is None or item.get("IsDir") else Stored.of(item)


def check(address: str) -> None:
    """Refuses what can be no remote."""
    if not address.strip() or "\0" in address or address.startswith("-"):
        raise usage(
            "the remote must be one of rclone's, such as 'gdrive:AI Assistant Backups' or "
            "'s3:bucket/queue'"
        )


def shown(address: str) -> str:
    """A remote as it may be shown: without the secrets in it."""
    scrubbed = Scrubber(address, {})(address)
    for name, value in options_of(address):
        if is_secret(name) and value:
            scrubbed = scrubbed.replace(f"{name}={value}", f"{name}={HIDDEN}")
    return scrubbed


def check_name(name: Any, *endings: str) -> str:
    """An object's name, unless it could become that of a file elsewhere, or of ours.

    Nor may it have these endings.
    """
    fine = isinstance(name, str) and name not in ("", ".", "..")
    fine = fine and len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME
    # On Windows a colon leads to another stream of a file.
    foreign = r"[/\\\0:]" if os.name == "nt" else r"[/\\\0]"
    own = (".queuekeeper-", "backup_manifest.")
    companions = ("-wal", "-shm", "-journal", "-schedule", *endings)
    # Some file systems take these for the same name.
    plain = name.casefold().rstrip(". ") if fine else ""
    if not fine or re.search(foreign, name) or plain.startswith(own) or plain.endswith(companions):
        raise damaged(
            f"the remote's catalog names {name!r}, which is no backup's; nothing was done"
        )
    return str(name)
