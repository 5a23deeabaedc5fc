"""What a stranger wrote into a directory for all orders nothing; only backups are deleted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from support import users
from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import hashes_of, write_catalog
from support.artifacts.manifests import sealed
from support.queues import SCHEMA, Queue
from support.users import ALICE, BOB, ROOT, Place, User

pytestmark = pytest.mark.rule(5)

CHANGE = "UPDATE task_queue SET priority = priority + 1"
DATABASE = b"SQLite format 3\0" + bytes(1000)


@pytest.fixture
def place(library: Path) -> Iterator[Place]:
    """Where several users can work."""
    yield from users.make_place(library)


def listed(path: Path, source: Path, number: int, **marks: Any) -> dict[str, Any]:
    """What a catalog could say of a file, with the right size, checksum and digest."""
    content = path.read_bytes()
    made = {"created_at": f"2020-01-0{number}T00:00:00.000Z", **marks}
    return sealed(
        number,
        source_path=str(source),
        backup_path=path.name,
        size_bytes=len(content),
        checksum=hashlib.sha256(content).hexdigest(),
        task_counts={"queued": 1},
        **made,
    )


def hash_file(entry: dict[str, Any]) -> bytes:
    """A hash file of no pages, whose checksum is right."""
    content = json.dumps(entry).encode()
    body = b"queuekeeper hashes 1" + len(content).to_bytes(4, "little") + content + bytes(8)
    return body + hashlib.sha256(body).digest()


def shared_directory(place: Place, mode: int, owner: User = ROOT) -> Path:
    shared = place.path / "shared"
    shared.mkdir()
    os.chown(shared, owner.uid, owner.gid)
    shared.chmod(mode)
    return shared


def victims(shared: Path) -> list[Path]:
    """Root's files, all of which could be artifacts."""
    paths = [shared / f"victim{number}.db" for number in (1, 2, 3)]
    for path in paths:
        path.write_bytes(DATABASE)
    return paths


def plant(path: Path, content: bytes, user: User) -> None:
    path.write_bytes(content)
    os.chown(path, user.uid, user.gid)


def plant_catalog(shared: Path, source: Path, user: User, **marks: Any) -> list[Path]:
    """A catalog of that user's that lists root's files."""
    paths = victims(shared)
    entries = [listed(path, source, n, **marks) for n, path in enumerate(paths, 1)]
    plant(shared / CATALOG, json.dumps(entries).encode(), user)
    return paths


@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_a_strangers_catalog_in_a_directory_for_all_orders_no_deletion(
    place: Place, mode: int
) -> None:
    path = place.make_queue(SCHEMA.read_text(), ROOT, 0o600)
    shared = shared_directory(place, mode)
    paths = plant_catalog(shared, path, BOB)
    one = f"queue_delete_backup('{paths[0]}')"
    for order in (f"queue_rotate(1, '{shared}')", one):
        error = place.refused(path, ROOT, f"SELECT {order}")
        for word in (str(shared / CATALOG), f"user {BOB.uid}", "nothing is deleted", "chown"):
            assert word in error
    assert all(each.exists() for each in paths)
    # A backup can be made there nevertheless; the catalog goes on to be the stranger's.
    place.run(path, ROOT, f"SELECT queue_backup('{shared}/')")
    assert "nothing is deleted" in place.refused(path, ROOT, f"SELECT queue_rotate(1, '{shared}')")
    assert all(each.exists() for each in paths)


def test_a_strangers_marks_delete_nothing_when_the_next_backup_is_made(place: Place) -> None:
    path = place.make_queue(SCHEMA.read_text(), ROOT, 0o600)
    shared = shared_directory(place, 0o1777)
    paths = plant_catalog(shared, path, BOB, deleting=True)
    place.run(path, ROOT, f"SELECT queue_backup('{shared}/')")
    assert all(each.exists() for each in paths)


def test_a_strangers_hash_files_come_into_no_catalog(place: Place) -> None:
    path = place.make_queue(SCHEMA.read_text(), ROOT, 0o600)
    shared = shared_directory(place, 0o1777)
    paths = victims(shared)
    for number, each in enumerate(paths, 1):
        plant(hashes_of(each), hash_file(listed(each, path, number)), BOB)
    place.run(path, ROOT, f"SELECT queue_rotate(1, '{shared}')")
    place.run(path, ROOT, f"SELECT queue_backup('{shared}/')")
    place.run(path, ROOT, f"SELECT queue_rotate(1, '{shared}')")
    assert all(each.exists() for each in paths)
    assert len(catalog(shared)) == 1


@pytest.mark.parametrize("owner", [ROOT, ALICE], ids=["root", "owner"])
def test_root_rotates_by_the_catalog_of_the_directorys_owner(place: Place, owner: User) -> None:
    path = place.make_queue(SCHEMA.read_text(), ALICE, 0o660)
    shared = shared_directory(place, 0o1777, owner)
    user = ROOT if owner == ROOT else ALICE
    for _ in range(3):
        place.run(path, user, f"SELECT queue_backup('{shared}/')", CHANGE)
    assert place.run(path, ROOT, f"SELECT queue_rotate(1, '{shared}')")[0][0][0] == 2


def test_who_was_given_a_directory_by_its_group_is_no_stranger(place: Place) -> None:
    path = place.make_queue(SCHEMA.read_text(), ROOT, 0o600)
    shared = shared_directory(place, 0o770)
    paths = plant_catalog(shared, path, BOB)
    assert place.run(path, ROOT, f"SELECT queue_rotate(1, '{shared}')")[0][0][0] == 2
    assert [each.exists() for each in paths] == [False, False, True]


@pytest.mark.parametrize("content", [b"dear diary", b"\x1f\x8b\x08\0 no database", b"SQLite"])
def test_what_is_no_backup_is_not_deleted_whatever_the_catalog_says(
    content: bytes, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for _ in range(3):
        session.rows("SELECT queue_backup()")
    victim = queue.backups / "victim.txt"
    victim.write_bytes(content)
    entries = catalog(queue.backups)
    # A time that no clock rule doubts.
    made = entries[0]["created_at"]
    planted = listed(victim, Path(entries[0]["source_path"]), 1, created_at=made)
    write_catalog(queue.backups, [planted, *entries])
    for _ in range(2):
        error = session.error("SELECT queue_rotate(1)")
        for word in (str(victim), "is no backup", "not deleted"):
            assert word in error.message
    assert victim.read_bytes() == content
    assert len(list(queue.backups.glob("queue_backup_*.db"))) == 1
    assert str(victim) in session.error(f"SELECT queue_delete_backup('{victim}')").message


@pytest.mark.parametrize("content", [b"dear diary", b"SQLite", b"\x28\xb5\x2f\xfd no database"])
def test_what_only_bears_the_name_of_a_backup_is_not_deleted_either(
    content: bytes, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup()")
    victim, other = (queue.backups / f"backup_2025010{n}_010101_x.db" for n in (1, 2))
    victim.write_bytes(content)
    other.write_bytes(DATABASE)
    policy = '{"keep_last": 1, "adopted": true}'
    for gone in ("1 other backup was", "no other backup was"):
        message = session.error("SELECT queue_rotate(?)", policy).message
        for word in (str(victim), "is no backup", "not deleted", gone):
            assert word in message
    assert victim.read_bytes() == content
    assert not other.exists()


def test_a_file_beside_a_backup_that_is_no_hash_file_stays(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for _ in range(2):
        session.rows("SELECT queue_backup()")
    oldest = queue.backups / catalog(queue.backups)[0]["backup_path"]
    hashes_of(oldest).write_bytes(b"dear diary")
    assert session.value("SELECT queue_rotate(1)") == 1
    assert not oldest.exists()
    assert hashes_of(oldest).read_bytes() == b"dear diary"
