"""scripts/ holds commands that a person types, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from support.documents.pages import page

# What Python has left of modules that once lay there is in nobody's way.
LYING = sorted((ROOT / "scripts").iterdir())
COMMANDS = [path for path in LYING if path.name != "__pycache__"]


def test_nothing_lies_there_but_commands_and_each_is_documented() -> None:
    assert len(COMMANDS) > 7
    development = page("development")
    for path in COMMANDS:
        assert path.is_file(), path
        assert not path.suffix, path
        assert f"scripts/{path.name}" in development, path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.name)
def test_each_command_says_what_it_does(command: Path, tmp_path: Path) -> None:
    """Wherever it is called, and without the packages of the tests."""
    assert os.name == "nt" or os.access(command, os.X_OK)
    first = command.read_text("utf-8").splitlines()[0]
    assert first in ("#!/usr/bin/env python3", "#!/bin/sh")
    runner = [sys.executable, "-S"] if "python3" in first else ["sh"]
    done = subprocess.run(
        [*runner, str(command), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 1
    assert "making" not in done.stdout
    assert not list(tmp_path.iterdir())
