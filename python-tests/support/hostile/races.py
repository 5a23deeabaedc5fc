"""Races between root's work in a directory and the user who owns that directory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]
Look = tuple[Any, ...]


def look(top: Path) -> dict[str, Look]:
    """All that lies there: kind and mode, owner, time of the last change, and content."""
    found = {}
    for path in [top, *sorted(top.rglob("*"))]:
        each = path.lstat()
        content: object = None
        if stat.S_ISREG(each.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(each.st_mode):
            content = str(path.readlink())
        found[str(path)] = (each.st_mode, each.st_uid, each.st_gid, each.st_mtime_ns, content)
    return found


class Swapper:
    """The owner of a directory, at work."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        script = Path(__file__).with_name("swapper.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(script), json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def stop(self) -> int:
        """How often a name led elsewhere."""
        output, _ = self._process.communicate("stop\n", timeout=60)
        return int(output)

    def kill(self) -> None:
        """Ends it, if it goes on."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def swapping(order: Mapping[str, Any]) -> Iterator[Swapper]:
    """The owner of a directory, as long as this lasts."""
    swapper = Swapper(order)
    try:
        yield swapper
    finally:
        swapper.kill()


def victim(order: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The outcomes of root's rounds; the next one begins when this one was looked at."""
    script = Path(__file__).with_name("race_victim.py")
    modules = [str(TESTS), str(TESTS.parent / "python" / "src")]
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps({**order, "modules": modules})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            yield json.loads(line)
            with contextlib.suppress(OSError):
                process.stdin.write("on\n")
                process.stdin.flush()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
