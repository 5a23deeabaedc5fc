"""Makes the seeds in fuzz/seeds, from which the fuzzers start: a directory for each target.

They are what version 0.1.0 wrote (tests/fixtures), cut down to what a target reads, and small
inputs of each kind that a reader knows. Nothing depends on the time or on chance, so that what is
made again is the same, except for deltas: those depend on SQLite's version. A finding is kept
beside them, under a name that says what it is: those that are not made here stay as they are.
"""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import struct
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

PLACE = Path(__file__).with_name("seeds")
FIXTURES = PLACE.parents[1] / "tests" / "fixtures" / "0.1.0.tar.gz"
CHAIN = "queue_backup_chain_20261127_035033.delta.db"
#: What src/fuzzing.rs says is the digest of the parent.
PARENT = "parent"
SETTINGS = {
    "count": "7",
    "counts": "7/4/12",
    "policy": '{"keep_last": 3, "keep_within": "2y5m7d3h", "keep_daily": 7, "name": "daily"}',
    "limits": '{"max_age_days": 30, "max_total_bytes": 1e9, "adopted": true}',
    "statuses": '["leased", "processing", 2]',
    "finished": '["completed", {"failed": "at_limit"}]',
    "paths": '["/srv/old/queue.db"]',
    "columns": '["done_at", "lock_at"]',
    "real": "12.5",
    "exponent": "1e3",
    "cron": "0 2 * * 6",
    "remote": "gdrive:AI Assistant Backups",
    "word": "unix_ms",
}
CRONS = (
    "0 * * * *",
    "*/5 1-3 * JAN,feb MON-fri",
    "@daily",
    "0 0 29 2 *",
    "15 3 31 * *",
    "0 0 L * *",
    "0 0 1W * *",
    "0 0 * * 5#2",
    "0 0 30 2 *",
    "0-59/7 */3 1,15 */2 0-6",
)


def files() -> dict[str, bytes]:
    """What version 0.1.0 wrote into one directory, by name."""
    found = {}
    with tarfile.open(FIXTURES) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None and member.name.startswith("0.1.0/delete1024/backups/"):
                found[Path(member.name).name] = content.read()
    return found


def manifests(old: Mapping[str, bytes]) -> dict[str, bytes]:
    written = old["backup_manifest.json"]
    entries = json.loads(written)
    chain = [entry for entry in entries if entry["name"] == "chain"]
    pointer = {
        name: entries[0][name] for name in ("id", "source_path", "backup_path", "created_at")
    }
    pointer.update(backup_path="/else/x.db", sequence=1, queue_name="q")
    return {
        "fixture": written,
        "chain": compact(chain),
        "empty": b"[]",
        "unknown": compact([{**chain[-1], "o": [1.50, {"é\n": None}], "deleting": True}]),
        "circle": compact([{**chain[-1], "parent_id": chain[-1]["id"]}]),
        "outside": compact([{**chain[0], "backup_path": "../x.db"}]),
        "pointers": compact([pointer]),
    }


def entries(old: Mapping[str, bytes]) -> dict[str, bytes]:
    first = json.loads(old["backup_manifest.json"])[0]
    needed = "id backup_type source_path backup_path created_at size_bytes compressed checksum"
    return {
        "fixture": compact(first),
        "least": compact({name: first[name] for name in needed.split()}),
        "raw": compact(first)[:-1] + b',"big":12345678901234567890123,"far":1e400,"a":1,"a":2}',
        "marked": compact({**first, "replacing": True, "damaged_at": "", "sequence": 1 << 53}),
    }


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def hash_files(old: Mapping[str, bytes]) -> dict[str, bytes]:
    """Without their checksum, which the target puts behind."""
    bare = old[f"{CHAIN}.hashes"][:-32]
    length = int.from_bytes(bare[20:24], "little")
    behind = 24 + length
    return {
        "fixture": old[f"{CHAIN}.hashes"],
        "unsealed": bare,
        "no_pages": bare[: behind + 4] + bytes(4),
        "many_pages": bare[: behind + 4] + b"\xff\xff\xff\xff",
    }


def framed(old: Mapping[str, bytes], ending: str) -> dict[str, bytes]:
    """Frames of version 0.1.0; the artifact's first one holds page 1 as it is."""
    return {"fixture": old[CHAIN + ending], "beginning": old[backup(old, ending)][:3000]}


def backup(old: Mapping[str, bytes], ending: str) -> str:
    return min(name for name in old if name.endswith(".db" + ending) and "chain" not in name)


def gzips(old: Mapping[str, bytes]) -> dict[str, bytes]:
    # Stored, so that it is the same whatever the version of zlib.
    packed = io.BytesIO()
    with gzip.GzipFile("a.db", "wb", 0, packed, mtime=0) as file:
        file.write(b"and more" * 9)
    return {
        **framed(old, ".gz"),
        "named": packed.getvalue(),
        "two": packed.getvalue() * 2,
        "behind": packed.getvalue() + b"x",
    }


def zstds(old: Mapping[str, bytes]) -> dict[str, bytes]:
    frame = (
        b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 3) + (3 << 3 | 1).to_bytes(3, "little") + b"abc"
    )
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + bytes(4)
    repeated = b"\x28\xb5\x2f\xfd\x00\x88" + (0xFFFF << 3 | 2 | 1).to_bytes(3, "little") + b"x"
    return {
        **framed(old, ".zst"),
        "stored": frame,
        "skipped": skipped + frame + skipped,
        "repeated": repeated,
        "wide": b"\x28\xb5\x2f\xfd\x00\xff" + (1).to_bytes(3, "little"),
    }


def deltas(old: Mapping[str, bytes]) -> dict[str, bytes]:
    """Small deltas behind what their catalog and their parent say, see src/fuzzing.rs."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "delta.db"
        path.write_bytes(old[CHAIN])
        pages = dict(rows(path, "SELECT pgno, content FROM delta_page"))
        meta = dict(rows(path, "SELECT key, value FROM delta_meta"))
        count = meta["page_count"]
        meta.update(parent_digest=PARENT)
        small = {**meta, "page_size": 512, "page_count": 3}
        two = {2: b"2" * 512, 3: b"3" * 512}
        return {
            "fixture": head(count, 1, count) + made(path.with_name("a"), pages, meta),
            "grown": head(1, 0, 3) + made(path.with_name("b"), two, small),
            "shrunk": head(9, 0, 3) + made(path.with_name("c"), two, small),
            "lacking": head(1, 0, 9) + made(path.with_name("d"), two, {**small, "page_count": 9}),
            "newer": head(1, 0, 3) + made(path.with_name("e"), two, {**small, "format": 2}),
            "computed": head(1, 0, 3) + made(path.with_name("f"), {}, small, computed=3),
        }


def head(before: int, exponent: int, after: int) -> bytes:
    return struct.pack("<BBH", before, exponent, after)


def rows(path: Path, sql: str) -> list[tuple[Any, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def made(
    path: Path, pages: Mapping[int, bytes], meta: Mapping[str, object], computed: int = 0
) -> bytes:
    """A delta in small pages; with `computed`, that many pages whose content is computed."""
    how = "BLOB AS (zeroblob(512))" if computed else "BLOB NOT NULL"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size=512")
        connection.execute(f"CREATE TABLE delta_page(pgno INTEGER PRIMARY KEY, content {how})")
        connection.execute("CREATE TABLE delta_meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        if computed:
            numbers = [(number,) for number in range(1, computed + 1)]
            connection.executemany("INSERT INTO delta_page(pgno) VALUES (?)", numbers)
        else:
            connection.executemany("INSERT INTO delta_page VALUES (?, ?)", pages.items())
        connection.executemany("INSERT INTO delta_meta VALUES (?, ?)", meta.items())
    return path.read_bytes()


def images() -> dict[str, bytes]:
    """The memory of a library with one symbol, behind the place of its dynamic section in words."""
    names = b"\0a\0"
    nothing, symbol = bytes(24), struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0x40, 8)
    symbols, strings, table = 0x100, 0x140, 0x180
    # One bucket, the first symbol that is in the table, a bloom filter of one word.
    hashed = (5381 * 33 + ord("a")) & 0xFFFFFFFF
    gnu = struct.pack("<IIIIQII", 1, 1, 1, 0, 0, 1, hashed | 1)
    sysv = struct.pack("<IIIII", 1, 2, 1, 0, 0)
    made = {}
    for name, kind, content in (("gnu", 0x6FFFFEF5, gnu), ("sysv", 4, sysv)):
        dynamic = struct.pack("<8Q", 5, strings, 6, symbols, kind, table, 0, 0)
        memory = bytearray(0x1C0)
        for at, piece in (
            (0x80, dynamic),
            (symbols, nothing + symbol),
            (strings, names),
            (table, content),
        ):
            memory[at : at + len(piece)] = piece
        made[name] = bytes([0x80 // 8]) + bytes(memory)
    return made


def seeds() -> dict[str, dict[str, bytes]]:
    """All of them, by target and name."""
    old = files()
    at = struct.pack("<I", 1_793_000_000)
    return {
        "cron": {f"{number}": at + text.encode() for number, text in enumerate(CRONS)},
        "delta": deltas(old),
        "entry": entries(old),
        "gzip": gzips(old),
        "hash_file": hash_files(old),
        "image": images(),
        "manifest": manifests(old),
        "settings": {name: text.encode() for name, text in SETTINGS.items()},
        "zstd": zstds(old),
    }


def main() -> None:
    for target, inputs in seeds().items():
        (PLACE / target).mkdir(parents=True, exist_ok=True)
        for name, content in inputs.items():
            (PLACE / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
