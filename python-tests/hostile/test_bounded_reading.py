"""What others put into a backup directory costs memory in proportion to a bound, and no host."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from hosts.protocol import SQLITE_CORRUPT, SQLITE_NOTADB
from hosts.python_host import PythonSession
from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import digest_of, hashes_of, make_chain, write_catalog
from support.eventually import peak
from support.queues import Queue

pytestmark = [
    pytest.mark.rule(6),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/…/status"),
]

MEGABYTE = 1 << 20
#: An object of one field is short as text, and long in memory.
SMALL = {"a": 0}
#: Unknown fields of 8 MB, as one field or in many entries.
WHOLE = 8 * MEGABYTE // len('{"a":0},')
#: The most that a reader takes for files of 8 MB.
LIMIT = 100 * MEGABYTE

READERS = [
    "SELECT count(*) FROM queue_backups()",
    "SELECT count(*) FROM queue_rotation(1)",
    "SELECT queue_verify('latest')",
]
WRITERS = ["SELECT queue_rotate(100)", "SELECT queue_backup()"]


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def one_field(backups: Path) -> None:
    """One entry with one field of 8 MB."""
    entries = catalog(backups)
    entries[0]["o"] = [SMALL] * WHOLE
    (backups / CATALOG).write_text(compact(entries))


def no_entry(backups: Path) -> None:
    """The field alone."""
    (backups / CATALOG).write_text(compact([{"o": [SMALL] * WHOLE}]))


def counts(backups: Path) -> None:
    """A field that is known, with objects in it."""
    entries = catalog(backups)
    entries[0]["task_counts"] = {"s": [SMALL] * WHOLE}
    (backups / CATALOG).write_text(compact(entries))


def deep(backups: Path) -> None:
    """Lists within each other."""
    entries = catalog(backups)
    (backups / CATALOG).write_text(compact(entries)[:-2] + ',"o":' + "[" * 100 + "]" * 100 + "}]")


def too_many(backups: Path) -> None:
    """More entries than any catalog has."""
    first, needed = catalog(backups)[0], "id backup_type source_path backup_path created_at"
    names = [*needed.split(), "size_bytes", "compressed", "checksum"]
    entry = compact({name: first[name] for name in names})
    (backups / CATALOG).write_text("[" + ",".join([entry] * 100_001) + "]")


def too_long(backups: Path) -> None:
    """More bytes than any catalog has; a file of zeros takes no room."""
    os.truncate(backups / CATALOG, 65 * MEGABYTE)


CATALOGS = {
    one_field: "number 1",
    no_entry: "number 1",
    counts: "number 1",
    deep: "within each other",
    too_many: "more than 100000 entries",
    too_long: "longer than 67108864 bytes",
}


@pytest.mark.parametrize("spoil", CATALOGS)
def test_a_catalog_beyond_a_bound_is_an_error_that_names_it(
    spoil: Any, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    manifest = queue.backups / CATALOG
    spoil(queue.backups)
    before = manifest.stat().st_ino, hashlib.sha256(manifest.read_bytes()).hexdigest()
    start = peak(session)
    for sql in [*READERS, *WRITERS]:
        error = session.error(sql)
        assert error.primary_code == SQLITE_CORRUPT, (sql, error)
        for word in (str(manifest), CATALOGS[spoil], "nothing was changed", "move it away"):
            assert word in error.message, (sql, error.message)
    assert peak(session) - start < LIMIT + manifest.stat().st_size
    assert (manifest.stat().st_ino, hashlib.sha256(manifest.read_bytes()).hexdigest()) == before
    # The way out.
    manifest.rename(manifest.with_suffix(".away"))
    assert session.value("SELECT count(*) FROM queue_backups()") == 1
    session.rows("SELECT queue_backup()")
    assert session.value("SELECT count(*) FROM queue_backups()") == 2


def fat_entries(queue: Queue, session: PythonSession) -> dict[str, Any]:
    """A catalog of 8 MB, within every bound, with right digests."""
    session.rows("SELECT queue_backup()")
    (entry,) = catalog(queue.backups)
    field = [SMALL] * (200_000 // 8)
    sealed = []
    for number in range(40):
        fat = {**entry, "o": field, "task_counts": {"queued": 3}}
        if number:
            fat.update(id=f"id{number}", backup_path=f"{number}.db")
        sealed.append({**fat, "object_digest": digest_of(fat)})
    (queue.backups / CATALOG).write_text(compact(sealed))
    return entry


def test_unknown_fields_take_the_memory_of_their_text(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    fat_entries(queue, session)
    size = (queue.backups / CATALOG).stat().st_size
    assert size > 7 * MEGABYTE
    start = peak(session)
    for sql in [*READERS[:2], "SELECT queue_rotate(100)"]:
        session.rows(sql)
    assert peak(session) - start < LIMIT
    # They are still what they were.
    kept = catalog(queue.backups)
    assert len(kept) == 40
    assert all(entry["o"][:2] == [SMALL, SMALL] for entry in kept)
    assert all(entry["object_digest"] == digest_of(entry) for entry in kept)


@pytest.mark.parametrize("spoil", [one_field, no_entry, counts])
def test_no_host_with_little_memory_ends(spoil: Any, queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    spoil(queue.backups)
    pid = session.process.pid
    mapped = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (mapped + 120 * MEGABYTE, -1))
    for sql in [*READERS, *WRITERS]:
        assert "number 1" in session.error(sql).message
    assert session.value("SELECT 1") == 1


def sealed_hash_file(entry: dict[str, Any]) -> bytes:
    """A hash file of no pages, whose checksum is right."""
    content = compact(entry).encode()
    body = b"queuekeeper hashes 1" + len(content).to_bytes(4, "little") + content + bytes(8)
    return body + hashlib.sha256(body).digest()


def test_a_hash_file_with_a_long_object_counts_as_damaged(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    (entry,) = catalog(queue.backups)
    artifact = queue.backups / entry["backup_path"]
    fat = {name: entry[name] for name in entry if "digest" not in name and "hash_file" not in name}
    fat["o"] = [SMALL] * WHOLE
    hashes_of(artifact).write_bytes(sealed_hash_file(fat))
    (queue.backups / CATALOG).unlink()
    start = peak(session)
    assert session.value("SELECT backup_type FROM queue_backups()") == "adopted"
    session.rows("SELECT queue_backup()")
    assert peak(session) - start < LIMIT


def test_pointers_beyond_a_bound_are_none(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    pointers = queue.backups / (CATALOG + ".elsewhere")
    pointers.write_text(compact([{"o": [SMALL] * (WHOLE // 3)}]))
    start = peak(session)
    session.rows("SELECT queue_verify('latest')")
    session.rows(f"SELECT queue_backup('{queue.directory}/else/')")
    assert peak(session) - start < LIMIT
    assert len(json.loads(pointers.read_text())) == 1


def test_a_delta_with_long_properties_is_not_read_whole(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    *_, delta = make_chain(session, queue, "none", 2)
    with closing(sqlite3.connect(delta, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("INSERT INTO delta_meta VALUES ('more', zeroblob(150000000))")
        connection.execute("UPDATE delta_page SET content = zeroblob(150000000) WHERE pgno = 1")
    entries = catalog(queue.backups)
    for entry in entries:
        if entry["backup_path"] == delta.name:
            entry["size_bytes"] = delta.stat().st_size
            entry["checksum"] = hashlib.sha256(delta.read_bytes()).hexdigest()
    write_catalog(queue.backups, entries)
    start = peak(session)
    session.rows("SELECT queue_verify(?, 'quick')", str(delta))
    assert peak(session) - start < LIMIT


def zstd_frame(content: bytes, window: int) -> bytes:
    """A zstd frame of blocks as they are that takes a window of so many bits (RFC 8878)."""
    blocks = [content[at : at + 65_536] for at in range(0, len(content), 65_536)]
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([(window - 10) << 3])
    for place, block in enumerate(blocks):
        frame += (len(block) << 3 | (place + 1 == len(blocks))).to_bytes(3, "little") + block
    return frame


@pytest.mark.parametrize(("window", "fine"), [(17, True), (27, True), (28, False), (31, False)])
def test_a_frame_that_takes_more_memory_than_any_is_not_read(
    window: int, fine: bool, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    plain = queue.directory / "plain.db"
    with queue.connect() as connection:
        connection.execute("VACUUM INTO ?", (str(plain),))
    packed = queue.directory / "packed.db.zst"
    packed.write_bytes(zstd_frame(plain.read_bytes(), window))
    if fine:
        assert session.object("SELECT queue_verify(?)", str(packed))["status"] == "ok"
        return
    error = session.error("SELECT queue_verify(?)", str(packed))
    assert error.primary_code in (SQLITE_CORRUPT, SQLITE_NOTADB), error


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_frames_without_content_are_read_up_to_a_bound(
    ending: str, queue: Queue, open_python: OpenPython
) -> None:
    """Behind a backup they are harmless; before it there may be a megabyte of them."""
    session = open_python(queue.path)
    packed = queue.directory / f"packed.db{ending}"
    plain = queue.directory / "plain.db"
    with queue.connect() as connection:
        connection.execute("VACUUM INTO ?", (str(plain),))
    content, nothing = zstd_frame(plain.read_bytes(), 17), b"\x50\x2a\x4d\x18" + bytes(4)
    if ending == ".gz":
        content, nothing = gzip.compress(plain.read_bytes()), gzip.compress(b"")
    many = nothing * (MEGABYTE // len(nothing) + 1)
    packed.write_bytes(content + many)
    assert session.object("SELECT queue_verify(?)", str(packed))["status"] == "ok"
    if ending == ".gz":
        packed.write_bytes(nothing + content)
        assert session.object("SELECT queue_verify(?)", str(packed))["status"] == "ok"
        packed.write_bytes(many + content)
        assert session.error("SELECT queue_verify(?)", str(packed)).primary_code == SQLITE_NOTADB


@pytest.mark.slow
def test_files_that_have_names_of_backups_are_counted(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    for number in range(100_000):
        (queue.backups / f"queue_backup_20260101_000000_{number}.db").touch()
    assert session.value("SELECT count(*) FROM queue_backups()") == 100_001
    (queue.backups / "queue_backup_20260101_000000.db").touch()
    for sql in (READERS[0], READERS[1]):
        error = session.error(sql)
        assert "more than 100000 files" in error.message
        assert str(queue.backups) in error.message
    # What needs no list of them works.
    session.rows("SELECT queue_verify('latest')")


@pytest.mark.parametrize("spoil", [one_field, deep])
def test_the_packages_reader_has_the_same_bounds(
    spoil: Any, queue: Queue, open_python: OpenPython
) -> None:
    offsite = pytest.importorskip("queuekeeper.offsite.bounds")
    errors = pytest.importorskip("queuekeeper.offsite.errors")
    reader = pytest.importorskip("queuekeeper.offsite.catalog")
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    manifest = queue.backups / CATALOG
    assert len(reader.parse(offsite.read(manifest, "it"), "it")) == 1
    spoil(queue.backups)
    with pytest.raises(errors.OffsiteError, match="queuekeeper did not write that"):
        reader.parse(manifest.read_bytes(), "it")
    os.truncate(manifest, 65 * MEGABYTE)
    with pytest.raises(errors.OffsiteError, match="longer than"):
        offsite.read(manifest, "it")
    many = b"[" + b",".join([compact(SMALL).encode()] * WHOLE) + b"]"
    with pytest.raises(errors.OffsiteError, match="objects and lists"):
        offsite.check(many, "it")
    values = b"[" + b",".join([b"1.5"] * 4_000_002) + b"]"
    with pytest.raises(errors.OffsiteError, match="values"):
        offsite.check(values, "it")
    # A text without an end is looked at once.
    assert reader.parse(b'["' + b'\\"' * MEGABYTE, "it") is None


def test_the_package_reads_an_answer_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    offsite = pytest.importorskip("queuekeeper.offsite.bounds")
    errors = pytest.importorskip("queuekeeper.offsite.errors")
    monkeypatch.setattr(offsite, "ANSWER_BYTES", 1000)
    assert offsite.answer(io.BytesIO(bytes(1000)), "it") == bytes(1000)
    with pytest.raises(errors.OffsiteError, match="it: the answer is longer than 1000 bytes"):
        offsite.answer(io.BytesIO(bytes(1001)), "it")


def test_the_package_reads_an_env_file_up_to_a_bound(tmp_path: Path) -> None:
    configuration = pytest.importorskip("queuekeeper.configuration")
    errors = pytest.importorskip("queuekeeper.errors")
    path = tmp_path / "any.env"
    value = b"QUEUEKEEPER_REMOTE=here\n"
    path.write_bytes(value + b"#" * (MEGABYTE - len(value)))
    path.chmod(0o600)

    def read() -> Any:
        return configuration.Configuration(env_file=path, environment={})

    assert read().text("remote") == "here"
    for size in (MEGABYTE + 1, 1 << 40):
        # It takes no room on the disk.
        os.truncate(path, size)
        with pytest.raises(errors.Error, match=f"{path}: .* longer than {MEGABYTE} bytes"):
            read()


def test_the_package_follows_chains_as_long_as_a_catalog() -> None:
    catalogs = pytest.importorskip("queuekeeper.offsite.catalog")
    errors = pytest.importorskip("queuekeeper.offsite.errors")
    entries: list[dict[str, Any]] = [
        {"id": str(number), "backup_path": f"{number}.db"} for number in range(100_000)
    ]
    for child, parent in zip(entries[1:], entries):
        child["parent_id"] = parent["id"]
    by_id = {entry["id"]: entry for entry in entries}
    for wanted in (entries[-1:], entries, entries[::-1]):
        assert catalogs.with_chains(wanted, by_id) == by_id
    assert set(catalogs.with_chains(entries[2:3], by_id)) == {"0", "1", "2"}
    for wrong in ("7", "none", ["7"]):
        entries[7]["parent_id"] = wrong
        with pytest.raises(errors.OffsiteError, match="not listed"):
            catalogs.with_chains(entries[9:], by_id)
