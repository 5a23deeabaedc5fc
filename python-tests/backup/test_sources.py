"""Whose backups: several queues in one directory, and each finds, rotates and restores its own."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython, OpenSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hosts import Session, find_host
from support import artifacts, schedules
from support.artifacts import CATALOG
from support.artifacts.manifests import sealed
from support.queues import Queue, Shape, make_queue

pytestmark = pytest.mark.rule(5)

ELSEWHERE = CATALOG + ".elsewhere"
LATEST = "SELECT queue_verify('latest')"
#: What goes by source.
BY_SOURCE = (
    "SELECT queue_backup()",
    "SELECT queue_restore('latest')",
    LATEST,
    "SELECT queue_delete_backup('latest')",
    "SELECT queue_rotate(1)",
    "SELECT * FROM queue_rotation(1)",
)

Open = Callable[[str], Session]


@pytest.fixture
def place(memory: Path, open_python: OpenPython) -> Open:
    """Queues by their names, which share one default directory; the session of one."""

    def opened(name: str) -> Session:
        path = memory / name / "queue.db"
        if not path.exists():
            make_queue(path, Shape(tasks=8))
        session = open_python(path)
        session.rows("SELECT queue_set('backup_dir', ?)", str(memory / "backups"))
        return session

    return opened


def back_up(session: Session, options: str = "{}", path: str | None = None) -> dict[str, Any]:
    return session.object("SELECT queue_backup(?, ?)", path, options)


def named(session: Session, name: str | None) -> None:
    session.rows("SELECT queue_set('queue_name', ?)", name)


def kept(directory: Path) -> dict[str, list[str]]:
    """What a directory holds: by source, the files, the last made first."""
    found: dict[str, list[str]] = {}
    entries = artifacts.catalog(directory)
    for entry in sorted(entries, key=lambda entry: -entry["sequence"]):
        key = entry.get("queue_name") or entry["source_path"]
        assert (directory / entry["backup_path"]).exists()
        found.setdefault(key, []).append(entry["backup_path"])
    return found


def move(memory: Path, source: str, target: str) -> None:
    (memory / target).mkdir()
    for path in (memory / source).iterdir():
        path.rename(memory / target / path.name)


def test_a_restore_of_the_latest_takes_ones_own(place: Open, memory: Path) -> None:
    a, b = place("a"), place("b")
    a.rows("DELETE FROM task_queue WHERE id > 3")
    own = back_up(a)
    back_up(b)
    for word in ("", ', NULL, \'{"dir": "' + str(memory / "backups") + "\"}'"):
        done = a.object(f"SELECT queue_restore('latest'{word})")
        assert (done["id"], done["backup_path"]) == (own["id"], own["backup_path"])
        assert done["created_at"] == own["created_at"]
        assert 0 <= done["age_seconds"] < 3600
    assert a.value("SELECT count(*) FROM task_queue") == 3


def test_without_one_of_its_own_the_others_are_listed_and_none_is_taken(place: Open) -> None:
    a, b, c = place("a"), place("b"), place("c")
    named(c, "orders")
    back_up(b)
    back_up(b)
    back_up(c)
    for call in (
        "queue_verify('latest')",
        "queue_restore('latest')",
        "queue_delete_backup('latest')",
    ):
        message = a.error(f"SELECT {call}").message
        assert "/b/queue.db' (2 backups" in message, message
        assert "the queue 'orders' (1 backup" in message
        assert "former_paths" in message
        assert "queue_name" in message
    assert a.value("SELECT queue_rotate(1)") == 0
    assert a.rows("SELECT * FROM queue_rotation(1)") == []
    assert a.value("SELECT count(*) FROM queue_backups()") == 3
    names = a.rows("SELECT DISTINCT queue_name FROM queue_backups() ORDER BY 1")
    assert names == [(None,), ("orders",)]
    (age,) = a.rows("SELECT value, level FROM queue_health() WHERE metric = 'backup_age'")
    assert age == (None, "critical")


def test_a_rotation_deletes_ones_own_only(place: Open, memory: Path) -> None:
    sessions = [place("a"), place("b"), place("c")]
    named(sessions[2], "orders")
    for _ in range(3):
        made = [Path(back_up(session)["backup_path"]).name for session in sessions]
    plan = sessions[0].dicts("SELECT * FROM queue_rotation(1)")
    assert [row["decision"] for row in plan] == ["keep", "delete", "delete"]
    assert {row["source"] for row in plan} == {str(memory / "a" / "queue.db")}
    assert sessions[0].value("SELECT queue_rotate(1)") == 2
    found = kept(memory / "backups")
    assert found[str(memory / "a" / "queue.db")] == [made[0]]
    assert [len(files) for files in found.values()].count(3) == 2
    assert {row["source"] for row in sessions[2].dicts("SELECT * FROM queue_rotation(1)")} == {
        "orders"
    }


def test_a_database_in_memory_rotates_each_source_apart(
    place: Open, memory: Path, open_python: OpenPython
) -> None:
    sessions = [place("a"), place("b")]
    made: list[str] = []
    for _ in range(3):
        made = [Path(back_up(session)["backup_path"]).name for session in sessions]
    nobody = open_python(":memory:")
    directory = str(memory / "backups")
    message = nobody.error(LATEST.replace(")", ", NULL, json_object('dir', ?))"), directory).message
    assert "several databases" in message
    assert nobody.value("SELECT queue_rotate(1, ?)", directory) == 4
    found = kept(memory / "backups")
    assert sorted(name for files in found.values() for name in files) == sorted(made)
    sessions[0].rows("SELECT queue_delete_backup('latest')")
    only = nobody.object(LATEST.replace(")", ", NULL, json_object('dir', ?))"), directory)
    assert only["backup_path"].endswith(made[1])


def test_an_incremental_builds_on_ones_own_only(place: Open) -> None:
    a, b = place("a"), place("b")
    full = back_up(a)
    back_up(b)
    assert back_up(a, '{"type": "incremental"}')["parent_id"] == full["id"]
    named(a, "orders")
    assert back_up(a, '{"type": "incremental"}')["parent_id"] is not None
    named(b, "others")
    assert back_up(b, '{"type": "incremental"}')["parent_id"] is not None
    c = place("c")
    assert "no earlier backup" in back_up(c, '{"type": "incremental"}')["note"]


def test_a_queue_that_gets_a_name_keeps_what_it_has(place: Open, memory: Path) -> None:
    a, b = place("a"), place("b")
    old = back_up(a)
    back_up(b)
    named(a, "orders")
    assert a.object(LATEST)["id"] == old["id"]
    new = back_up(a)
    assert (new["queue_name"], a.object(LATEST)["id"]) == ("orders", new["id"])
    assert a.value("SELECT queue_rotate(1)") == 1
    assert {len(files) for files in kept(memory / "backups").values()} == {1}
    # The name is what it is known by now: without it, it finds nothing, but is told of it.
    named(a, None)
    assert "the queue 'orders'" in a.error(LATEST).message


@pytest.mark.parametrize("name", [None, "orders"])
def test_a_moved_database(place: Open, memory: Path, name: str | None) -> None:
    session = place("a")
    named(session, name)
    old = back_up(session)
    back_up(place("b"))
    session.close()
    move(memory, "a", "moved")
    moved = place("moved")
    if name is None:
        message = moved.error(LATEST).message
        assert str(memory / "a" / "queue.db") in message
        assert moved.value("SELECT queue_rotate(1)") == 0
        paths = json.dumps([str(memory / "a" / "queue.db")])
        moved.rows("SELECT queue_set('former_paths', ?)", paths)
    assert moved.object(LATEST)["id"] == old["id"]
    made = [back_up(moved)["id"] for _ in range(2)]
    # The one that was verified stays.
    assert moved.value("SELECT queue_rotate(1)") == 1
    ids = {each["id"] for each in artifacts.catalog(memory / "backups")}
    assert len(ids) == 3
    assert {old["id"], made[1]} < ids


@pytest.mark.parametrize("sql", BY_SOURCE)
def test_a_copy_with_the_name_of_its_original_is_refused(
    sql: str, place: Open, memory: Path
) -> None:
    original = place("a")
    named(original, "orders")
    made = [back_up(original) for _ in range(3)]
    original.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(memory / "a", memory / "copy")
    copy = place("copy")
    before = artifacts.catalog(memory / "backups")
    message = copy.error(sql).message
    assert str(memory / "a" / "queue.db") in message
    assert "queue_set('queue_name'" in message
    assert artifacts.catalog(memory / "backups") == before
    # Who names a backup gets it, and what the copy held is saved under its path.
    done = copy.object("SELECT queue_restore(?)", made[0]["backup_path"])
    saved = next(e for e in artifacts.catalog(memory / "backups") if e["name"] == "before_restore")
    assert "queue_name" not in saved
    assert saved["source_path"] == str(memory / "copy" / "queue.db")
    assert done["safety_backup"].endswith(saved["backup_path"])
    original.rows(sql)
    named(copy, "staging")
    copy.rows("SELECT queue_backup()")
    copy.rows(sql)


def test_a_moved_queue_at_whose_old_path_another_database_lies(place: Open, memory: Path) -> None:
    session = place("a")
    named(session, "orders")
    own = back_up(session)
    session.close()
    move(memory, "a", "moved")
    shutil.rmtree(memory / "a")
    stranger = place("a")
    theirs = back_up(stranger)
    moved = place("moved")
    assert "former_paths" in moved.error("SELECT queue_backup()").message
    paths = json.dumps([str(memory / "a" / "queue.db")])
    moved.rows("SELECT queue_set('former_paths', ?)", paths)
    assert moved.object(LATEST)["id"] == own["id"]
    # What has no name is whose path it bears, as long as something lies there.
    assert stranger.object(LATEST)["id"] == theirs["id"]
    assert moved.value("SELECT queue_rotate(1)") == 0


def test_a_broken_database_has_no_name_of_a_queue_that_lay_there_before(
    place: Open, memory: Path, open_session: OpenSession
) -> None:
    session = place("a")
    named(session, "orders")
    back_up(session)
    session.close()
    move(memory, "a", "moved")
    shutil.rmtree(memory / "a")
    stranger = place("a")
    stranger.rows("CREATE TABLE mine(x)")
    own = back_up(stranger)
    moved = place("moved")
    paths = json.dumps([str(memory / "a" / "queue.db")])
    moved.rows("SELECT queue_set('former_paths', ?)", paths)
    back_up(moved)
    stranger.close()
    for path in (memory / "a").glob("queue.db*"):
        path.unlink()
    (memory / "a" / "queue.db").write_bytes(b"no database at all " * 1000)
    # apsw reads a database before it prepares anything.
    broken = open_session(find_host("stdlib"), memory / "a" / "queue.db")
    directory = json.dumps({"dir": str(memory / "backups")})
    done = broken.object("SELECT queue_restore('latest', NULL, ?)", directory)
    assert done["id"] == own["id"]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_name_that_was_not_committed_names_no_backup(
    journal: str, place: Open, memory: Path
) -> None:
    session = place("a")
    session.rows(f"PRAGMA journal_mode={journal}")
    session.rows("BEGIN")
    named(session, "orders")
    session.rows("SELECT queue_set('backup_dir', ?)", str(memory / "other"))
    made = back_up(session)
    session.rows("ROLLBACK")
    assert made["queue_name"] is None
    assert session.object(LATEST)["id"] == made["id"]


def test_a_restore_that_changes_the_name_says_so(place: Open) -> None:
    session = place("a")
    unnamed = back_up(session)
    named(session, "orders")
    first = back_up(session)
    assert "note" not in session.object("SELECT queue_restore(?)", first["backup_path"])
    done = session.object("SELECT queue_restore(?)", unnamed["backup_path"])
    assert "no queue_name now" in done["note"]
    assert "queue_set('queue_name', 'orders')" in done["note"]
    other = place("b")
    done = other.object("SELECT queue_restore(?)", first["backup_path"])
    assert "the queue_name 'orders' now" in done["note"]
    assert "queue_set('queue_name', NULL)" in done["note"]


def test_the_latest_that_only_a_restore_has_saved_is_told(place: Open, memory: Path) -> None:
    session = place("a")
    made = back_up(session, path=f"{memory / 'elsewhere'}/")
    session.object("SELECT queue_restore(?)", made["backup_path"])
    done = session.object("SELECT queue_restore('latest')")
    assert "before_restore" in done["backup_path"]
    assert "no other backup" in done["note"]
    back_up(session)
    assert "note" not in session.object("SELECT queue_restore('latest')")


def test_a_backup_is_no_target_for_who_has_opened_it(place: Open, open_python: OpenPython) -> None:
    session = place("a")
    made = [back_up(session)["backup_path"] for _ in range(2)]
    opened = open_python(made[0])
    for target in (None, made[0]):
        error = opened.error("SELECT queue_restore(?, ?)", made[1], target)
        assert "is a backup" in error.message, error
    opened.close()
    assert session.object("SELECT queue_verify(?)", made[0])["status"] == "ok"


def test_links_lead_to_the_same_source(place: Open, memory: Path, open_python: OpenPython) -> None:
    made = back_up(place("a"))
    (memory / "link").symlink_to(memory / "a")
    (memory / "hard").mkdir()
    linked = open_python(memory / "link" / "queue.db")
    assert linked.object(LATEST)["id"] == made["id"]
    assert back_up(linked)["source_path"] == str(memory / "a" / "queue.db")


def in_namespace(
    mounts: list[tuple[Path, Path]], database: Path, library: Path, *sql: str
) -> list[str]:
    """What the shell says where these directories are mounted at those."""
    shell = shutil.which("sqlite3")
    if shell is None or os.name == "nt" or os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("mounting in a namespace of its own takes Linux, root and a shell")
    binds = "".join(f"mount --bind '{one}' '{other}' && " for one, other in mounts)
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("no namespace can be made here")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{binds}exec '{shell}' -bail '{database}'"],
        input="\n".join([f".load {library.with_suffix('')}", *sql]) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", [None, "orders"])
def test_a_bind_mount_leads_to_the_same_source(
    place: Open, memory: Path, library: Path, name: str | None
) -> None:
    session = place("a")
    named(session, name)
    made = back_up(session)
    (memory / "mounted").mkdir()
    (found,) = in_namespace(
        [(memory / "a", memory / "mounted")],
        memory / "mounted" / "queue.db",
        library,
        f"{LATEST} ->> 'id';",
    )
    assert found == made["id"]


@pytest.mark.parametrize("name", [None, "orders"])
def test_a_path_in_a_container_that_its_host_does_not_have(
    place: Open, memory: Path, library: Path, name: str | None
) -> None:
    session = place("a")
    named(session, name)
    back_up(place("b"))
    for part in ("container", "nothing"):
        (memory / part).mkdir()
    inside = memory / "container" / "queue.db"
    mounts = [(memory / "a", memory / "container"), (memory / "nothing", memory / "a")]
    (made,) = in_namespace(mounts, inside, library, "SELECT queue_backup() ->> 'id';")
    if name is None:
        assert str(inside) in session.error(LATEST).message
        session.rows("SELECT queue_set('former_paths', ?)", json.dumps([str(inside)]))
    assert session.object(LATEST)["id"] == made
    back_up(session)
    back_up(session)
    assert session.value("SELECT queue_rotate(1)") == 1
    if name is not None:
        assert in_namespace(mounts, inside, library, "SELECT queue_rotate(1);") == ["0"]


def test_the_settings_and_what_they_refuse(place: Open) -> None:
    session = place("a")
    assert session.value("SELECT queue_set('former_paths', '[ \"/a\" ]')") == '["/a"]'
    for bad in ("a b", "", ".x", "x" * 65, "a/b"):
        assert "queue_name" in session.error("SELECT queue_set('queue_name', ?)", bad).message
    for bad in ("/a", "[1]", '[""]', "{}"):
        assert "former_paths" in session.error("SELECT queue_set('former_paths', ?)", bad).message


def test_adopted_files_take_nobodys_place_among_several_sources(place: Open, memory: Path) -> None:
    a = place("a")
    own = [back_up(a) for _ in range(2)]
    old = memory / "backups" / "queue_backup_20990101_000000.db"
    old.write_bytes(b"of another tool")
    policy = '{"keep_last": 1, "adopted": true}'
    plan = "SELECT decision, source FROM queue_rotation(?)"
    assert ("keep", None) in a.rows(plan, policy)
    back_up(place("b"))
    decisions = a.rows(plan, policy)
    assert len(decisions) == 3
    assert {row for row in decisions if row[1]} == {
        ("keep", own[0]["source_path"]),
        ("delete", own[0]["source_path"]),
    }
    assert ("keep", None) in decisions


# Backups that were put elsewhere


def test_a_backup_that_was_put_elsewhere_is_the_latest(place: Open, memory: Path) -> None:
    a, b = place("a"), place("b")
    first = back_up(a)
    there = back_up(a, path=f"{memory}/x/")
    assert "note" not in there
    back_up(b, path=f"{memory}/x/")
    back_up(b, path=f"{memory}/y.db")
    assert a.object(LATEST)["backup_path"] == there["backup_path"]
    assert a.object("SELECT queue_restore('latest')")["id"] == there["id"]
    assert a.object("SELECT queue_verify(?)", there["id"])["id"] == there["id"]
    # In a directory that is named, there is what is there.
    directory = json.dumps({"dir": str(memory / "backups")})
    assert a.object("SELECT queue_verify('latest', NULL, ?)", directory)["id"] == first["id"]
    last = back_up(a)
    assert a.object(LATEST)["id"] == last["id"]
    assert b.object(LATEST)["backup_path"] == f"{memory}/y.db"


def test_a_link_by_which_a_backup_was_put_elsewhere_may_go(place: Open, memory: Path) -> None:
    session = place("a")
    back_up(session)
    (memory / "disk").mkdir()
    (memory / "link").symlink_to("disk")
    there = back_up(session, path=f"{memory}/link/")
    assert session.object(LATEST)["id"] == there["id"]
    (memory / "link").unlink()
    found = session.object(LATEST)
    assert found["id"] == there["id"]
    assert "note" not in found


def test_without_a_default_catalog_the_error_says_how_to_name_the_directory(
    place: Open, memory: Path
) -> None:
    a = place("a")
    back_up(a, path=f"{memory}/x/")
    assert not (memory / "backups").exists()
    assert '{"dir": ' in a.error("SELECT queue_restore('latest')").message
    directory = json.dumps({"dir": str(memory / "x")})
    age = a.object("SELECT queue_restore('latest', NULL, ?)", directory)["age_seconds"]
    assert 0 <= age < 3600


def test_a_pointer_to_what_is_gone_hides_no_backup(place: Open, memory: Path) -> None:
    a = place("a")
    own = back_up(a)
    gone = back_up(a, path=f"{memory}/x/")
    Path(gone["backup_path"]).unlink()
    found = a.object(LATEST)
    assert found["id"] == own["id"]
    assert gone["backup_path"] in found["note"]
    assert gone["backup_path"] in a.object("SELECT queue_restore('latest')")["note"]
    shutil.rmtree(memory / "x")
    assert a.object(LATEST)["id"] == own["id"]


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[]", b"{}", b"[1]", b"\x00" * 100, b"[" * 100_000, b" " * (5 << 20)]
)
def test_pointers_that_are_damaged_are_none(content: bytes, place: Open, memory: Path) -> None:
    a = place("a")
    own = back_up(a)
    there = back_up(a, path=f"{memory}/x/")
    (memory / "backups" / ELSEWHERE).write_bytes(content)
    assert a.object(LATEST)["id"] == own["id"]
    assert back_up(a, path=f"{memory}/x/")["id"] == a.object(LATEST)["id"] != there["id"]


def test_a_pointer_leads_only_to_what_is_listed_there_as_ones_own(
    place: Open, memory: Path
) -> None:
    a, b = place("a"), place("b")
    own = back_up(a)
    back_up(a, path=f"{memory}/x/")
    theirs = back_up(b, path=f"{memory}/x/")
    path = memory / "backups" / ELSEWHERE
    pointers = json.loads(path.read_text("utf-8"))
    for victim in (theirs["backup_path"], str(memory / "a" / "queue.db"), "/etc/passwd"):
        pointers[0].update(backup_path=victim, id=theirs["id"])
        path.write_text(json.dumps(pointers), "utf-8")
        assert a.object(LATEST)["id"] == own["id"]


def test_the_order_of_pointers_and_entries_is_that_of_making(place: Open, memory: Path) -> None:
    a = place("a")
    back_up(a)
    path = memory / "backups" / ELSEWHERE
    back_up(a, path=f"{memory}/x/")
    pointers = json.loads(path.read_text("utf-8"))
    # The clock was ahead when it was made.
    pointers[0]["sequence"] += 10**12
    path.write_text(json.dumps(pointers), "utf-8")
    assert a.object(LATEST)["id"] == pointers[0]["id"]
    last = back_up(a)
    assert a.object(LATEST)["id"] == last["id"]


def test_the_name_of_the_pointers_file_is_no_target(place: Open, memory: Path) -> None:
    a = place("a")
    back_up(a)
    target = memory / "backups" / ELSEWHERE
    assert "belongs to the catalog" in a.error("SELECT queue_backup(?)", str(target)).message


# Two ways must agree: a queue among others, and the same queue alone


@pytest.mark.slow
def test_61_days_of_two_queues_in_one_directory(memory: Path, open_python: OpenPython) -> None:
    begin = datetime(2026, 1, 1, 2)
    queues = {name: make_queue(memory / name / "queue.db", Shape(tasks=2)) for name in "abc"}
    sessions = {name: open_python(queue.path) for name, queue in queues.items()}
    for name, session in sessions.items():
        schedules.only(session, "daily")
        session.rows("PRAGMA synchronous=OFF")
        if name != "c":
            session.rows("SELECT queue_set('backup_dir', ?)", str(memory / "shared"))
    for day in range(61):
        # A minute later each day: no backup is exactly as old as the policy's seven days.
        now = begin + timedelta(days=day, minutes=day)
        for session in sessions.values():
            (ran,) = schedules.run_due(session, now)
            assert ran["status"] == "ok", ran
    days = {name: days_of(queue) for name, queue in queues.items()}
    assert days["a"] == days["b"] == days["c"]
    assert len(days["c"]) > 8
    assert sessions["a"].value("SELECT queue_rotate(1)") > 0
    assert (len(days_of(queues["a"])), days_of(queues["b"])) == (1, days["c"])


def days_of(queue: Queue) -> list[str]:
    shared = queue.directory.parent / "shared"
    directory = queue.backups if queue.backups.exists() else shared
    entries = artifacts.catalog(directory)
    own = [each for each in entries if each["source_path"] == str(queue.path)]
    assert all((directory / each["backup_path"]).exists() for each in own)
    return sorted(each["created_at"][:10] for each in own)


@pytest.mark.parametrize("seed", range(3))
def test_queues_together_keep_what_each_keeps_alone(
    seed: int, memory: Path, open_python: OpenPython
) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "c"]
    together: dict[str, Session] = {}
    alone: dict[str, Session] = {}
    for name in names:
        for way, sessions in (("together", together), ("alone", alone)):
            queue = make_queue(memory / way / name / "queue.db", Shape(tasks=2))
            session = open_python(queue.path)
            sessions[name] = session
            directory = memory / "all" if way == "together" else memory / way / name / "backups"
            session.rows("SELECT queue_set('backup_dir', ?)", str(directory))
            if name == "c":
                # The same name in each way: they never see each other.
                named(session, "orders")
    mark: dict[str, str] = {}
    count = 0
    for _ in range(40):
        name = chance.choice(names)
        if chance.random() < 0.7:
            kind = chance.choice(["full", "incremental"])
            count += 1
            for each in (together[name], alone[name]):
                made = back_up(each, json.dumps({"type": kind}))
                mark[made["id"]] = f"{name}{count}"
        else:
            keep = chance.choice(["1", "2", "4", '{"keep_last": 3, "max_total_bytes": 1}'])
            rotate = "SELECT queue_rotate(?)"
            assert together[name].value(rotate, keep) == alone[name].value(rotate, keep)
        for other in names:
            own = {mark[each] for each in ids(memory / "alone" / other / "backups")}
            assert own == {
                one for each in ids(memory / "all") if (one := mark[each]).startswith(other)
            }


def ids(directory: Path) -> list[str]:
    """The ids in a catalog, if there is one."""
    there = (directory / CATALOG).exists()
    return [each["id"] for each in artifacts.catalog(directory)] if there else []


ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 3),  # whose
        st.integers(0, 40 * 24),  # hours ago
        st.integers(0, 3),  # builds on the one so many before it, or on none
        st.booleans(),  # verified
        st.integers(1, 1000),  # bytes
    ),
    max_size=30,
)
POLICIES = st.sampled_from(
    [
        "1",
        "3",
        "7/4/12",
        '{"keep_daily": 5}',
        '{"max_age_days": 9}',
        '{"max_total_bytes": 1500}',
        '{"keep_weekly": 2, "keep_last": 1, "max_total_bytes": 900}',
    ]
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=ENTRIES, policy=POLICIES)
def test_a_plan_among_others_is_the_plan_alone(
    drawn: list[tuple[int, int, int, bool, int]], policy: str, planning: tuple[Session, Path]
) -> None:
    nobody, place = planning
    now = datetime.now()
    entries: list[dict[str, Any]] = []
    for number, (whose, hours, back, verified, size) in enumerate(drawn):
        own = [each for each in entries if each["source_path"] == f"/{whose}.db"]
        parent = own[-back]["id"] if 0 < back <= len(own) else None
        made = (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        entries.append(
            sealed(
                number,
                source_path=f"/{whose}.db",
                created_at=made,
                parent_id=parent,
                verified_at=made if verified else None,
                size_bytes=size,
                sequence=number + 1,
            )
        )

    def plan(listed: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
        path = place / "catalog.json"
        path.write_text(json.dumps(listed), "utf-8")
        rows = nobody.rows("SELECT * FROM queue_rotation(?, ?)", policy, str(path))
        return {str(row[0]): row for row in rows}

    apart: dict[str, tuple[Any, ...]] = {}
    for whose in range(4):
        apart |= plan([each for each in entries if each["source_path"] == f"/{whose}.db"])
    assert plan(entries) == apart


@pytest.fixture
def planning(memory: Path, open_python: OpenPython) -> tuple[Session, Path]:
    """A database in memory, and a place for catalogs."""
    return open_python(":memory:"), memory


def test_what_another_source_builds_on_stays(planning: tuple[Session, Path]) -> None:
    nobody, place = planning
    old = sealed(0, source_path="/a.db", created_at="2026-01-01T00:00:00.000Z")
    new = sealed(1, source_path="/a.db", created_at="2026-01-02T00:00:00.000Z")
    child = sealed(
        2,
        source_path="/b.db",
        queue_name="b",
        created_at="2026-01-03T00:00:00.000Z",
        parent_id=old["id"],
        backup_type="incremental",
    )
    (place / "catalog.json").write_text(json.dumps([old, new, child]), "utf-8")
    sql = "SELECT decision, reasons, source FROM queue_rotation(1, ?) WHERE backup_path = '0.db'"
    (row,) = nobody.rows(sql, str(place / "catalog.json"))
    assert row == ("keep", "needed by 2.db", "/a.db")


def claimed(place: Open, memory: Path, name: str | None) -> tuple[Session, list[dict[str, Any]]]:
    """A queue with three backups, and another whose settings claim them."""
    victim = place("victim")
    named(victim, name)
    made = [back_up(victim) for _ in range(3)]
    thief = place("thief")
    with Queue(memory / "thief" / "queue.db").connect() as connection:
        rows = {
            "queue_name": name,
            "former_paths": json.dumps([str(memory / "victim" / "queue.db")]),
            "keep": '{"keep_last": 1, "adopted": true}',
        }
        connection.executemany("REPLACE INTO queuekeeper_settings VALUES (?, ?)", rows.items())
    return thief, made


@pytest.mark.parametrize("name", [None, "orders"])
def test_settings_that_claim_another_databases_backups_delete_none(
    place: Open, memory: Path, name: str | None
) -> None:
    thief, made = claimed(place, memory, name)
    for day in range(4):
        thief.rows('SELECT queue_backup(NULL, \'{"verify": "quick"}\')')
        schedules.run_due(thief, datetime(2036, 5, 4 + day, 2))
        thief.rows("SELECT queue_rotate(1)")
    with Queue(memory / "thief" / "queue.db").connect() as connection:
        connection.execute("DELETE FROM queuekeeper_settings WHERE name = 'former_paths'")
    thief.rows("SELECT queue_rotate(1)")
    assert all(Path(each["backup_path"]).exists() for each in made)
    if name is None:
        assert thief.object(LATEST)["id"] not in {each["id"] for each in made}
        return
    # Nor do they count. Who takes the other's name is told why they stay.
    plan = thief.dicts("SELECT * FROM queue_rotation(1)")
    reasons = {row["backup_path"]: row["reasons"] for row in plan}
    for each in made:
        assert "another database lies now" in str(reasons[each["backup_path"]])


def test_the_latest_that_is_only_claimed_is_deleted_by_its_path_alone(
    place: Open, memory: Path
) -> None:
    thief, made = claimed(place, memory, "orders")
    error = thief.error("SELECT queue_delete_backup('latest')").message
    assert f"{memory}/victim/queue.db" in error
    assert "pass its path or its id" in error
    assert all(Path(each["backup_path"]).exists() for each in made)
    deleted = thief.object("SELECT queue_delete_backup(?)", made[-1]["id"])
    assert deleted["backup_paths"] == [made[-1]["backup_path"]]


def test_a_database_that_moved_goes_on_to_rotate_what_it_made_before(
    place: Open, memory: Path
) -> None:
    session = place("a")
    named(session, "orders")
    made = [back_up(session) for _ in range(3)]
    session.close()
    move(memory, "a", "moved")
    assert place("moved").value("SELECT queue_rotate(1)") == 2
    assert [Path(each["backup_path"]).exists() for each in made] == [False, False, True]
