"""Space is looked at where it is needed, and a lack of it says nothing of a backup."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import MakeDisk, MakeQueue, OpenPython

from hosts import Host, Session, find_host
from hosts.protocol import SQLITE_FULL
from hosts.python_host import PythonSession
from support import artifacts
from support.artifacts.kinds import back_up, change
from support.queues import Queue, Shape, grow

pytestmark = pytest.mark.rule(6)

MB = 1 << 20


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """A file system that cannot be written to for a while."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """A file system without a free byte for a while."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free)))
    assert shutil.disk_usage(disk).free == 0
    try:
        yield
    finally:
        filler.unlink()


STATES = {"full": full, "read-only": read_only}


def foreign(queue: Queue, disk: Path, packed: bool) -> Path:
    """A copy of a queue that no catalog knows."""
    path = disk / "foreign.db"
    with queue.connect() as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    if packed:
        content = path.read_bytes()
        path.unlink()
        path = disk / "foreign.db.gz"
        path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_foreign_backup_where_nothing_can_be_written(
    packed: bool, state: str, queue: Queue, make_disk: MakeDisk, open_python: OpenPython
) -> None:
    disk = make_disk(2 * MB)
    path = foreign(queue, disk, packed)
    session = open_python(queue.path)
    expected = queue.query("SELECT count(*) FROM task_queue")
    new = queue.directory / "new.db"
    with STATES[state](disk):
        for level in ("checksum", "quick", "full"):
            found = session.object("SELECT queue_verify(?, ?)", str(path), level)
            assert found["status"] == "ok", found
        session.object("SELECT queue_restore(?, ?)", str(path), str(new))
        session.object("SELECT queue_restore(?)", str(path))
    assert artifacts.query(new, "SELECT count(*) FROM task_queue") == expected
    assert queue.query("SELECT count(*) FROM task_queue") == expected


@pytest.mark.parametrize("state", STATES)
def test_our_own_backups_where_nothing_can_be_written(
    state: str, queue: Queue, make_disk: MakeDisk, open_python: OpenPython
) -> None:
    disk = make_disk(4 * MB)
    session = open_python(queue.path)
    session.value("SELECT queue_set('backup_dir', ?)", str(disk))
    made = [back_up(session, compression="zstd")]
    change(queue)
    made.append(back_up(session, type="incremental"))
    change(queue)
    made.append(back_up(session, type="incremental", compression="gzip"))
    assert [one["backup_type"] for one in made] == ["full", "incremental", "incremental"]
    with STATES[state](disk):
        for one in made:
            found = session.object("SELECT queue_verify(?, 'full')", one["backup_path"])
            assert found["status"] == "ok", found
    assert artifacts.temporaries_in(disk) == []
    for entry in artifacts.catalog(disk):
        assert "damaged_at" not in entry


def session_with_temporary(
    host: Host, library: Path, database: Path | str, temporary: Path
) -> Session:
    """A session whose SQLite puts temporary files there."""
    session = PythonSession(
        host.program, "apsw", str(database), environment={"SQLITE_TMPDIR": str(temporary)}
    )
    session.load(library)
    return session


def test_space_nowhere_is_a_full_disk_and_no_damage(
    make: MakeQueue, make_disk: MakeDisk, open_python: OpenPython, library: Path
) -> None:
    queue = make()
    grow(queue, 6)
    disk, temporary = make_disk(4 * MB), make_disk(1 * MB)
    options = json.dumps({"compression": "zstd"})
    made = open_python(queue.path).object(
        "SELECT queue_backup(?, ?)", str(disk / "x.db.zst"), options
    )
    packed = foreign(make(), disk, packed=False).with_name("big.db.gz")
    packed.write_bytes(gzip.compress(queue.path.read_bytes()))
    session = session_with_temporary(find_host("apsw"), library, queue.path, temporary)
    try:
        error = session.error("SELECT queue_verify(?)", made["backup_path"])
        assert error.primary_code == SQLITE_FULL, error
        assert str(disk) in error.message, error
        assert str(temporary) in error.message, error
        for level in ("checksum", "quick"):
            error = session.error("SELECT queue_verify(?, ?)", str(packed), level)
            assert error.primary_code == SQLITE_FULL, error
        # Elsewhere there is room for it.
        new = queue.directory / "new.db"
        session.object("SELECT queue_restore(?, ?)", str(packed), str(new))
        error = session.error("SELECT queue_restore(?, ?)", str(packed), str(disk / "new.db"))
        assert error.primary_code == SQLITE_FULL, error
    finally:
        session.close()
    (entry,) = artifacts.catalog(disk)
    assert "damaged_at" not in entry
    assert artifacts.temporaries_in(disk) == []


DOORS = {
    "verify": ("SELECT queue_verify(?)", 1),
    "verify fully": ("SELECT queue_verify(?, 'full')", 1),
    "restore into a new file": ("SELECT queue_restore(?, '{disk}/new.db')", 1),
    # The new pages go into the WAL, too.
    "restore into a live database": (
        "SELECT queue_restore(?, '{disk}/live.db', '{{\"overwrite\": true}}')",
        2,
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_compressed_file_in_no_catalog_leaves_a_margin_of_the_disk(
    door: str, make: MakeQueue, make_disk: MakeDisk, open_python: OpenPython, library: Path
) -> None:
    """A twentieth; half of that is left when it is expanded as often as the call does that."""
    sql, times = DOORS[door]
    size = 40 * MB
    disk = make_disk(size)
    queue = make(Shape())
    grow(queue, 8)
    plain = disk / "foreign.db"
    with queue.connect() as connection:
        connection.execute("VACUUM INTO ?", (str(plain),))
    content = plain.read_bytes()
    plain.unlink()
    packed = disk / "foreign.db.gz"
    packed.write_bytes(gzip.compress(content))
    small = make()
    with small.connect() as connection:
        connection.execute("VACUUM INTO ?", (str(disk / "live.db"),))
        connection.execute("ATTACH ? AS live", (str(disk / "live.db"),))
        connection.execute("PRAGMA live.journal_mode = WAL")
        connection.execute("DETACH live")
    own = back_up(open_python(queue.path), compression="gzip")
    room = times * len(content) + size // 40
    sql = sql.format(disk=disk)
    session = session_with_temporary(find_host("apsw"), library, small.path, disk)
    try:
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - room))
        before = sorted(path.name for path in disk.iterdir())
        error = session.error(sql, str(packed))
        assert error.primary_code == SQLITE_FULL, error
        assert "margin" in error.message or "left for it" in error.message, error
        assert sorted(path.name for path in disk.iterdir() if "live" not in path.name) == [
            name for name in before if "live" not in name
        ]
        # Of what a catalog lists it is known how large it is.
        if door.startswith("restore into a new"):
            session.object(sql, own["backup_path"])
            (disk / "new.db").unlink()
        (disk / "filler").write_bytes(bytes((disk / "filler").stat().st_size - size // 20))
        session.object(sql, str(packed))
    finally:
        session.close()


def test_the_space_of_the_safety_backup_is_taken_where_it_goes(
    make: MakeQueue, make_disk: MakeDisk, open_python: OpenPython
) -> None:
    """10 MB to be rebuilt and a WAL of 10 MB fit beside the target, but not its backup."""
    disk, elsewhere = make_disk(44 * MB), make_disk(14 * MB)
    queue = make(Shape())
    grow(queue, 10)
    target = disk / "queue.db"
    shutil.copy(queue.path, target)
    session = open_python(target)
    session.value("SELECT queue_set('backup_dir', ?)", str(elsewhere))
    made = str(back_up(open_python(queue.path))["backup_path"])
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 24 * MB))
    found = session.object("SELECT queue_restore(?)", made)
    assert Path(found["safety_backup"]).parent == elsewhere
    # Now there is one too many for the other disk.
    (disk / "filler").unlink()
    session.value("SELECT queue_set('backup_dir', ?)", str(elsewhere))
    before = sorted(elsewhere.iterdir())
    error = session.error("SELECT queue_restore(?)", made)
    assert error.primary_code == SQLITE_FULL, error
    assert str(elsewhere) in error.message, error
    assert "target holds" in error.message, error
    assert sorted(elsewhere.iterdir()) == before


def test_a_broken_target_needs_no_space_for_what_it_held(
    make: MakeQueue, make_disk: MakeDisk, open_python: OpenPython
) -> None:
    disk = make_disk(20 * MB)
    queue = make(Shape())
    grow(queue, 6)
    made = str(back_up(open_python(queue.path))["backup_path"])
    target = disk / "queue.db"
    target.write_bytes(b"no database " * 800_000)
    found = open_python(":memory:").object(
        "SELECT queue_restore(?, ?, ?)", made, str(target), '{"overwrite": true}'
    )
    assert Path(found["moved_aside"]).exists()
    assert artifacts.query(target, "PRAGMA quick_check") == [("ok",)]
