"""The C ABI from Node, through an FFI package from npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support import artifacts
from support.compiling import ROOT, run
from support.queues import Queue

SCRIPT = ROOT / "tests" / "c" / "node.mjs"
PACKAGE = "koffi@3.3.4"
INTERRUPT, MISUSE = 9, 21


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """A directory where npm has installed the package, once for all runs."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("Node is not installed; on Debian and Ubuntu: apt-get install nodejs npm")
    directory = ROOT / "target" / "npm" / PACKAGE
    if not (directory / "node_modules" / "koffi").exists():
        directory.mkdir(parents=True, exist_ok=True)
        # Its binaries come as packages; no script of theirs needs to run.
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
        command = [npm, "install", "--prefix", str(directory), *options, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_a_node_script_backs_up_measures_and_rotates(
    queue: Queue, library: Path, node_modules: Path
) -> None:
    # Node looks for packages beside the script.
    script = shutil.copy(SCRIPT, node_modules / "client.mjs")
    said = json.loads(run("node", script, library, queue.path))
    assert said["stats"]["path"] == str(queue.path)
    assert said["stats"]["page_count"] * said["stats"]["page_size"] == queue.path.stat().st_size
    assert [backup["name"] for backup in said["backups"]] == ["node", None, None]
    pages = said["stats"]["page_count"]
    assert said["pages"][-1] == [pages, pages]
    assert said["stopped"]["code"] == INTERRUPT
    assert "interrupted" in said["stopped"]["message"]
    assert said["aside"]["code"] == 0
    assert said["deleted"] == 2
    left = [said["backups"][2], said["aside"]["backup"]]
    assert sorted(queue.backups.glob("*.db")) == sorted(Path(one["backup_path"]) for one in left)
    for backup in left:
        artifacts.assert_sound(Path(backup["backup_path"]))
    assert said["closed"] == [0, MISUSE]
