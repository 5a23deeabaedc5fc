"""A host session on a process that speaks JSON lines, as driver.py and driver.mjs do."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from hosts.protocol import (
    CALL_LIMIT_SECONDS,
    HostDiedError,
    Result,
    Row,
    Session,
    SqlError,
    Value,
    end,
)


def encode(value: Value) -> Any:
    """A SQLite value as the driver's JSON."""
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def decode(value: Any) -> Value:
    """A SQLite value from the driver's JSON."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    assert value is None or isinstance(value, (int, float, str))
    return value


class DriverSession(Session):
    """Speaks JSON lines with a driver process."""

    def __init__(
        self,
        command: Sequence[str],
        path: str,
        readonly: bool = False,
        preexec: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            preexec_fn=preexec,
            env={**os.environ, **(environment or {})},
        )
        #: Past it, the host hangs.
        self.limit_seconds = CALL_LIMIT_SECONDS
        self.answers: queue.Queue[str] = queue.Queue()
        self.complaints: list[str] = []
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._follow(self.process.stdout, self.answers.put)
        self._follow(self.process.stderr, self.complaints.append)
        try:
            self.call("open", path=path, readonly=readonly)
        except SqlError:
            self.close()
            raise

    def _follow(self, stream: IO[str], take: Callable[[str], None]) -> None:
        def follow() -> None:
            for line in stream:
                take(line)
            take("")

        threading.Thread(target=follow, daemon=True).start()

    def _send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._died() from error

    def _receive(self) -> tuple[Any, float]:
        try:
            line = self.answers.get(timeout=self.limit_seconds)
        except queue.Empty:
            self.process.kill()
            raise HostDiedError(f"no answer within {self.limit_seconds} s") from None
        if not line:
            raise self._died()
        reply = json.loads(line)
        if "error" in reply:
            error = reply["error"]
            raise SqlError(error["message"], error["code"], error["class"], reply["seconds"])
        return reply["ok"], reply["seconds"]

    def _died(self) -> HostDiedError:
        code = self.process.wait(10)
        return HostDiedError(f"the host ended with {code}: {''.join(self.complaints)}")

    def call(self, op: str, **arguments: Any) -> Any:
        """One request to the driver, and its answer."""
        self._send({"op": op, **arguments})
        return self._receive()[0]

    def load(self, library: Path, entry: str = "") -> None:
        self.call("load", path=str(library), entry=entry)

    def start(self, sql: str, *params: Value) -> None:
        self._send({"op": "execute", "sql": sql, "params": [encode(value) for value in params]})

    def result(self) -> Result:
        answer, seconds = self._receive()
        return Result(answer["columns"], [to_row(row) for row in answer["rows"]], seconds)

    def interrupt(self) -> None:
        self._send({"op": "interrupt"})

    def reopen(self, path: str) -> None:
        self.call("close")
        self.call("open", path=path)

    def close(self) -> None:
        if self.process.stdin is None or self.process.stdin.closed:
            return
        if end(self.process) != 0:
            raise self._died()


def to_row(row: list[Any]) -> Row:
    """A row of the driver's JSON as SQLite values."""
    return tuple(decode(value) for value in row)
