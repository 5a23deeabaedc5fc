"""A call at each minute, or at fewer where nothing happens, compared with the oracle.

    python calls.py '{"path": …, "remote": …, "seed": …, "days": …, "every": …}'

The last line that it prints is JSON: how many calls, faults, messages there were.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import queuekeeper
from queuekeeper import _delivery, notifications
from queuekeeper.cli import run
from support.weeks.oracle import FORM, INTEGRITY, Oracle, Seen
from support.weeks.world import BEGIN, DAY, World, plan

#: How many steps the action of failing_steps names.
NAMED = 5
COLUMNS = ("id", "job", "step", "started_utc", "finished_utc", "status", "detail")


class Calls:
    """The calls of one simulation."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        chance = random.Random(given["seed"])
        self.faults = plan(chance, given["days"])
        self.world = World(Path(given["path"]), Path(given["remote"]), self.faults)
        self.quiet = chance.random() < 0.3
        self.oracle = Oracle(self.quiet)
        self.newest = 0
        self.sent: list[tuple[bool, str, str]] = []
        self.beats = 0
        self.counts: Counter[str] = Counter()
        self.last: dict[tuple[str, str], int] = {}
        self.arguments = ["run-due", given["path"], "--json", "--notify", "ntfy://topic"]
        self.arguments += ["--heartbeat", "http://beat/", "--remote", given["remote"]]
        self.arguments += ["--remote-keep", "3", *(["--quiet"] if self.quiet else [])]
        _delivery.ask = self.ask
        notifications.fetch = self.fetch

    def ask(self, url: str, message: dict[str, Any] | None) -> dict[str, Any]:
        if message is None:
            return {}
        if "deaf" in self.world.holding:
            return {"failure": "nobody answers"}
        self.sent.append((message["failure"], message["title"], message["body"]))
        return {}

    def fetch(self, url: str) -> str | None:
        self.beats += 1
        return "no answer" if "beat" in self.world.holding else None

    def minutes(self) -> list[int]:
        """Each minute, or those around faults and hours, and a few of the others."""
        whole = range(self.given["days"] * DAY)
        if self.given["every"] == 1:
            return list(whole)
        edges = {edge for each in self.faults for edge in (each.begin, each.end)}
        near = {edge + minute for edge in edges for minute in range(-1, 8)}
        return [minute for minute in whole if minute % self.given["every"] == 0 or minute in near]

    def call(self) -> Seen:
        self.sent, self.beats = [], 0
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = run(self.arguments)
        words = ", ".join(COLUMNS)
        log = f"SELECT {words} FROM queuekeeper_log WHERE id > {self.newest} ORDER BY id"
        rows = [dict(zip(COLUMNS, row)) for row in self.world.query(log)] if self.made() else []
        self.newest = max([self.newest, *(row["id"] for row in rows)])
        return Seen(status, output.getvalue(), errors.getvalue(), rows, self.sent, self.beats)

    def made(self) -> bool:
        return bool(
            self.newest
            or self.world.query("SELECT 1 FROM sqlite_master WHERE name = 'queuekeeper_log'")
        )

    def all(self) -> None:
        for minute in self.minutes():
            self.world.turn(minute)
            if "off" in self.world.holding:
                continue
            self.counts["calls"] += 1
            seen = self.call()
            try:
                self.compare(seen)
            except AssertionError as error:
                raise AssertionError(
                    f"seed {self.given['seed']}, minute {minute}, {self.world.now}, quiet "
                    f"{self.quiet}, faults {sorted(self.world.holding)}: {error}\n"
                    f"fails {self.oracle.fails}\ntold {self.oracle.told} {self.oracle.told_at}\n"
                    f"tries {self.oracle.tries}\ncopy {self.oracle.copy_tries}\n{seen}"
                ) from error

    def compare(self, seen: Seen) -> None:
        world, oracle = self.world, self.oracle
        oracle.check(seen, world.holding, world.now, world.damaged(), world.artifacts())
        self.counts["messages"] += len(seen.sent)
        self.counts["beats"] += seen.beats
        self.counts[f"status {seen.status}"] += 1
        for row in seen.rows:
            self.last[row["job"], row["step"]] = world.minute
            self.counts["rows"] += 1
            self.counts["failures"] += row["status"] == "failed"
        if not world.holding & {"gone"} and (seen.rows or self.counts["calls"] % 25 == 0):
            self.look(seen)
        self.in_time(seen)

    def look(self, seen: Seen) -> None:
        """What can be looked at says the same."""
        world, fails = self.world, self.oracle.fails
        with queuekeeper.open(world.path) as queue:
            health = {each.metric: each for each in queue.health()}
            schedule = {each.job: each for each in queue.schedule()}
            history = queue.history()
        newest = [(each.job, each.step, each.status) for each in history[: len(seen.rows)]]
        rows = [(row["job"], row["step"], row["status"]) for row in reversed(seen.rows)]
        assert newest == rows, f"history {newest}"
        metric = health["failing_steps"]
        level = "critical" if INTEGRITY in fails else "warning" if fails else "ok"
        assert (metric.value, metric.level) == (len(fails), level), metric
        assert bool(metric.action) == bool(fails), metric
        for (job, step), since in list(fails.items())[:NAMED]:
            assert f"{job} {step} since {since}" in str(metric.action), metric
        if self.oracle.pushes:
            known = [each for each in self.oracle.pushes if each <= world.now]
            hours = (world.now - max(known)).total_seconds() / 3600 if known else None
            assert health["offsite_age"].value == hours, health["offsite_age"]
        if "offsite" in schedule:
            row = schedule["offsite"]
            failed = any(job == "offsite" for job, _ in fails)
            assert row.last_status == ("failed" if failed else "ok"), row
            again = self.oracle.again(("offsite", "push")) if failed else None
            if again is not None and self.oracle.copy_tries[-1] > world.now:
                # A clock that was set back waits for nothing.
                again = world.now
            assert row.next_due_utc == (again and again.strftime(FORM)), (row, again)

    def in_time(self, seen: Seen) -> None:
        """By the true clock: each day a backup, each failure tried each hour and told each day."""
        world = self.world
        late = self.given["every"] + 2
        names = {f"{job} {step}" for job, step in self.oracle.fails if job != "notify"}
        since = self.oracle.told_true
        for name in [name for name in since if name not in names]:
            del since[name]
        for name in names:
            if seen.sent or name not in since or ("notify", "ntfy") in self.oracle.fails:
                since[name] = world.minute
        if world.minute - world.excused < 62 + late:
            return
        for key in self.oracle.fails:
            if key[0] != "notify" and key != ("offsite", "rotate remote"):
                assert world.minute - self.last[key] <= 60 + late, f"{key} is not tried again"
        if world.minute - world.excused > 2 * DAY + late:
            assert all(world.minute - told <= DAY + late for told in since.values()), since
            last = self.last.get(("daily", "backup"), 0)
            assert world.minute - last <= DAY + late, "there was no daily job"


def main() -> None:
    given = json.loads(sys.argv[1])
    for name in [name for name in os.environ if name.startswith(("QUEUEKEEPER_", "PRISMQ_"))]:
        if name not in ("QUEUEKEEPER_LIBRARY", "QUEUEKEEPER_SQLITE"):
            del os.environ[name]
    os.chdir(Path(given["path"]).parent)
    calls = Calls(given)
    with queuekeeper.open(given["path"]) as queue:
        queue.set("history_rows", 600)
    calls.all()
    calls.world.close()
    calls.counts["faults"] = len(calls.faults)
    calls.counts["until"] = int((calls.world.now - BEGIN) / timedelta(minutes=1))
    print(json.dumps(calls.counts))


if __name__ == "__main__":
    main()
