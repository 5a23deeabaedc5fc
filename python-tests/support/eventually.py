"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

TEMPORARY = ".queuekeeper-*.tmp"


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Returns as soon as the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.0005)


def until_writing(directory: Path, least: int = 1 << 20) -> Path:
    """Waits until a backup is being written there, and has come as far as that many bytes."""
    found: list[Path] = []

    def begun() -> bool:
        found[:] = directory.glob(TEMPORARY) if directory.is_dir() else []
        try:
            return any(path.stat().st_size >= least for path in found)
        except FileNotFoundError:
            return False

    until(begun, f"a backup in {directory}")
    return found[0]
