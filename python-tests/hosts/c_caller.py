"""A process that calls the C ABI through ctypes."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hosts.protocol import CALL_LIMIT_SECONDS, HostDiedError, end

DRIVER = Path(__file__).with_name("c_driver.py")


class CError(Exception):
    """A call returned something other than SQLITE_OK."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class CCaller:
    """Speaks JSON lines with a c_driver process."""

    def __init__(
        self,
        library: Path,
        python: str,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        self.process = subprocess.Popen(
            [*before, python, "-I", "-X", "utf8", str(DRIVER), str(library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, **(environment or {})},
        )
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def start(self, op: str, **arguments: Any) -> None:
        """Sends a request without waiting for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._died() from error

    def result(self) -> Any:
        """The answer to a request."""
        try:
            line = self.answers.get(timeout=CALL_LIMIT_SECONDS)
        except queue.Empty:
            self.process.kill()
            raise HostDiedError(f"no answer within {CALL_LIMIT_SECONDS} s") from None
        if not line:
            raise self._died()
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        ok = answer["ok"]
        if isinstance(ok, dict) and ok.get("code"):
            raise CError(ok["code"], ok["message"])
        return ok["result"] if isinstance(ok, dict) and "result" in ok else ok

    def ask(self, op: str, **arguments: Any) -> Any:
        """One request and its answer."""
        self.start(op, **arguments)
        return self.result()

    def call(self, name: str, *arguments: Any, handle: str = "queue") -> Any:
        """Calls qk_NAME."""
        return self.ask("call", name=name, arguments=list(arguments), handle=handle)

    def refusal(self, op: str, **arguments: Any) -> CError:
        """The error of a request that must fail."""
        try:
            answer = self.ask(op, **arguments)
        except CError as error:
            return error
        raise AssertionError(f"{op} {arguments} was not refused, but answered {answer!r}")

    def _died(self) -> HostDiedError:
        assert self.process.stderr is not None
        code = self.process.wait(10)
        return HostDiedError(f"the process ended with {code}: {self.process.stderr.read()}")

    def end(self) -> None:
        """Ends the process; a crash at its end counts, too."""
        if self.process.stdin is None or self.process.stdin.closed:
            return
        if end(self.process) != 0:
            raise self._died()
