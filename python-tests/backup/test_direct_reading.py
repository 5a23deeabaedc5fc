"""What a backup reads straight from the files is what SQLite would have handed out by the page."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from support.artifacts.kinds import back_up
from support.workers import restarting

pytestmark = pytest.mark.rule(3)

SUPPORT = Path(__file__).parents[1] / "support"
#: What SQLite's name is for the VFS whose files are read straight here.
UNIX = pytest.mark.skipif(
    not Path("/proc/self/io").exists(), reason="needs /proc and SQLite's VFS for Unix"
)
ROWS, SECONDS = 1200, 4
IN_THE_DATABASE_FILE = {"rollback_journal", "empty_wal", "copied_wal", "second_generation"}


@UNIX
def test_both_ways_make_the_same_artifact_whatever_stands_in_the_wal(
    library: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(SUPPORT / "artifacts/two_ways.py"), str(library), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(states) == 27
    for name, page_size, (straight, few), (asked, many) in states:
        assert straight == asked, (name, page_size)
        if name in IN_THE_DATABASE_FILE:
            # Each page has cost SQLite a call.
            assert many - few > 150, (name, page_size, few, many)


def test_a_snapshot_outlives_the_wal_that_it_does_not_need(
    make: MakeQueue, open_python: OpenPython
) -> None:
    """When all of the WAL has been copied, a reader does not keep it from being written anew."""
    queue = make()
    with queue.connect() as connection:
        connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, number, content)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
            "INSERT INTO ballast(number, content) SELECT 0, randomblob(3000) FROM n",
            (ROWS,),
        )
    session = open_python(queue.path)
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    seen = set()
    with restarting(queue.path, seed):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            made = back_up(session, verify="none", overwrite=True)
            with sqlite3.connect(f"file:{made['backup_path']}?immutable=1", uri=True) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",), made
                numbers = copy.execute("SELECT DISTINCT number FROM ballast").fetchall()
            assert len(numbers) == 1, (made, numbers)
            seen.add(numbers[0])
            Path(made["backup_path"]).unlink()
    assert len(seen) > 3
