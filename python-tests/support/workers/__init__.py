"""Real processes that commit while the library works."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WRITER = Path(__file__).with_name("writer.py")
RECORDER = Path(__file__).with_name("recorder.py")


@dataclass(frozen=True)
class Report:
    """What one writer did."""

    commits: int
    errors: list[str]
    longest_seconds: float
    # Of that, before its transaction had begun.
    longest_wait_seconds: float = 0.0


@dataclass
class Writers:
    """Writers at work; their reports are there once the block that runs them has ended."""

    processes: list[subprocess.Popen[str]]
    reports: list[Report] = field(default_factory=list)

    def finish(self) -> None:
        """Stops them and reads their reports."""
        for process in self.processes:
            output, complaints = process.communicate("stop\n", timeout=60)
            assert process.returncode == 0, complaints
            self.reports.append(Report(**json.loads(output)))


@contextlib.contextmanager
def writing(database: Path, count: int, rate: float) -> Iterator[Writers]:
    """Runs that many writers, each at that many commits a second, for as long as the block."""
    commands = [[str(WRITER), str(database), str(rate), str(seed)] for seed in range(count)]
    with running(commands) as writers:
        yield writers


@contextlib.contextmanager
def recording(database: Path, count: int) -> Iterator[Writers]:
    """Runs that many recorders, which fill the table "record", for as long as the block."""
    with running([[str(RECORDER), str(database)]] * count) as writers:
        yield writers


@contextlib.contextmanager
def running(commands: list[list[str]]) -> Iterator[Writers]:
    """Runs Python scripts that say when they are ready, and end when they are told to."""
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        writers = Writers(processes)
        yield writers
        writers.finish()
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
