"""run-due copies the backups elsewhere: what it pushes, what it rotates, and what failures do."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from queuekeeper._lock import locked
from support.artifacts import catalog
from support.package import LIMIT_SECONDS, Package
from support.package.cli import CommandLine, command_line
from support.queues import Queue
from support.servers.listener import Listener, listening

RunDue = Callable[..., "list[Any]"]

#: A Thursday, on which only the daily job has its time; the remote is rotated by the real clock.
FIRST = "2019-01-03 12:00:00"
MORNING = "2019-01-{day:02} 02:00:00"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as started:
        yield started


@pytest.fixture
def call(own: Package) -> Iterator[CommandLine]:
    with command_line(own) as started:
        yield started


@pytest.fixture
def remote(queue: Queue) -> Path:
    """A directory, which is a remote as good as any."""
    return queue.directory / "the other disk" / "copies"


@pytest.fixture
def run_due(call: CommandLine, queue: Queue, remote: Path, listener: Listener) -> RunDue:
    """Calls of run-due with that remote, which tell the listener; what each ran."""

    def called(now: str, *options: object, status: int = 0, **env: str) -> list[Any]:
        fixed = {
            "QUEUEKEEPER_REMOTE": str(remote),
            "QUEUEKEEPER_REMOTE_KEEP": "3",
            "QUEUEKEEPER_NOTIFY": listener.ntfy,
            "QUEUEKEEPER_HEARTBEAT": listener.heartbeat,
        }
        done = call("run-due", queue.path, "--now", now, "--json", *options, env={**fixed, **env})
        assert done.status == status, done
        found = json.loads(done.output)
        assert isinstance(found, list)
        return found

    return called


def steps(ran: list[Any], job: str = "offsite") -> dict[str, str]:
    """The steps of a job, and what each came to."""
    found = [step for one in ran if one["job"] == job for step in one["steps"]]
    return {step["step"]: step["status"] for step in found}


def names(directory: Path) -> set[str]:
    """The backups that a catalog lists."""
    return {Path(entry["backup_path"]).name for entry in catalog(directory)}


def times(one: Any) -> tuple[str, str | None]:
    """A job, and for which of its times it is run."""
    return one["job"], one.get("due_utc") if one["job"] != "offsite" else None


def written(queue: Queue) -> dict[str, int]:
    """When each file was last written; SQLite makes an empty -wal when it opens a database."""
    files = [path for path in queue.directory.rglob("*") if path.is_file() and path.stat().st_size]
    return {path.name: path.stat().st_mtime_ns for path in files if path.suffix != ".db-shm"}


def in_the_way(remote: Path) -> Path:
    """A file where the remote's disk would be mounted."""
    remote.parent.write_text("not mounted")
    return remote.parent


def test_what_was_backed_up_is_pushed_rotated_there_and_told(
    run_due: RunDue, queue: Queue, remote: Path, listener: Listener
) -> None:
    ran = run_due(FIRST)
    assert [one["job"] for one in ran][-2:] == ["offsite", "notify"]
    assert steps(ran) == {"push": "ok", "rotate remote": "ok"}
    assert names(remote) == names(queue.backups)
    (told,) = listener.take()
    assert told.title.endswith("daily backup, weekly backup, monthly backup and offsite push done")
    assert f"1 pushed to {remote}" in told.body
    assert "rotate remote: 0 deleted (keep 3)" in told.body
    assert listener.beats == 1
    for day in (4, 5, 6, 7):
        run_due(MORNING.format(day=day))
    assert len(names(queue.backups)) > len(names(remote)) == 3
    assert names(remote) < names(queue.backups)
    assert listener.kinds == ["success"] * 4


def test_an_upload_that_fails_fails_no_backup_and_is_tried_again_though_nothing_is_due(
    run_due: RunDue, queue: Queue, remote: Path, listener: Listener
) -> None:
    obstacle = in_the_way(remote)
    ran = run_due(FIRST, status=1)
    assert [(one["job"], one["status"]) for one in ran] == [
        *((job, "ok") for job in ("hourly", "daily", "weekly", "monthly")),
        ("offsite", "failed"),
        ("notify", "ok"),
    ]
    (told,) = listener.take()
    assert (told.kind, told.priority) == ("failure", "high")
    assert str(remote) in told.body
    assert "the local backups are safe" in told.body
    assert "daily:\n- backup of" in told.body
    assert len(names(queue.backups)) == 1

    # At once, then after a minute, two, four; what is known is not told again.
    tried = [
        minute for minute in range(12) if steps(run_due(f"2019-01-03 12:{minute:02}:30", status=1))
    ]
    assert tried == [0, 1, 3, 7]
    assert (listener.take(), listener.beats) == ([], 0)

    obstacle.unlink()
    ran = run_due("2019-01-03 12:16:00")
    assert [one["job"] for one in ran] == ["offsite", "notify"]
    (told,) = listener.take()
    assert (told.kind, told.title.endswith("offsite push works again")) == ("recovery", True)
    assert listener.beats == 1
    assert names(remote) == names(queue.backups)
    assert run_due("2019-01-03 12:17:00") == []
    rows = queue.query("SELECT status FROM queuekeeper_log WHERE step = 'push' ORDER BY id")
    assert [status for (status,) in rows] == ["failed"] * 5 + ["ok"]


def test_a_new_backup_ends_the_pause(run_due: RunDue, remote: Path, queue: Queue) -> None:
    obstacle = in_the_way(remote)
    for minute in (0, 1, 2):
        run_due(f"2019-01-03 23:5{minute}:00", status=1)
    assert run_due("2019-01-03 23:53:00", status=1) == []
    queue.query("UPDATE queuekeeper_jobs SET done_utc = '2019-01-02 03:00:00' WHERE job = 'daily'")
    obstacle.unlink()
    ran = run_due("2019-01-03 23:53:30")
    assert steps(ran) == {"push": "ok", "rotate remote": "ok"}


def test_a_backup_that_was_made_by_hand_is_pushed_by_the_next_call(
    run_due: RunDue, call: CommandLine, queue: Queue, remote: Path
) -> None:
    everything = {"QUEUEKEEPER_REMOTE_KEEP": ""}
    run_due(FIRST, **everything)
    # Another tool's file, which is no matter for a push.
    (queue.backups / "backup-2029-11-05-143022.db").write_bytes(queue.path.read_bytes())
    assert run_due("2019-01-03 12:01:00", **everything) == []
    done = call("backup", "--db", queue.path, "--name", "by_hand")
    assert done.status == 0, done
    assert steps(run_due("2019-01-03 12:02:00", **everything))["push"] == "ok"
    assert any("by_hand" in name for name in names(remote))
    assert run_due("2019-01-03 12:03:00", **everything) == []


def test_without_a_policy_nothing_is_rotated_there_and_without_offsite_nothing_is_pushed(
    run_due: RunDue, queue: Queue, remote: Path
) -> None:
    assert "offsite" not in {one["job"] for one in run_due(FIRST, "--no-offsite")}
    assert not remote.exists()
    ran = run_due("2019-01-03 12:01:00", QUEUEKEEPER_REMOTE_KEEP="")
    assert steps(ran) == {"push": "ok"}
    assert names(remote) == names(queue.backups)


def test_the_remote_may_be_a_setting(call: CommandLine, queue: Queue, remote: Path) -> None:
    for name, value in (("remote", remote), ("remote_keep", "1")):
        done = call("set", "--db", queue.path, name, value)
        assert done.status == 0, done
    for now in (FIRST, *(MORNING.format(day=day) for day in (4, 5, 6))):
        done = call("run-due", queue.path, "--now", now)
        assert done.status == 0, done
    assert "push ok, rotate remote ok" in done.output
    assert 1 <= len(names(remote)) < len(names(queue.backups))


def test_a_password_in_the_remote_is_nowhere(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    # rclone's way to obscure a password is no encryption, so what is obscured is secret, too.
    secret = "hunter2-of-the-remote"
    remote = f":webdav,url='http://127.0.0.1:1/{secret}',user=me,bearer_token={secret}:"
    ran = run_due(FIRST, status=1, QUEUEKEEPER_REMOTE=remote)
    assert steps(ran) == {"push": "failed"}
    assert secret not in json.dumps(ran)
    assert listener.messages
    assert secret not in "".join(listener.raw)
    files = [path for path in queue.directory.rglob("*") if path.is_file()]
    assert secret.encode() not in b"".join(path.read_bytes() for path in files)


@pytest.mark.skipif(os.name == "nt", reason="the counter is a script for a shell of Unix")
def test_no_process_is_started_when_there_is_nothing_to_copy(
    run_due: RunDue, own: Package, queue: Queue, tmp_path: Path
) -> None:
    rclone = own.run("from queuekeeper.offsite.rclone import find\nprint(json.dumps(find()))")
    counted, script = tmp_path / "started", tmp_path / "rclone"
    script.write_text(f'#!/bin/sh\necho started >> "{counted}"\nexec "{rclone}" "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    env = {"QUEUEKEEPER_RCLONE": str(script)}
    run_due(FIRST, **env)
    assert counted.read_text().count("started") == 1
    for hour in range(13, 24):
        run_due(f"2019-01-03 {hour}:00:00", **env)
    assert counted.read_text().count("started") == 1


@pytest.mark.skipif(os.name == "nt", reason="it locks as Unix does")
def test_while_another_process_copies_the_jobs_run_and_it_tells(
    run_due: RunDue, queue: Queue, remote: Path, listener: Listener
) -> None:
    program = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1); input()"
    lock = f"{queue.path}-run-due-offsite"
    command = [sys.executable, "-uc", program, lock]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "1\n"
    ran = run_due(FIRST)
    assert [one["job"] for one in ran] == ["hourly", "daily", "weekly", "monthly"]
    assert (listener.messages, listener.beats, remote.exists()) == ([], 0, False)
    other.communicate("\n", timeout=LIMIT_SECONDS)
    run_due("2019-01-03 12:01:00")
    (told,) = listener.take()
    assert told.title.endswith("daily backup, weekly backup, monthly backup and offsite push done")
    assert listener.beats == 1


def test_a_catalog_that_cannot_be_read_fails_steps_and_not_the_call(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    run_due(FIRST)
    listener.take()
    manifest = queue.backups / "backup_manifest.json"
    kept = manifest.rename(queue.directory / "kept")
    manifest.mkdir()
    ran = run_due("2019-01-04 02:00:00", status=1)
    assert steps(ran, "daily")["backup"] == "failed"
    assert steps(ran) == {"push": "failed"}
    (told,) = listener.take()
    assert told.title.endswith("daily backup and offsite push failed")
    manifest.rmdir()
    kept.rename(manifest)
    ran = run_due("2019-01-04 02:01:00")
    assert steps(ran) == {"push": "ok", "rotate remote": "ok"}
    (told,) = listener.take()
    assert told.title.endswith("daily backup and offsite push work again")


def test_a_backup_directory_that_is_empty_ends_no_failure(
    run_due: RunDue, queue: Queue, remote: Path, listener: Listener
) -> None:
    obstacle = in_the_way(remote)
    run_due(FIRST, status=1)
    obstacle.unlink()
    kept = queue.backups.rename(queue.directory / "kept")
    queue.backups.mkdir()
    assert steps(run_due("2019-01-03 12:00:10", status=1)) == {"push": "failed"}
    assert listener.kinds == ["failure"]
    queue.backups.rmdir()
    kept.rename(queue.backups)
    assert steps(run_due("2019-01-03 12:01:10"))["push"] == "ok"
    assert listener.kinds == ["failure", "recovery"]


def log(queue: Queue, step: str) -> list[tuple[str, Any]]:
    """The rows of a step of the copies: status and detail."""
    sql = (
        "SELECT status, detail FROM queuekeeper_log WHERE job = 'offsite' AND step = ? ORDER BY id"
    )
    with contextlib.closing(sqlite3.connect(queue.path)) as connection:
        return connection.execute(sql, [step]).fetchall()


def test_a_policy_that_is_given_up_leaves_nothing_to_try_again(
    run_due: RunDue, queue: Queue
) -> None:
    run_due(FIRST)
    sql = "UPDATE queuekeeper_log SET status = 'failed', detail = 'x' WHERE step = 'rotate remote'"
    with contextlib.closing(sqlite3.connect(queue.path)) as connection, connection:
        connection.execute(sql)
    given_up = {"QUEUEKEEPER_REMOTE_KEEP": ""}
    told = run_due("2019-01-03 12:05:00", **given_up)
    assert [one["job"] for one in told] == ["notify"]
    assert run_due("2019-01-03 12:10:00", **given_up) == []
    assert steps(run_due("2019-01-03 12:15:00")) == {"push": "ok", "rotate remote": "ok"}


@pytest.mark.parametrize("by", ["offsite push", "backup --offsite"])
def test_a_push_by_hand_is_recorded_as_one_of_run_due(
    by: str, call: CommandLine, run_due: RunDue, queue: Queue, remote: Path
) -> None:
    everything = {"QUEUEKEEPER_REMOTE_KEEP": ""}
    run_due(FIRST, **everything)
    ((_, first),) = log(queue, "push")
    done = call("backup", "--db", queue.path, "--no-offsite")
    assert done.status == 0, done
    arguments = [*by.split(), "--db", queue.path]
    kept = remote.parent.rename(queue.directory / "kept")
    obstacle = in_the_way(remote)
    done = call(*arguments, "--remote", remote)
    assert done.status != 0, done
    assert [status for status, _ in log(queue, "push")] == ["ok", "failed"]
    assert log(queue, "push")[-1][1] in " ".join(done.errors.split())
    ran = run_due("2019-01-03 12:01:00", status=1, **everything)
    assert steps(ran) == {"push": "failed"}
    obstacle.unlink()
    kept.rename(remote.parent)
    done = call(*arguments, "--remote", remote)
    assert done.status == 0, done
    status, detail = log(queue, "push")[-1]
    assert status == "ok"
    detail, before = json.loads(detail), json.loads(first)
    assert detail.keys() == before.keys()
    assert detail["remote"] == before["remote"] == str(remote)
    assert "offsite" not in {one["job"] for one in run_due("2019-01-03 12:02:00", **everything)}


def test_a_push_by_hand_to_another_remote_is_none_to_that_of_run_due(
    call: CommandLine, run_due: RunDue, queue: Queue, remote: Path
) -> None:
    everything = {"QUEUEKEEPER_REMOTE_KEEP": ""}
    run_due(FIRST, **everything)
    for options in (["backup", "--offsite"], ["offsite", "push"]):
        done = call(*options, "--db", queue.path, "--remote", remote.with_name("other"))
        assert done.status == 0, done
    assert steps(run_due("2019-01-03 12:01:00", **everything)) == {"push": "ok"}
    assert names(remote) == names(queue.backups)
    assert run_due("2019-01-03 12:02:00", **everything) == []


def test_a_push_by_hand_succeeds_where_nothing_can_be_recorded(
    call: CommandLine, queue: Queue, remote: Path
) -> None:
    done = call("backup", "--db", queue.path)
    assert done.status == 0, done
    push = ["offsite", "push", "--remote"]
    with contextlib.closing(sqlite3.connect(queue.path)) as connection:
        connection.execute("CREATE VIEW queuekeeper_log AS SELECT 1")
    done = call(*push, remote, "--db", queue.path)
    assert done.status == 0, done
    assert names(remote) == names(queue.backups)
    gone = queue.path.rename(queue.directory / "gone.db")
    done = call(*push, remote.with_name("2"), "--db", queue.path, "--dir", queue.backups)
    assert done.status == 0, done
    assert names(remote.with_name("2")) == names(queue.backups)
    assert not queue.path.exists()
    gone.rename(queue.path)


def test_a_push_by_hand_beside_that_of_run_due_is_not_recorded(
    call: CommandLine, queue: Queue, remote: Path
) -> None:
    done = call("backup", "--db", queue.path)
    assert done.status == 0, done
    with locked(Path(f"{queue.path}-run-due-offsite")) as held:
        assert held is not None
        done = call("offsite", "push", "--remote", remote, "--db", queue.path)
    assert done.status == 0, done
    assert names(remote) == names(queue.backups)
    with contextlib.closing(sqlite3.connect(queue.path)) as connection:
        sql = "SELECT count(*) FROM sqlite_master WHERE name = 'queuekeeper_log'"
        assert connection.execute(sql).fetchall() == [(0,)]


def test_retry_now_waits_for_no_pause(run_due: RunDue, queue: Queue, remote: Path) -> None:
    obstacle = in_the_way(remote)
    for minute in (0, 1, 2):
        run_due(f"2019-01-03 12:0{minute}:00", status=1)
    assert run_due("2019-01-03 12:02:30", status=1) == []
    ran = run_due("2019-01-03 12:02:40", "--retry-now", status=1)
    assert steps(ran) == {"push": "failed"}
    kept = queue.backups.rename(queue.directory / "kept")
    queue.backups.write_text("in the way")
    run_due("2019-01-04 02:00:00", "--no-offsite", status=1)
    queue.backups.unlink()
    kept.rename(queue.backups)
    obstacle.unlink()
    assert run_due("2019-01-04 02:00:10", "--no-offsite", status=1) == []
    ran = run_due("2019-01-04 02:00:20", "--retry-now")
    assert steps(ran, "daily")["backup"] == "ok"
    assert steps(ran) == {"push": "ok", "rotate remote": "ok"}


def test_a_dry_run_says_what_the_run_then_does_and_touches_nothing(
    run_due: RunDue, queue: Queue, remote: Path, listener: Listener
) -> None:
    run_due(FIRST)
    listener.take()
    beats, obstacle = listener.beats, None
    for now, broken in (
        ("2019-01-03 12:01:00", False),
        ("2019-01-03 13:00:00", False),
        ("2019-01-04 02:00:00", True),
        ("2019-01-04 02:00:10", True),
        ("2019-01-04 02:00:20", True),
        ("2019-01-04 02:30:00", False),
    ):
        if broken and obstacle is None:
            remote.rename(remote.with_name("aside"))
            remote.write_text("in the way")
            obstacle = remote
        elif obstacle is not None and not broken:
            obstacle.unlink()
            remote.with_name("aside").rename(remote)
            obstacle = None
        failed_before = queue.query(
            "SELECT status FROM queuekeeper_log WHERE step = 'push' ORDER BY id DESC LIMIT 1"
        )
        before = written(queue)
        planned = run_due(now, "--dry-run", status=int(failed_before == [("failed",)]))
        assert written(queue) == before
        assert (listener.messages, listener.beats) == ([], beats)
        ran = run_due(now, status=int(broken))
        beats = listener.beats
        listener.take()
        done = [each for each in map(times, ran) if each[0] != "notify"]
        assert list(map(times, planned)) == done, now
        assert {one["status"] for one in planned} <= {"due"}
        if not broken:
            assert steps(planned).keys() == steps(ran).keys()
            assert steps(planned, "daily").keys() == steps(ran, "daily").keys()


def test_a_dry_run_of_a_database_that_is_not_there_tells_nobody(
    call: CommandLine, queue: Queue, listener: Listener
) -> None:
    gone = queue.path.with_name("gone.db")
    done = call("run-due", gone, "--dry-run", "--notify", listener.ntfy)
    assert done.status == 3, done
    assert listener.messages == []
    assert not [path for path in queue.directory.iterdir() if path.name.startswith("gone")]
