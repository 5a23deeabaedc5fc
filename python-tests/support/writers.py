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


@dataclass(frozen=True)
class Report:
    """What one writer did."""

    commits: int
    errors: list[str]
    longest_seconds: float


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
    processes = [
        subprocess.Popen(
            [sys.executable, str(WRITER), str(database), str(rate), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(count)
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
