"""The demo's child processes: a session in the SQLite host, and the background writer."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from os import devnull
from pathlib import Path
from typing import IO, Any, TypeVar

from demo_hosts import ROOT, DemoError, Host
from demo_tour import Result

HERE = Path(__file__).resolve().parent
END_OF_ANSWER = "-- end of answer --"
# Nothing here takes more than seconds. A wait without end would be a fault to report.
TIMEOUT_SECONDS = 300


def python_command(host: Host, script: str, *arguments: str) -> list[str]:
    return [host.program, str(HERE / script), host.module, *arguments]


class Child:
    """A process that is asked and answers over pipes."""

    def __init__(self, name: str, command: list[str], stderr: IO[bytes] | None = None) -> None:
        self._name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        )

    def end(self) -> None:
        """Waits for the end of the process, which must be a clean one."""
        self.finish()
        try:
            code = self._process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{self._name} does not end") from None
        if code != 0:
            raise DemoError(f"{self._name} ended with exit code {code}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def send(self, text: str) -> None:
        assert self._process.stdin is not None
        # If it has ended, receive() will say so.
        with contextlib.suppress(OSError):
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()

    def receive(self) -> str:
        assert self._process.stdout is not None
        timer = threading.Timer(TIMEOUT_SECONDS, self._process.kill)
        # After Ctrl-C, a timer that still runs must not hold up the exit.
        timer.daemon = True
        timer.start()
        try:
            line = self._process.stdout.readline()
            hung = not timer.is_alive()
        finally:
            timer.cancel()
        if line:
            return line.rstrip("\n")
        code = self._process.wait()
        why = f"gave no answer in {TIMEOUT_SECONDS} s" if hung else f"ended (exit code {code})"
        raise DemoError(f"{self._name} {why}")

    def finish(self) -> None:
        """Ends the input, which is how these processes are told to end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()


C = TypeVar("C", bound=Child)


@contextlib.contextmanager
def running(child: C) -> Iterator[C]:
    """Never leaves the process behind, whatever happens."""
    try:
        yield child
        child.end()
    finally:
        child.kill()


class Session(Child):
    """A connection to a database in a SQLite host."""

    def run(self, sql: str) -> Result:
        """Runs one statement; an error of SQLite is a DemoError with its text."""
        raise NotImplementedError

    def load(self, library: Path) -> None:
        raise NotImplementedError

    def number(self, sql: str) -> int:
        return int(self.run(sql).rows[0][0])


class PythonSession(Session):
    def __init__(self, host: Host, database: Path) -> None:
        super().__init__("the host", python_command(host, "demo_session.py", str(database)))

    def _ask(self, request: dict[str, str]) -> Result:
        self.send(json.dumps(request))
        answer: dict[str, Any] = json.loads(self.receive())
        if "error" in answer:
            raise DemoError(answer["error"])
        return Result(answer["columns"], answer["rows"])

    def run(self, sql: str) -> Result:
        return self._ask({"sql": sql})

    def load(self, library: Path) -> None:
        self._ask({"load": str(library)})


class ShellSession(Session):
    def __init__(self, host: Host, database: Path) -> None:
        # A file, because a pipe that nobody reads could fill and stop the shell.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        command = [host.program, "-batch", "-init", devnull, str(database)]
        super().__init__("the host", command, self._errors)
        self.send(".mode json")

    def kill(self) -> None:
        super().kill()
        self._errors.close()

    def run(self, sql: str) -> Result:
        # The shell waits for a semicolon, where the modules are content without.
        return self._ask(sql if sql.endswith(";") else sql + ";")

    def _ask(self, line: str) -> Result:
        self.send(line)
        # The shell flushes its output whenever it is about to read its input.
        self.send(f".print '{END_OF_ANSWER}'")
        lines: list[str] = []
        while not lines or lines[-1] != END_OF_ANSWER:
            lines.append(self.receive())
        self._errors.seek(0)
        errors = self._errors.read().decode("utf-8", "replace").strip()
        self._errors.truncate(0)
        self._errors.seek(0)
        if errors:
            # Without "near line 7", which counts the lines that were sent.
            first = errors.splitlines()[0]
            raise DemoError(re.sub(r"^(Parse |Runtime )?[Ee]rror( near line \d+)?: ", "", first))
        # Pairs, because two columns may have the same name.
        text = "\n".join(lines[:-1])
        rows = json.loads(text, object_pairs_hook=list) if text else []
        columns = [name for name, _ in rows[0]] if rows else []
        return Result(columns, [[value for _, value in row] for row in rows])

    def load(self, library: Path) -> None:
        # In double quotes the shell reads C's escapes, in single ones nothing.
        escaped = str(library).replace("\\", "\\\\").replace('"', '\\"')
        self._ask(f'.load "{escaped}"')


def open_session(host: Host, database: Path) -> contextlib.AbstractContextManager[Session]:
    kind = ShellSession if host.kind == "shell" else PythonSession
    return running(kind(host, database))


class Writer(Child):
    """The background writer."""

    def __init__(self, helper: Host, database: Path) -> None:
        command = python_command(helper, "demo_writer.py", str(database))
        super().__init__("the background writer", command)

    def wait_for_first_commit(self) -> None:
        if self.receive() != "ready":
            raise DemoError("the background writer did not start")

    def stop(self) -> list[tuple[float, float]]:
        """Its commits: when, and how many seconds each transaction took."""
        self.finish()
        report: dict[str, Any] = json.loads(self.receive())
        if report["error"] is not None:
            raise DemoError(f"the background writer failed: {report['error']}")
        return [(when, seconds) for when, seconds in report["commits"]]


def make_queue(helper: Host, database: Path) -> None:
    command = python_command(helper, "demo_queue.py", str(database))
    if subprocess.run(command, check=False).returncode != 0:
        raise DemoError("the demo queue could not be made")


def build() -> None:
    # Where rustup puts it; a shell that was open before doesn't have it on its PATH.
    cargo = shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))
    if cargo is None:
        raise DemoError("there is no cargo: install Rust from https://rustup.rs")
    sys.stdout.flush()
    if subprocess.run([cargo, "build", "--release"], cwd=ROOT, check=False).returncode != 0:
        raise DemoError("cargo build --release failed")
