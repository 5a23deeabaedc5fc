"""What version 0.1.0 wrote is read: catalogs, artifacts, settings, schedules and remotes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import datetime as at
from pathlib import Path

import pytest
from conftest import OpenPython

from support.artifacts.old_formats import QUEUES, Old, rows_sha256, unpack
from support.package import Package
from support.schedules import jobs, run_due, statuses, text
from support.servers.remotes import environment


@pytest.fixture(params=QUEUES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    return unpack(tmp_path, request.param)


def test_every_backup_restores_to_what_it_did(old: Old, open_python: OpenPython) -> None:
    session = open_python(":memory:")
    catalog = old.catalog()
    kinds = {(each["backup_type"], each["compression"]) for each in catalog}
    assert len(catalog) == 11
    assert len(kinds) == 7
    expected = old.expected()
    assert len(expected) == 8
    for entry in catalog:
        artifact = old.backups / entry["backup_path"]
        verified = session.object("SELECT queue_verify(?, 'full')", str(artifact))
        assert (verified["status"], verified["details"]) == ("ok", []), entry
        target = old.directory / "restored" / artifact.name
        target.parent.mkdir(exist_ok=True)
        session.object("SELECT queue_restore(?, ?)", str(artifact), str(target))
        undo_the_schedules_change(target)
        known = expected.get(artifact.name)
        if known is not None:
            assert rows_sha256(target) == known["rows_sha256"], artifact.name
            assert (entry["checksum"], entry["content_digest"]) == (
                known["checksum"],
                known["content_digest"],
            )


def undo_the_schedules_change(target: Path) -> None:
    """A restore lets the daily job count as done, which is all that it changes."""
    with contextlib.closing(sqlite3.connect(target)) as database, database:
        names = "SELECT name FROM pragma_table_info('queuekeeper_jobs')"
        if ("done_earlier_utc",) not in database.execute(names).fetchall():
            return
        database.execute(
            "UPDATE queuekeeper_jobs SET done_utc = done_earlier_utc, done_earlier_utc = NULL"
            " WHERE job = 'daily'"
        )
        # Version 0.1.0 had no such column.
        database.execute("ALTER TABLE queuekeeper_jobs DROP COLUMN done_earlier_utc")


def test_its_catalog_is_believed(old: Old, open_python: OpenPython) -> None:
    session = open_python(old.queue)
    listed = session.dicts("SELECT * FROM queue_backups()")
    assert sorted(Path(str(each["backup_path"])).name for each in listed) == sorted(
        each["backup_path"] for each in old.catalog()
    )
    # An object whose digest is not right is no order to delete.
    oldest = next(each for each in old.catalog() if each["name"] == "daily")
    deleted = session.object("SELECT queue_delete_backup(?)", oldest["id"])
    assert deleted["deleted"] == 1
    assert not (old.backups / oldest["backup_path"]).exists()


def test_its_hash_files_rebuild_a_catalog(old: Old, open_python: OpenPython) -> None:
    before = {each["id"]: each for each in old.catalog()}
    (old.backups / "backup_manifest.json").unlink()
    session = open_python(old.queue)
    listed = session.dicts("SELECT * FROM queue_backups()")
    # What a verification found stood in the catalog alone.
    for each in listed:
        was = before[each["id"]]
        for field in (
            "backup_type",
            "checksum",
            "content_digest",
            "parent_id",
            "created_at",
            "name",
        ):
            assert each[field] == was[field], (field, each)
    assert len(listed) == len(before)
    made = session.object("SELECT queue_backup()")
    assert {each["id"] for each in old.catalog()} == {*before, made["id"]}


def test_an_incremental_builds_on_its_chain(old: Old, open_python: OpenPython) -> None:
    session = open_python(old.queue)
    session.rows("SELECT queue_set('former_paths', ?)", json.dumps([old.source_path]))
    newest = next(
        each["id"] for each in reversed(old.catalog()) if each["backup_type"] == "incremental"
    )
    made = session.object('SELECT queue_backup(NULL, \'{"type": "incremental", "name": "chain"}\')')
    assert (made["backup_type"], made["parent_id"]) == ("incremental", newest), made
    target = old.directory / "restored.db"
    session.object("SELECT queue_restore('latest', ?)", str(target))
    live = session.rows("SELECT id, status, payload FROM task_queue ORDER BY id")
    restored = open_python(target, load=False)
    assert restored.rows("SELECT id, status, payload FROM task_queue ORDER BY id") == live


def test_its_settings_and_its_schedule_go_on(old: Old, open_python: OpenPython) -> None:
    session = open_python(old.queue)
    rows = session.dicts("SELECT name, value FROM queue_settings()")
    settings = {each["name"]: each["value"] for each in rows}
    assert (settings["full_every"], settings["keep"], settings["backup_dir"]) == (
        5,
        "7/4/12",
        "backups",
    )
    history = session.dicts("SELECT * FROM queue_history()")
    assert {each["job"] for each in history} == {"hourly", "daily", "weekly", "monthly"}
    assert all(each["status"] == "ok" for each in history), history
    schedule = session.dicts("SELECT * FROM queue_schedule()")
    assert {each["last_run_utc"] for each in schedule} == {"2026-11-05 02:00:00"}
    # What it ran is not due again, and what comes next is.
    assert run_due(session, at(2026, 11, 5, 2, 30)) == []
    ran = run_due(session, at(2026, 11, 6, 2))
    assert jobs(ran) == ["hourly", "daily"], text(at(2026, 11, 6, 2))
    assert set(statuses(ran[1]).values()) == {"ok"}, ran


def test_its_remote_gives_everything_back(old: Old, own: Package, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "queue.db"
    elsewhere.parent.mkdir()
    fetched = own.run(
        """
        from pathlib import Path
        from queuekeeper.offsite import Offsite
        copies = Offsite(Path(sys.argv[1]), sys.argv[2])
        pulled = copies.pull("all").as_dict()
        copies.close()
        print(json.dumps(pulled))
        """,
        elsewhere,
        old.remote,
        env=environment(),
    )
    # The remote has all but what was made after the last push.
    there = json.loads((old.remote / "backup_manifest.json").read_text())
    names = {each["backup_path"] for each in there}
    assert len(names) == 11
    assert {name for name in fetched["fetched"] if not name.endswith(".hashes")} == names
    for name in names:
        assert (elsewhere.parent / "backups" / name).read_bytes() == (
            old.backups / name
        ).read_bytes()
