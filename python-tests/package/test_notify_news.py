"""What there is to tell, judged by the log alone: no database, no network, no clock."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from queuekeeper import _news as news
from queuekeeper.results import HistoryEntry

NOW = datetime(2026, 11, 5, 2, tzinfo=timezone.utc)
DONE = json.dumps({"backup_path": "/b/one.db", "size_bytes": 3 << 20, "duration_ms": 1234})


def row(
    job: str, step: str, status: str, detail: str | None = None, now: datetime = NOW
) -> HistoryEntry:
    """A row of the log."""
    time = now.strftime("%Y-%m-%d %H:%M:%S")
    return HistoryEntry.of(
        {
            "job": job,
            "step": step,
            "started_utc": time,
            "finished_utc": time,
            "status": status,
            "detail": detail,
        }
    )


class Log:
    """A log, and an operator who listens."""

    def __init__(self) -> None:
        self.rows: list[HistoryEntry] = [row(news.JOB, "ntfy", "ok", '{"failing": []}')]
        self.now = NOW

    def add(self, job: str, step: str, status: str, detail: str | None = None) -> None:
        self.rows.insert(0, row(job, step, status, detail, self.now))

    def message(self, *, quiet: bool = False, off: tuple[str, ...] = ()) -> news.Message | None:
        """What there is to tell."""
        return news.message(self.rows, "ntfy", where="q", quiet=quiet, now=self.now, off=off)

    def tell(self, address: str = "ntfy", *, quiet: bool = False, ok: bool = True) -> str | None:
        """Tells the address what it does not know; the message's kind."""
        told = news.told(self.rows, address)
        found = news.message(self.rows, address, where="queue.db", quiet=quiet, now=self.now)
        if found is None:
            return None
        failing = found.failing if ok else sorted(told.failing)
        detail = json.dumps({"failing": failing})
        self.add(news.JOB, address, "ok" if ok else "failed", detail)
        return found.kind


def test_a_backup_is_told_once_with_its_size_its_path_and_how_long_it_took() -> None:
    log = Log()
    log.add("daily", "backup", "ok", DONE)
    log.add("daily", "verify", "ok", '{"status": "ok"}')
    log.add("daily", "rotate", "ok", '{"keep": "7/4/12", "deleted": 2}')
    log.add("daily", "checkpoint", "ok", "{}")
    link = "https://drive.example/x"
    pushed = {"pushed": 1, "size_bytes": 3 << 20, "duration_ms": 99, "remote": "g:b", "link": link}
    log.add("offsite", "push", "ok", json.dumps(pushed))
    message = news.message(log.rows, "ntfy", where="queue.db on box")
    assert message is not None
    assert message.title == "queue.db on box: daily backup and offsite push done"
    assert message.body == (
        "daily:\n- backup of 3.00 MB in 1.2 s: /b/one.db\n- verify: ok\n"
        "- rotate: 2 deleted (keep 7/4/12)\n\n"
        "offsite:\n- 1 pushed to g:b, 3.00 MB in 0.1 s, https://drive.example/x"
    )
    assert [log.tell(), log.tell()] == ["success", None]


def test_a_backup_that_jobs_share_is_told_once() -> None:
    log = Log()
    log.add("daily", "backup", "ok", DONE)
    shared = json.dumps({**json.loads(DONE), "made_by": "daily", "note": "it serves this one, too"})
    log.add("weekly", "backup", "ok", shared)
    found = log.message()
    assert found is not None
    assert found.title == "q: daily backup and weekly backup done"
    assert found.body == (
        "daily:\n- backup of 3.00 MB in 1.2 s: /b/one.db\n\nweekly:\n- backup: the one of daily"
    )


def test_an_hour_without_a_backup_is_worth_no_message() -> None:
    log = Log()
    log.add("hourly", "checkpoint", "ok", "{}")
    log.add("hourly", "requeue", "ok", '{"requeued": 3}')
    assert log.tell() is None


def test_a_failure_is_told_once_however_often_it_is_tried_and_so_is_its_end() -> None:
    log, told = Log(), []
    for _ in range(5):
        log.add("daily", "backup", "failed", "cannot write '/b': the disk is full; make room")
        told.append(log.tell())
    log.add("daily", "backup", "ok", DONE)
    told += [log.tell(), log.tell()]
    assert told == ["failure", None, None, None, None, "recovery", None]


def test_a_failure_says_what_failed_why_and_what_to_do() -> None:
    log = Log()
    log.add("daily", "backup", "ok", DONE)
    log.add("offsite", "push", "failed", "cannot reach s3:bucket")
    message = news.message(log.rows, "ntfy", where="queue.db")
    assert message is not None
    assert (message.kind, message.title) == ("failure", "queue.db: offsite push failed")
    assert "cannot reach s3:bucket" in message.body
    assert "What to do: the local backups are safe" in message.body
    assert "queuekeeper history" in message.body
    # What was done is in the same message.
    assert "/b/one.db" in message.body
    assert log.tell() == "failure"
    log.add("offsite", "push", "ok", '{"pushed": 1}')
    assert (log.tell(), log.tell()) == ("recovery", None)


def test_another_step_that_fails_meanwhile_is_told_and_a_recovery_says_what_still_fails() -> None:
    log = Log()
    log.add("offsite", "push", "failed", "x")
    assert log.tell() == "failure"
    log.add("weekly", "integrity", "failed", "y")
    message = news.message(log.rows, "ntfy", where="q")
    assert message is not None
    assert message.title == "q: weekly integrity failed"
    assert log.tell() == "failure"
    log.add("offsite", "push", "ok")
    message = news.message(log.rows, "ntfy", where="q")
    assert message is not None
    assert "Still failing: weekly integrity." in message.body
    assert log.tell() == "recovery"


@pytest.mark.parametrize("quiet", [True, False])
def test_a_failure_that_lasts_is_told_again_a_day_after_it_was_last_told(quiet: bool) -> None:
    log, told = Log(), []
    for hour in range(80):
        log.now = NOW + timedelta(hours=hour)
        log.add("offsite", "push", "failed", f"try {hour}")
        found = log.message(quiet=quiet)
        if found is not None:
            told.append((hour, found.title))
        assert log.tell(quiet=quiet) == (news.FAILURE if found else None)
    again = "q: offsite push still fails"
    assert told == [(0, "q: offsite push failed"), (24, again), (48, again), (72, again)]
    found = news.message(log.rows, "ntfy", where="q", now=log.now + timedelta(hours=17))
    assert found is not None
    assert found.body.startswith("offsite push at 2026-11-08 09:00:00 UTC: try 79\n")
    assert "It fails since 2026-11-05 02:00:00 UTC." in found.body
    assert "What to do: the local backups are safe" in found.body
    log.add("offsite", "push", "ok", "{}")
    assert (log.tell(quiet=quiet), log.tell(quiet=quiet)) == (news.RECOVERY, None)
    log.now += timedelta(days=9)
    assert log.tell(quiet=quiet) is None


def test_a_message_for_another_reason_names_first_what_still_fails() -> None:
    log = Log()
    log.add("offsite", "push", "failed", "no route to host")
    assert log.tell() == news.FAILURE
    log.now += timedelta(hours=20)
    log.add("daily", "backup", "ok", DONE)
    found = log.message()
    assert found is not None
    assert (found.kind, found.title) == (
        news.FAILURE,
        "q: offsite push still fails; daily backup done",
    )
    assert "no route to host" in found.body.split("\n")[0]
    assert "/b/one.db" in found.body
    assert log.message(quiet=True) is None
    assert log.tell() == news.FAILURE
    # That has told it, so the day begins anew.
    log.now += timedelta(hours=20)
    assert log.tell() is None
    still = "Still failing: offsite push."
    log.add("daily", "rotate", "failed", "x")
    found = log.message()
    assert found is not None
    assert (found.title, found.body.split("\n")[0]) == ("q: daily rotate failed", still)
    assert log.tell() == news.FAILURE
    log.add("daily", "rotate", "ok", "{}")
    found = log.message()
    assert found is not None
    assert (found.title, found.body) == ("q: daily rotate works again", still)
    assert log.tell() == news.RECOVERY
    log.add("daily", "backup", "ok", WARNED)
    found = log.message()
    assert found is not None
    assert found.body.split("\n")[0] == still


def test_what_works_again_is_told_though_something_else_begins_to_fail() -> None:
    log = Log()
    log.add("offsite", "push", "failed", "x")
    assert log.tell() == news.FAILURE
    log.add("offsite", "push", "ok", "{}")
    log.add("daily", "rotate", "failed", "x")
    found = log.message()
    assert found is not None
    assert found.title == "q: daily rotate failed"
    assert "Works again: offsite push." in found.body


def test_a_clock_that_leaps_tells_nothing_too_often_and_keeps_no_reminder_for_ever() -> None:
    log = Log()
    log.add("offsite", "push", "failed", "x")
    log.now += timedelta(hours=1)
    assert log.tell() == news.FAILURE
    # It was an hour ahead, or less, when that was told.
    for minutes in (-59, 0, 23 * 60):
        log.now = NOW + timedelta(hours=1, minutes=minutes)
        assert log.tell() is None
    log.now = NOW - timedelta(days=1)
    assert [log.tell(), log.tell()] == [news.FAILURE, None]
    log.now += timedelta(days=1)
    assert log.tell() == news.FAILURE


def test_a_job_that_was_turned_off_does_not_fail() -> None:
    log = Log()
    log.add("weekly", "integrity", "failed", "x")
    assert log.message(off=("weekly",)) is None
    assert log.tell() == news.FAILURE
    log.now += timedelta(days=2)
    assert log.message(off=("weekly",)) is None
    assert log.tell() == news.FAILURE


def test_an_address_that_can_be_reached_again_hears_so_though_all_else_is_over() -> None:
    log = Log()
    log.add("offsite", "push", "failed", "x")
    assert log.tell(ok=False) == news.FAILURE
    log.add("offsite", "push", "ok", "{}")
    found = log.message(quiet=True)
    assert found is not None
    assert (found.kind, found.title) == (news.RECOVERY, "q: notifications arrive again")
    assert log.tell(quiet=True, ok=False) == news.RECOVERY
    assert log.tell(quiet=True) == news.RECOVERY
    assert log.tell(quiet=True) is None


def test_quiet_tells_failures_and_recoveries_only() -> None:
    log, told = Log(), []
    for status in ("ok", "failed", "failed", "ok", "ok"):
        log.add("daily", "backup", status, DONE)
        told.append(log.tell(quiet=True))
    assert told == [None, "failure", None, "recovery", None]


def test_what_died_and_was_done_then_is_no_failure_what_died_twice_is() -> None:
    log = Log()
    log.add("daily", "backup", "interrupted")
    assert log.tell() is None
    log.add("daily", "backup", "ok", DONE)
    assert log.tell() == "success"
    log.add("daily", "backup", "interrupted")
    log.add("daily", "backup", "interrupted")
    message = news.message(log.rows, "ntfy", where="q")
    assert message is not None
    assert "interrupted twice" in message.body


def test_what_could_not_be_delivered_is_told_later_and_to_each_address_by_itself() -> None:
    log = Log()
    log.add(news.JOB, "mailto", "ok", '{"failing": []}')
    log.add("daily", "backup", "failed", "x")
    assert log.tell("ntfy") == "failure"
    assert log.tell("mailto", ok=False) == "failure"
    assert log.tell("ntfy") is None
    assert log.tell("mailto", ok=False) == "failure"
    # It recovers before the other address heard of it: there is nothing to recover from.
    log.add("daily", "backup", "ok", DONE)
    assert log.tell("ntfy") == "recovery"
    assert log.tell("mailto") == "success"


def test_an_address_that_cannot_be_reached_is_tried_after_longer_and_longer_pauses() -> None:
    log, tried = Log(), []
    log.add("daily", "backup", "failed", "x")
    start = datetime(2026, 11, 5, 2, tzinfo=timezone.utc)
    for minute in range(200):
        now = start + timedelta(minutes=minute)
        if not news.due(log.rows, "ntfy", now):
            continue
        log.tell(ok=False)
        time = now.strftime("%Y-%m-%d %H:%M:%S")
        log.rows[0] = HistoryEntry.of({**log.rows[0].raw, "started_utc": time})
        tried.append(minute)
    assert tried == [0, 1, 2, 4, 8, 16, 32, 64, 124, 184]
    # Something new ends the pause.
    log.add("hourly", "checkpoint", "ok", "{}")
    assert news.due(log.rows, "ntfy", start + timedelta(minutes=185))


@pytest.mark.parametrize("detail", [None, "", "[]", "no json", '{"failing": 3}', '{"a": {'])
def test_rows_that_somebody_edited_are_taken_for_what_can_be_understood(detail: str | None) -> None:
    log = Log()
    log.add("daily", "backup", "ok", detail)
    log.add(news.JOB, "ntfy", "ok", detail)
    log.add("daily", "backup", "failed", detail)
    log.rows[0] = HistoryEntry.of({**log.rows[0].raw, "started_utc": "yesterday"})
    log.add(news.JOB, "ntfy", "failed", detail)
    assert news.due(log.rows, "ntfy", NOW)
    assert log.tell() == "failure"


def test_a_text_in_the_log_does_nothing_to_who_reads_it() -> None:
    log = Log()
    log.add("daily", "backup", "failed", "a\x1b[2Jb\r\nTo: everybody\n" + "x" * 5000)
    message = news.message(log.rows, "ntfy", where="q")
    assert message is not None
    assert "\x1b" not in message.body
    assert "b To: everybody" in message.body
    assert len(message.body) < 1500


def test_who_was_away_for_months_hears_the_newest_and_how_much_he_missed() -> None:
    log = Log()
    for number in range(90):
        log.add("daily", "backup", "ok", json.dumps({"backup_path": f"/b/{number}.db"}))
        log.add("hourly", "checkpoint", "ok", "{}")
    message = news.message(log.rows, "ntfy", where="q")
    assert message is not None
    assert message.title == "q: daily backup done"
    assert message.body.count("/b/") == 20
    assert "/b/89.db" in message.body
    assert "Before that, 70 more" in message.body


def test_nothing_is_told_twice_whatever_happens() -> None:
    """A random history: each failure is told once, and after it only its end."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    log, told = Log(), []
    for _ in range(400):
        step = chance.choice(["backup", "verify", "push"])
        log.add("daily", step, chance.choice(["ok", "failed", "skipped", "interrupted"]), DONE)
        if chance.random() < 0.5:
            found = news.message(log.rows, "ntfy", where="q", quiet=True)
            told += [found] if found else []
            assert log.tell(quiet=True) == (found.kind if found else None)
            assert log.tell(quiet=True) is None
    known: set[str] = set()
    for message in told:
        fresh = set(message.failing) - known
        assert (message.kind == "failure") == bool(fresh), message
        assert fresh or known - set(message.failing), message
        known = set(message.failing)


WARNED = json.dumps({**json.loads(DONE), "warning": "the task table is gone"})


@pytest.mark.parametrize("quiet", [True, False])
def test_what_a_backup_warns_of_is_told_like_a_failure_each_time(quiet: bool) -> None:
    log = Log()
    for _ in range(2):
        log.add("daily", "backup", "ok", WARNED)
        found = news.message(log.rows, "ntfy", where="queue.db", quiet=quiet)
        assert found is not None
        assert (found.title, found.failing) == ("queue.db: daily backup: warning", [])
        assert found.body.startswith("daily backup warns: the task table is gone.")
        assert log.tell(quiet=quiet) == news.FAILURE
        assert log.tell(quiet=quiet) is None
    log.add("daily", "backup", "ok", DONE)
    assert log.tell(quiet=quiet) == (None if quiet else news.SUCCESS)


def test_a_warning_hides_neither_a_failure_nor_a_recovery() -> None:
    log = Log()
    log.add("daily", "rotate", "failed", "no space")
    log.add("daily", "backup", "ok", WARNED)
    found = news.message(log.rows, "ntfy", where="queue.db")
    assert found is not None
    assert "daily rotate failed" in found.title
    assert "the task table is gone" in found.body
    assert log.tell() == news.FAILURE
    log.add("daily", "rotate", "ok", "{}")
    log.add("daily", "backup", "ok", WARNED)
    found = news.message(log.rows, "ntfy", where="queue.db")
    assert found is not None
    assert "Works again: daily rotate." in found.body
    assert log.tell() == news.FAILURE
    assert log.tell() is None


#: What no row of ours says, as JSON and as what is none.
STRANGE = [
    "null", "[]", "7", "{", '"x"', "NaN", "[" * 60_000, '{"a":' * 60_000, "9" * 400, "9" * 5000,
    '{"duration_ms": "x"}', '{"size_bytes": 1e999}', '{"blocked": 1}', '{"failing": [[], {}]}',
    '{"blocked": 1, "blocked_tasks": 7}', '{"blocked": 2, "blocked_tasks": [7, {"task_id": []}]}',
    '{"duration_ms": ' + "9" * 400 + "}", '{"warning": {"a": 1}}', '{"keep": []}', "\ud800", "\x00",
]  # fmt: skip
FIELDS = (
    *("duration_ms", "size_bytes", "backup_path", "pushed", "link", "remote", "deleted", "keep"),
    *("requeued", "blocked", "blocked_tasks", "task_id", "reason", "warning", "failing", "catalog"),
)
STEPS = (
    *("backup", "push", "rotate", "rotate remote", "requeue", "verify", "optimize", "checkpoint"),
    *("run", "ntfy", "\x1b[2J\nTo: all", "x" * 1000),
)


def some_value(chance: random.Random, depth: int = 0) -> object:
    """Any JSON value."""
    kinds: list[Callable[[], object]] = [
        lambda: chance.choice([None, True, False, 0, -1, 1.5, 10**400, float("inf"), float("nan")]),
        lambda: chance.randint(-(2**70), 2**70),
        lambda: "".join(chance.choices("ab\x1b\n\u202e\ud800\x00é", k=chance.randint(0, 9))),
        lambda: {name: some_value(chance, depth + 1) for name in chance.sample(FIELDS, 4)},
        lambda: [some_value(chance, depth + 1) for _ in range(chance.randint(0, 3))],
    ]
    return chance.choice(kinds[: 3 if depth > 3 else 5])()


def some_detail(chance: random.Random) -> str | None:
    """What may stand in a row: an object of ours with any values, or anything."""
    if chance.random() < 0.3:
        return chance.choice([None, "", *STRANGE])
    if chance.random() < 0.2:
        return json.dumps(some_value(chance))
    return json.dumps({name: some_value(chance) for name in chance.sample(FIELDS, 8)})


def test_whatever_a_row_holds_what_was_really_done_is_told() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(300):
        log = Log()
        for _ in range(chance.randint(1, 25)):
            job = chance.choice(["daily", "offsite", news.JOB, "\x1b[2J\nBcc: all", "y" * 1000])
            status = chance.choice(["ok", "ok", "failed", "interrupted", "running", "\x1b"])
            log.add(job, chance.choice(STEPS), status, some_detail(chance))
            times = ["", "yesterday", "9999-12-31 23:59:59", "0001-01-01 00:00:00", "\x1b[2J"]
            raw = {**log.rows[0].raw, "started_utc": chance.choice(times)}
            log.rows[0] = HistoryEntry.of(raw)
        log.add("daily", "backup", "ok", DONE)
        news.due(log.rows, "ntfy", NOW)
        found = news.message(log.rows, "ntfy", where="q")
        assert found is not None
        assert "backup of 3.00 MB in 1.2 s: /b/one.db" in found.body
        shown = found.title + found.body
        assert all(each.isprintable() or each == "\n" for each in shown), shown
        assert "\n" not in found.title
        assert len(found.title) < 1000
        assert len(found.body) < 60_000
        assert log.tell() == found.kind


@pytest.mark.parametrize("detail", STRANGE)
@pytest.mark.parametrize("step", ["backup", "push", "rotate", "requeue", "verify"])
def test_a_row_that_cannot_be_read_is_told_as_that_beside_what_can(step: str, detail: str) -> None:
    log = Log()
    log.add("hourly", step, "ok", detail)
    log.add("daily", "backup", "ok", DONE)
    found = news.message(log.rows, "ntfy", where="q")
    assert found is not None
    assert "backup of 3.00 MB in 1.2 s: /b/one.db" in found.body
    if not detail.startswith('{"'):
        (line,) = [each for each in found.body.split("\n") if "cannot be read" in each]
        assert "the log's row of 2026-11-05 02:00:00 cannot be read: detail" in line


def test_names_of_steps_do_nothing_to_who_reads_them_and_hide_no_others() -> None:
    log = Log()
    for number in range(500):
        log.add(f"a{number}\r\nBcc: all\x1b[2J", "step\x07", "failed", "x")
    log.add("weekly", "integrity", "failed", "y")
    found = news.message(log.rows, "ntfy", where="q")
    assert found is not None
    assert "weekly integrity at" in found.body
    assert found.title.startswith("q: weekly integrity, a0 Bcc: all?[2J step?, ")
    assert found.title.endswith(" and 494 more failed")
    assert "And 481 more." in found.body
    assert len(found.body) < 10_000
    assert (log.tell(), log.tell()) == ("failure", None)
