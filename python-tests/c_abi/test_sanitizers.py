"""The sanitizers of scripts/proof see what goes wrong in the library's memory.

Only where scripts/proof has built the library for one. Each fault is made on purpose.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.compiling import SANITIZER, SHARED, SOURCES, build, environment
from support.queues import Queue

pytestmark = pytest.mark.skipif(not SANITIZER, reason="no sanitizer watches this library")

FAULTS = {
    "address": {
        "read after free": "heap-use-after-free",
        "write past the end": "heap-buffer-overflow",
        "leak": "detected memory leaks",
    },
    "thread": {"race": "data race"},
}


@pytest.mark.parametrize("fault", FAULTS.get(SANITIZER, {}))
def test_a_fault_in_the_librarys_memory_is_seen(
    fault: str, queue: Queue, library: Path, tmp_path: Path
) -> None:
    program = build(tmp_path / "seeded", library, SOURCES / "seeded.c", SHARED)
    surroundings = environment()
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
        if name in surroundings:
            # A report of this fault is no finding.
            surroundings[name] += ":log_path=stderr"
    done = subprocess.run(
        [program, queue.path, fault],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert FAULTS[SANITIZER][fault] in done.stderr, done.stderr
    assert "libqueuekeeper" in done.stderr
