"""Rule 6: a small allocation that is refused ends a call, not the host.

Memory is refused to the library alone (tests/allocations), at each of its allocations or at some of
them: one alone, or all from there on. Else the whole process is limited in a way that the
library cannot foresee (RLIMIT_DATA). Each function and each table then ends with an error or does
its work, the host lives, and the same call succeeds on the same connection once there is memory.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts import find_host
from support import compiling
from support.faults import Fault, Faults
from support.faults.actions import ACTIONS, IDS, LOOK, WARM, Action, Scene, state_of, steps

pytestmark = pytest.mark.rule(6)

LONG = os.environ.get("QUEUEKEEPER_PROOF") == "long"
SOURCE = Path(__file__).resolve().parents[2] / "tests" / "allocations" / "allocations.c"
SQLITE_NOMEM = 7
REFUSED = 1
#: What Rust's own library asks for when a thread begins, past every allocator.
#: Whether there is some memory is tried before; one refusal just there cannot be known.
THREAD_RECORD = 48
#: How many places are tried of each call.
PLACES = 2000 if LONG else 30
#: More than is in use, at the end of which each action has enough; in kilobytes.
LEVELS = (0, 64, 256, 700, 2000, 3000, 5000, 9000, 64000)
TABLES = [
    "SELECT * FROM queue_backups()",
    "SELECT * FROM queue_depth()",
    "SELECT * FROM queue_health()",
    "SELECT * FROM queue_history()",
    "SELECT * FROM queue_integrity()",
    "SELECT * FROM queue_rotation(1)",
    "SELECT * FROM queue_schedule()",
    "SELECT * FROM queue_settings()",
    "SELECT * FROM queue_leases()",
    "SELECT * FROM queue_stale(60)",
    "SELECT queue_stats()",
]


@pytest.fixture(scope="module")
def allocations(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """A host that refuses memory to the library."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        pytest.skip("the allocations of glibc are counted")
    place = tmp_path_factory.mktemp("allocations")
    injector = compiling.build_shared(place / "allocations.so", SOURCE)
    with pytest.MonkeyPatch.context() as environment:
        # A trace takes more memory than there is.
        environment.setenv("RUST_BACKTRACE", "0")
        started = Faults(find_host("apsw"), library, injector, place)
    yield started
    started.close()


def places(count: int) -> list[int]:
    """Which allocations are refused: evenly spread, and the first ones."""
    step = max(1, count // PLACES)
    return sorted({*range(1, count + 1, step), *range(1, min(count, 4) + 1)})


def check(scene: Scene, fault: Fault) -> bool:
    """The action with memory refused, and what it has left; whether it was an error."""
    scene.reset()
    answer = scene.ask(
        WARM,
        {"sql": scene.sql, "armed": True},
        *steps(*LOOK, scene.sql, *LOOK),
        {"files": str(scene.place)},
        fault=fault,
    )
    assert answer.status == 0, f"the host ended with {answer.status}"
    error = answer.error(1)
    found = state_of(answer, 2, scene.going)
    assert found.content in (scene.old.content, scene.new.content)
    if error is not None:
        assert error.primary_code == SQLITE_NOMEM, error
    scene.check_next(answer, 2 + len(LOOK))
    scene.check_catalog()
    return error is not None


@pytest.mark.parametrize("lasting", [False, True], ids=["one", "all from there on"])
@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_an_allocation_that_is_refused_ends_the_action_and_not_the_host(
    action: Action, lasting: bool, allocations: Faults, memory: Path
) -> None:
    scene = Scene(action, allocations, memory)
    errors = 0
    for number in places(scene.run.seen):
        fault = Fault(REFUSED, number, THREAD_RECORD, lasting=lasting)
        try:
            errors += check(scene, fault)
        except AssertionError as error:
            raise AssertionError(f"{action.name}, allocation {number}: {error}") from error
    assert errors


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_a_limit_of_what_may_be_written_ends_the_action_and_not_the_host(
    action: Action, allocations: Faults, memory: Path
) -> None:
    scene = Scene(action, allocations, memory)
    errors = []
    for kilobytes in LEVELS:
        scene.reset()
        answer = scene.ask(
            WARM,
            {"limit": ["data", kilobytes * 1024]},
            {"sql": scene.sql},
            {"limit": ["data", -1]},
            *steps(*LOOK, scene.sql, *LOOK),
            {"files": str(scene.place)},
        )
        where = f"{action.name}, {kilobytes} kB"
        assert answer.status == 0, f"{where}: the host ended with {answer.status}"
        error = answer.error(2)
        errors.append(error)
        assert error is None or error.primary_code == SQLITE_NOMEM, f"{where}: {error}"
        assert state_of(answer, 4, scene.going).content in (scene.old.content, scene.new.content), (
            where
        )
        scene.check_next(answer, 4 + len(LOOK))
    assert errors[0] is not None, "the first level was enough"
    assert errors[-1] is None, "even the last level was not enough"


@pytest.mark.parametrize("lasting", [False, True], ids=["one", "all from there on"])
@pytest.mark.parametrize("sql", TABLES)
def test_an_allocation_that_is_refused_ends_the_reading_and_not_the_host(
    sql: str, lasting: bool, allocations: Faults, memory: Path
) -> None:
    scene = Scene(ACTIONS[IDS.index("run_due")], allocations, memory)
    scene.reset()
    ran = scene.ask(*steps(scene.sql), {"sql": sql, "armed": True})
    assert ran.seen > 0
    errors = 0
    for number in places(ran.seen):
        answer = scene.ask(
            {"sql": sql, "armed": True},
            {"sql": sql},
            fault=Fault(REFUSED, number, THREAD_RECORD, lasting=lasting),
        )
        where = f"{sql}, allocation {number}"
        assert answer.status == 0, f"{where}: the host ended with {answer.status}"
        error = answer.error(0)
        errors += error is not None
        assert error is None or error.primary_code == SQLITE_NOMEM, f"{where}: {error}"
        assert len(answer.rows(1)) == len(ran.rows(1)), where
    assert errors
