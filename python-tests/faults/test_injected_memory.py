"""Rule 6: without memory each action ends with an error, and the host lives.

SQLite is refused memory at many levels (PRAGMA hard_heap_limit), and so is the whole process
(RLIMIT_AS, as `ulimit -v` sets it): first nothing more than is in use, then a little, then enough.
Afterwards the database is as it was or as it shall be, nothing lies about, and the same action
succeeds on the same connection. QUEUEKEEPER_PROOF=long takes steps of 16 KB and of 64 KB.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.faults import Faults
from support.faults.actions import ACTIONS, IDS, LOOK, WARM, Action, Scene, state_of, steps

pytestmark = pytest.mark.rule(6)

LONG = os.environ.get("QUEUEKEEPER_PROOF") == "long"
SQLITE_NOMEM = 7
KILOBYTE = 1024
#: More than an action needs, at the end of each; in kilobytes.
LEVELS = {
    "heap": range(0, 1024, 16) if LONG else (0, 16, 32, 64, 128, 256, 512, 4096),
    "as": (
        range(0, 40 * KILOBYTE, 64)
        if LONG
        else (0, 512, 600, 700, 1000, 1500, 2000, 3000, 4500, 6000, 9000, 12000, 64000)
    ),
}


def check_level(scene: Scene, kind: str, kilobytes: int) -> bool:
    """The action with so much more memory than is in use; whether that was enough."""
    scene.reset()
    answer = scene.ask(
        WARM,
        {"limit": [kind, kilobytes * KILOBYTE]},
        {"sql": scene.sql},
        {"limit": [kind, -1]},
        *steps(*LOOK, scene.sql, *LOOK),
        {"files": str(scene.place)},
    )
    assert answer.status == 0, f"the host ended with {answer.status}"
    assert answer.error(1) is None
    error = answer.error(2)
    found = state_of(answer, 4, scene.going)
    if error is None:
        assert found.content in (scene.old.content, scene.new.content)
    else:
        assert error.primary_code == SQLITE_NOMEM, error
        assert "memory" in error.message or "no thread" in error.message, error
        if scene.action.name != "run_due":
            assert found.content == scene.old.content
    scene.check_next(answer, 4 + len(LOOK))
    scene.check_catalog()
    return error is None


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_without_memory_there_is_an_error_and_the_host_lives(
    action: Action, kind: str, faults: Faults, memory: Path
) -> None:
    scene = Scene(action, faults, memory)
    enough = []
    for kilobytes in LEVELS[kind]:
        try:
            enough.append(check_level(scene, kind, kilobytes))
        except AssertionError as error:
            where = f"{action.name}, {kind}, {kilobytes} kB"
            raise AssertionError(f"{where}: {error}") from error
    # Deleting asks SQLite for nothing that it does not have already.
    assert enough[0] == ((action.name, kind) == ("delete_backup", "heap"))
    assert enough[-1], "even the last level was not enough"
