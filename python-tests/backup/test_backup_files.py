"""The files that backups are: names, stock programs, and nothing else written."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from support.artifacts import catalog, sha256
from support.artifacts.kinds import ALL, back_up, change, make_one
from support.queues import Queue, Shape, grow


@pytest.mark.parametrize(("kind", "compression"), ALL)
def test_stock_programs_accept_the_files(
    kind: str, compression: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    artifact = make_one(session, queue, kind, compression)
    ending = ".delta.db" if kind == "incremental" else ".db"
    suffix = {"none": "", "gzip": ".gz", "zstd": ".zst"}[compression]
    stamp, _, rest = artifact.name.removeprefix("queue_backup_").partition(".")
    assert "." + rest == ending + suffix
    time.strptime("_".join(stamp.split("_")[:2]), "%Y%m%d_%H%M%S")
    checksum = next(
        entry["checksum"]
        for entry in catalog(queue.backups)
        if entry["backup_path"] == artifact.name
    )
    assert sha256(artifact) == checksum
    commands = {
        "none": ["sqlite3", str(artifact), "PRAGMA integrity_check"],
        "gzip": ["gzip", "-t", str(artifact)],
        "zstd": ["zstd", "-qt", str(artifact)],
    }
    command = commands[compression]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} program")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("", "ok")
    listing = f"{checksum}  {artifact}\n"
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "-"], input=listing, text=True, check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "compression", "allowed"),
    [("full", "none", 1.02), ("full", "gzip", 0.2), ("full", "zstd", 0.2)]
    + [("incremental", compression, 0.02) for compression in ("none", "gzip", "zstd")],
)
def test_no_copy_of_the_database_is_made_on_the_way(
    kind: str, compression: str, allowed: float, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=50))
    grow(queue, 64)
    session = open_python(queue.path)
    back_up(session)
    change(queue)
    before, most = size_of(queue.directory), 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, size_of(queue.directory))
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    back_up(session, type=kind, compression=compression)
    done.set()
    thread.join()
    assert most - before < allowed * queue.path.stat().st_size + 500_000


def size_of(directory: Path) -> int:
    """The bytes that a directory takes."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
