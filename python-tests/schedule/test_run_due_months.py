"""Thirteen months of calls: what lies on both sides in the end, and who was told what."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.artifacts import backups_in, catalog, temporaries_in
from support.package import Package
from support.queues import TIME_FORMAT, Queue, Shape, make_queue
from support.schedules import NOON, Times, kept, spread
from support.servers.listener import SECRETS, Listener, listening

DAYS = 396
#: The remote is a disk that is there every fourth Thursday, and on the first days and the last.
DAILY = (5, 386)
#: Between those days, when nothing is due at other hours, it is called at these alone.
FEWER, HOURS = (28, 382), (1, 2, 3, 4, 13)
#: Then, in the morning when the jobs are due, it is there but cannot be written, for that long.
OUTAGE = datetime(2016, 11, 27)
OUTAGE_HOURS = 6
LOCAL, REMOTE = (7, 4, 12), (3, 2, 6)
LIMIT_SECONDS = 900

PROGRAM = """
from datetime import datetime, timedelta
from queuekeeper import _delivery, _messenger, due
from queuekeeper.configuration import Configuration
path, remote, ntfy, heartbeat, given = sys.argv[1:]
given = json.loads(given)
with queuekeeper.open(path) as queue:
    queue.set("history_rows", 100)
def made(job):
    taken = (step.detail for step in job.steps if step.step == "backup")
    return next((each["created_at"] for each in taken if "made_by" not in each), None)
common = {"notify": [ntfy], "heartbeat": heartbeat}
without = Configuration({**common, "remote": ""}, environment={})
keep = "/".join(map(str, given["keep"]))
configured = Configuration({**common, "remote": remote, "remote_keep": keep}, environment={})
begin, outage = map(datetime.fromisoformat, (given["begin"], given["outage"]))
first, last = given["daily"]
fewer, until = given["fewer"]
def messenger(url, message):
    return _messenger.answer({"url": url, "message": message, "path": []})
for hour in range(given["days"] * 24):
    now = begin + timedelta(hours=hour)
    days = (now - begin).days
    if fewer <= days < until and now.hour not in given["hours"]:
        continue
    reached = days % 28 == 0 or not first <= days < last
    broken = outage <= now < outage + timedelta(hours=given["outage_hours"])
    if hour == 72:
        # It has shown that it is run each hour.
        with queuekeeper.open(path) as queue:
            queue.set("cron_hourly", "off")
        # And that a process sends each message, which takes longer than everything else.
        _delivery.ask = messenger
    if broken != os.path.isfile(remote):
        if broken:
            os.rename(remote, remote + ".aside")
            open(remote, "w").close()
        else:
            os.unlink(remote)
            os.rename(remote + ".aside", remote)
    outcome = due.run_due(path, configured if reached else without, now)
    assert outcome.error is None and not any(each.failure for each in outcome.deliveries), outcome
    if outcome.jobs or outcome.deliveries:
        told = [each.kind for each in outcome.deliveries]
        ran = [[job.job, made(job), job.status] for job in outcome.jobs]
        print(json.dumps([str(now), ran, told]))
"""


class Model:
    """What the two policies leave, by their definition alone."""

    def __init__(self) -> None:
        self.local: Times = []
        self.remote: Times = []

    def add(self, job: str, made: str | None) -> None:
        """A job of the schedule that was run, perhaps with a backup, or a push."""
        if job == "offsite":
            self.remote = kept({*self.remote, *self.local}, *REMOTE)
        if made is not None:
            self.local = spread([*self.local, datetime.fromisoformat(made.rstrip("Z"))])
        if job == "daily":
            self.local = kept(self.local, *LOCAL)


def hours(times: Times) -> list[str]:
    return sorted(time.strftime("%F %H") for time in times)


def listed(directory: Path) -> list[str]:
    """When the backups that a catalog lists were made; each of them is there."""
    entries = catalog(directory)
    assert all((directory / entry["backup_path"]).is_file() for entry in entries)
    return hours([datetime.fromisoformat(entry["created_at"].rstrip("Z")) for entry in entries])


@pytest.mark.slow(200)
def test_thirteen_months_of_calls(own: Package, memory: Path) -> None:
    queue = make_queue(memory / "queue.db", Shape())
    remote = memory / "remote"
    with listening() as listener:
        calls = simulated(own, queue, remote, listener)
    model, told = Model(), Counter[str]()
    failed = []
    for now, ran, kinds in calls:
        for job, made, status in ran:
            if status == "ok":
                model.add(job, made)
            else:
                failed.append((job, now))
        told.update(kinds)

    assert listed(queue.backups) == hours(model.local)
    assert listed(remote) == hours(model.remote)
    assert len({(time.year, time.month) for time in model.local}) == 12
    assert len(model.remote) < len(model.local) == len(backups_in(queue.backups)) < 40
    assert len(backups_in(remote)) == len(model.remote)
    assert temporaries_in(queue.backups) == temporaries_in(remote) == []
    with_backup = [now for now, ran, _ in calls if {"daily", "weekly", "monthly"} & jobs_of(ran)]
    assert len(with_backup) == DAYS + 1
    assert sum("hourly" in jobs_of(ran) for _, ran, _ in calls) == 72

    # The outage was told once, and its end.
    end = OUTAGE + timedelta(hours=OUTAGE_HOURS)
    tries = [(OUTAGE + timedelta(hours=hour)).strftime(TIME_FORMAT) for hour in range(2, 6)]
    assert failed == [("offsite", now) for now in tries]
    assert (told["failure"], told["recovery"]) == (1, 1)
    assert [now for now, _, kinds in calls if "recovery" in kinds] == [end.strftime(TIME_FORMAT)]
    without_beats = [[kind for kind in kinds if kind != "heartbeat"] for _, _, kinds in calls]
    assert without_beats == kinds_expected(calls)
    check_messages(listener, told)
    assert listener.beats == told["heartbeat"] == beats_expected(calls)


def simulated(own: Package, queue: Queue, remote: Path, listener: Listener) -> list[Any]:
    """The calls that did something, each with what it ran and whom it told."""
    given = {
        "keep": REMOTE,
        "begin": str(NOON),
        "outage": str(OUTAGE),
        "outage_hours": OUTAGE_HOURS,
        "daily": DAILY,
        "days": DAYS,
        "fewer": FEWER,
        "hours": HOURS,
    }
    arguments = (queue.path, remote, listener.ntfy, listener.heartbeat, json.dumps(given))
    process = own.start(PROGRAM, *arguments)
    try:
        output, errors = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines()]


def jobs_of(ran: list[list[str]]) -> set[str]:
    return {job for job, _, _ in ran}


def beats_expected(calls: list[Any]) -> int:
    """The calls that did something, with nothing left that has failed."""
    return sum(bool(ran) and all(status == "ok" for _, _, status in ran) for _, ran, _ in calls)


def kinds_expected(calls: list[Any]) -> list[list[str]]:
    """What each call had to tell: what was made or pushed, and once that pushing fails or works."""
    found, failing = [], False
    for _, ran, _ in calls:
        push = next((status for job, _, status in ran if job == "offsite"), None)
        if push == "failed":
            found.append([] if failing else ["failure"])
        elif push == "ok" and failing:
            found.append(["recovery"])
        else:
            told = push == "ok" or {"daily", "weekly", "monthly"} & jobs_of(ran)
            found.append(["success"] if told else [])
        failing = push == "failed" or (failing and push != "ok")
    return found


def check_messages(listener: Listener, told: Counter[str]) -> None:
    """Every backup is in one message, none is in two, no secret is in any."""
    assert Counter(message.kind for message in listener.messages) == {
        kind: count for kind, count in told.items() if kind != "heartbeat"
    }
    everything = "".join(message.title + message.body for message in listener.messages)
    named = Counter(re.findall(r"queue_backup_\w+\.db", everything))
    assert set(named.values()) == {1}
    # The mornings, and the first call: the jobs of a call share one.
    assert len(named) == DAYS + 1
    assert not [word for word in SECRETS if word in everything]
