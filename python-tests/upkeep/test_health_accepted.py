"""The setting accepted_risks: what is known to be bad is shown, and counted by nobody."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython

from hosts import SqlError
from hosts.protocol import Session
from support.documents.declared import METRICS
from support.package import Package
from support.queues import Queue, Shape

ACCEPT = "SELECT queue_set('accepted_risks', ?)"


def health(session: Session) -> dict[str, dict[str, Any]]:
    return {str(row["metric"]): row for row in session.dicts("SELECT * FROM queue_health()")}


def make_bad(session: Session) -> None:
    """Whatever can be bad is, in one way or another, but for a few."""
    for metric in ("database_mb", "wal_mb", "fragmentation_pct"):
        session.rows("SELECT queue_set(? || '_warning', 0)", metric)
    session.rows("SELECT queue_set('free_disk_gb_critical', 1000000000)")
    session.rows("SELECT queue_set('remote', '/mnt/nas')")
    session.rows("INSERT INTO queuekeeper_settings VALUES ('stale_leases_warning', 'plenty')")
    session.rows("PRAGMA busy_timeout=0")


@pytest.mark.parametrize("seed", range(20))
def test_what_is_accepted_is_neither_warning_nor_critical_and_the_rest_is_as_before(
    seed: int, make: MakeQueue, open_python: OpenPython
) -> None:
    chance = random.Random(seed)
    session = open_python(make(Shape(journal_mode="delete", stale_leased=60)).path)
    make_bad(session)
    before = health(session)
    assert {row["level"] for row in before.values()} == {"ok", "warning", "critical"}
    names = chance.sample(list(before), chance.randint(0, len(before)))
    assert json.loads(str(session.value(ACCEPT, json.dumps(names)))) == names
    for name, row in health(session).items():
        level, action = before[name]["level"], before[name]["action"]
        if name in names and level != "ok":
            action = f"accepted by the setting accepted_risks, else {level}: {action}"
            level = "accepted"
        # The size may have grown by the setting's own row.
        assert (row["level"], row["action"]) == (level, action)
        assert (row["unit"], row["critical"]) == (before[name]["unit"], before[name]["critical"])


def test_each_metric_can_be_accepted_and_nothing_else(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for name in [*METRICS, "offsite_age"]:
        session.rows(ACCEPT, json.dumps([name]))
    for wrong in ('["wal"]', '["WAL_SIZE"]', "wal_size", "", "{}", "[1]", '["wal_size", ""]'):
        with pytest.raises(SqlError, match="a JSON array of metrics") as raised:
            session.rows(ACCEPT, wrong)
        assert "failing_steps" in raised.value.message
    assert session.value(ACCEPT, None) is None
    assert "accepted" not in {row["level"] for row in health(session).values()}


def test_a_row_that_names_no_metric_accepts_nothing_and_says_so(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('keep', 7)")
    session.rows("""INSERT INTO queuekeeper_settings VALUES ('accepted_risks', '["all"]')""")
    found = health(session)
    assert found["backup_age"]["level"] == "critical"
    bad = [row["action"] for row in found.values() if row["level"] != "ok"]
    assert all("(nothing is accepted: the setting accepted_risks" in action for action in bad)


PROGRAM = """
from queuekeeper.cli import run
with queuekeeper.open(sys.argv[1]) as queue:
    queue.backup(verify="quick")
    queue.requeue_stale(0)
    queue.set("free_disk_gb_warning", 0)
    queue.set("free_disk_gb_critical", 0)
    queue.set("accepted_risks", ["backup_age"])
    queue.set("backup_hours_critical", 0)
    queue.set("backup_hours_warning", 0)
    others = [each.metric for each in queue.health() if each.level in ("warning", "critical")]
    queue.set("accepted_risks", ["backup_age", *others])
time.sleep(1.1)
print(json.dumps(run(["health", sys.argv[1]])))
"""


def test_the_exit_status_counts_nothing_that_is_accepted(own: Package, queue: Queue) -> None:
    """Whatever SQLite this is."""
    assert own.run(PROGRAM, queue.path) == 0
