"""A second reader of what queuekeeper writes, as docs/formats.md has it.

It shares no code with the library or the package. `zstd` files take the program of that name.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import sqlite3
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import xxhash

CATALOG_BYTES, CATALOG_ENTRIES, ENTRY_BYTES = 64 << 20, 100_000, 256 << 10
POINTERS_BYTES, POINTERS = 4 << 20, 4096
LARGEST_SEQUENCE = 1 << 53
MAGIC = b"queuekeeper hashes 1"
BLANKS = ((18, 20), (24, 28), (40, 44), (92, 100))
LOCK_BYTE = 1 << 30
#: The keys of an object that must be there, and their types.
REQUIRED = {
    "id": str,
    "backup_type": str,
    "source_path": str,
    "backup_path": str,
    "created_at": str,
    "size_bytes": int,
    "compressed": bool,
    "checksum": str,
}
#: Those that count as null where they are missing.
ALWAYS = (
    *("name", "database_version", "page_count", "page_size", "parent_id", "content_digest"),
    *("hash_file_checksum", "pages_stored", "task_counts", "duration_ms"),
    *("verified_at", "verified_level"),
)
MARKS = ("damaged_at", "wrong_clock", "deleting", "deletion_error", "replacing")
META = {
    "format": int,
    "page_size": int,
    "page_count": int,
    "parent_id": str,
    "parent_digest": str,
    "content_digest": str,
}

Entry = dict[str, Any]


class FormatError(Exception):
    """Something is not as the page says."""


def require(holds: object, what: str) -> None:
    if not holds:
        raise FormatError(what)


def entries_of(text: bytes) -> list[Entry]:
    """The objects of a catalog."""
    require(len(text) <= CATALOG_BYTES, "the catalog is too long")
    entries = json.loads(text)
    require(isinstance(entries, list) and len(entries) <= CATALOG_ENTRIES, "no array of objects")
    for entry in entries:
        check_entry(entry)
    return list(entries)


def check_entry(entry: Any) -> None:
    require(isinstance(entry, dict), "no object")
    for key, kind in REQUIRED.items():
        require(type(entry.get(key)) is kind, f"{key} is missing or of another type")
    name = entry["backup_path"]
    require(name not in ("", ".", "..") and "\0" not in name, "no bare name")
    require(PurePath(name).name == name, "a file of another directory")


def canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def object_digest(entry: Entry) -> str:
    others = dict.fromkeys(ALWAYS) | {"compression": "none"} | entry
    others.pop("object_digest", None)
    for key in ("queue_name", "sequence"):
        if others.get(key, 0) is None:
            del others[key]
    return hashlib.sha256(canonical(others)).hexdigest()


def is_intact(entry: Entry) -> bool:
    return entry.get("object_digest") == object_digest(entry)


def place(entry: Entry) -> int:
    """Its place in the order of making."""
    sequence = entry.get("sequence")
    if type(sequence) is int and 0 <= sequence < LARGEST_SEQUENCE:
        return sequence
    # `strftime` gives 1970 in seconds, with three digits.
    text = sqlite3.connect(":memory:").execute(
        "SELECT strftime('%s', ?1) || substr(strftime('%f', ?1), 4)", [entry["created_at"]]
    )
    return max(0, int(text.fetchone()[0] or 0))


def newest_first(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=place)[::-1]


@dataclass(frozen=True)
class HashFile:
    """What a hash file says."""

    entry: Entry
    page_size: int
    page_count: int
    hashes: list[bytes]
    checksum: str


def hash_file(content: bytes) -> HashFile | None:
    """None where it counts as missing."""
    if content[:20] != MAGIC or len(content) < 64:
        return None
    (length,) = struct.unpack_from("<I", content, 20)
    if length > ENTRY_BYTES or len(content) < 64 + length:
        return None
    page_size, page_count = struct.unpack_from("<II", content, 24 + length)
    if len(content) != 64 + length + 16 * page_count:
        return None
    if hashlib.sha256(content[:-32]).digest() != content[-32:]:
        return None
    try:
        entry = json.loads(content[24 : 24 + length])
        check_entry(entry)
    except (ValueError, FormatError):
        return None
    pages = content[32 + length : -32]
    hashes = [pages[start : start + 16] for start in range(0, len(pages), 16)]
    return HashFile(entry, page_size, page_count, hashes, hashlib.sha256(content).hexdigest())


def page_hashes(database: bytes, page_size: int) -> list[bytes]:
    first = bytearray(database[:page_size])
    for begin, end in BLANKS:
        first[begin:end] = bytes(end - begin)
    later = (
        database[start : start + page_size] for start in range(page_size, len(database), page_size)
    )
    return [xxhash.xxh3_128(page).digest()[::-1] for page in (bytes(first), *later)]


def content_digest(page_size: int, hashes: list[bytes]) -> str:
    head = b"queuekeeper content 1" + struct.pack("<II", page_size, len(hashes))
    return hashlib.sha256(head + b"".join(hashes)).hexdigest()


def expand(content: bytes, compression: str) -> bytes:
    """All frames, joined."""
    if compression == "none":
        return content
    if compression == "gzip":
        return gzip.decompress(content)
    require(compression == "zstd", f"the unknown compression {compression}")
    done = subprocess.run(["zstd", "-dcq"], input=content, capture_output=True, check=False)
    require(done.returncode == 0, done.stderr.decode())
    return done.stdout


def apply_delta(delta: bytes, base: bytes, parent: Entry, entry: Entry) -> bytes:
    """The database that a plain delta makes of its parent's."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "delta.db"
        path.write_bytes(delta)
        with opened(path) as connection:
            check_tables(connection)
            meta = dict(connection.execute("SELECT key, value FROM delta_meta"))
            rows = connection.execute("SELECT pgno, content FROM delta_page").fetchall()
    for key, kind in META.items():
        require(type(meta.get(key)) is kind, f"a delta without {key}")
    require(meta["format"] == 1, f"a delta of format {meta['format']}")
    for key in ("page_size", "page_count", "parent_id", "content_digest"):
        require(meta[key] == entry[key], f"another {key} than in the catalog")
    require(meta["parent_digest"] == parent["content_digest"], "it builds on another backup")
    size, count = meta["page_size"], meta["page_count"]
    require(parent["page_size"] == size, "another page size than the parent's")
    require(entry["pages_stored"] == len(rows), "another number of pages than in the catalog")
    grown = set(range(len(base) // size + 1, count + 1)) - {LOCK_BYTE // size + 1}
    require(grown <= {number for number, _ in rows}, "it lacks pages")
    database = bytearray(base[: size * count].ljust(size * count, b"\0"))
    for number, content in rows:
        require(1 <= number <= count, f"a page {number} that cannot be")
        require(isinstance(content, bytes) and len(content) == size, "content of no page")
        database[(number - 1) * size : number * size] = content
    return bytes(database)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A delta, beside which nothing is written."""
    uri = f"{path.resolve().as_uri()}?immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


def check_tables(connection: sqlite3.Connection) -> None:
    for table in ("delta_page", "delta_meta"):
        sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = ?"
        require(connection.execute(sql, [table]).fetchone(), f"the table {table} is missing")
        columns = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
        require(all(column[6] == 0 for column in columns), "generated columns")


class Directory:
    """A backup directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = (path / "backup_manifest.json").read_bytes()
        self.entries = entries_of(self.manifest)

    def artifact(self, entry: Entry) -> bytes:
        """The file as it lies there, which is what was written."""
        content: bytes = (self.path / entry["backup_path"]).read_bytes()
        require(len(content) == entry["size_bytes"], "the artifact has another length")
        checksum = hashlib.sha256(content).hexdigest()
        require(checksum == entry["checksum"], "the artifact has another checksum")
        return content

    def hashes(self, entry: Entry) -> HashFile | None:
        path = self.path / f"{entry['backup_path']}.hashes"
        return hash_file(path.read_bytes()) if path.exists() else None

    def chain(self, entry: Entry) -> list[Entry]:
        """What it builds on, the first one first."""
        by_id = {each["id"]: each for each in self.entries}
        chain = [entry]
        while chain[-1]["backup_type"] == "incremental":
            parent = by_id.get(chain[-1]["parent_id"])
            require(parent is not None, "its parent is not in the catalog")
            require(parent not in chain, "a circle")
            chain.append(parent)  # type: ignore[arg-type]
        return chain[::-1]

    def rebuild(self, entry: Entry) -> bytes:
        """The database of a backup, which is proved to be the snapshot."""
        first, *deltas = self.chain(entry)
        require(first["backup_type"] in ("full", "snapshot"), "an unknown type of backup")
        database = expand(self.artifact(first), first["compression"])
        size = first["page_size"] * first["page_count"]
        require(len(database) == size, "another length than the catalog says")
        parent = first
        for delta in deltas:
            plain = expand(self.artifact(delta), delta["compression"])
            database = apply_delta(plain, database, parent, delta)
            parent = delta
        digest = content_digest(entry["page_size"], page_hashes(database, entry["page_size"]))
        require(digest == entry["content_digest"], "another content than the snapshot's")
        return database

    def recovered(self) -> list[Entry]:
        """The catalog as the hash files alone give it."""
        found = []
        for path in self.path.glob("*.hashes"):
            one = hash_file(path.read_bytes())
            if one is None or one.entry["backup_path"] + ".hashes" != path.name:
                continue
            artifact = self.path / one.entry["backup_path"]
            if not artifact.exists() or artifact.stat().st_size != one.entry["size_bytes"]:
                continue
            entry = {key: one.entry[key] for key in one.entry if key not in MARKS}
            entry["hash_file_checksum"] = one.checksum
            entry["object_digest"] = object_digest(entry)
            found.append(entry)
        return sorted(found, key=place)

    def pointers(self) -> list[Entry]:
        """Where other backups are, the newest first; none where the file is no such list."""
        path = self.path / "backup_manifest.json.elsewhere"
        if not path.exists() or path.stat().st_size > POINTERS_BYTES:
            return []
        found = json.loads(path.read_bytes())
        if not isinstance(found, list) or len(found) > POINTERS:
            return []
        fine = [
            each
            for each in found
            if Path(each["backup_path"]).is_absolute() and each["sequence"] < LARGEST_SEQUENCE
        ]
        return sorted(fine, key=lambda each: int(each["sequence"]))[::-1]
