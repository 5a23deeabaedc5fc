"""Files that cannot be deleted, not even by root."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def immutable(*paths: Path) -> Iterator[None]:
    """While the block runs, nobody can delete, rename or change these files."""
    command = shutil.which("chattr")
    if command is None:
        pytest.skip("making a file immutable takes chattr")
    made: list[Path] = []
    try:
        for path in paths:
            done = subprocess.run([command, "+i", str(path)], check=False, capture_output=True)
            if done.returncode != 0:
                pytest.skip("making a file immutable takes root, and a file system that has it")
            made.append(path)
        yield
    finally:
        for path in made:
            subprocess.run([command, "-i", str(path)], check=True)


@contextlib.contextmanager
def in_the_way(path: Path) -> Iterator[None]:
    """While the block runs, a directory lies in the place of a file, on any system."""
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    try:
        yield
    finally:
        path.rmdir()
        path.write_bytes(content)
