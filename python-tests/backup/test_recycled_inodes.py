"""Rule 2 with file systems that give the inode of a deleted file to the next one."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import OpenPython

from support.queues import Queue, Shape, make_queue

pytestmark = [
    pytest.mark.rule(2),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file of Linux"),
]

MIB = 1 << 20
#: Commits all the time, by a journal that comes and goes; some transactions spill.
WRITING = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("PRAGMA cache_size=5")
print("begun", flush=True)
number = 0
while True:
    number += 1
    connection.execute("BEGIN IMMEDIATE")
    last = 2000 if number % 4 == 0 else 1
    connection.execute("UPDATE task_queue SET priority = priority + 1 WHERE id <= ?", [last])
    time.sleep(0.01)
    connection.execute("COMMIT")
    time.sleep(0.002)
"""


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """The root of a small ext4 file system of its own."""
    mkfs = shutil.which("mkfs.ext4", path="/sbin:/usr/sbin:/usr/bin:/bin")
    if mkfs is None:
        pytest.skip("there is no mkfs.ext4 here")
    image, root = tmp_path / "image", tmp_path / "mounted"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    # One group, so that inodes are given out in order.
    making = [mkfs, "-q", "-F", "-b", "4096", "-N", "64", str(image)]
    subprocess.run(making, check=True, capture_output=True)
    root.mkdir()
    mounting = ["mount", "-o", "loop", str(image), str(root)]
    tried = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"cannot mount a file here: {tried.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


@contextlib.contextmanager
def writer(queue: Queue) -> Iterator[None]:
    command = [sys.executable, "-I", "-c", WRITING, str(queue.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_no_backup_is_taken_for_a_journal_that_went(
    compression: str, ext4: Path, library: Path, open_python: OpenPython
) -> None:
    queue = make_queue(ext4 / "queue.db", Shape(tasks=2000, journal_mode="delete"))
    session = open_python(queue.path)
    session.rows("PRAGMA busy_timeout=30000")
    options = json.dumps({"compression": compression, "verify": "full"})
    with writer(queue):
        for _ in range(12):
            made = session.object("SELECT queue_backup(?, ?)", f"{queue.directory}/", options)
            assert made["verified_level"] == "full"
            assert session.object("SELECT queue_verify(?)", made["backup_path"])["status"] == "ok"
