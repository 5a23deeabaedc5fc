"""What every command shows: its screens on a terminal, of a queue with some content.

The clock stands still (`support/weeks/world.c`), and the queue's directory has a path of a length
that is always the same. What differs from run to run all the same is masked, at its own width.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import re
import shlex
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from rich.cells import cell_len

from support import compiling
from support.memory import PLACE
from support.package import Package
from support.package.terminal import Shown, on_a_terminal

HERE = Path(__file__).parent
WORLD = HERE.parents[0] / "weeks" / "world.c"
#: A Thursday.
NOW = datetime(2027, 11, 11, 12, tzinfo=timezone.utc)
#: What stands for the queue's directory.
DIRECTORY = "/var/lib/prismq/production"
TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
COLOURS = re.compile(r"\033\[[0-9;]*m")
#: What differs from run to run: the text, and what stands for each of its digits.
VARYING = (
    (ID, "x"),
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{8})\b"), "x"),
)
FREE = re.compile(r"^(free_disk)( +[\d,.]+)(?= +GiB)", re.MULTILINE)
#: What differs even in its width, which nothing else depends on.
REPLACED = (
    (re.compile(r"(free disk +)[\d,.]+"), r"\g<1>64,000"),
    (re.compile(r"(SQLite +)\d+\.\d+\.\d+"), r"\g<1>3.40.1"),
    (re.compile(r"(took +)[\d.]+"), r"\g<1>0.05"),
    (re.compile(r"((?:frames in the WAL|copied) +)\d+"), r"\g<1>19"),
    (re.compile(r"\d+ of \d+ pages copied"), "19 of 19 pages copied"),
    (re.compile(r"((?:duration_ms|size_bytes) +)\d+"), r"\g<1>32000"),
    # Some have the bug that it warns of, some not.
    (re.compile(r"^sqlite_version .*\n|^sqlite_version:.*\n(?:  .*\n)*", re.MULTILINE), ""),
)


@dataclass(frozen=True)
class Screen:
    """What a command sent to a terminal of some width."""

    command: str
    columns: int
    shown: Shown

    @property
    def lines(self) -> list[str]:
        """What it shows in the end, without colours: a bar is gone by then."""
        lines, row = [""], 0
        for order in re.findall(r"\033\[[0-9;?]*[A-Za-z]|[\r\n]|[^\033\r\n]+", self.shown.sent):
            if order == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif order == "\033[1A":
                row -= 1
            elif order == "\033[2K":
                lines[row] = ""
            elif order not in ("\r", "\033[?25l", "\033[?25h") and not COLOURS.fullmatch(order):
                lines[row] += order
        return lines[:-1] if lines[-1] == "" else lines

    def faults(self, words: Iterable[str]) -> Iterator[str]:
        """What is wrong with it on any terminal; `words` must not be folded."""
        for line in self.lines:
            if cell_len(line) > self.columns:
                yield f"too wide: {line}"
            if not line.isprintable():
                yield f"a control character: {line!r}"
        text = "\n".join(self.lines)
        whole = "".join(line.strip() for line in self.lines)
        for word in words:
            if whole.count(word) > text.count(word):
                yield f"folded: {word}"
        spaced = " ".join(line.strip() for line in self.lines)
        if len(TIME.findall(spaced)) > len(TIME.findall(text)):
            yield "a time is folded"


class Stage:
    """A queue's directory, and the terminal beside it."""

    def __init__(self, package: Package, directory: Path, world: Path) -> None:
        self.directory = directory
        self._package = package
        self._env = {
            "LD_PRELOAD": compiling.preloaded(world),
            "WORLD_NOW": str(int(NOW.timestamp())),
            "PRISMQ_QUEUE_DB_PATH": str(directory / "queue.db"),
            "QUEUEKEEPER_REMOTE": "",
            "RCLONE_CONFIG": str(directory / "rclone.conf"),
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }

    def fill(self, content: str) -> None:
        """Makes the queue and its backups."""
        done = subprocess.run(
            [self._package.python, HERE / "contents.py", content, self.directory],
            env={**os.environ, **self._env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ids(self) -> set[str]:
        """The beginnings of the ids of all backups, as lists show them."""
        return {each[:8] for each in self._catalogued()}

    def _catalogued(self) -> list[str]:
        catalog = self.directory / "backups" / "backup_manifest.json"
        if not catalog.exists():
            return []
        backups = json.loads(catalog.read_text("utf-8"))
        return [each["id"] for each in sorted(backups, key=lambda each: str(each["created_at"]))]

    def newest(self) -> str:
        """The beginning of the id of the newest backup, if there is one."""
        found = self._catalogued()
        return found[-1][:8] if found else ""

    def screen(self, command: str, columns: int) -> Screen:
        """What a command shows."""
        words = shlex.split(command)
        shown = on_a_terminal(
            self._package.command, *words, columns=columns, env=self._env, cwd=self.directory
        )
        return Screen(command, columns, shown)

    def masked(self, text: str) -> str:
        """A text in which nothing depends on this run."""
        # It may be folded.
        own = re.compile(r"(\n *)?".join(map(re.escape, str(self.directory))))
        text = own.sub(lambda found: _in_place(found[0], DIRECTORY), text)
        for pattern, mark in VARYING:
            text = pattern.sub(functools.partial(_marked, mark), text)
        text = FREE.sub(lambda found: found[1] + "64.0".rjust(len(found[2])), text)
        for pattern, instead in REPLACED:
            text = pattern.sub(instead, text)
        return text


def _marked(mark: str, found: re.Match[str]) -> str:
    return re.sub(r"[\da-f]", mark, found[0])


def _in_place(folded: str, text: str) -> str:
    """A text, folded where another of its length is."""
    rest = iter(text)
    return "".join(each if each.isspace() else next(rest) for each in folded)


@contextlib.contextmanager
def stage(package: Package) -> Iterator[Stage]:
    """An empty directory whose path is as long as `DIRECTORY`, and the clock that stands still."""
    place = f"{PLACE or Path(tempfile.gettempdir()).resolve()}/"
    name = "".join(random.choices(string.ascii_uppercase, k=len(DIRECTORY) - len(place)))
    assert len(name) > 6, f"{place} is too long a path"
    directory = Path(place + name)
    directory.mkdir(mode=0o700)
    try:
        with tempfile.TemporaryDirectory(prefix="queuekeeper-", dir=PLACE) as built:
            world = compiling.build_shared(Path(built) / "world.so", WORLD)
            yield Stage(package, directory, world)
    finally:
        shutil.rmtree(directory)


CAN = sys.platform.startswith("linux")
