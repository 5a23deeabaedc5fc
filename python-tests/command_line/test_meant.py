"""A command acts on what was meant, or on nothing: no other queue, directory, file or backup."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.package import Package
from support.package.cli import CommandLine, command_line
from support.queues import Queue


@pytest.fixture
def call(own: Package) -> Iterator[CommandLine]:
    """The command line, with no database in its environment."""
    with command_line(own) as started:
        yield started


def files(directory: Path) -> list[str]:
    """The names of all files but what SQLite keeps beside a database."""
    found = (str(each) for each in directory.rglob("*"))
    return sorted(each for each in found if not each.endswith(("-wal", "-shm")))


def test_a_queue_that_is_named_twice_is_none(
    call: CommandLine, queue: Queue, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(queue.path, other)
    for words in (
        ["depth", other, "--db", queue.path],
        ["health", queue.path, "--ack", other],
        ["health", "--ack", other, "--db", queue.path],
        ["leases", "--stale", other, "-d", queue.path],
    ):
        done = call(*words)
        assert (done.status, done.output) == (64, ""), done
        assert "twice" in done.errors or "is a file" in done.errors


@pytest.mark.parametrize(
    "words",
    [
        ["--db", "", "depth"],
        ["depth", "--db", ""],
        ["depth", ""],
        ["backup", ""],
        ["rotate", "1", "--dir", ""],
        ["restore", "latest", "--to", ""],
        ["restore", "latest", "--target", ""],
        ["offsite", "push", "--remote", ""],
        ["--remote", "", "offsite", "rotate", "1"],
        ["run-due", "--env-file", ""],
        ["health", "--ack", ""],
        ["leases", "--stale", ""],
    ],
    ids=str,
)
def test_an_empty_name_means_nothing_else(
    words: list[str], call: CommandLine, queue: Queue, tmp_path: Path
) -> None:
    env = {
        "PRISMQ_QUEUE_DB_PATH": str(queue.path),
        "QUEUEKEEPER_REMOTE": str(tmp_path / "remote"),
    }
    for _ in range(2):
        assert call("backup", "--no-offsite", env=env).status == 0
    risks = json.loads(call("get", "accepted_risks", "--json", env=env).output)
    before, tasks = files(tmp_path), queue.snapshot()
    done = call(*words, env=env)
    assert done.status in (3, 64), done
    assert done.output == ""
    assert (files(tmp_path), queue.snapshot()) == (before, tasks)
    assert json.loads(call("get", "accepted_risks", "--json", env=env).output) == risks


def test_a_queue_without_backups_is_no_sound_backup(call: CommandLine, queue: Queue) -> None:
    assert not queue.backups.exists()
    done = call("verify", queue.path)
    assert (done.status, done.output) == (3, ""), done


def test_the_advice_works_where_the_environment_names_another_queue(
    call: CommandLine, queue: Queue, tmp_path: Path
) -> None:
    lost = tmp_path / "lost.db"
    done = call("health", "--db", lost, env={"PRISMQ_QUEUE_DB_PATH": str(queue.path)})
    assert f"'queuekeeper restore --db {lost} latest' makes it anew" in done.errors


def test_a_dry_run_of_a_restore_from_the_remote_pulls_nothing(
    call: CommandLine, queue: Queue, tmp_path: Path
) -> None:
    remote = str(tmp_path / "remote")
    assert call("backup", queue.path, "--remote", remote).status == 0
    shutil.rmtree(queue.backups)
    before = files(tmp_path)
    words = ["restore", queue.path, "latest", "--remote", remote, "--json"]
    planned = json.loads(call(*words, "--dry-run").output)
    assert files(tmp_path) == before
    done = json.loads(call(*words, "--yes").output)
    assert Path(done["backup_path"]).name == planned["backup_path"]
    for name in ("id", "created_at", "target_path"):
        assert planned[name] == done[name]


def test_all_are_verified_though_one_is_not_there(call: CommandLine, queue: Queue) -> None:
    for kind in ("full", "incremental", "incremental", "full"):
        assert call("backup", queue.path, "--type", kind).status == 0
    lost = sorted(queue.backups.glob("*.delta.db"))[0]
    lost.unlink()
    done = call("verify", queue.path, "all", "--json")
    assert done.status == 1, done
    found = {Path(each["backup_path"]).name: each for each in json.loads(done.output)}
    assert sorted(each["status"] for each in found.values()) == ["failed", "failed", "ok", "ok"]
    assert "is missing" in found[lost.name]["details"][0]
    assert call("verify", queue.path, "all").status == 1


def test_quiet_leaves_hints_out(call: CommandLine, queue: Queue) -> None:
    assert call("backup", queue.path).status == 0
    done = call("--quiet", "delete", queue.path, "latest")
    assert (done.status, done.output, done.errors) == (0, "", "")


def test_numbers_that_cannot_be_are_said_in_words(call: CommandLine, queue: Queue) -> None:
    for words in (["--limit", 2**63], ["--limit", 0], ["--expect", -1]):
        done = call("requeue", queue.path, "--all", *words)
        assert done.status == 64, done
        assert "JSON" not in done.errors


@pytest.mark.parametrize("stored", ["garbage", "5", "{}"])
def test_a_list_of_risks_that_is_none_is_not_added_to(
    stored: str, call: CommandLine, queue: Queue
) -> None:
    assert call("set", queue.path, "accepted_risks", "[]").status == 0
    with queue.connect() as connection:
        connection.execute(
            "UPDATE queuekeeper_settings SET value = ? WHERE name = 'accepted_risks'", [stored]
        )
    done = call("health", queue.path, "--ack", "sqlite_version")
    assert done.status == 3, done
    assert f"'queuekeeper unset {queue.path} accepted_risks'" in done.errors
    assert call("unset", queue.path, "accepted_risks").status == 0
    assert call("health", queue.path, "--ack", "sqlite_version").status in (0, 1, 2)


LATER = """
import contextlib, io
from queuekeeper.cli import shared, run
path, command = sys.argv[1], sys.argv[2:]
def answered(*_, **__):
    # As cron would, while somebody reads the question.
    made.append(queuekeeper.open(path).backup())
    return True
made = []
shared.click.confirm = answered
sys.stdin.isatty = lambda: True
found = io.StringIO()
with contextlib.redirect_stdout(found):
    assert run([*command, "latest", "--db", path, "--json"]) == 0
assert os.path.exists(made[0].backup_path)
print(json.dumps(json.loads(found.getvalue())))
"""


@pytest.mark.parametrize("command", ["delete", "restore"])
def test_what_was_asked_about_is_what_is_done(command: str, own: Package, queue: Queue) -> None:
    assert own.cli("backup", queue.path).returncode == 0
    (asked,) = queue.backups.glob("*.db")
    told = own.run(LATER, queue.path, command)
    assert str(asked) in (told.get("backup_path"), *told.get("backup_paths", []))
