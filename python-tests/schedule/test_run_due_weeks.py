"""Weeks of calls while faults come and go: whatever shows what is wrong says what is.

The exit status, standard error, the health, the schedule, the history, the messages and the
heartbeat are compared with what the faults make of them (`support.weeks`), after each call.

Ordinarily that is a week, with fewer calls where nothing happens. With QUEUEKEEPER_PROOF=long it is
four, with a call at each minute; QUEUEKEEPER_PROOF_SEED repeats one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LONG

from support import compiling
from support.package import Package
from support.queues import Shape, make_queue

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "weeks" / "calls.py"
DAYS, EVERY, LIMIT_SECONDS = (28, 1, 7200) if LONG else (7, 15, 400)


@pytest.mark.slow(40)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it preloads a clock")
def test_weeks_of_calls_while_faults_come_and_go(own: Package, memory: Path) -> None:
    seed = int(os.environ.get("QUEUEKEEPER_PROOF_SEED") or random.randrange(2**32))
    world = compiling.build_shared(memory / "world.so", PROGRAM.with_name("world.c"))
    queue = make_queue(memory / "queue" / "queue.db", Shape(stale_leased=2, live_leases=2))
    given = {
        "path": str(queue.path),
        "remote": str(memory / "remote"),
        "seed": seed,
        "days": DAYS,
        "every": EVERY,
    }
    done = subprocess.run(
        [own.python, PROGRAM, json.dumps(given)],
        env={**os.environ, "LD_PRELOAD": compiling.preloaded(world)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr}"
    counts = json.loads(done.stdout.splitlines()[-1])
    print(f"seed {seed}: {counts}")
    assert counts["faults"] >= 8
    assert counts["failures"] > 0
    assert counts["messages"] > 0
    assert counts["status 0"] > 0
    assert counts["status 1"] > 0
