"""Which SQLite the demo runs in: the shell, a Python that can load extensions, or apsw.

Nothing here opens a database in this process. The queue is only ever opened by child
processes with one SQLite each, because two SQLites in one process would undo each other's
file locks.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-demo"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
APSW = [
    "apsw==3.54.1.0; python_version >= '3.10'",
    # The last one that can be had for Python 3.9.
    "apsw==3.51.0.0; python_version < '3.10'",
]
OLDEST = (3, 37)
KINDS = ("shell", "python", "apsw")

SQLITE3_PROBE = """
import sqlite3
connection = sqlite3.connect(":memory:")
try:
    connection.enable_load_extension(True)
    loads = True
except Exception:
    loads = False
print(sqlite3.sqlite_version, loads)
"""
APSW_PROBE = "import apsw; print(apsw.sqlite_lib_version(), True)"


class DemoError(Exception):
    """What went wrong, in one line."""


@dataclass(frozen=True)
class Host:
    kind: str
    program: str
    sqlite_version: str

    @property
    def module(self) -> str:
        """The module through which a Python host reaches SQLite."""
        return "apsw" if self.kind == "apsw" else "sqlite3"

    def __str__(self) -> str:
        what = {"shell": "the sqlite3 shell", "python": "Python's sqlite3 module", "apsw": "apsw"}
        return f"{what[self.kind]} ({self.program}), SQLite {self.sqlite_version}"


def output_of(command: list[str], text: str = "") -> str:
    """What the command prints, errors included; nothing if it cannot be run."""
    try:
        done = subprocess.run(
            command,
            check=False,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def is_new_enough(version: str) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= OLDEST


def find_shell() -> Host | None:
    program = shutil.which("sqlite3")
    if program is None:
        return None
    # A shell that was built without extensions doesn't know the command; others say that
    # there is no such file.
    commands = "SELECT sqlite_version();\n.load ./no-such-library\n"
    answer = output_of([program, "-batch", "-init", os.devnull, ":memory:"], commands)
    version = answer.split("\n", 1)[0]
    cannot = "unknown command" in answer or "not authorized" in answer
    if cannot or not is_new_enough(version):
        return None
    return Host("shell", program, version)


def pythons() -> Iterator[str]:
    known = [sys.executable, "/usr/bin/python3", shutil.which("python3")]
    yield from dict.fromkeys(program for program in known if program and Path(program).exists())


def probe(kind: str, program: str, must_load: bool) -> Host | None:
    script = APSW_PROBE if kind == "apsw" else SQLITE3_PROBE
    version, _, loads = output_of([program, "-I", "-c", script]).strip().partition(" ")
    usable = is_new_enough(version) and (loads == "True" or not must_load)
    return Host(kind, program, version) if usable else None


def find_python(must_load: bool = True) -> Host | None:
    found = (probe("python", program, must_load) for program in pythons())
    return next((host for host in found if host is not None), None)


def install_apsw() -> Host:
    """The apsw of our own virtual environment, which is made if it isn't there."""
    host = probe("apsw", str(VENV_PYTHON), must_load=True) if VENV_PYTHON.exists() else None
    if host is not None:
        return host
    print(f"Installing apsw into {VENV} ...", flush=True)
    pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    why = ""
    # Some systems ship a Python whose venv module is incomplete; something else may do.
    for program, maker in itertools.product(pythons(), ("venv", "virtualenv")):
        # -I, because a file of that name in the current directory would come first.
        why = output_of([program, "-I", "-m", maker, "--clear", str(VENV)])
        if not VENV_PYTHON.exists():
            continue
        (VENV / ".gitignore").write_text("*\n", encoding="utf-8")
        why = output_of([*pip, *APSW]) or why
        host = probe("apsw", str(VENV_PYTHON), must_load=True)
        if host is not None:
            return host
    why = " ".join(why.split())[-300:] or "no Python could make a virtual environment"
    raise DemoError(f"apsw cannot be installed (a sqlite3 shell would do as well): {why}")


def find_host(kind: str | None) -> Host:
    """The host that was asked for, or the first there is."""
    if kind in (None, "shell"):
        host = find_shell()
        if host is not None:
            return host
        if kind is not None:
            raise DemoError("there is no sqlite3 shell >= 3.37 on PATH that can load extensions")
    if kind in (None, "python"):
        host = find_python()
        if host is not None:
            return host
        if kind is not None:
            raise DemoError("there is no Python with SQLite >= 3.37 that can load extensions")
    return install_apsw()


def find_helper(host: Host) -> Host:
    """The Python that makes the queue and writes to it, which needs no extension."""
    if host.kind != "shell":
        return host
    return find_python(must_load=False) or install_apsw()
