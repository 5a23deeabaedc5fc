"""queue_health(): each metric with its thresholds, its level and what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython, OpenSession

from hosts import Host
from hosts.protocol import Session
from support.documents.declared import METRICS
from support.queues import Queue, Shape

GAUGES = METRICS[:9]
MB = 1 << 20
BACKUP = """SELECT queue_backup(NULL, '{"verify": "quick"}')"""
# Releases from which on the WAL-reset bug is mended, by what SQLite's own page on WAL says.
MENDED = {(3, 44): 6, (3, 50): 7, (3, 51): 3}


def health(session: Session) -> dict[str, dict[str, Any]]:
    """The rows by metric."""
    return {str(row["metric"]): row for row in session.dicts("SELECT * FROM queue_health()")}


def levels(session: Session) -> dict[str, Any]:
    return {name: row["level"] for name, row in health(session).items()}


def make_healthy(session: Session) -> None:
    """Nothing to complain about but what the host's SQLite is to blame for."""
    session.rows("PRAGMA busy_timeout=5000")
    session.rows(
        "SELECT queue_set('free_disk_gb_warning', 0), queue_set('free_disk_gb_critical', 0)"
    )
    session.rows("SELECT queue_requeue_stale(300)")
    session.rows(BACKUP)


def test_a_healthy_queue_has_nothing_to_do(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    make_healthy(session)
    rows = session.dicts("SELECT * FROM queue_health()")
    assert [row["metric"] for row in rows] == METRICS
    assert list(rows[0]) == ["metric", "value", "unit", "warning", "critical", "level", "action"]
    found = {str(row["metric"]): row for row in rows}
    version = found.pop("sqlite_version")
    assert {name: (row["level"], row["action"]) for name, row in found.items()} == {
        name: ("ok", None) for name in METRICS if name != "sqlite_version"
    }
    parts = [int(part) for part in str(version["value"]).split(".")]
    release = (parts[0], parts[1])
    mended = release > max(MENDED) or (release in MENDED and parts[2] >= MENDED[release])
    assert version["level"] == ("ok" if mended else "warning")
    assert mended or "queue_checkpoint()" in str(version["action"])


def test_the_values_are_what_is_there(queue: Queue, open_python: OpenPython) -> None:
    with queue.connect() as holder:
        holder.execute("UPDATE task_queue SET priority = 7")
        found = health(open_python(queue.path))
        size = holder.execute("PRAGMA page_count").fetchone()[0] * 4096
        assert found["database_size"]["value"] == pytest.approx(size / MB)
        wal = queue.path.with_name("queue.db-wal").stat().st_size
        assert wal > 0
        assert found["wal_size"]["value"] == pytest.approx(wal / MB)
    assert found["stale_leases"]["value"] == 8
    disk = os.statvfs(queue.directory)
    free = disk.f_bavail * disk.f_frsize / (1 << 30)
    assert found["free_disk"]["value"] == pytest.approx(free, rel=0.2)
    assert found["backup_age"]["value"] is None
    assert found["journal_mode"]["value"] == "wal"
    units = {name: row["unit"] for name, row in found.items()}
    assert units == {
        "database_size": "MB",
        "wal_size": "MB",
        "fragmentation": "%",
        "stale_leases": "tasks",
        "unreadable_leases": "tasks",
        "unknown_statuses": "tasks",
        "blocked_leases": "tasks",
        "free_disk": "GB",
        "backup_age": "hours",
        "tasks_missing": "tasks",
        "failed_deletions": "files",
        "failing_steps": "steps",
        "sqlite_version": None,
        "journal_mode": None,
        "busy_timeout": "ms",
    }


def test_the_thresholds_are_those_of_the_runbook(queue: Queue, open_python: OpenPython) -> None:
    found = health(open_python(queue.path))
    assert {name: (found[name]["warning"], found[name]["critical"]) for name in METRICS} == {
        "database_size": (500, 1000),
        "wal_size": (50, 100),
        "fragmentation": (10, 20),
        "stale_leases": (10, 50),
        "unreadable_leases": (0, None),
        "unknown_statuses": (0, None),
        "blocked_leases": (0, 50),
        "free_disk": (10, 5),
        "backup_age": (26, 50),
        "tasks_missing": (None, None),
        "failed_deletions": (None, None),
        "failing_steps": (None, None),
        "sqlite_version": (None, None),
        "journal_mode": (None, None),
        "busy_timeout": (None, None),
    }


@pytest.mark.parametrize(
    ("metric", "setting", "advice"),
    [
        ("database_size", "database_mb", "queue_vacuum()"),
        ("wal_size", "wal_mb", "queue_checkpoint('TRUNCATE')"),
        ("fragmentation", "fragmentation_pct", "queue_vacuum()"),
        ("stale_leases", "stale_leases", "queue_requeue_stale(300)"),
        ("free_disk", "free_disk_gb", "queue_rotate('7/4/12')"),
        ("backup_age", "backup_hours", "queue_backup("),
    ],
)
def test_beyond_a_threshold_comes_the_level_and_what_to_do(
    metric: str, setting: str, advice: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    # A backup two hours old, free pages, and frames in the WAL.
    session.rows("SELECT queue_run_due(strftime('%s', 'now') - 7200)")
    with queue.connect() as holder:
        holder.execute("CREATE TABLE filler(x)")
        filling = "INSERT INTO filler SELECT zeroblob(4000) FROM task_queue"
        holder.execute(filling)
        holder.execute("DROP TABLE filler")
        holder.execute("UPDATE task_queue SET lease_until_utc = '2020-01-01 00:00:00' WHERE id < 4")
        holder.execute("UPDATE task_queue SET status = 'leased' WHERE id < 4")
        value = float(health(session)[metric]["value"])
        assert value > 0
        falling = metric == "free_disk"
        low, high = (value * 1.3, value * 0.7) if falling else (value * 0.7, value * 1.3)
        for warning, critical, level in (
            (high, high, "ok"),
            (low, high, "warning"),
            (low, low, "critical"),
        ):
            session.rows("SELECT queue_set(? || '_warning', ?)", setting, warning)
            session.rows("SELECT queue_set(? || '_critical', ?)", setting, critical)
            row = health(session)[metric]
            assert (row["warning"], row["critical"]) == (warning, critical)
            assert row["level"] == level, row
            assert (row["action"] is None) == (level == "ok")
            assert level == "ok" or advice in row["action"]


def test_only_a_verified_sound_backup_of_this_database_counts(
    queue: Queue, make: MakeQueue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    row = health(session)["backup_age"]
    assert (row["value"], row["level"]) == (None, "critical")
    stranger = open_python(make(name="stranger.db").path)
    stranger.rows("SELECT queue_backup(?)", str(queue.backups) + "/")
    assert health(session)["backup_age"]["value"] is None
    session.rows("SELECT queue_backup()")
    assert health(session)["backup_age"]["value"] is None
    path = session.object(BACKUP)["backup_path"]
    row = health(session)["backup_age"]
    assert 0 <= row["value"] < 0.1
    assert row["level"] == "ok"
    Path(str(path)).write_bytes(b"nothing of it left")
    assert session.object("SELECT queue_verify(?)", str(path))["status"] != "ok"
    assert health(session)["backup_age"]["value"] is None


def test_an_older_backup_counts_from_when_it_was_made(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for hours, level in ((60, "critical"), (30, "warning"), (3, "ok")):
        session.rows("SELECT queue_run_due(strftime('%s', 'now') - ?)", hours * 3600)
        row = health(session)["backup_age"]
        assert row["value"] == pytest.approx(hours, abs=0.1), row
        assert row["level"] == level


def test_a_backup_from_the_future_does_not_make_the_others_look_new(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('keep', 100)")
    session.rows("SELECT queue_run_due(strftime('%s', 'now') - 30 * 3600)")
    session.rows("SELECT queue_run_due(strftime('%s', 'now') + 90 * 86400)")
    row = health(session)["backup_age"]
    assert row["value"] == pytest.approx(30, abs=0.1)
    assert row["level"] == "warning"


def test_what_cannot_be_read_is_critical_and_the_others_are_shown(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    make_healthy(session)
    manifest = queue.backups / "backup_manifest.json"
    manifest.unlink()
    manifest.mkdir()
    queue.query("ALTER TABLE task_queue RENAME COLUMN lease_until_utc TO gone")
    found = health(session)
    assert found["backup_age"]["level"] == "critical"
    assert "backup_manifest.json" in found["backup_age"]["action"]
    for metric in ("stale_leases", "unreadable_leases"):
        assert found[metric]["level"] == "critical"
        assert "lease_until_utc" in found[metric]["action"]
    catalog = {"backup_age", "tasks_missing", "failed_deletions"}
    assert {found[name]["level"] for name in catalog} == {"critical"}
    others = set(METRICS) - catalog - {"stale_leases", "unreadable_leases", "sqlite_version"}
    assert {found[name]["level"] for name in others} == {"ok"}


def test_a_threshold_edited_by_hand_that_is_none_is_named(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    make_healthy(session)
    queue.query("INSERT INTO queuekeeper_settings VALUES ('wal_mb_warning', 'plenty')")
    row = health(session)["wal_size"]
    assert row["level"] == "critical"
    assert "wal_mb_warning" in row["action"]
    assert health(session)["database_size"]["level"] == "ok"


def test_a_database_in_memory_has_no_files_to_be_worried_about(
    host: Host, open_session: OpenSession
) -> None:
    session = open_session(host, ":memory:")
    session.rows("PRAGMA busy_timeout=5000")
    found = health(session)
    assert list(found) == METRICS
    assert {found[name]["level"] for name in METRICS if name != "sqlite_version"} == {"ok"}
    assert found["free_disk"]["value"] is None
    assert found["stale_leases"]["value"] is None


def test_what_the_connection_lacks(make: MakeQueue, open_python: OpenPython) -> None:
    session = open_python(make(Shape(journal_mode="delete")).path)
    session.rows("PRAGMA busy_timeout=0")
    found = health(session)
    assert found["journal_mode"]["level"] == "warning"
    assert "PRAGMA journal_mode=WAL" in found["journal_mode"]["action"]
    assert found["busy_timeout"]["level"] == "warning"
    assert "PRAGMA busy_timeout=5000" in found["busy_timeout"]["action"]


def test_a_read_only_connection_reads_health_and_changes_nothing(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    writer = open_session(host, queue.path)
    make_healthy(writer)
    before = queue.files(), queue.snapshot()
    found = levels(open_session(host, queue.path, readonly=True))
    assert {found[name] for name in GAUGES} == {"ok"}
    assert (queue.files(), queue.snapshot()) == before


def test_health_is_read_inside_a_transaction_of_the_caller(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    make_healthy(session)
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE task_queue SET status = 'leased', lease_until_utc = '2020-01-01 00:00:00'")
    assert health(session)["stale_leases"]["value"] == 52
    session.rows("ROLLBACK")
    assert health(session)["stale_leases"]["value"] == 0


def test_the_metrics_of_health_agree_with_the_stats(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    stats = json.loads(str(session.value("SELECT queue_stats()")))
    found = health(session)
    assert found["database_size"]["value"] == pytest.approx(stats["total_size_mb"])
    assert found["wal_size"]["value"] == pytest.approx(stats["wal_size_mb"])
    assert found["fragmentation"]["value"] == pytest.approx(stats["fragmentation_pct"])
    assert found["journal_mode"]["value"] == stats["journal_mode"]
    assert found["sqlite_version"]["value"] == stats["sqlite_version"]
