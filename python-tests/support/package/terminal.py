"""A program on a terminal of some width, which a pseudo-terminal of this system is."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from support.package import LIMIT_SECONDS

#: What a terminal obeys: colours, and moves of the cursor.
ORDERS = re.compile(r"\033\[[0-9;?]*[A-Za-z]")


class Shown:
    """What a terminal was sent, and how the program ended."""

    def __init__(self, status: int, sent: str) -> None:
        self.status = status
        self.sent = sent

    @property
    def lines(self) -> list[str]:
        """The lines without colours."""
        return [line.rstrip() for line in ORDERS.sub("", self.sent).split("\r\n")]

    def __repr__(self) -> str:
        return f"status {self.status}: {self.sent}"


def on_a_terminal(
    program: Path,
    *arguments: object,
    columns: int = 80,
    answer: str = "",
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Shown:
    """Runs it there, typing `answer` beforehand."""
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    for name in ("NO_COLOR", "COLUMNS"):
        if name not in (env or {}):
            environment.pop(name, None)
    command: Sequence[str] = [str(program), *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=cwd
    ) as process:
        os.close(theirs)
        if answer:
            os.write(ours, answer.encode())
        sent = _read(ours)
        status = process.wait(LIMIT_SECONDS)
    os.close(ours)
    return Shown(status, sent.decode())


def _read(terminal: int) -> bytes:
    """All until nobody has its other end any more."""
    found = bytearray()
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:
            # Linux says so by an error, others by an end.
            more = b""
        if not more:
            return bytes(found)
        found += more


HAS_TERMINALS = sys.platform != "win32"
