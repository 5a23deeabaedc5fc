"""Which histories of tasks are right: who held a task, until when, and who took it away.

A trigger in the database writes every change of a task's status or holder, in the transaction that
makes it, so the order of the changes is that of the commits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

#: The changes, and for each what the worker's last sign of life was at that time.
SCHEMA = """
CREATE TABLE changes(
    seq INTEGER PRIMARY KEY, task INTEGER, old TEXT, new TEXT, loser TEXT, winner TEXT,
    lease_end INTEGER, seen INTEGER, at INTEGER
);
CREATE TRIGGER noted AFTER UPDATE OF status, locked_by ON task_queue BEGIN
    INSERT INTO changes(task, old, new, loser, winner, lease_end, seen, at) VALUES (
        new.id, old.status, new.status, old.locked_by, new.locked_by,
        strftime('%s', old.lease_until_utc),
        (SELECT strftime('%s', heartbeat_utc) FROM workers WHERE worker_id = old.locked_by),
        strftime('%s', 'now')
    );
END;
"""
CHANGES = "SELECT task, old, new, loser, winner, lease_end, seen, at FROM changes ORDER BY seq"
LEASES = ("leased", "processing")


@dataclass(frozen=True)
class Change:
    """One change of one task."""

    task: int
    old: str
    new: str
    loser: str | None
    winner: str | None
    #: When the lease ended that was taken away, and the last sign of life of who held it.
    lease_end: int | None
    seen: int | None
    at: int


@dataclass(frozen=True)
class Rules:
    """What requeuing was told."""

    stale_secs: int
    needs_dead_worker: bool


def check_change(change: Change, rules: Rules) -> str:
    """What the change is, if it is right."""
    where = f"task {change.task}: {change}"
    step = (change.old in LEASES, change.new in LEASES)
    assert change.old != "completed", f"a completed task was changed, {where}"
    if (change.old, step) == ("queued", (False, True)):
        assert change.winner, f"claimed by nobody, {where}"
        return "claims"
    assert change.old in LEASES, f"a step that nobody takes, {where}"
    if change.new == "completed":
        return "completions"
    if step[1]:
        assert change.winner == change.loser, f"stolen by another worker, {where}"
        return "renewals and starts"
    assert change.new == "queued", f"a step that nobody takes, {where}"
    assert change.winner is None, f"requeued and still held, {where}"
    assert change.lease_end is not None, f"a lease without end was taken, {where}"
    left = change.lease_end + rules.stale_secs - change.at
    assert left < 0, f"a live lease was stolen {left + 1} s too early, {where}"
    if rules.needs_dead_worker and change.seen is not None:
        left = change.seen + rules.stale_secs - change.at
        assert left < 0, f"a living worker was robbed, {left + 1} s too early, {where}"
    return "rescues"


def check(changes: Iterable[Change], rules: Rules) -> Counter[str]:
    """How many there were of each kind; each change begins where the last one of its task ended."""
    counts: Counter[str] = Counter()
    state: dict[int, tuple[str, str | None]] = {}
    for change in changes:
        before = state.get(change.task, ("queued", None))
        found = (change.old, change.loser)
        assert found == before, f"a change was not noted: {before} is {found}, {change}"
        counts[check_change(change, rules)] += 1
        state[change.task] = (change.new, change.winner)
    return counts


def check_reports(changes: Iterable[Change], reports: Iterable[tuple[int, str]]) -> None:
    """Each completion that a worker reported, as task and worker, is one, and just once."""
    done = Counter((one.task, one.loser) for one in changes if one.new == "completed")
    twice = [task for task, times in Counter(task for task, _ in done).items() if times > 1]
    assert not twice, f"completed by two: {twice[:5]}"
    missing = [report for report in reports if not done[report]]
    assert not missing, f"reported as completed, and not: {missing[:5]}"
