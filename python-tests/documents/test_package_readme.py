"""The examples of the package's README, and of the pages on Python and the command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

from support.documents.pages import blocks, page
from support.package import LIMIT_SECONDS, Package
from support.package.backend import BACKEND
from support.queues import Queue

PYTHON = blocks(page("python"), "python") + blocks(
    (ROOT / "python" / "README.md").read_text("utf-8"), "python"
)


def test_the_examples_are_found() -> None:
    assert len(PYTHON) == 10


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_a_python_example(number: int, package: Package, queue: Queue) -> None:
    code = PYTHON[number]
    environment = {**os.environ, "PRISMQ_QUEUE_DB_PATH": "queue.db"}
    if "QueueDatabase()" in code:
        # It is the backend's own, from where the backend has it.
        shutil.copy(BACKEND / "database.py", queue.directory / "backend.py")
        code = "from backend import QueueDatabase\n" + code
    if "scheduler.start()" in code:
        code += "scheduler.shutdown()\n"
    done = subprocess.run(
        [str(package.python), "-c", code],
        cwd=queue.directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode and "queuekeeper.load(connection)" in code and "except" not in code:
        # The text before it says where it works.
        assert "cannot load extensions" in done.stderr
        return
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_lines_example(package: Package, queue: Queue) -> None:
    if os.name == "nt":
        pytest.skip("it is written for a shell of Unix")
    (script,) = blocks(page("command-line"), "sh")
    path = f"{package.python.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euxc", script],
        cwd=queue.directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (queue.directory / "copy.db").exists()
    assert "8 tasks requeued" in done.stdout
    assert "would be deleted" in done.stdout


def test_the_readme_names_every_command_and_every_method(own: Package) -> None:
    commands = own.run(
        """
        from queuekeeper.cli import main
        print(json.dumps(sorted(name for name, each in main.commands.items() if not each.hidden)))
        """
    )
    # The block that shows the grammar: a line for each kind, two spaces between commands.
    listed = page("command-line").split("COMMAND [QUEUE] …\n\n")[1].split("\n```")[0]
    shown = [re.split(r"  +", line)[1:] for line in listed.splitlines()]
    assert sorted(each.split()[0] for line in shown for each in line) == commands
    table = re.findall(r"^\| `(\w+)\(", (ROOT / "python" / "README.md").read_text("utf-8"), re.M)
    methods = own.run(
        """
        names = {name for name in vars(queuekeeper.Queue) if not name.startswith("_")}
        print(json.dumps(sorted(names - {"close", "phase"})))
        """
    )
    assert sorted(table) == methods
