"""What is broken, by the log, the schedule and the configuration: no database, no clock."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from queuekeeper import _copies
from queuekeeper import _news as news
from queuekeeper._broken import Broken, broken
from queuekeeper.results import HistoryEntry, ScheduledJob

NOW = datetime(2026, 11, 5, 2, tzinfo=timezone.utc)
DAY = 24 * 60
FORM = "%Y-%m-%d %H:%M:%S"


def log(*rows: tuple[int, str, str, str, str | None]) -> list[HistoryEntry]:
    """Rows, the oldest first, each so many minutes ago."""
    names = ("started_utc", "job", "step", "status", "detail")
    made = [
        HistoryEntry.of(dict(zip(names, ((NOW - timedelta(minutes=ago)).strftime(FORM), *rest))))
        for ago, *rest in rows
    ]
    return made[::-1]


def found(
    *rows: tuple[int, str, str, str, str | None],
    daily: str = "0 2 * * *",
    next_due: str = "2026-11-05 02:03:00",
    **given: Any,
) -> list[Broken]:
    job = {"job": "daily", "cron": daily, "next_due_utc": next_due}
    schedule = [ScheduledJob.of(job)]
    options = {"copied": _copies.STEPS, "addresses": ["ntfy", "heartbeat"], "present": NOW, **given}
    return broken(log(*rows), schedule, **options)


def test_each_has_its_error_since_when_and_when_it_is_tried_again() -> None:
    tried = [(ago, "offsite", "push", "failed", f"try {ago}") for ago in (9, 8, 7, 5, 1)]
    lines = [
        each.line
        for each in found(
            (20, "daily", "verify", "interrupted", None),
            (15, "offsite", "push", "failed", "before"),
            (12, "offsite", "push", "ok", "{}"),
            *tried,
            (4, "notify", "ntfy", "failed", json.dumps({"error": "a\nb", "title": "q"})),
            (3, "notify", "heartbeat", "failed", "no answer"),
            (2, "schedule", "run", "failed", "cron_weekly"),
            (1, "daily", "rotate", "skipped", "without backup this is not done"),
        )
    ]
    soon = "it is tried again by the next call"
    assert lines == [
        "daily verify interrupted: its process was ended (since 2026-11-05 01:40:00 UTC; "
        "it is tried again at 2026-11-05 02:03:00 UTC)",
        "offsite push failed: try 1 (since 2026-11-05 01:51:00 UTC; "
        "it is tried again at 2026-11-05 02:07:00 UTC)",
        f"notify ntfy failed: a b (since 2026-11-05 01:56:00 UTC; {soon})",
        f"notify heartbeat failed: no answer (since 2026-11-05 01:57:00 UTC; {soon})",
        f"schedule run failed: cron_weekly (since 2026-11-05 01:58:00 UTC; {soon})",
    ]


def test_what_is_off_or_not_configured_is_not_broken() -> None:
    rows = (
        (4, "daily", "backup", "failed", "x"),
        (3, "offsite", "push", "failed", "x"),
        (2, "notify", "ntfy", "failed", "{}"),
        (1, "notify", "heartbeat", "failed", "x"),
    )
    assert [each.job for each in found(*rows)] == ["daily", "offsite", "notify", "notify"]
    assert found(*rows, daily="off", copied=(), addresses=[]) == []


def test_the_newest_backup_warns_until_another_does_not() -> None:
    warned = json.dumps({"warning": "the task table is gone"})
    (warning,) = found(
        (9, "daily", "backup", "ok", "{}"),
        (8, "daily", "backup", "ok", warned),
        (8, "weekly", "backup", "ok", json.dumps({"made_by": "daily"})),
    )
    assert warning.line.startswith("warning: backup: the task table is gone (since 2026-11-05 01:5")
    assert not warning.is_critical
    assert found((8, "daily", "backup", "ok", warned), (7, "daily", "backup", "ok", "{}")) == []


def test_a_check_of_the_database_that_fails_is_critical() -> None:
    (check,) = found((2, "weekly", "integrity", "failed", "row 1 missing from index"))
    assert check.is_critical
    (ended,) = found((1, "weekly", "integrity", "interrupted", None))
    assert not ended.is_critical
    rows = [
        (2, "weekly", "integrity", "failed", "row 1"),
        (1, "weekly", "integrity", "interrupted", None),
    ]
    assert [each.is_critical for each in found(*rows)] == [True]


def test_a_remote_that_was_dropped_is_named_by_no_reminder_after_two_days() -> None:
    told = json.dumps({"failing": ["offsite push"]})
    rows = [
        (2 * DAY + 1, "offsite", "push", "failed", "x"),
        (2 * DAY, "notify", "ntfy", "ok", told),
        (1, "hourly", "requeue", "ok", "{}"),
    ]
    (reminder,) = [news.message(log(*rows[:2]), "ntfy", where="", now=NOW)]
    assert reminder is not None
    assert "offsite push still fails" in reminder.title
    assert news.message(log(*rows), "ntfy", where="", now=NOW) is None
    assert found(*rows) == []


def test_a_remote_without_a_policy_is_not_rotated() -> None:
    row = (1, "offsite", "rotate remote", "failed", "x")
    assert [each.step for each in found(row)] == ["rotate remote"]
    assert found(row, copied=_copies.STEPS[:1]) == []
