"""The command line in a process that lasts, so that a call costs no start of Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.package import LIMIT_SECONDS, Package

#: Calls the command line within the process, as if by a pipe: far quicker than a process each.
CALL = """
import contextlib, io
from queuekeeper.cli import run
path = sys.argv[1] if len(sys.argv) > 1 else None
def call(*arguments, status=0):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        found = run([str(argument) for argument in arguments])
    assert found == status, (arguments, found, output.getvalue(), errors.getvalue())
    assert "Traceback" not in errors.getvalue() and "\\033" not in output.getvalue()
    if status in (3, 64) and errors.getvalue():
        assert errors.getvalue().startswith("queuekeeper: error: "), errors.getvalue()
        assert errors.getvalue().count("\\n") == 1 and output.getvalue() == "", errors.getvalue()
        return errors.getvalue()
    return output.getvalue()
def told(*arguments, status=0):
    return json.loads(call(*arguments, "--json", status=status))
"""

PROGRAM = """
import contextlib, io
from queuekeeper.cli import run
original = dict(os.environ)
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.clear()
    os.environ.update({**original, **asked["env"]})
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = run(asked["arguments"])
    print(json.dumps([status, output.getvalue(), errors.getvalue()]), flush=True)
"""


class Called:
    """What a call came to."""

    def __init__(self, answer: list[Any]) -> None:
        self.status: int = answer[0]
        self.output: str = answer[1]
        self.errors: str = answer[2]

    def __repr__(self) -> str:
        return f"status {self.status}: {self.output}{self.errors}"


class CommandLine:
    """Calls the command line within one process of its own."""

    def __init__(self, package: Package) -> None:
        self._process = package.start(PROGRAM)

    def __call__(self, *arguments: object, env: dict[str, str] | None = None) -> Called:
        """One call, with these variables in its environment besides the present ones."""
        asked = {"arguments": [str(each) for each in arguments], "env": env or {}}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process ended: {self._process.communicate()}"
        return Called(json.loads(answer))

    def close(self) -> None:
        """Ends the process, which must have nothing to complain about."""
        try:
            _, errors = self._process.communicate(timeout=LIMIT_SECONDS)
        finally:
            self._process.kill()
        assert (self._process.returncode, errors) == (0, "")


@contextmanager
def command_line(package: Package) -> Iterator[CommandLine]:
    """The command line, while the block runs."""
    started = CommandLine(package)
    try:
        yield started
    finally:
        started.close()
