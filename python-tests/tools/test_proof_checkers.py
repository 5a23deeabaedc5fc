"""The judges of proof/ see what is wrong: one that sees nothing would prove nothing."""

from __future__ import annotations

import random
import re
import time
from dataclasses import replace
from typing import Any

import pytest

from hosts import SqlError
from hosts.protocol import SQLITE_BUSY, SQLITE_CORRUPT
from proof.workloads import bank, broken, harm, history
from proof.workloads.bank import ACCOUNTS, OPENING, Snapshot
from proof.workloads.history import Change, Rules
from proof.workloads.ledger import Ledger, Token
from proof.workloads.record import Limit, Record

OLD: set[Token] = {(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)}
BACKUP: set[Token] = {(0, 1), (1, 1)}


def ledger(*tokens: Token) -> Ledger:
    found = Ledger()
    found.acknowledge(tokens)
    return found


def test_a_lost_commit_is_seen() -> None:
    found = ledger(*OLD)
    found.check(OLD | {(1, 3)})
    with pytest.raises(AssertionError, match="1 acknowledged commits are missing"):
        found.check(OLD - {(0, 3)})


def test_a_restore_that_came_to_its_end_takes_only_what_was_saved() -> None:
    found = ledger(*OLD)
    after = BACKUP | {(1, 3)}
    assert found.check_restored(after, BACKUP, OLD, done=False)
    # What was committed before, and is said only now, was saved; what is there now must stay.
    found.acknowledge([(0, 3), (1, 3)])
    found.check(after)
    with pytest.raises(AssertionError, match="missing"):
        found.check(BACKUP)


def test_a_restore_that_did_nothing_leaves_all_that_was_expected() -> None:
    found = ledger(*OLD)
    assert not found.check_restored(OLD, BACKUP, set(), done=False)
    found.check(OLD)
    with pytest.raises(AssertionError, match="commits of the old content stayed"):
        found.check_restored(OLD, BACKUP, OLD, done=True)


@pytest.mark.parametrize(
    ("live", "saved", "message"),
    [
        (BACKUP, OLD - {(0, 3)}, "1 commits are in neither"),
        (BACKUP - {(1, 1)}, OLD, "1 commits of the backup are missing"),
        (BACKUP | {(0, 2)}, OLD, "1 commits of the old content stayed"),
    ],
)
def test_a_restore_that_lost_or_mixed_something_is_seen(
    live: set[Token], saved: set[Token], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        ledger(*OLD).check_restored(live, BACKUP, saved, done=False)


@pytest.mark.parametrize("kind", harm.KINDS)
@pytest.mark.parametrize(
    "content", [b"x", bytes(3000), bytes(900) + b"y" + bytes(99), b"abc" * 500]
)
def test_every_damage_is_one(kind: str, content: bytes) -> None:
    chance = random.Random(kind)
    lengths = set()
    for _ in range(300):
        damaged, where = harm.harmed(content, kind, chance)
        assert damaged != content, where
        lengths.add(len(damaged))
    size = len(content)
    if kind == "truncated":
        assert max(lengths) < size
    elif kind == "extended":
        assert min(lengths) > size
    else:
        assert lengths == {size}


TRANSFERS = [(1, 0, 1, 1, 2, 10), (2, 1, 1, 2, 3, 5), (3, 0, 2, 3, 1, 7)]


def snapshot(*transfers: tuple[int, ...]) -> Snapshot:
    balances = dict.fromkeys(range(1, ACCOUNTS + 1), OPENING)
    for _, _, _, giver, taker, amount in transfers:
        balances[giver] -= amount
        balances[taker] += amount
    return Snapshot(sorted(balances.items()), list(transfers))


def test_a_broken_database_may_be_told_in_bytes_that_are_no_text() -> None:
    """`malformed database schema (…)` quotes the damaged name, of which Python cannot make text."""
    broken.check_broken(
        SqlError("database disk image is malformed", SQLITE_CORRUPT, "DatabaseError")
    )
    undecodable = "'utf-8' codec can't decode byte 0xed in position 54: invalid continuation byte"
    broken.check_broken(SqlError(undecodable, None, "UnicodeDecodeError"))
    with pytest.raises(AssertionError):
        broken.check_broken(SqlError("database is locked", SQLITE_BUSY, "OperationalError"))


def test_a_prefix_of_the_commits_is_a_true_snapshot() -> None:
    for count in range(4):
        bank.check(snapshot(*TRANSFERS[:count]), least=count, most=count)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Snapshot(snapshot().balances[1:], []), "the bank holds"),
        (snapshot(TRANSFERS[0], TRANSFERS[2]), "transfer 2 is missing"),
        (Snapshot(snapshot(*TRANSFERS[:1]).balances, TRANSFERS[:2]), "account 2 has"),
        (Snapshot(snapshot(*TRANSFERS[:2]).balances, TRANSFERS[:1]), "account 2 has"),
        (snapshot(TRANSFERS[0], (2, 0, 3, 1, 2, 1)), "one is missing"),
        (snapshot(), "1 were acknowledged"),
        (snapshot(*TRANSFERS), "there were only 2"),
    ],
)
def test_what_is_no_snapshot_is_seen(found: Snapshot, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        bank.check(found, least=1, most=2)


CLAIM = Change(7, "queued", "leased", None, "a", None, None, 100)
RENEWAL = Change(7, "leased", "processing", "a", "a", 110, 100, 105)
RESCUE = Change(7, "processing", "queued", "a", None, 120, 105, 131)
AGAIN = Change(7, "queued", "leased", None, "b", None, None, 132)
DONE = Change(7, "leased", "completed", "b", "b", 142, 132, 135)
STORY = [CLAIM, RENEWAL, RESCUE, AGAIN, DONE]
RULES = Rules(10, False)


def test_a_right_history_is_counted() -> None:
    assert history.check(STORY, RULES) == {
        "claims": 2,
        "renewals and starts": 1,
        "rescues": 1,
        "completions": 1,
    }
    history.check(STORY, Rules(10, True))
    history.check_reports(STORY, [(7, "b")])


@pytest.mark.parametrize(
    ("at", "changed", "message"),
    [
        (2, {"at": 130}, "a live lease was stolen 1 s too early"),
        (2, {"lease_end": None}, "a lease without end"),
        (2, {"winner": "b"}, "requeued and still held"),
        (2, {"new": "failed"}, "a step that nobody takes"),
        (1, {"winner": "b"}, "stolen by another worker"),
        (0, {"winner": None}, "claimed by nobody"),
        (4, {"loser": "a"}, "a change was not noted"),
    ],
)
def test_a_wrong_step_is_seen(at: int, changed: dict[str, Any], message: str) -> None:
    story = [*STORY[:at], replace(STORY[at], **changed), *STORY[at + 1 :]]
    with pytest.raises(AssertionError, match=message):
        history.check(story, RULES)


def test_a_living_worker_is_not_robbed_where_that_counts() -> None:
    story = [CLAIM, RENEWAL, replace(RESCUE, seen=125)]
    history.check(story, RULES)
    with pytest.raises(AssertionError, match="a living worker was robbed, 5 s too early"):
        history.check(story, Rules(10, True))


def test_what_was_completed_stays_and_is_completed_once() -> None:
    back = Change(7, "completed", "queued", "b", None, 141, 131, 200)
    with pytest.raises(AssertionError, match="a completed task was changed"):
        history.check([*STORY, back], RULES)
    with pytest.raises(AssertionError, match="reported as completed, and not"):
        history.check_reports(STORY, [(7, "a")])
    with pytest.raises(AssertionError, match="completed by two"):
        history.check_reports([*STORY, replace(DONE, loser="a")], [])


def test_a_part_ends_after_its_rounds_or_its_time() -> None:
    rounds = Limit(rounds=3)
    assert [rounds.over(done) for done in range(5)] == [False, False, False, True, True]
    assert Limit(rounds=3, seconds=0.0).over(0)
    assert not Limit(rounds=3, seconds=60.0).over(2)
    assert Limit(seconds=60.0, begun=time.monotonic() - 61).over(0)
    with pytest.raises(AssertionError, match="without an end"):
        Limit()


def test_a_failure_is_told_with_its_seed_and_does_not_fill_the_page() -> None:
    record = Record("crash", 42)
    record.fail(7, "vacuum", AssertionError("x" * 10_000))
    record.fail(8, "full", ValueError("no JSON"))
    assert re.match("seed 42, round 7, vacuum: xxx", record.failures[0])
    assert len(record.failures[0]) < 2000
    assert record.failures[1] == "seed 42, round 8, full: ValueError: no JSON"
    # The choices of a round are those of its seed and number, and of nothing else.
    assert Record("crash", 42).chance(7).random() == record.chance(7).random()
    assert record.chance(8).random() != record.chance(7).random()
