"""The same calls give the same answers in every host."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from conftest import ROOT, MakeQueue, OpenSession

from hosts import Host
from support import artifacts
from support.documents.declared import BACKUP_FIELDS
from support.queues import Queue, Shape


def test_version_is_that_of_the_crate(host: Host, queue: Queue, open_session: OpenSession) -> None:
    version = open_session(host, queue.path).value("SELECT queue_version()")
    assert f'\nversion = "{version}"\n' in (ROOT / "Cargo.toml").read_text("utf-8")


def test_stats_are_what_sqlite_itself_says(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    (row,) = session.dicts("SELECT * FROM queue_stats()")
    ((pages,),) = queue.query("PRAGMA page_count")
    assert (row["page_count"], row["page_size"], row["freelist_count"]) == (pages, 4096, 0)
    assert row["size_bytes"] == pages * 4096 == queue.path.stat().st_size
    assert row["total_size_mb"] == pages * 4096 / 2**20
    assert (row["wal_mode"], row["journal_mode"]) == (1, "wal")
    assert row["fragmentation_pct"] == 0
    assert Path(str(row["path"])).samefile(queue.path)
    assert row["sqlite_version"] == session.value("SELECT sqlite_version()")
    assert isinstance(row["free_disk_bytes"], int)
    assert row["free_disk_bytes"] > 0


def test_stats_show_the_wal_and_free_pages(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    session.rows("CREATE TABLE filler(x)")
    session.rows("INSERT INTO filler SELECT zeroblob(100000)")
    session.rows("DROP TABLE filler")
    (row,) = session.dicts("SELECT * FROM queue_stats()")
    wal = Path(f"{queue.path}-wal").stat().st_size
    assert (row["wal_size_bytes"], row["wal_size_mb"]) == (wal, wal / 2**20)
    free = session.value("PRAGMA freelist_count")
    assert row["freelist_count"] == free > 20
    share = free * 100 / session.value("PRAGMA page_count")
    assert abs(float(str(row["fragmentation_pct"])) - share) < 1e-9


def test_stats_as_an_object_are_the_row_of_the_table(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    (row,) = session.dicts("SELECT * FROM queue_stats()")
    whole = session.object("SELECT queue_stats()")
    # Others write to the same disk.
    assert {**whole, "free_disk_bytes": 0} == {**row, "free_disk_bytes": 0}


def test_depth_counts_tasks_by_status(host: Host, queue: Queue, open_session: OpenSession) -> None:
    rows = open_session(host, queue.path).rows("SELECT * FROM queue_depth() ORDER BY status")
    assert rows == queue.query(
        "SELECT status, count(*), min(created_at_utc), max(created_at_utc) "
        "FROM task_queue GROUP BY status ORDER BY status"
    )


def test_stale_shows_the_leases_that_requeue_would_rescue(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    rows = session.dicts("SELECT * FROM queue_stale(60) ORDER BY task_id")
    expected = queue.query(
        "SELECT id, status, locked_by, lease_until_utc, attempts FROM task_queue "
        "WHERE lease_until_utc < datetime('now') ORDER BY id"
    )
    keys = ("task_id", "status", "locked_by", "lease_until_utc", "attempts")
    assert [tuple(row[key] for key in keys) for row in rows] == expected
    assert all(3600 <= int(str(row["overdue_seconds"])) < 3700 for row in rows)
    assert session.value("SELECT count(*) FROM queue_stale()") == 8
    assert session.value("SELECT count(*) FROM queue_stale(NULL)") == 8
    assert session.value("SELECT count(*) FROM queue_stale(4000)") == 0


def test_tables_compose_with_where_order_and_joins(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    joined = session.rows(
        "SELECT grace.column1, count(task_id) FROM (VALUES (60), (4000)) AS grace "
        "LEFT JOIN queue_stale(grace.column1) GROUP BY 1 ORDER BY 1"
    )
    assert joined == [(60, 8), (4000, 0)]
    nested = session.value("SELECT json_group_array(status) FROM queue_depth() WHERE tasks = 10")
    assert sorted(json.loads(nested)) == ["completed", "dead_letter", "failed", "queued"]


def test_requeue_returns_how_many_it_rescued(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    assert session.value("SELECT queue_requeue_stale(60)") == 8
    assert session.value("SELECT queue_requeue_stale(60)") == 0
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'queued'") == [(18,)]


def check_backup(queue: Queue, answer: dict[str, Any]) -> None:
    """Each field of the object that queue_backup() returned, against what lies on disk."""
    path = Path(answer["backup_path"])
    assert path.is_absolute()
    assert answer["size_bytes"] == path.stat().st_size
    assert answer["checksum"] == artifacts.sha256(path)
    assert Path(answer["source_path"]).samefile(queue.path)
    counts = dict(queue.query("SELECT status, count(*) FROM task_queue GROUP BY status"))
    assert answer["task_counts"] == counts
    age = datetime.now(timezone.utc) - datetime.fromisoformat(
        answer["created_at"].replace("Z", "+00:00")
    )
    assert 0 <= age.total_seconds() < 60
    fixed = ("backup_type", "compressed", "compression", "parent_id", "page_size", "name")
    assert [answer[key] for key in fixed] == ["full", False, "none", None, 4096, None]
    assert answer["page_count"] == answer["pages_stored"] == answer["size_bytes"] // 4096


def test_backup_answers_with_its_catalog_object(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    answer = session.object("SELECT queue_backup()")
    assert set(answer) == BACKUP_FIELDS
    check_backup(queue, answer)
    version = session.value("SELECT sqlite_version()")
    assert answer["database_version"] == f"SQLite {version}"
    (entry,) = artifacts.catalog(queue.backups)
    # On disk a name that is not there is left out, as version 0.1.0 did.
    assert {"queue_name": None, **entry} == {
        **{key: value for key, value in answer.items() if key != "blocked_writers_ms"},
        "backup_path": Path(answer["backup_path"]).name,
    }


def test_backups_of_one_content_have_one_digest(
    host: Host, apsw: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=200))
    digests = {
        open_session(each, queue.path).object("SELECT queue_backup()")["content_digest"]
        for each in (host, apsw)
    }
    assert len(digests) == 1


def test_backups_lists_the_catalog_newest_first(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    made = [session.object("SELECT queue_backup()") for _ in range(3)]
    rows = session.dicts("SELECT * FROM queue_backups()")
    assert [row["id"] for row in rows] == [answer["id"] for answer in reversed(made)]
    for row, answer in zip(rows, reversed(made)):
        counts = json.loads(str(row.pop("task_counts")))
        assert row.pop("deletion_error") is None
        assert row.pop("damaged_at") is None
        assert {**row, "task_counts": counts, "blocked_writers_ms": 0} == {
            **answer,
            "blocked_writers_ms": 0,
        }
    assert session.value("SELECT count(*) FROM queue_backups(?)", str(queue.backups)) == 3


def test_rotate_returns_how_many_it_deleted(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    made = [session.object("SELECT queue_backup()") for _ in range(4)]
    assert session.value("SELECT queue_rotate(2)") == 2
    kept = [Path(answer["backup_path"]).name for answer in made[2:]]
    assert artifacts.backups_in(queue.backups) == sorted(kept)
    assert session.value("SELECT queue_rotate(2, ?)", str(queue.backups)) == 0


def test_json_results_nest_as_json(host: Host, queue: Queue, open_session: OpenSession) -> None:
    session = open_session(host, queue.path)
    for call in ("queue_stats()", "queue_backup()"):
        assert session.value(f"SELECT json_type(json_array({call}), '$[0]')") == "object"
