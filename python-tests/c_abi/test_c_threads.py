"""Rule 6: many threads that do everything at once, and are interrupted at random."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from conftest import MakeQueue

from support import artifacts
from support.compiling import HEADER, SANITIZER, SHARED, SOURCES, build, run
from support.queues import Shape

pytestmark = [
    pytest.mark.rule(6),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the program is for Linux"),
]

SECONDS = float(os.environ.get("QUEUEKEEPER_PROOF_SECONDS") or 3)
SEED = int(os.environ.get("QUEUEKEEPER_PROOF_SEED") or 1)
#: What the header asks for, and what it says that a call takes of it, in bytes.
STACK, TAKEN = 96 << 10, 48 << 10
SHAPE = Shape(tasks=400, stale_leased=5, stale_processing=3, live_leases=4)


def test_threads_that_do_everything_at_once(make: MakeQueue, library: Path, tmp_path: Path) -> None:
    queue, directory = make(SHAPE), tmp_path / "kept"
    directory.mkdir()
    tasks = queue.query("SELECT count(*) FROM task_queue")
    program = build(tmp_path / "threads", library, SOURCES / "threads.c", SHARED, more="-ldl")
    arguments = (queue.path, directory, library, str(SECONDS), str(SEED))
    printed = run(program, *arguments, seconds=SECONDS + 120)
    print(printed)
    assert printed.endswith(" 0 failures\n")
    assert not printed.startswith("0 calls")
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
    assert queue.query("SELECT count(*) FROM task_queue") == tasks
    for entry in artifacts.catalog(directory):
        assert artifacts.sha256(directory / entry["backup_path"]) == entry["checksum"]


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer's frames are larger")
def test_each_call_leaves_half_of_the_stack_that_the_header_asks_for(
    make: MakeQueue, library: Path, tmp_path: Path
) -> None:
    queue = make(SHAPE)
    program = build(tmp_path / "stacks", library, SOURCES / "stacks.c", SHARED)
    printed = run(program, queue.path, tmp_path / "restored.db", str(STACK))
    print(printed)
    most = int(printed.split("most: ")[1].split()[0])
    assert most <= TAKEN
    asked = f"up to {TAKEN >> 10} KiB of its thread's stack", f"{STACK >> 10} KiB"
    for words in asked:
        assert words in HEADER.read_text("utf-8")
