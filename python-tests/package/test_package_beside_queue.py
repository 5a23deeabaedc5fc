"""The package in a program that has a package or module named `queue` of its own, as PrismQ has."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.package import LIMIT_SECONDS, Package
from support.queues import Queue
from support.servers.listener import listening

#: A `queue` that is no trap: it only lacks what the standard library's has.
OTHER = "class Task: pass\n"
TRAP = "raise RuntimeError('somebody imported this queue')\n"

#: Fails on every import of it, whoever asks.
HOOK = """
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name == "queue":
            raise RuntimeError("somebody imported queue")
sys.meta_path.insert(0, Refusing())
assert "queue" not in sys.modules
"""

#: Everything that the package offers to programs.
EVERYTHING = """
import importlib, pkgutil
from pathlib import Path
for found in pkgutil.walk_packages(queuekeeper.__path__, "queuekeeper."):
    if not found.name.endswith(("__main__", "libqueuekeeper")):
        importlib.import_module(found.name)
path, remote, notify, heartbeat = sys.argv[1:]
with queuekeeper.open(path) as q:
    heard = []
    made = q.backup(progress=lambda done, total: heard.append(done))
    assert heard and q.verify(made.id, progress=lambda done, total: None).ok
    assert q.stats().page_count and list(q.health()) and list(q.depth())
    assert q.requeue_stale(60) == 8
    from queuekeeper.offsite import Offsite
    with Offsite(q, remote) as offsite:
        assert offsite.push().pushed
        assert offsite.check().ok
from queuekeeper import due, prismq, scheduling
from queuekeeper.configuration import Configuration
os.environ.update(QUEUEKEEPER_NOTIFY=notify, QUEUEKEEPER_HEARTBEAT=heartbeat)
outcome = due.run_due(path, Configuration(), "2030-01-03 12:00:00")
assert outcome.jobs and not [each for each in outcome.deliveries if each.failure], outcome
scheduling.run_due(path)
class Database:
    db_path = path
    def get_connection(self):
        import sqlite3
        return sqlite3.connect(path)
    def close(self): pass
assert prismq.QueueBackup(Database()).create_backup().is_file()
assert prismq.QueueMaintenance(Database()).integrity_check()
assert "queue" not in sys.modules, sys.modules["queue"]
"""


@pytest.fixture(params=["package", "module", "trap"])
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment in which Python finds another `queue` first."""
    place = tmp_path / "program"
    place.mkdir()
    if request.param == "module":
        (place / "queue.py").write_text(OTHER)
    else:
        (place / "queue").mkdir()
        content = OTHER if request.param == "package" else TRAP
        (place / "queue" / "__init__.py").write_text(content)
    return {**os.environ, "PYTHONPATH": str(place)}


def everything(package: Package, queue: Queue, program: str, env: dict[str, str]) -> None:
    with listening() as listener:
        remote = queue.directory / "remote"
        remote.mkdir()
        places = (queue.path, remote, listener.ntfy, listener.heartbeat)
        package.run(program, *places, env=env)
        assert [each.kind for each in listener.take()] == ["success"]
        assert listener.beats == 1


def test_everything_works_beside_another_queue(
    package: Package, queue: Queue, hostile: dict[str, str]
) -> None:
    everything(package, queue, EVERYTHING, hostile)


def test_nothing_imports_queue(own: Package, queue: Queue) -> None:
    everything(own, queue, HOOK + EVERYTHING, dict(os.environ))


def test_the_command_line_works_beside_another_queue(
    own: Package, queue: Queue, hostile: dict[str, str]
) -> None:
    with listening() as listener:
        named = ["--notify", listener.ntfy, "--now", "2030-01-03 12:00:00", "--json"]

        def call(*arguments: object) -> Any:
            command = [str(word) for word in (own.python, "-m", "queuekeeper", *arguments)]
            done = subprocess.run(
                command,
                env=hostile,
                cwd=hostile["PYTHONPATH"],
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        assert json.loads(call("run-due", queue.path, *named))
        assert [each.kind for each in listener.take()] == ["success"]
        call("backup", "--db", queue.path)
        assert "monthly" in call("backups", "--db", queue.path)


def test_where_no_message_can_be_sent_it_says_so(own: Package) -> None:
    own.run(
        """
        from queuekeeper import _delivery, notifications
        address = notifications.Address("ntfy", "ntfy://x/y")
        assert address.check() is None
        assert "no such service" in notifications.Address("x", "nonsense://x").check()
        sys.executable, sys.exec_prefix = "/usr/bin/uwsgi", "/nowhere"
        assert "sys.executable" in address.check()
        sys.executable = "/bin/false"
        _delivery._is_python = lambda program: True
        assert "ended with 1" in address.send("failure", "title", "body")
        """
    )
