"""A backup that turns out to be damaged is marked, and another one is named in its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue, OpenPython

from hosts.python_host import PythonSession
from support.artifacts import catalog
from support.artifacts.kinds import back_up, change, digest_of, make_chain, state, status_of
from support.package import Package
from support.queues import Queue, Shape

pytestmark = pytest.mark.rule(5)

NEWEST = "the newest backup of this database that is sound as far as is known is"
NONE = "no sound backup of this database is known in"


@pytest.fixture
def queue(make: MakeQueue) -> Queue:
    return make(Shape(page_size=512))


@pytest.fixture
def session(queue: Queue, open_python: OpenPython) -> PythonSession:
    return open_python(queue.path)


def damage(artifact: Path) -> bytes:
    """Changes one byte in the middle; the content before."""
    content = artifact.read_bytes()
    place = len(content) // 2
    artifact.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    return content


def by_verify(session: PythonSession, artifact: Path) -> str:
    found = session.object("SELECT queue_verify(?)", str(artifact))
    assert found["status"] == "corrupted", found
    return str(found.get("note", ""))


def by_restore(session: PythonSession, artifact: Path) -> str:
    return str(session.error("SELECT queue_restore(?)", str(artifact)).message)


DOORS = pytest.mark.parametrize("told", [by_verify, by_restore])
Told = Callable[[PythonSession, Path], str]


def damaged_at(session: PythonSession) -> dict[str, Any]:
    rows = session.dicts("SELECT backup_path, damaged_at FROM queue_backups()")
    return {str(row["backup_path"]): row["damaged_at"] for row in rows}


def made(session: PythonSession, **options: Any) -> Path:
    return Path(back_up(session, **options)["backup_path"])


def test_a_new_backup_is_not_damaged(session: PythonSession) -> None:
    assert "damaged_at" not in back_up(session)
    assert set(damaged_at(session).values()) == {None}


@DOORS
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_damage_is_listed_until_the_backup_passes_again(
    compression: str, told: Told, session: PythonSession, queue: Queue
) -> None:
    fine = made(session)
    artifact = made(session, compression=compression, verify="quick")
    content = damage(artifact)
    told(session, artifact)
    (marked,) = session.rows(
        "SELECT backup_path, julianday('now') - julianday(damaged_at) BETWEEN 0 AND 0.01, "
        "verified_at, verified_level FROM queue_backups() WHERE damaged_at IS NOT NULL"
    )
    assert marked == (str(artifact), 1, None, None)
    (entry,) = (one for one in catalog(queue.backups) if one["backup_path"] == artifact.name)
    assert entry["object_digest"] == digest_of(entry)
    artifact.write_bytes(content)
    assert status_of(session, artifact) == "ok"
    assert damaged_at(session) == {str(artifact): None, str(fine): None}


@DOORS
def test_the_newest_verified_backup_is_named_else_the_newest(
    told: Told, session: PythonSession
) -> None:
    alone = made(session)
    content = damage(alone)
    assert NONE in told(session, alone)
    alone.write_bytes(content)
    assert status_of(session, alone) == "ok"
    verified = [made(session, verify="quick") for _ in range(2)]
    unverified = [made(session) for _ in range(2)]
    newest = made(session, compression="gzip", verify="full")
    for artifact, expected in (
        (newest, verified[1]),
        (verified[1], verified[0]),
        (verified[0], alone),
        (alone, unverified[1]),
        (unverified[1], unverified[0]),
    ):
        damage(artifact)
        said = told(session, artifact)
        assert f"{NEWEST} '{expected}' (id " in said
        word = "not verified yet" if expected in unverified else "verified 2"
        assert f", {word}" in said
    unverified[0].unlink()
    assert NONE in told(session, unverified[1])


@DOORS
def test_what_builds_on_the_same_damage_is_not_named(
    told: Told, session: PythonSession, queue: Queue
) -> None:
    full = made(session)
    base, *chain = make_chain(session, queue, "none", 4)
    for artifact in (base, *chain):
        assert status_of(session, artifact) == "ok"
    content = damage(chain[1])
    assert f"{NEWEST} '{chain[0]}'" in told(session, chain[2])
    chain[1].write_bytes(content)
    damage(base)
    assert f"{NEWEST} '{full}'" in told(session, chain[1])
    assert f"{NEWEST} '{full}'" in told(session, chain[0])


def test_a_missing_one_is_no_damage_but_another_is_named(
    session: PythonSession, queue: Queue
) -> None:
    fine = made(session)
    gone = made(session, compression="gzip")
    gone.rename(gone.with_suffix(".away"))
    before = state(queue.directory)
    assert f"{NEWEST} '{fine}'" in by_restore(session, gone)
    assert f"{NEWEST} '{fine}'" in session.error("SELECT queue_verify(?)", str(gone)).message
    assert state(queue.directory) == before


@DOORS
def test_a_safety_backup_and_anothers_are_no_good_answer(
    told: Told, session: PythonSession, queue: Queue, make: MakeQueue, open_python: OpenPython
) -> None:
    first = made(session)
    session.object("SELECT queue_restore(?)", str(first))
    safety = session.value("SELECT backup_path FROM queue_backups() WHERE name = 'before_restore'")
    other = open_python(make(Shape()).path)
    other.object('SELECT queue_backup(?, \'{"verify": "quick"}\')', str(queue.backups))
    newest = made(session)
    damage(newest)
    assert f"{NEWEST} '{first}'" in told(session, newest)
    damage(first)
    assert f"{NEWEST} '{safety}'" in told(session, first)


@DOORS
def test_one_of_the_default_directory_is_named_where_there_is_none_beside(
    told: Told, session: PythonSession, tmp_path: Path
) -> None:
    fine = made(session)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    artifact = Path(session.object("SELECT queue_backup(?)", str(elsewhere))["backup_path"])
    damage(artifact)
    assert f"{NEWEST} '{fine}'" in told(session, artifact)


def test_a_file_that_no_catalog_lists_stands_for_no_other(
    session: PythonSession, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(made(session), copy)
    damage(copy)
    copy.write_bytes(copy.read_bytes()[:-100])
    assert "sound as far" not in by_restore(session, copy)


def test_latest_stays_the_newest(session: PythonSession) -> None:
    made(session)
    newest = made(session)
    damage(newest)
    by_verify(session, newest)
    found = session.object("SELECT queue_verify('latest')")
    assert (found["status"], found["backup_path"]) == ("corrupted", str(newest))


def test_what_builds_on_damage_makes_no_queue_healthy(session: PythonSession, queue: Queue) -> None:
    base, child = make_chain(session, queue, "none", 2)
    for artifact in (base, child):
        assert status_of(session, artifact) == "ok"
    level = "SELECT level FROM queue_health() WHERE metric = 'backup_age'"
    assert session.rows(level) == [("ok",)]
    damage(base)
    assert status_of(session, base) == "corrupted"
    assert session.rows(level) == [("critical",)]


def test_an_id_may_be_shortened(session: PythonSession, queue: Queue) -> None:
    """Wherever an id is taken, and only while it is clear which is meant."""
    entries = [back_up(session) for _ in range(3)]
    change(queue)
    for entry in entries:
        for length in (8, 13, 20):
            for word in (entry["id"][:length], entry["id"][:length].upper()):
                assert session.object("SELECT queue_verify(?)", word)["id"] == entry["id"]
    newest = entries[-1]["id"]
    assert session.object("SELECT queue_restore(?)", newest[:8])["id"] == newest
    assert session.object("SELECT queue_delete_backup(?)", newest[:8])["deleted"] == 1
    error = session.error("SELECT queue_verify(?)", newest[:8])
    assert f"there is no backup '{newest[:8]}'" in error.message
    assert session.error("SELECT queue_verify(?)", entries[0]["id"][:3]).code == error.code


def test_a_beginning_of_several_ids_is_refused(session: PythonSession, queue: Queue) -> None:
    ids = [back_up(session)["id"] for _ in range(2)]
    same = ["beef" + each[4:] for each in ids]
    entries = catalog(queue.backups)
    for entry, new in zip(entries, same):
        entry["id"] = new
        entry["object_digest"] = digest_of(entry)
    (queue.backups / "backup_manifest.json").write_text(json.dumps(entries), "utf-8")
    error = session.error("SELECT queue_delete_backup('beef')")
    assert all(each in error.message for each in same)
    assert session.object("SELECT queue_verify(?)", same[0][:9])["id"] == same[0]


def test_a_file_comes_before_a_shortened_id(
    session: PythonSession, queue: Queue, package: Package
) -> None:
    entry = back_up(session)
    shutil.copy(entry["backup_path"], queue.directory / entry["id"][:8])
    found = package.run(
        """
        import os
        os.chdir(sys.argv[1])
        with queuekeeper.open("queue.db") as queue:
            print(json.dumps(queue.verify(sys.argv[2]).id))
        """,
        queue.directory,
        entry["id"][:8],
    )
    assert found == ""
