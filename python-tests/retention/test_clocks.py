"""A clock that is wrong for a while costs no backup, and afterwards each job is due at its time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from conftest import OpenPython

from hosts import Session
from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import write_catalog
from support.queues import Queue, Shape, make_queue
from support.schedules import NOON, Ran, detail, jobs, only, run_due

pytestmark = pytest.mark.rule(5)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
#: The days on which the clock is right; the machine's own clock is years ahead of them.
BEGIN = NOON + 15 * DAY - 10 * HOUR
AHEAD = datetime(2036, 1, 1, 2)
BEHIND = (datetime(1970, 1, 1, 2), datetime(2001, 1, 1, 2))
#: More than two days ahead, or behind what was made last: less looks like a clock that is right.
LEAST_AHEAD, LEAST_BEHIND = 3 * DAY, 12 * HOUR
EPISODES = 5


@dataclass
class Calls:
    """A queue, and the calls that were made to it."""

    session: Session
    directory: Path
    #: The backups that were made while the clock was right, by their ids.
    right: dict[str, str] = field(default_factory=dict)

    def at(self, now: datetime, *, right: bool = True) -> list[Ran]:
        """A run of the schedule by a clock that shows that time; nothing goes that it made."""
        before = self.newest_verified()
        ran = run_due(self.session, now)
        assert {one["status"] for one in ran} <= {"ok"}, ran
        made = [detail(one, "backup") for one in ran if one["job"] != "hourly"]
        there = self.there()
        assert not [each["backup_path"] for each in made if each["id"] not in there]
        assert self.newest_verified() in {before, *(each["id"] for each in made)}
        if right:
            self.right |= {each["id"]: f"{each['name']} {now:%F}" for each in made}
        return ran

    def there(self) -> set[str]:
        entries = catalog(self.directory) if (self.directory / CATALOG).exists() else []
        assert all((self.directory / entry["backup_path"]).is_file() for entry in entries)
        return {entry["id"] for entry in entries}

    def newest_verified(self) -> str | None:
        rows = self.session.rows("SELECT id FROM queue_backups() WHERE verified_at IS NOT NULL")
        return str(rows[0][0]) if rows else None

    def kept(self) -> list[str]:
        """Of those that were made while the clock was right, the ones that are there."""
        there = self.there()
        return sorted(name for each, name in self.right.items() if each in there)

    def reasons(self, keep: str = "7/4/12") -> dict[str, str]:
        rows = self.session.rows("SELECT created_at, reasons FROM queue_rotation(?)", keep)
        return {str(time)[:10]: str(reasons) for time, reasons in rows}


class Open(Protocol):
    """Makes a queue of that name and policy."""

    def __call__(self, name: str, keep: str = "7/4/12") -> Calls: ...


@pytest.fixture
def opened(memory: Path, open_python: OpenPython) -> Open:
    def opened(name: str, keep: str = "7/4/12") -> Calls:
        queue = make_queue(memory / name / "queue.db", Shape(tasks=3))
        session = open_python(queue.path)
        only(session, "daily", "weekly", "monthly")
        session.rows("SELECT queue_set('keep', ?)", keep)
        return Calls(session, queue.backups)

    return opened


def days(first: int, last: int) -> list[datetime]:
    """One time a day, a minute later each: no two are whole days apart to the millisecond."""
    return [BEGIN + day * (DAY + MINUTE) for day in range(first, last)]


@pytest.mark.parametrize("wrong", [AHEAD, *BEHIND], ids=str)
@pytest.mark.parametrize("keep", ["3", "7/4/12", '{"keep_within": "5d"}', '{"max_age_days": 4}'])
def test_a_clock_that_was_wrong_once_costs_no_backup(
    keep: str, wrong: datetime, opened: Open
) -> None:
    never, once = opened("never", keep), opened("once", keep)
    for now in days(0, 4):
        assert jobs(never.at(now)) == jobs(once.at(now))
    for clock in (wrong, wrong + DAY)[: 1 if wrong == AHEAD else 2]:
        once.at(clock, right=False)
    assert once.kept() == never.kept()
    assert len(once.there()) > len(never.there())
    for number, now in enumerate(days(7, 14)):
        assert jobs(never.at(now)) == jobs(once.at(now)), now
        assert number == 0 or once.kept() == never.kept(), now
    (latest,) = once.session.rows("SELECT id FROM queue_backups() LIMIT 1")
    assert once.session.object("SELECT queue_verify('latest')")["id"] == latest[0]
    assert latest[0] in once.right


def test_what_is_stamped_after_now_is_kept_takes_no_slot_and_is_shown(opened: Open) -> None:
    calls = opened("queue")
    only(calls.session, "daily")
    for now in days(0, 2):
        calls.at(now)
    calls.at(AHEAD, right=False)
    for now in days(2, 4):
        calls.at(now)
    reasons = calls.reasons("2")
    assert "stamped after now, takes no slot" in reasons["2036-01-01"]
    assert "last backup (1 of 2)" in reasons[f"{days(3, 4)[0]:%F}"]
    assert "last backup (2 of 2)" in reasons[f"{days(2, 3)[0]:%F}"]
    (row,) = calls.session.dicts("SELECT id FROM queue_backups() WHERE created_at > '2036'")
    assert calls.session.object("SELECT queue_delete_backup(?)", row["id"])["deleted"] == 1


def test_what_a_clock_that_was_behind_has_stamped_is_marked_for_good(opened: Open) -> None:
    calls = opened("queue", "2")
    only(calls.session, "daily")
    for now in days(0, 3):
        calls.at(now)
    for wrong in (BEHIND[1], BEHIND[1] + DAY):
        calls.at(wrong, right=False)
    for now in days(3, 9):
        calls.at(now)
    entries = {entry["created_at"][:4]: entry for entry in catalog(calls.directory)}
    assert entries["2001"]["wrong_clock"] is True
    assert "wrong_clock" not in entries["2015"]
    assert len(calls.there()) == 3
    assert "stamped by a clock that was wrong" in calls.reasons()["2001-01-02"]
    # Its entry is as the library wrote it: it can be restored, and deleted.
    done = calls.session.object("SELECT queue_delete_backup(?)", entries["2001"]["id"])
    assert done["deleted"] == 1


@pytest.mark.parametrize("keep", ["3", "7/4/12"])
def test_a_clock_that_is_an_hour_ahead_each_day_piles_nothing_up(keep: str, opened: Open) -> None:
    """Of two systems on one machine one takes local time for universal time."""
    calls = opened("queue", keep)
    never = opened("never", keep)
    for queue in (calls, never):
        only(queue.session, "daily")
        queue.session.rows("SELECT queue_set('cron_daily', '0 * * * *')")
    for now in days(0, 12):
        calls.at(now - 20 * MINUTE + HOUR, right=False)
        calls.session.rows("DELETE FROM queuekeeper_jobs")
        for queue in (calls, never):
            queue.at(now)
    assert not [entry for entry in catalog(calls.directory) if "wrong_clock" in entry]
    assert len(calls.there()) <= 2 * len(never.there())


def test_a_queue_that_lay_idle_for_a_year_goes_on(opened: Open) -> None:
    calls = opened("queue", '{"keep_daily": 2}')
    only(calls.session, "daily")
    for now in days(0, 3):
        calls.at(now)
    idle = days(365, 368)
    for now, there in zip(idle, (3, 2, 2)):
        calls.at(now)
        assert len(calls.there()) == there, now
    assert calls.kept() == [f"daily {now:%F}" for now in idle[1:]]


def test_a_wrong_time_that_stays_is_believed_after_a_day(opened: Open) -> None:
    calls = opened("queue", "2")
    only(calls.session, "daily")
    for now in days(0, 3):
        calls.at(now)
    for day, there in enumerate((3, 2, 2)):
        calls.at(AHEAD + day * DAY, right=False)
        assert len(calls.there()) == there


def test_the_jobs_are_due_as_if_the_clock_had_never_been_ahead(opened: Open) -> None:
    """The first of the month lies between the last call and the next one by a right clock."""
    calls = opened("queue")
    calls.at(datetime(2015, 11, 28, 12))
    calls.at(AHEAD, right=False)
    (ran,) = [one for one in calls.at(datetime(2015, 12, 1, 12)) if one["job"] == "monthly"]
    assert ran["due_utc"] == "2015-12-01 02:00:00"


def test_the_jobs_are_not_due_again_when_the_clock_had_been_behind(opened: Open) -> None:
    calls = opened("queue")
    calls.at(datetime(2015, 11, 28, 12))
    for wrong in (datetime(2001, 3, 5, 12), datetime(2001, 3, 6, 12), datetime(2001, 4, 1, 12)):
        calls.at(wrong, right=False)
    assert calls.at(datetime(2015, 11, 28, 13)) == []
    assert jobs(calls.at(datetime(2015, 11, 29, 12))) == ["daily"]


def test_jobs_of_a_table_without_the_column_are_remembered(
    queue: Queue, open_python: OpenPython
) -> None:
    """As version 0.1.0 made it, and as it goes on to write it."""
    session = open_python(queue.path)
    run_due(session, NOON)
    with queue.connect() as connection:
        connection.execute("ALTER TABLE queuekeeper_jobs DROP COLUMN done_earlier_utc")
    assert run_due(session, NOON + MINUTE) == []
    assert session.value("SELECT count(*) FROM queue_schedule() WHERE last_status = 'ok'") == 4
    assert jobs(run_due(session, NOON + DAY)) == ["hourly", "daily"]
    assert run_due(session, NOON + DAY + MINUTE) == []


def wrong_time(chance: random.Random, now: datetime) -> datetime:
    by = timedelta(seconds=10 ** chance.uniform(4, 8.8))
    if chance.random() < 0.5:
        return now + LEAST_AHEAD + by
    return max(now - LEAST_BEHIND - by, datetime(1970, 1, 1))


def call_by_a_wrong_clock(chance: random.Random, calls: Calls, now: datetime) -> None:
    """What a program may do while the clock is wrong; the machine's own clock is, too."""
    kind = chance.choice(("run", "run", "backup", "rotate", "restore"))
    session = calls.session
    if kind == "run":
        calls.at(now, right=False)
        return
    before = calls.newest_verified()
    made = session.object("SELECT queue_backup()") if kind in ("backup", "restore") else {}
    if kind == "restore":
        done = session.object("SELECT queue_restore('latest')")
        assert done["id"] == made["id"]
    session.value("SELECT queue_rotate(value) FROM queue_settings() WHERE name = 'keep'")
    there = calls.there()
    assert before is None or before in there
    assert not made or made["id"] in there


@pytest.mark.parametrize("seed", range(6))
def test_any_clock_leaves_what_a_right_one_does(seed: int, opened: Open) -> None:
    """Nothing goes that was just made, nor the newest verified backup; a day after each time that
    the clock was wrong, what is there and what is due is what it is where it never was."""
    chance = random.Random(seed)
    keep = ("7/4/12", "4", '{"keep_within": "6d12h", "keep_monthly": 3}')[seed % 3]
    never, wrong = opened("never", keep), opened("wrong", keep)
    right_since = 0
    story: list[tuple[int, datetime]] = []
    for day, now in enumerate(days(0, 24)):
        now += 10 * chance.randint(0, 3) * MINUTE
        due = jobs(never.at(now)), jobs(wrong.at(now))
        assert day <= right_since or due[0] == due[1], (day, story)
        assert day <= right_since or wrong.kept() == never.kept(), (day, story)
        if day > 2 and chance.random() < EPISODES / 24:
            clock = wrong_time(chance, now)
            for hour in range(chance.randint(1, 3)):
                story.append((day, clock + hour * HOUR))
                call_by_a_wrong_clock(chance, wrong, clock + hour * HOUR)
            right_since = day + 1


def test_no_entry_of_a_catalog_is_the_newest_for_ever(
    queue: Queue, open_python: OpenPython
) -> None:
    """Behind the last number that counts, what was made last is still the newest."""
    session = open_python(queue.path)
    first = session.object("SELECT queue_backup()")["id"]
    (entry,) = catalog(queue.backups)
    write_catalog(queue.backups, [{**entry, "sequence": (1 << 53) - 1}])
    for _ in range(3):
        made = session.object("SELECT queue_backup()")
        assert made["id"] != first
        assert session.object("SELECT queue_verify('latest')")["id"] == made["id"]
        listed = session.value("SELECT id FROM queue_backups() LIMIT 1")
        assert listed == made["id"]
