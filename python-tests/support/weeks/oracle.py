"""What each call has to come to, by the faults that hold and by what was tried before.

Which steps a call tries is seen in the rows that it adds. All else follows from the faults: what
each of them comes to, what fails then and since when, the exit status, what is said and told, and
when it is tried again. Nothing of the code under test is used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

Key = tuple[str, str]

PUSH, NTFY, BEAT = ("offsite", "push"), ("notify", "ntfy"), ("notify", "heartbeat")
INTEGRITY = ("weekly", "integrity")
DAY = timedelta(days=1)
FORM = "%Y-%m-%d %H:%M:%S"


def pause_end(tries: list[datetime]) -> datetime:
    """When the pause after these failures is over."""
    if len(tries) == 1:
        return tries[-1]
    return tries[-1] + timedelta(minutes=min(2 ** (len(tries) - 2), 60))


def is_time(tries: list[datetime], now: datetime) -> bool:
    """Whether it may be tried again; a clock that was set back waits for nothing."""
    return not tries or now < tries[-1] or now >= pause_end(tries)


@dataclass
class Seen:
    """What a call did, as far as it can be seen."""

    status: int
    output: str
    errors: str
    #: The rows that it added to the log, oldest first.
    rows: list[dict[str, Any]]
    #: The messages that arrived: whether it was urgent, title and body.
    sent: list[tuple[bool, str, str]]
    beats: int


@dataclass
class Oracle:
    """What is so after each call, and what was told."""

    quiet: bool
    #: Since when each step fails.
    fails: dict[Key, str] = field(default_factory=dict)
    #: The first failure of each since it last worked, also of what has lapsed.
    first: dict[Key, str] = field(default_factory=dict)
    #: When each last had a row.
    last: dict[Key, datetime] = field(default_factory=dict)
    #: When each was tried in vain, since it last worked.
    tries: dict[Key, list[datetime]] = field(default_factory=dict)
    #: When copying was tried in vain, since it last worked or a backup was made.
    copy_tries: list[datetime] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    told_at: datetime | None = None
    #: What was made since something was last told.
    made: list[Key] = field(default_factory=list)
    #: Whether there is something that the remote lacks.
    unpushed: bool = False
    #: The backups that it has.
    pushed: set[str] = field(default_factory=set)
    #: When it was pushed to, with success.
    pushes: list[datetime] = field(default_factory=list)
    newest_job: str = ""
    #: Whether the operator was told that the database cannot be used.
    told_gone: bool = False
    #: When each failure was last told, by the true clock.
    told_true: dict[str, int] = field(default_factory=dict)

    def check(
        self, seen: Seen, holding: set[str], now: datetime, damaged: str | None, artifacts: set[str]
    ) -> None:
        """Compares a call with what it had to come to, and remembers."""
        if "gone" in holding:
            self._gone(seen, holding)
            return
        if "locked" in holding and self._locked(seen, holding, now):
            return
        jobs = [row for row in seen.rows if row["job"] not in ("offsite", "notify")]
        copies = [row for row in seen.rows if row["job"] == "offsite"]
        notes = [row for row in seen.rows if row["job"] == "notify"]
        assert seen.rows == [
            *notes[: 0 if self.told_at else 1],
            *jobs,
            *copies,
            *notes[0 if self.told_at else 1 :],
        ], "the order of the rows"
        if self.told_at is None:
            self.told_at = now
            notes = notes[1:]
        self._jobs(jobs, holding, now)
        self._copy(copies, holding, now, damaged, artifacts)
        self._tell(notes, seen, holding, now, bool(jobs or copies))
        if seen.rows:
            self.newest_job = seen.rows[-1]["job"]
            self._lapse(seen.rows)
        self._said(seen)

    def _lapse(self, rows: list[dict[str, Any]]) -> None:
        """What is tried no more fails no more: its last row is two days older than the newest."""
        for row in rows:
            newest = datetime.strptime(row["started_utc"], FORM).replace(tzinfo=timezone.utc)
            self.last[row["job"], row["step"]] = newest
        for key, since in self.first.items():
            if key[0] in ("offsite", "notify") and newest - self.last[key] >= 2 * DAY:
                self.fails.pop(key, None)
            else:
                self.fails.setdefault(key, since)

    def _gone(self, seen: Seen, holding: set[str]) -> None:
        assert seen.status == 3, "there is no database"
        assert seen.errors.count("\n") == 1
        assert not seen.rows
        told = [title for _, title, _ in seen.sent]
        expected = not self.told_gone and "deaf" not in holding
        assert len(told) == expected, "told once that nothing can be done"
        assert all(title.endswith("nothing can be done") for title in told)
        self.told_gone = self.told_gone or expected

    def _locked(self, seen: Seen, holding: set[str], now: datetime) -> bool:
        """Whether the call could do nothing; else it had nothing to write."""
        assert not seen.rows, "nothing can be written"
        assert not seen.beats
        if seen.status == 4:
            assert "lock" in seen.errors
            return True
        assert not self._copies_now(holding, now), "it had to push"
        return False

    def _expect(self, row: dict[str, Any], fails: bool, now: datetime) -> None:
        key = (row["job"], row["step"])
        assert row["status"] == ("failed" if fails else "ok"), f"{key} was to fail: {fails}"
        if not fails:
            for known in (self.fails, self.first, self.tries):
                known.pop(key, None)
            return
        self.fails[key] = self.first.setdefault(key, row["started_utc"])
        self.tries.setdefault(key, []).append(now)

    def _jobs(self, rows: list[dict[str, Any]], holding: set[str], now: datetime) -> None:
        bad = set()
        for row in rows:
            key = (row["job"], row["step"])
            if row["status"] == "skipped":
                assert row["job"] in bad or row["step"] in ("optimize", "vacuum"), key
                continue
            fails = key == INTEGRITY and "index" in holding
            fails = fails or (row["step"] == "backup" and bool({"disk", "unmounted"} & holding))
            self._expect(row, fails, now)
            if fails:
                bad.add(row["job"])
            elif row["step"] == "backup":
                self.copy_tries = []
                self.made.append(key)
                # What an earlier attempt has made, and is there again, is nothing new.
                made_by = json.loads(row["detail"]).get("made_by")
                self.unpushed = self.unpushed or made_by != row["job"]
            elif row["step"] == "rotate" and '"deleted":0' not in row["detail"].replace(" ", ""):
                self.unpushed = True

    def _copies_now(self, holding: set[str], now: datetime) -> bool:
        lying = "unmounted" not in holding
        wanted = (self.unpushed and lying) or any(job == "offsite" for job, _ in self.fails)
        return wanted and is_time(self.copy_tries, now)

    def _copy(
        self,
        rows: list[dict[str, Any]],
        holding: set[str],
        now: datetime,
        damaged: str | None,
        artifacts: set[str],
    ) -> None:
        assert bool(rows) == self._copies_now(holding, now), "whether it copies"
        for row in rows:
            lacking = damaged is not None and damaged not in self.pushed
            fails = row["step"] == "push" and (lacking or bool({"remote", "unmounted"} & holding))
            self._expect(row, fails, now)
            if fails:
                self.copy_tries.append(now)
            elif row["step"] == "push":
                self.copy_tries = []
                self.unpushed = False
                self.pushed = set(artifacts)
                self.pushes.append(now)
                self.made.append(PUSH)

    def _wanted(self, now: datetime) -> str | None:
        """The kind of message that is to be sent."""
        names = {f"{job} {step}" for job, step in self.fails if job != "notify"}
        reminded = self.told_at is not None
        if reminded:
            assert self.told_at is not None
            reminded = not timedelta(hours=-12) < now - self.told_at < DAY
        done = bool(self.made) and not self.quiet
        if names - self.told:
            return "failure"
        if self.told - names:
            return "recovery"
        if self.told & names and (reminded or done):
            return "failure"
        if done:
            return "success"
        return "recovery" if NTFY in self.fails else None

    def _tell(
        self, rows: list[dict[str, Any]], seen: Seen, holding: set[str], now: datetime, ran: bool
    ) -> None:
        sent = list(seen.sent)
        if self.told_gone:
            back = "deaf" not in holding
            assert len(sent) >= back, "told that it works again"
            assert not back or sent.pop(0)[1].endswith("works again")
            self.told_gone = not back
        wanted = self._wanted(now)
        others = [row for row in seen.rows if row["job"] != "notify"]
        newest = others[-1]["job"] if others else self.newest_job
        tries = self.tries.get(NTFY, [])
        tries_now = wanted is not None and (newest != "notify" or is_time(tries, now))
        told = [row for row in rows if (row["job"], row["step"]) == NTFY]
        assert len(told) == tries_now, f"whether it tells {wanted}"
        for row in told:
            self._expect(row, "deaf" in holding, now)
            assert f'"kind": "{wanted}"' in row["detail"], f"it tells of {wanted}"
        assert len(sent) == (tries_now and "deaf" not in holding)
        names = {f"{job} {step}" for job, step in self.fails if job != "notify"}
        for urgent, title, body in sent:
            assert urgent == (wanted == "failure"), "its priority"
            first = "\n".join([title, *body.split("\n\n")[: 1 + len(names)]])
            assert all(name in first for name in names), f"names {names} first: {first}"
            again = self.told - names
            assert all(name in title + body for name in again), f"the end of {again}"
            self.told, self.told_at, self.made = names, now, []
        self._beat(rows, seen, holding, now, ran)

    def _beat(
        self, rows: list[dict[str, Any]], seen: Seen, holding: set[str], now: datetime, ran: bool
    ) -> None:
        again = BEAT in self.tries and is_time(self.tries[BEAT], now)
        well = not set(self.fails) - {BEAT}
        assert seen.beats == (well and (ran or again)), "whether the heartbeat is fetched"
        told = [row for row in rows if (row["job"], row["step"]) == BEAT]
        expected = seen.beats and ("beat" in holding or BEAT in self.tries)
        assert len(told) == expected, "the heartbeat's rows"
        for row in told:
            self._expect(row, "beat" in holding, now)

    def _said(self, seen: Seen) -> None:
        """The exit status and the lines on standard error."""
        status = 2 if INTEGRITY in self.fails else int(bool(self.fails))
        assert seen.status == status, f"the status has to be {status}"
        lines = seen.errors.splitlines()
        assert len(lines) == len(self.fails), "a line for each"
        for (job, step), since in self.fails.items():
            (line,) = [line for line in lines if line.startswith(f"{job} {step} failed: ")]
            assert f"(since {since} UTC; it is tried again " in line, since
            again = self.again((job, step))
            if again is not None and again.strftime(FORM) not in line:
                assert "by the next call" in line, again

    def again(self, key: Key) -> datetime | None:
        """When it is tried again, of what is no job of the schedule."""
        if key[0] == "offsite":
            return pause_end(self.copy_tries) if self.copy_tries else None
        return pause_end(self.tries[key]) if key[0] == "notify" else None
