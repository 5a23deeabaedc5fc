"""A host session on the sqlite3 shell."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hosts.protocol import CALL_LIMIT_SECONDS, HostDiedError, Result, Session, SqlError, Value, end

ERROR_LINE = re.compile(
    r"^(?:(?:Parse|Runtime) error|Error)(?: near line \d+)?: (?:stepping, )?(?P<message>.*)$",
    re.DOTALL,
)
# The shell prints the result code behind the message, unless it is plain SQLITE_ERROR.
CODE = re.compile(r"^(?P<message>.*) \((?P<code>\d+)\)$", re.DOTALL)


def literal(value: Value) -> str:
    """A value as a SQL literal, since the shell has no handy parameters."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        parts = ["'" + part.replace("'", "''") + "'" for part in value.split("\0")]
        return "(" + "||char(0)||".join(parts) + ")"
    return repr(value)


def inline(sql: str, params: tuple[Value, ...]) -> str:
    """The statement with its ? replaced; the tests use ? for nothing else."""
    parts = sql.split("?")
    assert len(parts) == len(params) + 1, (sql, params)
    return "".join(part + literal(value) for part, value in zip(parts, params)) + parts[-1]


class ShellSession(Session):
    """Sends statements to the shell's standard input.

    The shell buffers what it prints to a pipe, so each result goes to a file of its own by
    `.output`, and the next `.output` creates the file that says it is complete.
    """

    has_cursors = False

    def __init__(
        self,
        program: str,
        path: str,
        readonly: bool = False,
        preexec: Callable[[], None] | None = None,
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="shell-host-")
        self.scratch = Path(self._scratch.name)
        self._stderr = (self.scratch / "stderr").open("w+", encoding="utf-8", errors="replace")
        self._read_errors = 0
        self._calls = 0
        self._begun = 0.0
        # A file that the user's shell reads at start must not change what is tested.
        self.process = subprocess.Popen(
            [program, "-batch", "-init", os.devnull, *(["-readonly"] if readonly else []), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            preexec_fn=preexec,
        )
        self._run(".mode json\n.timeout 5000\nSELECT count(*) FROM sqlite_schema;")
        self.result()

    def _run(self, text: str) -> None:
        assert self.process.stdin is not None
        self._calls += 1
        self._begun = time.monotonic()
        rows = self.scratch / f"{self._calls}.json"
        done = self.scratch / f"{self._calls}.done"
        try:
            self.process.stdin.write(f".output {rows}\n{text}\n.output {done}\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._died() from error

    def _wait(self) -> None:
        done = self.scratch / f"{self._calls}.done"
        deadline = self._begun + CALL_LIMIT_SECONDS
        while not done.exists():
            # After Ctrl-C the shell ends instead of reading on, once the statement has ended.
            if self.process.poll() is not None:
                return
            if time.monotonic() > deadline:
                self.process.kill()
                raise HostDiedError(f"no answer within {CALL_LIMIT_SECONDS} s")
            time.sleep(0.001)

    def _complaint(self) -> str:
        self._stderr.seek(self._read_errors)
        text = self._stderr.read()
        self._read_errors = self._stderr.tell()
        return text.strip()

    def _died(self) -> HostDiedError:
        return HostDiedError(f"the shell ended with {self.process.wait(10)}: {self._complaint()}")

    def command(self, line: str) -> None:
        """One of the shell's own commands."""
        self._run(line)
        self.result()

    def load(self, library: Path, entry: str = "") -> None:
        # As a user would: without the file name's ending.
        self.command(f".load {library.with_suffix('')} {entry}")

    def start(self, sql: str, *params: Value) -> None:
        self._run(inline(sql, params) + ";")

    def result(self) -> Result:
        self._wait()
        seconds = time.monotonic() - self._begun
        complaint = self._complaint()
        if complaint:
            raise to_error(complaint, seconds)
        if self.process.poll() is not None:
            raise self._died()
        # A text of SQLite's may hold bytes that are no UTF-8.
        text = (self.scratch / f"{self._calls}.json").read_text("utf-8", errors="replace")
        return to_result(text, seconds)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def reopen(self, path: str) -> None:
        # The shell opens the new database before it closes the old one, hence the one between.
        self.command(".open :memory:")
        self.command(f".open {path}")

    def close(self) -> None:
        if self.process.stdin is None or self.process.stdin.closed:
            return
        try:
            code = end(self.process)
        finally:
            self._stderr.close()
            self._scratch.cleanup()
        # 1 when a statement failed; a signal is negative.
        if code not in (0, 1):
            raise HostDiedError(f"the shell ended with {code}")


def to_error(complaint: str, seconds: float) -> SqlError:
    """What the shell printed on stderr as an error."""
    line = ERROR_LINE.match(complaint)
    message = line["message"] if line else complaint
    code = CODE.match(message)
    if code:
        return SqlError(code["message"], int(code["code"]), "shell", seconds)
    return SqlError(message, 1, "shell", seconds)


def to_result(text: str, seconds: float) -> Result:
    """The JSON array that the shell writes for a statement, or nothing for no rows."""
    if not text.strip():
        return Result([], [], seconds)
    parsed: list[list[tuple[str, Any]]] = json.loads(text, object_pairs_hook=list)
    columns = [name for name, _ in parsed[0]]
    return Result(columns, [tuple(value for _, value in row) for row in parsed], seconds)
