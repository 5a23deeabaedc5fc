"""The command line where the database file is gone: what looks at backups needs none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue

from support.package import Package
from support.package.cli import CommandLine, command_line
from support.queues import Queue, Shape

OTHER = Shape(tasks=3)


@pytest.fixture
def call(own: Package) -> Iterator[CommandLine]:
    """The command line, with no database in its environment."""
    with command_line(own) as started:
        yield started


def run(
    call: CommandLine, *arguments: object, status: int = 0, env: dict[str, str] | None = None
) -> str:
    """What a call says, in its output or its error."""
    done = call(*arguments, env=env)
    assert done.status == status, done
    return done.output or done.errors


def told(call: CommandLine, *arguments: object, env: dict[str, str] | None = None) -> Any:
    """What a call says in JSON."""
    return json.loads(run(call, *arguments, "--json", env=env))


def lasting(found: Any) -> Any:
    """A result without what each look changes."""
    if isinstance(found, list):
        return [lasting(each) for each in found]
    passing = ("verified_at", "object_digest", "duration_ms")
    return {name: value for name, value in found.items() if name not in passing}


def lose(queue: Queue) -> None:
    """Removes the database."""
    for path in queue.directory.glob(f"{queue.path.name}*"):
        path.unlink()


def backed_up(call: CommandLine, queue: Queue, *arguments: object) -> dict[str, Any]:
    """A backup of the queue."""
    found: dict[str, Any] = told(call, "backup", *arguments, "--db", queue.path)
    return found


def content(path: Path) -> list[tuple[Any, ...]]:
    """All that the queue in another file holds."""
    return Queue(path).snapshot()


@pytest.mark.parametrize("named", ["--db", "PRISMQ_QUEUE_DB_PATH", "DATABASE_URL"])
def test_what_looks_at_backups_needs_no_database_and_makes_none(
    named: str, call: CommandLine, queue: Queue
) -> None:
    first = backed_up(call, queue, "--name", "daily")
    second = backed_up(call, queue, "--type", "incremental", "--name", "daily")
    assert second["backup_type"] == "incremental"
    option, env = ["--db", str(queue.path)], {}
    if named != "--db":
        url = f"sqlite:///{queue.path}"
        option, env = [], {named: url if named == "DATABASE_URL" else str(queue.path)}
    elsewhere = queue.backups.parent / "moved"
    looks: list[list[object]] = [
        ["verify", *option],
        ["verify", first["id"], "--level", "full", *option],
        ["verify", second["backup_path"], *option],
        ["verify", "latest", "--dir", queue.backups, *option],
        ["backups", *option],
        ["backups", queue.backups, *option],
        ["rotate", "1", "--dry-run", *option],
        ["rotate", '{"name": "other", "keep_last": 1}', queue.backups, "--dry-run", *option],
    ]

    def looked() -> list[Any]:
        return [lasting(told(call, *look, env=env)) for look in looks]

    # Twice, so that all has been verified.
    before = [looked(), looked()][1]
    files = queue.files()
    lose(queue)
    assert looked() == before
    assert queue.files() == [name for name in files if name != queue.path.name]
    assert not list(queue.directory.glob(f"{queue.path.name}*"))
    # With another directory than the default one.
    queue.backups.rename(elsewhere)
    assert str(queue.backups) in run(call, "backups", *option, env=env, status=3)
    assert len(told(call, "backups", elsewhere, *option, env=env)) == 2
    assert told(call, "verify", "--dir", elsewhere, *option, env=env)["status"] == "ok"
    assert not queue.path.exists()


@pytest.mark.parametrize("backup", ["latest", "id", "path"])
def test_restore_makes_the_database(backup: str, call: CommandLine, queue: Queue) -> None:
    before = queue.snapshot()
    first = backed_up(call, queue)
    with queue.connect() as connection:
        connection.execute("DELETE FROM task_queue WHERE id % 2")
    newest = queue.snapshot()
    backed_up(call, queue, "--type", "incremental")
    lose(queue)
    words = {"latest": "latest", "id": first["id"], "path": first["backup_path"]}[backup]
    expected = newest if backup == "latest" else before
    # Into another file the database stays gone.
    copy = queue.directory / "copy.db"
    arguments = ["restore", words, "--to", copy, "--db", queue.path]
    assert told(call, *arguments)["target_path"] == str(copy)
    assert content(copy) == expected
    assert not queue.path.exists()
    done = told(call, "restore", words, "--db", queue.path)
    assert (done["target_path"], done["safety_backup"]) == (str(queue.path), None)
    assert queue.snapshot() == expected
    # Now it is there, and the next one is a live restore again.
    assert "before_restore" in told(call, "restore", "latest", "--db", queue.path)["safety_backup"]
    assert queue.snapshot() == newest


def test_backups_without_any_database_named(
    call: CommandLine, queue: Queue, make: MakeQueue
) -> None:
    made, before = backed_up(call, queue), queue.snapshot()
    lose(queue)
    target, place = queue.directory / "new.db", queue.backups
    assert [each["id"] for each in told(call, "backups", place)] == [made["id"]]
    for words in ("latest", made["id"]):
        assert told(call, "verify", words, "--dir", place)["status"] == "ok"
        restored = told(call, "restore", words, "--dir", place, "--to", target, "--overwrite")
        assert restored["id"] == made["id"]
        assert content(target) == before
    for command in (["backups"], ["verify"], ["restore", "latest", "--dir", place]):
        assert "PRISMQ_QUEUE_DB_PATH" in run(call, *command, status=64)
    # Of two, nothing is guessed.
    other = make(OTHER)
    backed_up(call, other, f"{place}/")
    options = ["--to", target, "--overwrite"]
    error = run(call, "restore", "latest", "--dir", place, *options, status=3)
    assert str(queue.path) in error
    assert str(other.path) in error
    assert content(target) == before


def test_only_its_own_backups_are_a_lost_databases(
    call: CommandLine, queue: Queue, make: MakeQueue, tmp_path: Path
) -> None:
    before, place = queue.snapshot(), tmp_path / "all"
    backed_up(call, queue, f"{place}/")
    named, other = make(Shape(tasks=5)), make(OTHER)
    run(call, "set", "queue_name", "orders", "--db", named.path)
    contents = {queue: before, named: named.snapshot(), other: other.snapshot()}
    for each in (named, other):
        backed_up(call, each, f"{place}/")
    for each in contents:
        lose(each)
    for each, expected in contents.items():
        plan = told(call, "rotate", "1", place, "--dry-run", "--db", each.path)
        assert [row["source"] for row in plan] == ["orders" if each is named else str(each.path)]
        assert told(call, "verify", "--dir", place, "--db", each.path)["status"] == "ok"
        run(call, "restore", "latest", "--dir", place, "--db", each.path)
        assert each.snapshot() == expected
    # Whose path the catalog does not know gets none, and is told whose there are.
    unknown = tmp_path / "unknown.db"
    for arguments in (["restore"], ["verify"], ["restore", "--to", tmp_path / "new.db"]):
        command, *options = arguments
        error = run(call, command, "latest", "--dir", place, "--db", unknown, *options, status=3)
        assert f"'{unknown}' is gone" in error
        assert all(source in error for source in (str(queue.path), "'orders'", str(other.path)))
    assert told(call, "rotate", "1", place, "--dry-run", "--db", unknown) == []
    assert not unknown.exists()
    assert not (tmp_path / "new.db").exists()
    # Another queue at a path that was this one's before: nobody can tell.
    run(call, "set", "queue_name", "invoices", "--db", named.path)
    backed_up(call, named, f"{place}/")
    lose(named)
    error = run(call, "restore", "latest", "--dir", place, "--db", named.path, status=3)
    assert "nobody can tell" in error
    assert "'invoices'" in error
    assert not named.path.exists()


def test_latest_is_what_it_was(call: CommandLine, queue: Queue, tmp_path: Path) -> None:
    backed_up(call, queue)
    newest = queue.snapshot()
    # What a restore saved is not it.
    run(call, "restore", "latest", "--db", queue.path)
    with queue.connect() as connection:
        connection.execute("DELETE FROM task_queue")
    run(call, "restore", "latest", "--db", queue.path)
    lose(queue)
    run(call, "restore", "latest", "--db", queue.path)
    assert queue.snapshot() == newest
    # What was put elsewhere since is.
    with queue.connect() as connection:
        connection.execute("DELETE FROM task_queue WHERE id % 2")
    newest = queue.snapshot()
    elsewhere = tmp_path / "elsewhere"
    made = backed_up(call, queue, f"{elsewhere}/")
    lose(queue)
    assert told(call, "restore", "latest", "--db", queue.path)["id"] == made["id"]
    assert queue.snapshot() == newest
    # But not of a directory that is named.
    lose(queue)
    found = told(call, "restore", "latest", "--dir", queue.backups, "--db", queue.path)
    assert found["id"] != made["id"]
    # Unless it is not there any more, or a newer one was made.
    for change in ("gone", "damaged", "newer"):
        if change == "newer":
            made = backed_up(call, queue)
        elif change == "gone":
            elsewhere.rename(tmp_path / "away")
        else:
            (tmp_path / "away").rename(elsewhere)
            pointers = queue.backups / "backup_manifest.json.elsewhere"
            odd = {"id": "", "source_path": str(queue.path), "backup_path": 7, "sequence": {}}
            pointers.write_text(json.dumps([1, {"id": []}, odd]))
        lose(queue)
        done = call("restore", "latest", "--json", "--db", queue.path)
        assert (json.loads(done.output)["id"] == made["id"]) == (change == "newer"), done
        assert (f"is not there: '{made['backup_path']}'" in done.errors) == (change == "gone")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_to_a_lost_database_leads_to_it(
    call: CommandLine, queue: Queue, tmp_path: Path
) -> None:
    before = queue.snapshot()
    backed_up(call, queue)
    lose(queue)
    link, way = tmp_path / "link.db", tmp_path / "way"
    link.symlink_to(queue.path)
    way.symlink_to(queue.directory)
    for path in (link, way / queue.path.name):
        assert len(told(call, "backups", "--db", path)) == 1
        done = told(call, "restore", "latest", "--db", path)
        assert done["target_path"] == str(queue.path)
        assert queue.snapshot() == before
        lose(queue)
    assert link.is_symlink()


def test_everything_else_says_that_it_is_gone_and_makes_nothing(
    call: CommandLine, queue: Queue
) -> None:
    made = backed_up(call, queue)
    files = queue.files()
    lose(queue)
    commands = (["stats"], ["history"], ["backup"], ["rotate", "1"], ["delete", made["id"]])
    for command in (*commands, ["settings"], ["requeue", "60"], ["set", "keep", "7"]):
        error = run(call, *command, "--db", queue.path, status=3)
        assert "a missing database is not made" in error
    assert queue.files() == [name for name in files if name != queue.path.name]
    # What SQLite would replay over it is in the way of a restore.
    wal = queue.path.with_name(f"{queue.path.name}-wal")
    wal.write_bytes(b"left behind")
    assert f"'{wal}' lies beside" in run(call, "restore", "latest", "--db", queue.path, status=3)
    assert not queue.path.exists()
    # What cannot be looked at is not called gone.
    wal.unlink()
    long = queue.directory / ("long" * 100)
    assert "is gone" not in run(call, "verify", "--dir", queue.backups, "--db", long, status=3)
