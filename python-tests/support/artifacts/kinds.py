"""Every kind of artifact, and the catalog as somebody might forge it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hosts import Session, SqlError
from support.artifacts import CATALOG, catalog
from support.queues import Queue

KINDS = ("full", "incremental", "snapshot")
COMPRESSIONS = ("none", "gzip", "zstd")
ALL = [(kind, compression) for kind in KINDS for compression in COMPRESSIONS]

#: What a run may change without having touched anything.
PASSING = ("-shm", ".lock")


def back_up(session: Session, **options: Any) -> dict[str, Any]:
    """A backup in the default directory."""
    return session.object("SELECT queue_backup(NULL, ?)", json.dumps(options))


def change(queue: Queue) -> None:
    """One more commit."""
    with queue.connect() as connection:
        connection.execute("UPDATE task_queue SET priority = priority + 1 WHERE id % 7 = 0")


def make_one(session: Session, queue: Queue, kind: str, compression: str) -> Path:
    """One artifact of a kind; an incremental builds on a full backup that is made first."""
    if kind == "incremental":
        back_up(session)
        change(queue)
    made = back_up(session, type=kind, compression=compression)
    assert made["backup_type"] == kind, made
    return Path(made["backup_path"])


def make_chain(session: Session, queue: Queue, compression: str, length: int) -> list[Path]:
    """A full backup and incrementals that build on it, with a change before each."""
    made = []
    for number in range(length):
        change(queue)
        kind = "incremental" if number else "full"
        made.append(back_up(session, type=kind, compression=compression))
    assert [one["parent_id"] for one in made] == [None, *(one["id"] for one in made[:-1])]
    return [Path(one["backup_path"]) for one in made]


def hashes_of(artifact: Path) -> Path:
    """The hash file beside an artifact."""
    return artifact.with_name(artifact.name + ".hashes")


def state(directory: Path) -> dict[str, str]:
    """All that lies in a directory and below, to see whether anything was touched."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file() and not name.endswith(PASSING):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "there"
    return {name: what for name, what in found.items() if not name.endswith(PASSING)}


def status_of(session: Session, artifact: Path, level: str = "checksum") -> str:
    """What queue_verify says: `ok`, `corrupted`, or `error` when it refuses to answer."""
    try:
        found = session.object("SELECT queue_verify(?, ?)", str(artifact), level)
    except SqlError:
        return "error"
    assert (found["status"] == "ok") == (found["details"] == []), found
    return str(found["status"])


def digest_of(entry: dict[str, Any]) -> str:
    """The digest of a catalog object, as its writer computes it."""
    others = {key: value for key, value in entry.items() if key != "object_digest"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_catalog(directory: Path, entries: Iterable[dict[str, Any]]) -> None:
    """A catalog with these objects, whatever they are, each with a digest that is right."""
    sealed = [{**entry, "object_digest": digest_of(entry)} for entry in entries]
    (directory / CATALOG).write_text(json.dumps(sealed), "utf-8")


def forge(artifact: Path, content: bytes, **fields: Any) -> None:
    """Replaces an artifact and makes the catalog agree with what lies there now."""
    artifact.write_bytes(content)
    entries = catalog(artifact.parent)
    for entry in entries:
        if entry["backup_path"] == artifact.name:
            entry["size_bytes"] = len(content)
            entry["checksum"] = hashlib.sha256(content).hexdigest()
            entry.update(fields)
    write_catalog(artifact.parent, entries)
