"""Processes that commit while the library works, for as long as a block of the program lasts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[2]
#: When a commit ended, by time.monotonic(), and how many seconds it took.
Commit = tuple[float, float]


class WorkerError(Exception):
    """What a worker complained about."""


@dataclass(frozen=True)
class Report:
    """What one writer or recorder did."""

    commits: int
    errors: list[str]
    longest_seconds: float
    # Of that, before its transaction had begun.
    longest_wait_seconds: float = 0.0


@dataclass
class Workers:
    """Processes at work; their answers are there once the block that runs them has ended."""

    processes: list[subprocess.Popen[str]]
    answers: list[Any] = field(default_factory=list)

    @property
    def reports(self) -> list[Report]:
        """Of writers and recorders."""
        return [Report(**answer) for answer in self.answers]

    @property
    def commits(self) -> list[Commit]:
        """Of those that work on tasks."""
        return sorted((ended, seconds) for answer in self.answers for ended, seconds in answer)

    def wait(self) -> None:
        """Until each has committed once, or can."""
        for process in self.processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise WorkerError(f"a worker did not start: {process.communicate()[1].strip()}")

    def finish(self) -> None:
        """Stops them and reads their answers."""
        for process in self.processes:
            output, complaint = process.communicate("stop\n", timeout=120)
            if process.returncode != 0:
                raise WorkerError(f"a worker failed: {complaint.strip()}")
            self.answers.append(json.loads(output))


def writing(database: Path, count: int, rate: float) -> AbstractContextManager[Workers]:
    """Runs that many writers, each at that many commits a second."""
    return running([script("writer", database, rate, seed) for seed in range(count)])


def working(database: Path, count: int, rate: float) -> AbstractContextManager[Workers]:
    """The same with workers that enqueue, claim and complete tasks."""
    names = [f"worker-{number}" for number in range(count)]
    return running([script("task_worker", database, rate, name) for name in names])


def recording(database: Path, count: int) -> AbstractContextManager[Workers]:
    """Runs that many recorders, which fill the table "record"."""
    return running([script("recorder", database)] * count)


def restarting(database: Path, seed: int) -> AbstractContextManager[Workers]:
    """Runs a writer that makes SQLite begin its WAL anew."""
    return running([script("restarting_writer", database, seed)])


def script(name: str, *arguments: object) -> list[str]:
    """A script of this package, for the Python that runs it."""
    return ["-m", f"support.workers.{name}", *map(str, arguments)]


@contextmanager
def running(commands: list[list[str]]) -> Iterator[Workers]:
    """Runs Python scripts that say when they are ready, and end when they are told to."""
    workers = Workers(
        [
            subprocess.Popen(
                [sys.executable, *command],
                cwd=TESTS,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for command in commands
        ]
    )
    try:
        workers.wait()
        yield workers
        workers.finish()
    finally:
        for process in workers.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
