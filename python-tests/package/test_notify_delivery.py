"""What arrives: a listener that speaks ntfy's protocol hears of success, failure and recovery."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.package import LIMIT_SECONDS, Package
from support.package.cli import command_line
from support.queues import Queue
from support.servers.listener import SECRETS, USER, Listener, listening

RunDue = Callable[..., "tuple[list[Any], str]"]

#: A Thursday, on which only the daily job has its time.
FIRST, SECOND = "2030-01-03 12:00:00", "2030-01-03 13:00:00"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as started:
        yield started


@pytest.fixture
def run_due(own: Package, queue: Queue) -> Iterator[RunDue]:
    """Calls of run-due within one process; what each ran, and what it complained about."""
    with command_line(own) as call:

        def called(
            now: str, *options: object, status: int = 0, env: dict[str, str] | None = None
        ) -> tuple[list[Any], str]:
            done = call("run-due", queue.path, "--now", now, "--json", *options, env=env)
            assert done.status == status, done
            assert not [word for word in SECRETS if word in done.output + done.errors], done
            return json.loads(done.output or "[]"), done.errors

        yield called


def due_command(own: Package, queue: Queue, address: str) -> list[str]:
    """The same as a process of its own."""
    command = [own.command, "run-due", queue.path, "--now", FIRST, "--notify", address]
    return [str(word) for word in command]


def everything_written(queue: Queue) -> bytes:
    """All that lies in the queue's directory, the database and its backups included."""
    files = [path for path in queue.directory.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


def without_secrets(queue: Queue) -> bool:
    """Whether no secret is anywhere on the disk."""
    written = everything_written(queue)
    return not [word for word in SECRETS if word.encode() in written]


def break_backups(queue: Queue) -> None:
    """Puts a file where the backup directory would be."""
    queue.backups.write_text("in the way")


def test_success_failure_and_recovery_each_once(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    options = ("--notify", listener.ntfy, "--heartbeat", listener.heartbeat)
    run_due(FIRST, *options)
    (first,) = listener.take()
    assert (first.kind, first.priority) == ("success", "3")
    assert first.title.startswith("queue.db on ")
    assert "daily backup, weekly backup and monthly backup done" in first.title
    size = next(queue.backups.glob("*monthly*.db")).stat().st_size
    assert f"backup of {size / 2**20:.2f} MB in " in first.body
    assert str(next(queue.backups.glob("*monthly*.db"))) in first.body
    assert listener.beats == 1

    # Nothing was backed up, so there is nothing to tell; but all is well.
    run_due(SECOND, *options)
    assert (listener.take(), listener.beats) == ([], 2)
    run_due(SECOND, *options)
    assert (listener.take(), listener.beats) == ([], 2)

    kept = queue.backups.rename(queue.directory / "kept")
    break_backups(queue)
    _, complaint = run_due("2030-01-04 02:00:00", *options, status=1)
    assert "backup failed" in complaint
    (failure,) = listener.take()
    assert (failure.kind, failure.priority) == ("failure", "high")
    assert "daily backup failed" in failure.title
    assert str(queue.backups) in failure.body
    assert "What to do: no new backup was made" in failure.body
    # It is tried again, and fails again: that is known.
    for minute in ("01", "03", "07"):
        run_due(f"2030-01-04 02:{minute}:00", *options, status=1)
    assert (listener.take(), listener.beats) == ([], 2)

    queue.backups.unlink()
    kept.rename(queue.backups)
    run_due("2030-01-04 02:30:00", *options)
    (recovery,) = listener.take()
    assert (recovery.kind, recovery.priority) == ("recovery", "3")
    assert "Nothing fails any more." in recovery.body
    assert "daily" in recovery.body
    assert listener.beats == 3
    run_due("2030-01-04 02:40:00", *options)
    assert (listener.take(), listener.beats) == ([], 3)

    assert not [
        word
        for word in (*SECRETS, USER)
        if word in "".join(listener.raw).replace(f'"topic": "{SECRETS[1]}"', "")
    ]
    assert without_secrets(queue)


def test_quiet_and_the_environment(run_due: RunDue, queue: Queue, listener: Listener) -> None:
    env = {"QUEUEKEEPER_NOTIFY": f" {listener.ntfy}\n", "QUEUEKEEPER_QUIET": "yes"}
    run_due(FIRST, env=env)
    assert listener.take() == []
    kept = queue.backups.rename(queue.directory / "kept")
    break_backups(queue)
    run_due("2030-01-04 02:00:00", env=env, status=1)
    queue.backups.unlink()
    kept.rename(queue.backups)
    run_due("2030-01-04 02:10:00", env=env)
    run_due("2030-01-05 02:10:00", env=env)
    assert listener.kinds == ["failure", "recovery"]
    # What is wrong with it is said when all is done, and rather too much is told.
    env["QUEUEKEEPER_QUIET"] = "perhaps"
    ran, complaint = run_due("2030-01-06 02:10:00", env=env, status=3)
    assert "QUEUEKEEPER_QUIET must be 1 (yes) or 0 (no), but is 'perhaps'" in complaint
    assert [each["job"] for each in ran] == ["hourly", "daily", "notify"]
    assert listener.kinds == ["failure", "recovery", "success"]


def test_what_cannot_be_delivered_fails_no_backup_and_is_told_later(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    listener.status = 500
    options = ("--notify", listener.ntfy, "--heartbeat", listener.heartbeat)
    ran, complaint = run_due(FIRST, *options, status=1)
    assert [(each["job"], each["status"]) for each in ran] == [
        *((job, "ok") for job in ("hourly", "daily", "weekly", "monthly")),
        ("notify", "failed"),
    ]
    assert "ntfy failed: " in complaint
    # Who waits for the heartbeat shall notice that nobody can be told.
    assert listener.beats == 0
    rows = queue.query("SELECT step, status, detail FROM queuekeeper_log WHERE job = 'notify'")
    assert [row[:2] for row in rows] == [("ntfy", "ok"), ("ntfy", "failed")]
    assert "error" in json.loads(rows[1][2])
    # Tried again at once, then after a pause, though nothing is due.
    ran, _ = run_due("2030-01-03 12:00:10", *options, status=1)
    assert [each["job"] for each in ran] == ["notify"]
    ran, complaint = run_due("2030-01-03 12:00:20", *options, status=1)
    assert ran == []
    assert "notify ntfy failed: " in complaint
    assert "since 2030-01-03 12:00:00 UTC; it is tried again at 2030-01-03 12:01:10" in complaint
    listener.status = 200
    run_due("2030-01-03 12:02:00", *options)
    assert listener.kinds == ["success"]
    assert run_due("2030-01-03 12:03:00", *options)[0] == []
    assert without_secrets(queue)


def test_a_heartbeat_that_failed_is_tried_again_though_nothing_is_due(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    options = ("--heartbeat", listener.heartbeat)
    listener.status = 500
    _, complaint = run_due(FIRST, *options, status=1)
    assert "notify heartbeat failed: " in complaint
    # At once, then after a minute, two, four.
    tried = [
        minute
        for minute in range(9)
        if run_due(f"2030-01-03 12:{minute:02}:30", *options, status=1)[0]
    ]
    assert tried == [0, 1, 3, 7]
    listener.status = 200
    run_due("2030-01-03 12:15:30", *options)
    assert listener.beats == 1
    assert run_due("2030-01-03 12:16:30", *options) == ([], "")
    rows = queue.query("SELECT status FROM queuekeeper_log WHERE step = 'heartbeat' ORDER BY id")
    assert rows == [("failed",)] * 5 + [("ok",)]


def test_wrong_credentials_and_wrong_addresses_are_said_without_a_secret(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    wrong = listener.ntfy.replace(USER, "nobody")
    unknown = f"hunter2://{SECRETS[0]}@127.0.0.1/x"
    for option in (wrong, unknown, SECRETS[0], "ntfy://"):
        _, complaint = run_due(FIRST, "--notify", option, status=1)
        assert " failed: " in complaint
        _, complaint = run_due(FIRST, "--heartbeat", f"file:///{SECRETS[0]}")
        for table in ("queuekeeper_log", "queuekeeper_jobs"):
            queue.query(f"DELETE FROM {table}")
    assert listener.messages == []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    beat = f"http://127.0.0.1:{port}/{SECRETS[0]}"
    _, complaint = run_due(SECOND, "--heartbeat", beat, status=1)
    assert "heartbeat failed: " in complaint
    _, complaint = run_due("2030-01-03 14:00:00", "--heartbeat", "file:///x", status=1)
    assert "must begin with https://" in complaint
    assert without_secrets(queue)


def test_each_address_hears_everything_once(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    with listening() as other:
        both = ("--notify", listener.ntfy, "--notify", other.ntfy)
        other.status = 503
        run_due(FIRST, *both, status=1)
        other.status = 200
        run_due("2030-01-03 12:01:00", *both)
        assert (listener.kinds, other.kinds) == (["success"], ["success"])
        steps = queue.query("SELECT DISTINCT step FROM queuekeeper_log WHERE job = 'notify'")
        assert sorted(steps) == [("ntfy",), ("ntfy 2",)]


def test_an_address_is_not_told_what_happened_before_it_was_there(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    run_due(FIRST)
    run_due("2030-01-03 12:01:00", "--notify", listener.ntfy)
    assert listener.messages == []
    run_due("2030-01-04 02:00:00", "--notify", listener.ntfy)
    assert listener.kinds == ["success"]
    assert "monthly" not in listener.messages[0].title


def test_a_database_that_cannot_be_used_is_told_once_and_so_is_its_return(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    options = ("--notify", listener.ntfy)
    run_due(FIRST, *options)
    listener.take()
    queue.query("PRAGMA wal_checkpoint(TRUNCATE)")
    content = queue.path.read_bytes()
    aside = queue.path.rename(queue.directory / "aside.db")
    for _ in range(2):
        _, complaint = run_due(SECOND, *options, status=3)
        assert str(queue.path) in complaint
    for suffix in ("-wal", "-shm"):
        Path(f"{queue.path}{suffix}").unlink(missing_ok=True)
    queue.path.write_bytes(b"no database at all" * 1000)
    run_due(SECOND, *options, status=3)
    (told,) = listener.take()
    assert (told.priority, told.title.endswith("nothing can be done")) == ("high", True)
    assert str(queue.path) in told.body
    queue.path.write_bytes(content)
    aside.unlink()
    run_due(SECOND, *options)
    (back,) = listener.take()
    assert (back.kind, back.priority) == ("recovery", "3")
    run_due(SECOND, *options)
    assert listener.take() == []
    assert without_secrets(queue)


@pytest.mark.parametrize(
    "detail",
    [
        *('{"duration_ms": "x"}', "null", "9" * 400, '{"size_bytes": ' + "9" * 400 + "}"),
        *("[" * 60_000, '{"blocked": 1}', '{"warning": [1]}', '{"failing": {"a": 1}}'),
    ],
    ids=lambda detail: detail[:20],
)
def test_a_row_of_any_content_hinders_neither_the_jobs_nor_what_is_told(
    detail: str, run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    run_due(FIRST, "--notify", listener.ntfy)
    listener.take()
    with queue.connect() as connection:
        for step in ("backup", "push", "requeue", "rotate", "verify", "\x1b[2J\r\nBcc: all"):
            for job, status in (("hourly", "ok"), ("offsite", "ok"), ("notify", "running")):
                connection.execute(
                    "INSERT INTO queuekeeper_log(job, step, due_utc, started_utc, finished_utc, "
                    "status, detail) VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5)",
                    (job, step, FIRST, status, detail),
                )
    ran, _ = run_due("2030-01-04 02:00:00", "--notify", listener.ntfy)
    assert [each["job"] for each in ran] == ["hourly", "daily", "notify"]
    (told,) = listener.take()
    assert str(max(queue.backups.glob("*daily*.db"))) in told.body
    lacks = detail in ('{"blocked": 1}', '{"failing": {"a": 1}}')
    assert ("backup of unknown size" if lacks else "cannot be read: ") in told.body
    assert "\x1b" not in told.title + told.body


@pytest.mark.parametrize("words", ["[" * 60_000, '{"a":' * 10_000, "9" * 5000, "\xff", "null"])
def test_whatever_a_lock_file_holds_its_lock_is_a_lock(
    words: str, run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    Path(f"{queue.path}-run-due").write_bytes(words.encode("latin-1"))
    run_due(FIRST, "--notify", listener.ntfy)
    assert listener.kinds == ["success"]


def test_a_setting_that_cannot_be_used_is_told_and_everything_else_is_run(
    run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    options = ("--notify", listener.ntfy, "--heartbeat", listener.heartbeat)
    run_due(FIRST, *options)
    listener.take()
    queue.query("CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY NOT NULL, value)")
    queue.query("INSERT INTO queuekeeper_settings VALUES ('cron_weekly', 'sometimes')")
    for now in (SECOND, "2030-01-03 14:00:00"):
        ran, complaint = run_due(now, *options, status=3)
        assert "cron_weekly" in complaint
    (told,) = listener.take()
    assert (told.kind, told.priority) == ("failure", "high")
    assert "cron_weekly" in told.body
    assert listener.beats == 1
    queue.query("DELETE FROM queuekeeper_settings")
    ran, _ = run_due("2030-01-03 15:00:00", *options)
    assert [each["job"] for each in ran] == ["hourly", "notify"]
    assert (listener.kinds, listener.beats) == (["recovery"], 2)


def test_many_calls_at_once_tell_everything_once(
    run_due: RunDue, own: Package, queue: Queue, listener: Listener
) -> None:
    command = due_command(own, queue, listener.ntfy)
    calls = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [call.wait(LIMIT_SECONDS) for call in calls] == [0, 0, 0, 0]
    run_due("2030-01-03 12:01:00", "--notify", listener.ntfy)
    done = "".join(message.title for message in listener.messages)
    # Who tells may find some of it done and the rest at work; but nothing is told twice.
    assert sorted(done.count(job) for job in ("daily", "weekly", "monthly")) == [1, 1, 1]


@pytest.mark.rule(2)
@pytest.mark.skipif(os.name == "nt", reason="it links as Unix does")
@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_lock_file_that_leads_to_the_live_database_is_refused(
    link: str, run_due: RunDue, queue: Queue, listener: Listener
) -> None:
    lock = Path(f"{queue.path}-run-due")
    getattr(lock, link)(queue.path)
    before = [row[:5] for row in queue.snapshot()]
    done = run_due(FIRST, "--notify", listener.ntfy, status=3)
    assert str(lock) in done[1]
    assert listener.messages == []
    lock.unlink()
    assert [row[:5] for row in queue.snapshot()] == before
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
    # The jobs were run, and what came of them is told as soon as it can be.
    run_due("2030-01-03 12:01:00", "--notify", listener.ntfy)
    assert listener.kinds == ["success"]


@pytest.mark.skipif(os.name == "nt", reason="it kills as Unix does")
def test_what_was_being_sent_when_the_call_was_killed_is_told_by_the_next(
    run_due: RunDue, own: Package, queue: Queue, listener: Listener
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = listener.ntfy.replace(str(listener.port), str(silent.getsockname()[1]))
        command = due_command(own, queue, mute)
        call = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        silent.settimeout(LIMIT_SECONDS)
        connection, _ = silent.accept()
        call.send_signal(signal.SIGKILL)
        call.wait(LIMIT_SECONDS)
        connection.close()
    assert queue.query("SELECT status FROM queuekeeper_log ORDER BY id DESC LIMIT 1") == [
        ("running",)
    ]
    time.sleep(0.1)
    run_due("2030-01-03 12:01:00", "--notify", listener.ntfy)
    run_due("2030-01-03 12:02:00", "--notify", listener.ntfy)
    assert listener.kinds == ["success"]
    statuses = queue.query(
        "SELECT status FROM queuekeeper_log WHERE job = 'notify' AND id > 1 ORDER BY id"
    )
    assert statuses[-2:] == [("interrupted",), ("ok",)]
