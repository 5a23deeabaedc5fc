"""What is read how often: the database once, in large pieces, and a backup's own file never."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts.python_host import PythonSession
from support.artifacts import catalog
from support.artifacts.kinds import back_up
from support.queues import Queue, Shape

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs /proc")

PAGES = 4000
SPACES = 8 << 20


def counters(session: PythonSession) -> tuple[int, int]:
    """Bytes that the host has read, and the system calls that it took."""
    lines = Path(f"/proc/{session.process.pid}/io").read_text("ascii").splitlines()
    values = dict(line.split(": ") for line in lines)
    return int(values["rchar"]), int(values["syscr"])


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("place", ["rollback journal", "database file", "wal"])
def test_a_full_backup_reads_the_database_once(
    place: str, page_size: int, make: MakeQueue, open_python: OpenPython
) -> None:
    """Wherever page 1 stands: the checksum needs it first, and the walk delivers it last."""
    queue = make(Shape(page_size=page_size))
    session = open_python(queue.path)
    mode = "delete" if place == "rollback journal" else "wal"
    session.value(f"PRAGMA journal_mode={mode}")
    session.rows("CREATE TABLE ballast(content)")
    session.rows(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
        "INSERT INTO ballast SELECT randomblob(?) FROM n",
        PAGES * 4096 // max(page_size, 4096),
        page_size - 100,
    )
    if mode == "wal":
        session.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    if place == "wal":
        # A new table changes page 1.
        session.rows("CREATE TABLE late(x)")
    size = queue.path.stat().st_size
    before = counters(session)
    made = back_up(session)
    after = counters(session)
    content = Path(made["backup_path"]).read_bytes()
    assert made["checksum"] == hashlib.sha256(content).hexdigest()
    assert after[0] - before[0] < 1.5 * size
    assert after[1] - before[1] < 500 + size // 32_768


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT queue_backup()", 2),
        ("""SELECT queue_backup(NULL, '{"verify": "quick"}')""", 2),
        ("""SELECT queue_backup(NULL, '{"type": "incremental", "verify": "full"}')""", 3),
        ("""SELECT queue_backup(NULL, '{"compression": "zstd", "verify": "quick"}')""", 2),
        ("SELECT queue_verify('latest')", 2),
        ("SELECT queue_verify({id}, 'full')", 2),
        ("SELECT queue_restore({id}, {new})", 1),
        ("SELECT queue_restore({id})", 3),
        ("""SELECT count(*) FROM queue_rotation('{"keep_last": 1}')""", 1),
        ("""SELECT queue_rotate('{"keep_last": 1}')""", 1),
        ("SELECT queue_delete_backup({id})", 2),
    ],
)
def test_a_call_reads_the_catalog_once_and_again_only_under_its_lock(
    sql: str, expected: int, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    """A restore into a live database makes a backup, too.

    An incremental looks for its parent once its snapshot has begun, so it reads once more.
    """
    session = open_python(queue.path)
    back_up(session)
    back_up(session, type="incremental", compression="zstd")
    last, new = catalog(queue.backups)[-1], tmp_path / "new.db"
    manifest = queue.backups / "backup_manifest.json"
    with manifest.open("ab") as file:
        file.write(b" " * SPACES)
    before = counters(session)
    session.rows(sql.replace("{id}", f"'{last['id']}'").replace("{new}", f"'{new}'"))
    assert (counters(session)[0] - before[0]) // SPACES == expected
