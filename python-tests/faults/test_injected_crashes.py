"""Rule 4: the process dies, or the power is lost, at each file operation of each action in turn.

For N = 1, 2, 3, ... until the action completes, its Nth operation that changes or syncs a file is
SIGKILL instead. What was written then stays, so that shows the order of operations, but not
what was only in memory. Therefore each action's log is also cut after each operation, and the
directory made anew with what a disk must have kept by then: see support/faults/power.py.

A death right after a sync leaves what the death before it left, so those are left to the long form.

After each: the database is sound and holds the old content or the new one, with every commit that
was acknowledged before; every backup that the catalog lists verifies; none is lost; the next run of
the same action succeeds and leaves nothing lying about.

QUEUEKEEPER_PROOF=long adds these, deaths in the middle of a write, and all Python hosts there are.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts import find_host
from support import artifacts
from support.faults import KILL, RENAME, SYNC, Fault, Faults, Operation
from support.faults.actions import ACTIONS, IDS, Action, Scene, State, named, steps
from support.faults.power import Disk, Kept, inodes_below, losses, put, tree_below

pytestmark = pytest.mark.rule(4)

LONG = os.environ.get("QUEUEKEEPER_PROOF") == "long"
HOSTS = ("apsw", "pysqlite3", "stdlib") if LONG else ("apsw",)


@pytest.fixture(scope="module", params=HOSTS)
def host(
    request: pytest.FixtureRequest,
    library: Path,
    injector: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Faults]:
    """Each host in turn, under the injector."""
    found = find_host(request.param)
    if found.missing:
        pytest.skip(found.missing)
    started = Faults(found, library, injector, tmp_path_factory.mktemp("host"))
    yield started
    started.close()


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_death_at_each_operation(action: Action, host: Faults, memory: Path) -> None:
    scene = Scene(action, host, memory)
    for torn in (False, True) if LONG else (False,):
        at, count, dead = 0, 0, True
        while dead:
            at += 1
            if not LONG and 1 < at <= len(scene.log) and scene.log[at - 2].kind == SYNC:
                continue
            count += 1
            scene.reset()
            fault = Fault(KILL, at, torn=torn)
            answer = scene.armed(fault)
            dead = answer.struck > 0
            assert (answer.status == -9) == dead, answer
            try:
                scene.check()
            except AssertionError as error:
                raise AssertionError(f"{action.name}, {fault}: {error}") from error
        assert at > scene.run.seen, "the count of operations differs from run to run"
        assert count > 1


def begun(scene: Scene) -> tuple[Disk, list[Operation]]:
    """A disk as it was before the action, and the log of a whole run, which the disk explains."""
    scene.reset()
    inodes = inodes_below(scene.place)
    answer = scene.armed()
    assert answer.error(1) is None
    log = scene.faults.operations()
    replayed = Disk(scene.place, inodes, scene.original)
    for operation in log:
        replayed.apply(operation)
    # What the armed action did not do is what the connection does when it is closed.
    assert explained(replayed.now()) == explained(tree_below(scene.place))
    return Disk(scene.place, inodes, scene.original), log


def explained(tree: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """All but the database, which closing the connection writes to."""
    return {name: content for name, content in tree.items() if not name.startswith("queue.db")}


def check_loss(scene: Scene, tree: dict[str, bytes | None]) -> State:
    """What is there after a loss of power that left this."""
    shutil.rmtree(scene.place)
    put(scene.place, tree)
    return scene.check()


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_loss_of_power_after_each_operation(action: Action, faults: Faults, memory: Path) -> None:
    scene = Scene(action, faults, memory)
    disk, log = begun(scene)
    new, count = scene.look(), 0
    for number, kept, tree in losses(disk, log):
        count += 1
        try:
            state = check_loss(scene, tree)
        except AssertionError as error:
            where = f"{action.name}, {kept.value}, after {number} of {len(log)} operations"
            raise AssertionError(f"{where}: {error}") from error
    assert count > 0
    if action.lasts:
        # What was reported as done is durable.
        state = check_loss(scene, disk.left(Kept.NOTHING))
        assert state.content == new.content
        assert state.backups == new.backups


@pytest.mark.parametrize("spared", ["the artifact's bytes", "names"])
def test_a_sync_that_were_left_out_would_be_noticed(
    spared: str, faults: Faults, memory: Path
) -> None:
    scene = Scene(ACTIONS[0], faults, memory)
    disk, log = begun(scene)
    new = scene.look()
    names = {operation.path for operation in log if operation.kind == RENAME}

    def is_spared(operation: Operation) -> bool:
        of_names = operation.path == str(scene.queue.backups)
        return operation.kind == SYNC and (
            of_names if spared == "names" else operation.path in names
        )

    left = [operation for operation in log if not is_spared(operation)]
    assert len(left) < len(log)
    with pytest.raises(AssertionError):  # noqa: PT012
        for _, _, tree in losses(disk, left):
            check_loss(scene, tree)
        assert check_loss(scene, disk.left(Kept.NOTHING)).backups == new.backups


def test_what_had_just_been_overwritten_can_be_used_before_anybody_else_writes(
    faults: Faults, memory: Path
) -> None:
    # A restore believed the old artifact's entry, and called the new one, which is sound, corrupt;
    # a verification found fault with the old one, because the hash file was the new one's.
    scene = Scene(named("overwrite"), faults, memory)
    found = set()
    for at in range(1, scene.run.seen + 1):
        scene.reset()
        assert scene.armed(Fault(KILL, at)).status == -9
        one, new = scene.queue.backups / "one.db", scene.place / "probe.db"
        (entry,) = (one for one in artifacts.catalog(one.parent) if one["backup_path"] == "one.db")
        answer = scene.ask(
            *steps(
                f"SELECT queue_restore('{one}', '{new}')", f"SELECT queue_verify('{one}', 'full')"
            )
        )
        artifacts.assert_sound(new)
        found.add(json.loads(answer.rows(0)[0][0])["id"] == entry["id"])
        assert json.loads(answer.rows(1)[0][0])["status"] == "ok"
    assert found == {True, False}
