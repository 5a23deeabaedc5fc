"""Any damage is found by queue_verify, and stops queue_restore before the target is touched."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython

from hosts import SqlError
from hosts.python_host import PythonSession
from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import (
    ALL,
    COMPRESSIONS,
    back_up,
    hashes_of,
    make_chain,
    make_one,
    state,
    status_of,
)
from support.queues import Queue, Shape
from support.queues.content import content_of_file, content_of_live

pytestmark = pytest.mark.rule(5)

#: Of an artifact of up to that many bytes, every single one is damaged; else that many, sampled.
EVERY_BYTE = 1100
SAMPLE = 150
EDGE = 40


@pytest.fixture
def small(make: MakeQueue) -> Queue:
    """A queue whose artifacts are small."""
    return make(Shape(page_size=512))


def places(size: int) -> list[int]:
    """Which bytes to damage."""
    if size <= EVERY_BYTE:
        return list(range(size))
    middle = random.Random(size).sample(range(EDGE, size - EDGE), SAMPLE)
    return [*range(EDGE), *sorted(middle), *range(size - EDGE, size)]


def assert_found(session: PythonSession, queue: Queue, artifact: Path, restore: bool) -> None:
    """The damage is found, and a restore into the live database changes nothing at all."""
    assert status_of(session, artifact) == "corrupted"
    if restore:
        before = state(queue.directory)
        session.error("SELECT queue_restore(?)", str(artifact))
        assert state(queue.directory) == before


def flipped(content: bytes, place: int) -> bytes:
    """The content with one bit of one byte changed."""
    damaged = bytearray(content)
    damaged[place] ^= 1 << place % 8
    return bytes(damaged)


@pytest.mark.parametrize(("kind", "compression"), ALL)
def test_any_flipped_byte_of_an_artifact_is_found(
    kind: str, compression: str, small: Queue, open_python: OpenPython
) -> None:
    session = open_python(small.path)
    artifact = make_one(session, small, kind, compression)
    content = artifact.read_bytes()
    for place in places(len(content)):
        artifact.write_bytes(flipped(content, place))
        assert_found(session, small, artifact, restore=place % 5 == 0)
    artifact.write_bytes(content)
    assert status_of(session, artifact, "full") == "ok"
    assert small.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(("kind", "compression"), ALL)
def test_a_truncated_extended_or_zeroed_artifact_is_found(
    kind: str, compression: str, small: Queue, open_python: OpenPython
) -> None:
    session = open_python(small.path)
    artifact = make_one(session, small, kind, compression)
    content = artifact.read_bytes()
    size = len(content)
    cuts = [0, 1, 19, size // 3, size // 2, size - 512, size - 13, size - 1]
    damaged = [content[: max(0, cut)] for cut in cuts]
    damaged += [content + more for more in (b"\0", bytes(512), b"x", content)]
    for begin, end in ((0, 16), (0, size), (size // 2, size // 2 + 64), (size - 64, size)):
        # What is zero already is no damage.
        while not any(content[begin:end]):
            begin -= 64
        damaged.append(content[:begin] + bytes(end - begin) + content[end:])
    for one in damaged:
        artifact.write_bytes(one)
        assert_found(session, small, artifact, restore=True)


def test_artifacts_that_were_swapped_are_found(small: Queue, open_python: OpenPython) -> None:
    session = open_python(small.path)
    made = [make_one(session, small, kind, compression) for kind, compression in ALL]
    made += make_chain(session, small, "none", 1)
    contents = {path: path.read_bytes() for path in made}
    for one, other in zip(made, made[1:] + made[:1]):
        one.write_bytes(contents[other])
        other.write_bytes(contents[one])
        for artifact in (one, other):
            assert_found(session, small, artifact, restore=True)
        one.write_bytes(contents[one])
        other.write_bytes(contents[other])


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_damage_to_a_backup_is_damage_to_all_that_build_on_it(
    compression: str, small: Queue, open_python: OpenPython
) -> None:
    session = open_python(small.path)
    chain = make_chain(session, small, compression, 4)
    for number, damaged in enumerate(chain):
        content = damaged.read_bytes()
        damaged.write_bytes(flipped(content, len(content) // 2))
        statuses = [status_of(session, artifact) for artifact in chain]
        assert statuses == ["ok"] * number + ["corrupted"] * (len(chain) - number)
        assert_found(session, small, chain[-1], restore=True)
        damaged.write_bytes(content)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_missing_backup_is_missed_by_all_that_build_on_it(
    compression: str, small: Queue, open_python: OpenPython
) -> None:
    session = open_python(small.path)
    chain = make_chain(session, small, compression, 3)
    chain[1].rename(chain[1].with_name("elsewhere"))
    statuses = [status_of(session, artifact) for artifact in chain]
    assert statuses[0] == "ok"
    assert "ok" not in statuses[1:]
    before = state(small.directory)
    error = session.error("SELECT queue_restore(?)", str(chain[2]))
    assert chain[1].name in error.message
    assert state(small.directory) == before


@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_any_damage_to_a_hash_file_is_found(
    kind: str, small: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(small.path)
    artifact = make_one(session, small, kind, "zstd")
    expected = content_of_live(small.path, tmp_path / "copy.db")
    hashes = hashes_of(artifact)
    content = hashes.read_bytes()
    damaged = [flipped(content, place) for place in range(0, len(content), 7)]
    damaged += [b"", content[:-1], content[: len(content) // 2], content + b"x"]
    unnoticed = []
    for number, one in enumerate(damaged):
        hashes.write_bytes(one)
        if status_of(session, artifact) != "corrupted":
            unnoticed.append(number)
    # The artifact itself is sound: it may still be restored, but only to what it is.
    target = tmp_path / "restored.db"
    session.rows("SELECT queue_restore(?, ?)", str(artifact), str(target))
    assert content_of_file(target) == expected
    assert not unnoticed, f"{len(unnoticed)} of {len(damaged)} kinds of damage not found"


def test_hash_files_that_were_swapped_are_found(small: Queue, open_python: OpenPython) -> None:
    session = open_python(small.path)
    one, other = make_chain(session, small, "none", 2)
    contents = hashes_of(one).read_bytes(), hashes_of(other).read_bytes()
    hashes_of(one).write_bytes(contents[1])
    hashes_of(other).write_bytes(contents[0])
    assert [status_of(session, path) for path in (one, other)] == ["corrupted"] * 2


@pytest.mark.slow
def test_any_flipped_byte_of_the_manifest_is_found_or_mended(
    small: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(small.path)
    chain = make_chain(session, small, "zstd", 2)
    manifest = small.backups / CATALOG
    content, entries = manifest.read_bytes(), catalog(small.backups)
    expected = content_of_live(small.path, tmp_path / "copy.db")
    target = tmp_path / "restored.db"
    for place in range(0, len(content), 3):
        manifest.write_bytes(flipped(content, place))
        before = state(small.directory)
        try:
            session.rows("SELECT queue_restore(?, ?)", str(chain[1]), str(target))
        except SqlError:
            assert not target.exists()
            assert state(small.directory) == before
        else:
            assert content_of_file(target) == expected, f"byte {place}"
            target.unlink()
        found = {status_of(session, artifact) for artifact in chain} != {"ok"}
        assert found or written(catalog(small.backups)) == written(entries), f"byte {place}"
        for aside in small.backups.glob("*.corrupt-*"):
            aside.unlink()


def written(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a catalog lists, without what was verified since."""
    since = ("verified_at", "verified_level", "object_digest")
    return [{key: entry[key] for key in entry if key not in since} for entry in entries]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("checksum", "0" * 64),
        ("content_digest", "0" * 64),
        ("content_digest", None),
        ("page_count", 3),
        ("page_count", None),
        ("page_size", 1024),
        ("size_bytes", 1),
        ("compression", "gzip"),
        ("compression", "none"),
        ("backup_type", "full"),
        ("backup_type", "unheard of"),
        ("parent_id", None),
        ("hash_file_checksum", "0" * 64),
        ("object_digest", None),
        ("unheard_of", 1),
    ],
)
def test_a_catalog_object_that_somebody_changed_is_not_believed(
    field: str, value: object, small: Queue, open_python: OpenPython
) -> None:
    session = open_python(small.path)
    chain = make_chain(session, small, "zstd", 2)
    entries = catalog(small.backups)
    entries[1][field] = value
    (small.backups / CATALOG).write_text(json.dumps(entries), "utf-8")
    assert_found(session, small, chain[1], restore=True)
    assert session.error("SELECT queue_delete_backup(?)", str(chain[1])).message
    assert chain[1].exists()
    # Nothing new builds on it either.
    made = back_up(session, type="incremental")
    assert made["backup_type"] == "full" or made["parent_id"] == entries[0]["id"]
