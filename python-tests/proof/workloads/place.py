"""Where the parts work: directories, host sessions, and processes that work at the same time."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from hosts import find_host
from hosts.python_host import PythonSession
from support.workers import TESTS

HOSTS = ("apsw", "pysqlite3", "stdlib")
PATIENCE_SECONDS = 60


def some_host(chance: random.Random) -> str:
    """One of the hosts that are there."""
    return chance.choice([name for name in HOSTS if not find_host(name).missing])


def open_session(library: Path, path: Path | str, host: str = "apsw") -> PythonSession:
    """A process of that host with the library, in which only the library checkpoints."""
    session = find_host(host).open_python(str(path))
    session.load(library)
    session.rows("PRAGMA wal_autocheckpoint=0")
    return session


class Worker:
    """A script of this package in a process of its own, which says line by line what it did."""

    def __init__(self, script: str, *arguments: object) -> None:
        self.script = script
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"proof.workloads.{script}", *map(str, arguments)],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._taken = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # What a kill has cut short was not said.
            if line.endswith("\n"):
                self.lines.append(line[:-1])

    def said(self) -> list[str]:
        """What it has said since this was last asked; what begins with "!" is an error."""
        end = len(self.lines)
        new = self.lines[self._taken : end]
        self._taken = end
        wrong = [line for line in new if line.startswith("!")]
        assert not wrong, f"{self.script}: {wrong}"
        return new

    def until_first(self) -> None:
        """Waits until it has said something."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.lines:
            if self.process.poll() is not None:
                self._reader.join(PATIENCE_SECONDS)
                assert self.lines, f"{self.script} has ended"
            assert time.monotonic() < deadline, f"{self.script} says nothing"
            time.sleep(0.001)

    def stop(self) -> None:
        """Asks it to end, and waits until it has."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        status = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        assert status == 0, f"{self.script} ended with {status}"

    def kill(self) -> None:
        """SIGKILL; what it had said by then can still be read."""
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_SECONDS)


@contextlib.contextmanager
def working(workers: list[Worker]) -> Iterator[None]:
    """While these work; in the end none is left, whatever happened."""
    try:
        yield
        for worker in workers:
            worker.stop()
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.kill()
