"""Off-site copies on real servers: S3, WebDAV and SFTP on loopback, and what goes wrong there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeDisk, MakeQueue

from support.artifacts import catalog, sha256
from support.package import Package
from support.queues import Queue, Shape, grow
from support.queues.content import content_of_live
from support.servers.remotes import (
    DEAD_PORT,
    HASHES,
    KINDS,
    S3S,
    SECRET,
    WRONG,
    Server,
    environment,
    serving,
)

#: Calls the operations on the queue and the remote that the arguments name.
CALL = """
from queuekeeper.offsite import Offsite, OffsiteError
path, remote = sys.argv[1:3]
def offsite(remote=remote):
    return Offsite(path, remote)
def refused(call):
    try:
        call()
    except OffsiteError as error:
        return error.primary_code, str(error)
    raise AssertionError("it succeeded")
"""

SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_CANTOPEN, SQLITE_AUTH = 10, 11, 13, 14, 23


@pytest.fixture(params=[*KINDS, S3S])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Each kind of server in turn, over an empty directory."""
    if request.param == S3S and shutil.which("s3s-fs") is None:
        pytest.skip("s3s-fs is not installed; support/servers/remotes.py says how")
    with serving(request.param, tmp_path / "served", tmp_path) as started:
        yield started


def files_in(directory: Path) -> dict[str, str]:
    """What lies there, and what is in it; but for the locks, which say nothing."""
    found = sorted(path for path in directory.glob("*") if path.suffix != ".lock")
    return {path.name: sha256(path) for path in found}


def run(own: Package, queue: Queue, remote: str, program: str, **changed: str) -> Any:
    """Runs a program; what it printed last."""
    code = CALL + textwrap.dedent(program)
    return own.run(code, queue.path, remote, env=environment(**changed))


def test_the_whole_way_there_and_back(own: Package, make: MakeQueue, server: Server) -> None:
    queue = make(Shape(tasks=200, stale_leased=5))
    remote = server.address()
    run(
        own,
        queue,
        remote,
        """
        with queuekeeper.open(path) as queue:
            queue.backup(name="daily", compression="zstd", verify="quick")
        """,
    )
    grow(queue, 6)
    run(
        own,
        queue,
        remote,
        """
        with queuekeeper.open(path) as queue:
            queue.backup(name="daily", type="incremental", verify="quick")
        """,
    )
    small, large = (queue.backups / entry["backup_path"] for entry in catalog(queue.backups))
    assert large.name.endswith(".delta.db")
    local = files_in(queue.backups)
    kill_in_the_middle(own, queue, remote, small.stat().st_size)
    # It never lists what is not there.
    assert not (server.stored / "backup_manifest.json").exists()
    assert files_in(queue.backups) == local

    pushed = run(
        own,
        queue,
        remote,
        """
        with offsite() as copies:
            print(json.dumps([copies.push().as_dict(), copies.push().as_dict(),
                              copies.check().as_dict(), copies.check(download=True).as_dict()]))
        """,
    )
    first, second, checked, read = pushed
    assert first["pushed"] == [small.name, large.name]
    # What had arrived was not sent again.
    assert first["bytes"] < large.stat().st_size + (1 << 20)
    assert first["bytes"] >= large.stat().st_size
    assert (second["pushed"], second["bytes"], second["present"]) == ([], 0, 2)
    by_content = (4, 0) if HASHES[server.kind] else (0, 4)
    assert (checked["findings"], checked["compared"], checked["by_size_only"]) == ([], *by_content)
    assert (read["findings"], read["compared"]) == ([], 4)
    # rclone alone brings back a directory on which everything works.
    remotely = files_in(server.stored)
    assert remotely.pop("backup_manifest.copy.json") == local["backup_manifest.json"]
    assert remotely == local

    before = queue.snapshot()
    content = content_of_live(queue.path, queue.directory / "scratch")
    shutil.rmtree(queue.directory)
    done = own.cli(
        *("restore", "latest", "--from-remote", "--remote", remote),
        *("--db", queue.path, "--json"),
        env=environment(),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["backup_path"] == str(large)
    assert queue.snapshot() == before
    assert content_of_live(queue.path, queue.directory / "scratch").rows == content.rows
    pulled = files_in(queue.backups)
    # The same files; what was verified, and when, is new in the catalog.
    assert {**pulled, "backup_manifest.json": ""} == {**local, "backup_manifest.json": ""}


def kill_in_the_middle(own: Package, queue: Queue, remote: str, after: int) -> None:
    """Kills a slow push, so that nothing is cleaned up, between its first file and its last."""
    slow = environment(RCLONE_BWLIMIT="3M")
    process = own.start(
        CALL
        + """
def progress(done, total):
    print(done, flush=True)
with offsite() as copies:
    copies.push(progress=progress)
""",
        queue.path,
        remote,
        env=slow,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) > after + (1 << 20):
            break
    process.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    process.communicate()
    assert process.returncode not in (0, 1)


def test_wrong_secrets_and_unreachable_servers(own: Package, queue: Queue, server: Server) -> None:
    remote = server.address()
    local = run(
        own,
        queue,
        remote,
        """
        with queuekeeper.open(path) as queue:
            queue.backup()
        """,
    )
    local = files_in(queue.backups)
    others = [server.address(secret=WRONG), server.address(port=DEAD_PORT)]
    told = run(
        own,
        queue,
        remote,
        f"""
        errors = []
        for other in {others!r}:
            with offsite(other) as copies:
                errors.append(refused(copies.push))
                errors.append((0, repr(copies) + copies.remote))
        print(json.dumps(errors))
        """,
    )
    (wrong, text), (_, shown), (dead, other), (_, again) = told
    assert (wrong, dead) == (SQLITE_AUTH, SQLITE_CANTOPEN)
    assert "rclone config" in text
    assert "cannot be reached" in other
    for each in (text, shown, other, again):
        assert SECRET not in each
        assert WRONG not in each
        assert each.count("***") >= 1
        assert not any(len(word) > 20 and word in each for word in secrets_in(others))
    assert files_in(queue.backups) == local
    assert not server.stored.exists()
    # And on the command line, which says so in one line.
    done = own.cli(
        "offsite", "push", "--db", queue.path, env=environment(QUEUEKEEPER_REMOTE=others[0])
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert WRONG not in done.stderr


def secrets_in(remotes: list[str]) -> list[str]:
    """The passwords in them, as rclone takes them."""
    return [part.split("'")[1] for remote in remotes for part in remote.split("pass=")[1:]]


def test_a_full_remote(own: Package, queue: Queue, make_disk: MakeDisk, tmp_path: Path) -> None:
    disk = make_disk(3 << 20)
    grow(queue, 4)
    for kind in KINDS:
        root = disk / kind
        with serving(kind, root, tmp_path) as server:
            code, text, entries = run(
                own,
                queue,
                server.address(),
                """
                with queuekeeper.open(path) as queue:
                    if not queue.backups():
                        queue.backup(compression="none")
                with offsite() as copies:
                    found = refused(copies.push)
                    print(json.dumps([*found, len(copies.list())]))
                """,
            )
        # Two of these servers only say that something went wrong, and cannot be asked for their
        # room; then their words are all there is.
        vague = {"s3": "InternalError", "webdav": "405 Method Not Allowed"}
        told = (SQLITE_IOERR, vague[kind]) if kind in vague else (SQLITE_FULL, "remote is full")
        assert (code, entries) == (told[0], 0), (kind, text)
        assert told[1] in text
        shutil.rmtree(root)
    assert len(list(queue.backups.glob("queue_backup_*"))) == 2


def test_an_object_damaged_on_the_remote(own: Package, queue: Queue, server: Server) -> None:
    remote = server.address()
    run(
        own,
        queue,
        remote,
        """
        with queuekeeper.open(path) as queue:
            queue.backup()
        with offsite() as copies:
            copies.push()
        """,
    )
    (artifact,) = server.stored.glob("*.db")
    with artifact.open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    # Some servers go by the time of a file to know that it is another.
    os.utime(artifact, (1, 1))
    local = files_in(queue.backups)
    checked, (code, text) = run(
        own,
        queue,
        remote,
        """
        with offsite() as copies:
            found = copies.check(download=True).as_dict()
        import shutil
        aside = path + ".aside"
        with Offsite(None, remote, directory=aside) as copies:
            error = refused(copies.pull)
        assert [name for name in os.listdir(aside) if not name.endswith(".lock")] == []
        print(json.dumps([found, error]))
        """,
    )
    (finding,) = checked["findings"]
    assert (finding["kind"], finding["name"]) == ("damaged", artifact.name)
    assert code == SQLITE_CORRUPT
    assert artifact.name in text
    assert "nothing of it was kept" in text
    assert files_in(queue.backups) == local
