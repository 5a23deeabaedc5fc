"""One grammar: the queue, the options of every command, old spellings, dry runs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.package import Package
from support.package.cli import Called, CommandLine, command_line
from support.queues import Queue

#: Commands that look, with arguments of theirs.
LOOKS = (
    ["stats"],
    ["depth"],
    ["health"],
    ["history"],
    ["schedule"],
    ["settings"],
    ["get", "keep"],
    ["leases", "--stale"],
    ["backups"],
    ["verify"],
    ["verify", "latest", "--level", "full"],
    ["verify", "all"],
    ["restore", "latest", "--dry-run"],
    ["delete", "latest", "--dry-run"],
    ["rotate", "7/4/12", "--dry-run"],
    ["requeue", "60", "--dry-run"],
    ["vacuum", "--dry-run"],
    ["optimize", "--full", "--dry-run"],
    ["integrity"],
    ["offsite", "list", "--remote", "REMOTE"],
    ["offsite", "rotate", "1", "--dry-run", "--remote", "REMOTE"],
    ["backups", "--remote", "REMOTE"],
)
#: What a look changes, or the machine does meanwhile.
PASSING = {
    *("verified_at", "object_digest", "duration_ms", "free_disk_bytes", "value", "age_seconds"),
    "overdue_seconds",
}


@pytest.fixture
def call(own: Package) -> Iterator[CommandLine]:
    """The command line, with no database in its environment."""
    with command_line(own) as started:
        yield started


@pytest.fixture
def remote(call: CommandLine, queue: Queue, tmp_path: Path) -> str:
    """A remote with a copy of the queue's backup."""
    place = str(tmp_path / "remote")
    assert call("backup", queue.path, "--verify", "quick", "--remote", place).status == 0
    return place


def lasting(found: Any) -> Any:
    """JSON without what passes."""
    if isinstance(found, list):
        return [lasting(each) for each in found]
    if isinstance(found, dict):
        return {name: lasting(each) for name, each in found.items() if name not in PASSING}
    return found


def with_queue_first(command: list[str], queue: Queue) -> list[str]:
    """A command with the queue as its first argument."""
    words = 2 if command[0] == "offsite" else 1
    return [*command[:words], str(queue.path), *command[words:]]


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_the_queue_is_named_in_each_way_and_options_stand_anywhere(
    command: list[str], call: CommandLine, queue: Queue, remote: str
) -> None:
    command = [remote if each == "REMOTE" else each for each in command]
    database = str(queue.path)
    env = {"PRISMQ_QUEUE_DB_PATH": database}
    ways: list[Called] = [
        call(*command, "--json", env=env),
        call("--json", *command, env=env),
        call("--json", "--db", database, *command),
        call(*command, "--json", "-d", database),
        call("--yes", *with_queue_first(command, queue), "--json", "-q"),
    ]
    assert {each.errors for each in ways} == {""}, ways
    assert len({each.status for each in ways}) == 1, ways
    found = [lasting(json.loads(each.output)) for each in ways]
    assert all(each == found[0] for each in found), found
    # Quiet, there is nothing but the status.
    quiet = call("-q", *command, env=env)
    assert (quiet.status, quiet.output, quiet.errors) == (ways[0].status, "", "")
    told = call("-v", *command, env=env)
    assert "queuekeeper: done: status" in told.errors, told
    # Without a queue, it is asked for, in one line.
    if not {"--remote", remote} & set(command):
        asked = call(*command)
        assert (asked.status, asked.output) == (64, ""), asked
        assert "no database" in asked.errors
        assert "QUEUE" in asked.errors


def test_where_it_is_said_where_to_look_no_queue_is_needed(
    call: CommandLine, queue: Queue, remote: str, tmp_path: Path
) -> None:
    (backup,) = queue.backups.glob("*.db")
    for command in (
        ["backups", "--dir", queue.backups],
        ["backups", "--remote", remote],
        ["verify", "latest", "--dir", queue.backups],
        ["verify", "--dir", queue.backups],
        ["verify", backup],
        ["restore", "latest", "--dir", queue.backups, "--to", tmp_path / "one.db"],
        ["restore", backup, "--to", tmp_path / "two.db"],
        ["offsite", "list", "--remote", remote],
    ):
        done = call(*command)
        assert (done.status, done.errors) == (0, ""), done
    # With a queue as well, it is the queue's.
    named = call("verify", queue.path, "latest", "--dir", queue.backups)
    assert named.status == 0, named


def test_a_value_that_may_be_left_out_takes_no_queue_for_it(
    call: CommandLine, queue: Queue
) -> None:
    for option in (
        ["leases", "--stale"],
        ["leases", "--by-worker", "--stale"],
        ["health", "--ack"],
    ):
        first = call(option[0], queue.path, *option[1:], "--json", "--yes")
        behind = call(*option, queue.path, "--json", "--yes")
        assert (behind.status, behind.errors) == (first.status, "")
        assert lasting(json.loads(behind.output)) == lasting(json.loads(first.output))
    assert "no number of seconds" in call("leases", queue.path, "--stale", "soon").errors
    assert "is a file" in call("leases", "--db", queue.path, "--stale", queue.path).errors


def test_a_lost_database_is_answered_with_what_brings_it_back(
    call: CommandLine, tmp_path: Path
) -> None:
    lost = tmp_path / "lost.db"
    done = call("health", lost)
    assert done.status == 3, done
    assert f"'queuekeeper restore {lost} latest' makes it anew" in done.errors


def test_what_cannot_be_meant_is_said_and_what_may_be(call: CommandLine, queue: Queue) -> None:
    database = str(queue.path)
    for words, said in (
        (["bakup", database], "did you mean 'backup'?"),
        (["offsite", "pusch", database], "did you mean 'push'?"),
        (["set", database, "kep", "3"], "did you mean 'keep'?"),
        (["get", database, "kep"], "did you mean 'keep'?"),
        (["stats", "--jsom", database], "--json"),
        (["verify", "all", database], "'all' is none; name it first (queuekeeper verify QUEUE …)"),
        (["stats", "--db", database, database], "named twice"),
        (["--remote", "elsewhere:", "vacuum", database], "takes no --remote"),
        (["help", "stats", "more"], "has no commands of its own"),
    ):
        done = call(*words)
        assert done.status in (3, 64), done
        assert said in done.errors, done
        assert done.errors.count("\n") == 1, done


def test_old_spellings_work_with_a_hint_that_names_the_new(
    call: CommandLine, queue: Queue, remote: str, tmp_path: Path
) -> None:
    env = {"PRISMQ_QUEUE_DB_PATH": str(queue.path)}
    other = tmp_path / "other.db"
    shutil.copy(queue.path, other)
    target = tmp_path / "copy.db"
    for old, new in (
        (["stale"], ["leases", "--stale"]),
        (["stale", "60"], ["leases", "--stale", "60"]),
        (["set", "keep", "--reset"], ["unset", "keep"]),
        (["restore", "latest", "--target", target], ["restore", "--to"]),
        (["backups", queue.backups], ["backups", "--dir", queue.backups]),
        (["rotate", "7", queue.backups], ["rotate", "7", "--dir", queue.backups]),
        (["depth", other], ["depth", "--db", other]),
    ):
        done = call(*old, env=env)
        assert done.status == 0, done
        spelled = " ".join(map(str, new))
        assert f"is now '{spelled}'" in done.errors, done
        if new[0] != "restore":
            again = call(*new, env=env)
            assert (again.output, again.errors) == (done.output, ""), again
    # A command that fails says what failed, and no more.
    assert call("stale", "-5", "--db", other).errors.count("\n") == 1


def files(directory: Path) -> dict[str, bytes]:
    """All files but locks and what SQLite keeps beside a database."""
    found = (each for each in directory.rglob("*") if each.is_file())
    # Closing the last connection moves what is in the WAL; the tasks are compared by themselves.
    passing = ("queue.db", "-wal", "-shm", ".lock", "-schedule", "-run-due", "-run-due-offsite")
    return {str(each): each.read_bytes() for each in found if not each.name.endswith(passing)}


def test_a_dry_run_shows_it_and_changes_nothing(
    call: CommandLine, queue: Queue, remote: str
) -> None:
    env = {"PRISMQ_QUEUE_DB_PATH": str(queue.path)}
    assert call("backup", "--type", "incremental", env=env).status == 0
    parent = json.loads(call("backups", "--json", env=env).output)[-1]["id"]
    before, tasks = files(queue.directory), queue.snapshot()
    for words, said in (
        (["delete", parent, "--dependants"], "would be deleted"),
        (["rotate", "1"], "0 backups of 2 would be deleted"),
        (["rotate", '{"keep_last": 1, "name": "no"}'], "would be deleted"),
        (["restore", "latest"], "would restore"),
        (["requeue", "60"], "8 tasks would be requeued"),
        (["vacuum"], "would win"),
        (["optimize", "--full"], "would win"),
        (["offsite", "rotate", "1", "--remote", remote], "would be deleted"),
    ):
        done = call(*words, "--dry-run", env=env)
        assert (done.status, done.errors) == (0, ""), done
        assert said in done.output, done
        assert (files(queue.directory), queue.snapshot()) == (before, tasks), words
    shown = json.loads(
        call("delete", parent, "--dependants", "--dry-run", "--json", env=env).output
    )
    really = json.loads(call("delete", parent, "--dependants", "--json", env=env).output)
    assert {**really, "dry_run": True} == shown


def test_a_lock_that_somebody_holds_is_status_4(call: CommandLine, queue: Queue) -> None:
    with closing(sqlite3.connect(queue.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        done = call("requeue", queue.path, "60")
    assert done.status == 4, done
    assert "another connection is writing" in done.errors
    assert "PRAGMA" not in done.errors
