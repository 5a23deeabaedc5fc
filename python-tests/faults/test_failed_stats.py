"""What the disk does not tell of a file is neither absent nor empty: a failed stat is an error."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from test_injected_errors import check_fault, reads

from support.faults import LOOK, Fault, Faults
from support.faults.actions import ACTIONS, IDS, WARM, Action, Scene
from support.queues import Shape, make_queue

pytestmark = pytest.mark.rule(6)


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_each_look_at_a_file_fails(action: Action, faults: Faults, memory: Path) -> None:
    scene = Scene(action, faults, memory)
    errors = []
    for fault in reads(scene, LOOK):
        try:
            errors.append(check_fault(scene, fault))
        except AssertionError as error:
            raise AssertionError(f"{action.name}, {fault}: {error}") from error
    assert errors
    # To these a look of ours makes no difference; a job tells of each step in its result.
    assert any(errors) != (action.name in {"requeue_stale", "set", "run_due"})


@pytest.mark.parametrize("column", ["wal_size_bytes", "size_bytes"])
def test_a_length_that_cannot_be_told_is_not_0(column: str, faults: Faults, memory: Path) -> None:
    queue = make_queue(memory / "queue.db", Shape(tasks=50))
    writes = {"sql": "UPDATE task_queue SET priority = 7"}
    asks = {"sql": f"SELECT {column} FROM queue_stats()", "armed": True}
    healthy = faults.ask(queue.path, [WARM, writes, asks], Fault(kinds=LOOK))
    assert healthy.rows(2)[0][0] > 0
    told = []
    for at in range(1, healthy.seen + 1):
        answer = faults.ask(queue.path, [WARM, writes, asks], Fault(errno.EIO, at, LOOK))
        told.append(answer.error(2) is not None)
        assert told[-1] or answer.rows(2)[0][0] > 0
    assert any(told)
