"""The parts of scripts/proof, each for some rounds; `scripts/proof` runs them for minutes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from proof.workloads import corruption, crash, leases, snapshot
from proof.workloads.record import Job, Limit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")

#: The same choices in each run; what the processes do at the same time differs all the same.
SEED = 20


@pytest.mark.slow(40)
@pytest.mark.rule(4)
def test_random_kills_of_random_actions(library: Path) -> None:
    record = crash.run(Job(library, Limit(rounds=60), SEED))
    assert record.failures == []
    # About half of the actions are still at work when they are killed.
    assert record.counts["kills"] >= 15
    assert record.counts["acknowledged commits"] > 100
    assert record.counts["backups verified"] > 100
    assert record.counts["writers killed"] >= 5


@pytest.mark.slow(40)
@pytest.mark.rule(5)
def test_random_damage_to_random_files(library: Path) -> None:
    record = corruption.run(Job(library, Limit(rounds=400), SEED))
    assert record.failures == []
    assert record.counts["cases"] == 400
    assert record.counts["live databases replaced by a restore"] == 4
    kinds = [count for what, count in record.counts.items() if ": " in what]
    assert len(kinds) > 40


@pytest.mark.slow
@pytest.mark.rule(3)
def test_backups_beside_four_writers_are_prefixes_of_their_commits(library: Path) -> None:
    record = snapshot.run(Job(library, Limit(rounds=50), SEED))
    assert record.failures == []
    assert record.counts["backups restored"] == 50
    assert record.counts["transfers committed during backups"] > 0


@pytest.mark.slow
def test_tasks_of_workers_that_die_are_done_once(library: Path) -> None:
    record = leases.run(Job(library, Limit(rounds=1), SEED))
    assert record.failures == []
    assert record.counts["completions"] == record.counts["tasks"]
    assert record.counts["rescues"] > 0
