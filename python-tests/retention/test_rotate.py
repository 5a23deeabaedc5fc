"""queue_rotate(count): rule 5, nothing is lost by an order to delete."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host, Session
from hosts.protocol import SQLITE_CORRUPT
from support import artifacts
from support.queues import Queue

pytestmark = pytest.mark.rule(5)


def backups(session: Session, count: int, options: str = "{}") -> list[Path]:
    """Makes that many, oldest first."""
    answers = [session.object("SELECT queue_backup(NULL, ?)", options) for _ in range(count)]
    return [Path(answer["backup_path"]) for answer in answers]


def rewrite(queue: Queue, entries: list[dict[str, Any]]) -> None:
    """A catalog as somebody with write access to the directory could leave it."""
    for entry in entries:
        fields = {key: value for key, value in entry.items() if key != "object_digest"}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        entry["object_digest"] = hashlib.sha256(text.encode()).hexdigest()
    (queue.backups / artifacts.CATALOG).write_text(json.dumps(entries), "utf-8")


@pytest.mark.parametrize("keep", [1, 3, 5, 6, 1_000_000])
def test_the_newest_are_kept_and_the_files_of_the_others_deleted(
    keep: int, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = backups(session, 5)
    assert session.value("SELECT queue_rotate(?)", keep) == max(0, 5 - keep)
    kept = made[-keep:]
    assert artifacts.backups_in(queue.backups) == sorted(path.name for path in kept)
    catalog = [entry["backup_path"] for entry in artifacts.catalog(queue.backups)]
    assert sorted(catalog) == sorted(path.name for path in kept)
    rows = session.rows("SELECT backup_path FROM queue_backups()")
    assert [row[0] for row in rows] == [str(path) for path in reversed(kept)]


def test_a_count_is_over_all_series(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    backups(session, 2, '{"name": "daily"}')
    kept = backups(session, 2)
    assert session.value("SELECT queue_rotate(2)") == 2
    assert artifacts.backups_in(queue.backups) == sorted(path.name for path in kept)


def test_the_newest_verified_backup_is_never_deleted(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    old, verified = backups(session, 2, '{"verify": "quick"}')
    newest = backups(session, 3)[-1]
    assert session.value("SELECT queue_rotate(1)") == 3
    assert artifacts.backups_in(queue.backups) == sorted([verified.name, newest.name])
    assert not old.exists()


def test_unknown_files_are_left_alone(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    backups(session, 3)
    unknown = (
        "notes.txt",
        "queue_2025-01-01.db",
        "backup-2025-01-01-000000.db",
        "backup_20250101_000000_old.db",
        "queue_backup_20250101_000000.db",
        "queue_backup_daily_20250101_000000.db",
        ".queuekeeper.tmp",
        "x.tmp",
    )
    for name in unknown:
        (queue.backups / name).write_text("precious")
    assert session.value("SELECT queue_rotate(1)") == 2
    assert all((queue.backups / name).read_text() == "precious" for name in unknown)


@pytest.mark.rule(5)
def test_a_backup_whose_file_is_gone_pushes_no_other_one_out(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = backups(session, 4)
    made[3].unlink()
    assert session.value("SELECT queue_rotate(2)") == 1
    assert artifacts.backups_in(queue.backups) == sorted(path.name for path in made[1:3])
    missing = "SELECT reasons FROM queue_rotation(2) WHERE reasons LIKE '%missing%'"
    assert session.rows(missing) == [("its file is missing",)]


def test_a_backup_elsewhere_is_rotated_in_its_own_directory(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    there = queue.directory / "there"
    there.mkdir()
    for name in ("a.db", "b.db", "c.db"):
        session.object("SELECT queue_backup(?)", str(there / name))
    backups(session, 2)
    assert session.value("SELECT queue_rotate(1, ?)", str(there)) == 2
    assert artifacts.backups_in(there) == ["c.db"]
    assert len(artifacts.backups_in(queue.backups)) == 2


def test_a_default_directory_that_is_not_there_holds_no_backups(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    assert session.value("SELECT queue_rotate(1)") == 0
    assert session.rows("SELECT * FROM queue_backups()") == []
    assert queue.files() == ["queue.db"]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("target", ["victim.db", "../queue.db", "../victim.db", "sub/victim.db"])
def test_a_manifest_that_names_files_outside_deletes_nothing(
    target: str, absolute: bool, queue: Queue, open_python: OpenPython
) -> None:
    if target == "victim.db" and not absolute:
        pytest.skip("a plain file name is none outside")
    session = open_python(queue.path)
    made = backups(session, 3)
    (queue.backups / "sub").mkdir()
    for victim in ("victim.db", "backups/victim.db", "backups/sub/victim.db"):
        (queue.directory / victim).write_text("precious")
    entries = artifacts.catalog(queue.backups)
    entries[0]["backup_path"] = str((queue.backups / target).resolve()) if absolute else target
    rewrite(queue, entries)
    files, content = queue.files(), queue.snapshot()
    error = session.error("SELECT queue_rotate(1)")
    assert error.primary_code == SQLITE_CORRUPT
    assert entries[0]["backup_path"] in error.message
    assert "nothing was changed" in error.message
    assert queue.files() == files
    assert queue.snapshot() == content
    assert all(path.exists() for path in made)


def test_a_manifest_that_names_the_live_database_deletes_it_not(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for name in ("a.db", "b.db"):
        session.object("SELECT queue_backup(?)", str(queue.directory / name))
    entries = artifacts.catalog(queue.directory)
    # The oldest backup's entry now names the live database, digest and all.
    entries[0]["backup_path"] = queue.path.name
    queue.backups.mkdir()
    rewrite(queue, entries)
    (queue.backups / artifacts.CATALOG).rename(queue.directory / artifacts.CATALOG)
    before = queue.snapshot()
    assert session.value("SELECT queue_rotate(1, ?)", str(queue.directory)) == 0
    assert queue.path.exists()
    assert queue.snapshot() == before


def test_an_entry_that_somebody_changed_is_shown_but_not_obeyed(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = backups(session, 3)
    victim = queue.backups / "victim.db"
    entries = artifacts.catalog(queue.backups)
    # As long as the catalog says.
    precious = b"p" * entries[0]["size_bytes"]
    victim.write_bytes(precious)
    entries[0]["backup_path"] = victim.name
    # Written back without a digest that fits.
    (queue.backups / artifacts.CATALOG).write_text(json.dumps(entries), "utf-8")
    assert session.value("SELECT queue_rotate(1)") == 1
    assert victim.read_bytes() == precious
    assert not made[1].exists()
    # The changed entry, the one that stays, and the file that the changed entry was about.
    types = "SELECT backup_type FROM queue_backups() ORDER BY 1"
    assert session.rows(types) == [("adopted",), ("full",), ("full",)]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
def test_a_symbolic_link_in_the_place_of_a_backup_is_not_followed(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = backups(session, 3)
    victim = queue.directory / "victim.db"
    made[0].rename(victim)
    made[0].symlink_to(victim)
    before = victim.read_bytes()
    try:
        session.value("SELECT queue_rotate(1)")
    finally:
        assert victim.read_bytes() == before


@pytest.mark.parametrize(
    "content", ["", "[", "{}", "null", '[{"id": 1}]', "precious notes", "[[]]"]
)
def test_a_manifest_that_is_no_catalog_is_set_aside_and_loses_no_backup(
    content: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = backups(session, 2)
    manifest = queue.backups / artifacts.CATALOG
    manifest.write_text(content)
    # A table changes nothing, an action puts it right.
    assert session.value("SELECT count(*) FROM queue_backups()") == 2
    assert manifest.read_text() == content
    made += backups(session, 1)
    assert session.value("SELECT count(*) FROM queue_backups()") == 3
    aside = [path for path in queue.backups.iterdir() if ".corrupt-" in path.name]
    assert [path.read_text() for path in aside] == [content]
    assert session.value("SELECT queue_rotate(1)") == 2
    assert artifacts.backups_in(queue.backups) == [made[2].name]


def test_unknown_fields_of_the_catalog_survive(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    backups(session, 2)
    entries = artifacts.catalog(queue.backups)
    for entry in entries:
        entry["off_site"] = {"to": "täglich", "times": [1, 2.5, None]}
    rewrite(queue, entries)
    backups(session, 1)
    assert session.value("SELECT queue_rotate(2)") == 1
    kept = [entry for entry in artifacts.catalog(queue.backups) if "off_site" in entry]
    assert [entry["off_site"] for entry in kept] == [{"to": "täglich", "times": [1, 2.5, None]}]


def test_a_catalog_that_lies_elsewhere_is_planned_by_its_word(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    for name in ("a", "b", "b"):
        session.object(f'SELECT queue_backup(NULL, \'{{"name": "{name}"}}\')')
    copy = queue.directory / "remote.json"
    copy.write_bytes((queue.backups / "backup_manifest.json").read_bytes())
    sql = "SELECT backup_path, decision, reasons FROM queue_rotation(1, '{}')"
    here = session.rows(sql.format(queue.backups))
    for file in queue.backups.glob("queue_backup_*"):
        file.unlink()
    files = queue.files()
    # The same plan, although nothing of it is here; the names are those in the catalog.
    assert session.rows(sql.format(copy)) == [
        (Path(str(path)).name, decision, reasons) for path, decision, reasons in here
    ]
    assert [row[1] for row in here] == ["keep", "delete", "delete"]
    error = session.error(f"SELECT queue_rotate(1, '{copy}')")
    assert f"'{copy}' is not a directory" in error.message
    entries = json.loads(copy.read_text("utf-8"))
    entries[2]["size_bytes"] += 1
    copy.write_text(json.dumps(entries), "utf-8")
    reasons = [str(row[2]) for row in session.rows(sql.format(copy))]
    assert "its catalog entry was changed by somebody else" in reasons[0]
    entries[0]["backup_path"] = "../escaped.db"
    copy.write_text(json.dumps(entries), "utf-8")
    assert "'../escaped.db'" in session.error(sql.format(copy)).message
    for content in ("", "{}", "[1]", '[{"id": "x"}]'):
        copy.write_text(content, "utf-8")
        assert f"'{copy}' is no catalog" in session.error(sql.format(copy)).message
    assert session.error(sql.format(queue.path))
    assert queue.files() == files
