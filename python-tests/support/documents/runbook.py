"""The runbook's blocks, and a sqlite3 shell that they are typed into.

A section of the runbook is a heading of level two. In it, each block of SQL is followed by the text
that the shell answers with, where `…` stands for what differs from run to run. How wide a box is
drawn is no matter.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUNBOOK = Path(__file__).resolve().parents[3] / "docs" / "runbook.md"
BLOCK = re.compile(r"^```sql\n(.*?)^```\n+(?:^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
# In the order in which the runbook says so, too.
PREPARATION = ".load {library}\n.mode box --wordwrap on --wrap 100\n"


@dataclass(frozen=True)
class Step:
    """What is typed, and what the runbook says that it answers."""

    typed: str
    answer: str


def sections() -> dict[str, list[Step]]:
    """The sections that have something to type."""
    _, *parts = re.split(r"^## ", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)
    found: dict[str, list[Step]] = {}
    for part in parts:
        title, text = part.split("\n", 1)
        steps = [Step(match[1], match[2] or "") for match in BLOCK.finditer(text)]
        if steps:
            found[title] = steps
    return found


def simplified(text: str) -> str:
    """Without the widths of boxes, and without how the shell numbers the lines of its input."""
    text = re.sub(r" near line \d+", "", text)
    text = re.sub(r"─+", "─", text)
    return re.sub(r" +", " ", text).strip()


def agrees(answer: str, expected: str) -> bool:
    """Whether an answer is the expected one."""
    parts = simplified(expected).split("…")
    return (
        re.fullmatch(".*?".join(map(re.escape, parts)), simplified(answer), re.DOTALL) is not None
    )


class Shell:
    """A sqlite3 shell with the library in it."""

    def __init__(self, program: str, database: Path, library: Path) -> None:
        self.process = subprocess.Popen(
            [program, "-batch", database.name],
            cwd=database.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.number = 0
        self.type(PREPARATION.format(library=library.with_suffix("")))

    def type(self, text: str) -> str:
        """Types something; all that the shell says to it."""
        assert self.process.stdin is not None
        self.number += 1
        end = f"-- end of {self.number} --"
        self.process.stdin.write(f"{text}\n.print '{end}'\n")
        self.process.stdin.flush()
        return "".join(self._lines_until(end))

    def _lines_until(self, end: str) -> Iterator[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.rstrip("\n") == end:
                return
            yield line
        raise AssertionError(f"the shell ended with {self.process.wait(10)}")

    def close(self) -> None:
        """Ends the shell."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        assert self.process.wait(30) in (0, 1), "the shell crashed"
