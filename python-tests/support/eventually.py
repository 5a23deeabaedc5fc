"""Waiting for something that another process does, and what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hosts.python_host import PythonSession

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


def threads(session: PythonSession) -> int:
    """How many threads the host has, where that can be told."""
    tasks = Path(f"/proc/{session.process.pid}/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 0


def peak(session: PythonSession) -> int:
    """The most memory that the host had so far, in bytes."""
    for line in Path(f"/proc/{session.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def until_threads(session: PythonSession, number: int) -> None:
    """The host has that many threads: one that has ended is listed for a moment longer."""
    until(lambda: threads(session) == number, f"an end to all but {number} threads", seconds=3)
