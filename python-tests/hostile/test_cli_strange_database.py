"""What a database or a file of somebody else's may say to the command line, and what not."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from conftest import OpenPython

import queuekeeper
from queuekeeper import _env_file
from queuekeeper._lock import locked
from queuekeeper._remotes import is_plain
from queuekeeper.configuration import Configuration
from support.package import Package
from support.queues import Queue

pytestmark = pytest.mark.rule(5)


def store(queue: Queue, name: str, value: object) -> None:
    """A row that `queue_set()` would not have made."""
    with closing(sqlite3.connect(queue.path)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS queuekeeper_settings(name TEXT PRIMARY KEY, value)"
        )
        connection.execute("REPLACE INTO queuekeeper_settings VALUES (?, ?)", (name, value))


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A program that leaves a mark beside it."""
    program = tmp_path / "evil.sh"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\n")
    program.chmod(0o755)
    return program


@pytest.mark.slow
@pytest.mark.parametrize(
    "address", [":sftp,ssh={evil}:x", " :sftp,ssh={evil},shell_type=none:x", ":sftp,ssh='{evil}':x"]
)
def test_no_row_starts_a_program(
    address: str, evil: Path, own: Package, queue: Queue, tmp_path: Path
) -> None:
    store(queue, "remote", address.format(evil=evil))
    (tmp_path / "x").mkdir()
    env = {"PRISMQ_QUEUE_DB_PATH": str(queue.path), "HOME": str(tmp_path)}
    for command in (
        ("backup",),
        ("run-due",),
        ("offsite", "push"),
        ("offsite", "list"),
        ("restore", "--from-remote", "latest"),
    ):
        done = own.cli(*command, env=env)
        assert not (tmp_path / "mark").exists(), command
        assert "not believed" in done.stdout + done.stderr, (command, done)
        assert str(evil) not in done.stderr, done.stderr
    # What has nothing to do with the remote goes on.
    assert list(queue.backups.glob("*.db"))
    with closing(sqlite3.connect(queue.path)) as connection:
        steps = dict(connection.execute("SELECT step, status FROM queuekeeper_log"))
    assert (steps["push"], steps["backup"]) == ("failed", "ok"), steps
    # A flag and the environment may say what they like, and win over the row.
    done = own.cli("offsite", "list", "--remote", str(tmp_path / "x"), env=env)
    assert done.returncode == 0, done.stderr
    own.cli("offsite", "list", "--remote", f":sftp,ssh={evil}:x", env=env)
    assert (tmp_path / "mark").exists()


def test_of_a_row_no_more_is_believed_than_a_name_and_a_path() -> None:
    for address in (":sftp,ssh=/tmp/evil.sh:x", "gdrive,ssh=/tmp/evil.sh:x", ":local:/tmp", "-v"):
        found = Configuration(environment={}, settings=partial(dict, remote=address))
        with pytest.raises(queuekeeper.Error, match="not believed"):
            found.text("remote")
        # The environment and a flag win, and may say what they like.
        named = {"QUEUEKEEPER_REMOTE": address}
        assert Configuration(environment=named, settings=dict).text("remote") == address
        assert Configuration({"remote": address}, environment={}).text("remote") == address


@pytest.mark.parametrize("value", [b"gdrive:", 1.5, float("inf")])
def test_a_remote_that_is_no_text_is_none(value: object) -> None:
    found = Configuration(environment={}, settings=lambda: {"remote": value})
    assert found.has("remote")
    with pytest.raises(queuekeeper.Error, match="the setting remote in the database is neither"):
        found.text("remote")


def test_package_and_library_agree_on_what_is_believed(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chance = random.Random(17)
    texts = [
        "".join(chance.choices(":/,=-a.'\" \\é\n", k=chance.randint(0, 7))) for _ in range(800)
    ]
    for text in texts:
        try:
            session.rows("SELECT queue_set('remote', ?)", text)
        except Exception:
            stored = False
        else:
            stored = True
        assert stored == is_plain(text), repr(text)


def env_file(place: Path) -> Path:
    path = place / ".env"
    path.write_text("QUEUEKEEPER_REMOTE=:sftp,ssh=/tmp/evil.sh:x\n")
    return path


@pytest.mark.parametrize("mode", [0o666, 0o606, 0o622])
def test_an_env_file_that_everybody_may_write_is_refused(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = env_file(tmp_path)
    path.chmod(mode)
    monkeypatch.chdir(tmp_path)
    for named in (None, path):
        with pytest.raises(queuekeeper.Error, match="may be written by everybody"):
            Configuration(env_file=named, environment={})
    path.chmod(0o600)
    assert Configuration(environment={}).text("remote") is not None


@pytest.mark.skipif(not hasattr(os, "chown"), reason="files have no such owners here")
def test_an_env_file_of_another_user_or_group_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = env_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    os.chown(path, 12345, -1)
    with pytest.raises(queuekeeper.Error, match=r"another user \(uid 12345\)"):
        Configuration(environment={})
    os.chown(path, 0, 12345)
    path.chmod(0o660)
    with pytest.raises(queuekeeper.Error, match="group of other users"):
        Configuration(environment={})
    # A link of ours does not make it ours, nor may others read through theirs.
    (tmp_path / "other.env").symlink_to(path)
    with pytest.raises(queuekeeper.Error, match="group of other users"):
        Configuration(env_file=tmp_path / "other.env", environment={})
    # The group that is the user's alone is no other user's.
    os.chown(path, 0, 0)
    path.chmod(0o664)
    assert Configuration(environment={}).text("remote") is not None


@pytest.mark.skipif(not hasattr(os, "chown"), reason="links have no such owners here")
def test_an_env_file_that_is_another_users_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads to a file of ours that others put words into, such as a mailbox."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    mailbox = env_file(tmp_path).rename(tmp_path / "mailbox")
    mailbox.chmod(0o600)
    link = tmp_path / ".env"
    link.symlink_to(mailbox)
    monkeypatch.chdir(tmp_path)
    assert Configuration(environment={}).text("remote") is not None
    os.chown(link, 12345, -1, follow_symlinks=False)
    for named in (None, link):
        with pytest.raises(queuekeeper.Error, match=r"is a link .* another user \(uid 12345\)"):
            Configuration(env_file=named, environment={})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("link", [False, True], ids=["pipe", "link to one"])
def test_an_env_file_that_becomes_a_pipe_behind_the_look_at_it_is_not_waited_for(
    link: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pipe = env_file(tmp_path), tmp_path / "pipe"
    os.mkfifo(pipe)

    def look(_: Path) -> bool:
        path.unlink()
        if link:
            path.symlink_to(pipe)
        else:
            pipe.rename(path)
        return True

    def waited(*_: object) -> None:
        raise AssertionError("it waits for who writes into the pipe")

    monkeypatch.setattr(Path, "is_file", look)
    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(5)
    try:
        with pytest.raises(queuekeeper.Error, match="it is no file"):
            Configuration(env_file=path, environment={})
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_root_may_own_anybodys_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("there is no file of root's")
    path = env_file(tmp_path)
    path.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert _env_file.read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_that_comes_in_the_place_of_a_lock_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put there between the look and the opening."""

    def end(*_: object) -> None:
        raise AssertionError("it waits")

    def words() -> object:
        with locked(pipe) as held:
            return held and held.words()

    regular = env_file(tmp_path)
    seen = regular.stat()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    monkeypatch.setattr(Path, "lstat", lambda _: seen)
    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    try:
        with pytest.raises(OSError, match="no file"):
            words()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
