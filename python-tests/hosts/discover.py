"""Which hosts there are on this machine."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from hosts.protocol import Session
from hosts.python_host import PythonSession
from hosts.shell import ShellSession

HOST_NAMES = ("shell", "stdlib", "apsw", "pysqlite3")

OLDEST = (3, 37, 0)

PROBES = {
    "sqlite3": "import sqlite3 as m; m.connect(':memory:').enable_load_extension(True); "
    "print(m.sqlite_version)",
    "pysqlite3": "import pysqlite3 as m; m.connect(':memory:').enable_load_extension(True); "
    "print(m.sqlite_version)",
    "apsw": "import apsw as m; print(m.sqlite_lib_version())",
}


@dataclass(frozen=True)
class Host:
    """A host that is there, or the reason why it can't be used."""

    name: str
    program: str = ""
    version: str = ""
    missing: str = ""

    def open(
        self, path: str, readonly: bool = False, preexec: Callable[[], None] | None = None
    ) -> Session:
        """A new process of this host with that database open."""
        if self.name == "shell":
            return ShellSession(self.program, path, readonly, preexec)
        return self.open_python(path, readonly, preexec)

    def open_python(
        self, path: str, readonly: bool = False, preexec: Callable[[], None] | None = None
    ) -> PythonSession:
        """The same for a host that is a Python module, which can do more."""
        module = "sqlite3" if self.name == "stdlib" else self.name
        return PythonSession(self.program, module, path, readonly, preexec)


def run(*command: str) -> tuple[bool, str]:
    """Whether a command succeeded, and the last line that it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        return False, str(error)
    lines = (done.stdout + done.stderr).strip().splitlines() or [""]
    return done.returncode == 0, lines[-1]


def too_old(version: str) -> bool:
    """Whether the library refuses that SQLite."""
    return tuple(int(part) for part in version.split(".")[:3]) < OLDEST


def find_shell() -> Host:
    """The sqlite3 shell on PATH, if it has `.load`."""
    program = shutil.which("sqlite3")
    if program is None:
        return Host("shell", missing="no sqlite3 shell on PATH")
    _, answer = run(program, ":memory:", ".load /nonexistent")
    if "unknown command" in answer:
        return Host("shell", missing=f"{program} has no .load")
    _, version = run(program, "-version")
    return checked("shell", program, version.split()[0])


def find_module(name: str, module: str, programs: list[str]) -> Host:
    """The first Python whose module can load extensions."""
    answer = "no Python"
    for program in programs:
        fine, answer = run(program, "-I", "-c", PROBES[module])
        if fine:
            return checked(name, program, answer)
    return Host(name, missing=f"no Python whose {module} loads extensions ({answer})")


def checked(name: str, program: str, version: str) -> Host:
    """The host, unless its SQLite is too old for the library."""
    if too_old(version):
        return Host(name, missing=f"{program} has SQLite {version}, older than 3.37")
    return Host(name, program, version)


@functools.cache
def find_host(name: str) -> Host:
    """The host of that name, or why it isn't there."""
    if name == "shell":
        return find_shell()
    if name == "stdlib":
        others = [path for path in map(shutil.which, ("/usr/bin/python3", "python3")) if path]
        return find_module(name, "sqlite3", [sys.executable, *others])
    return find_module(name, name, [sys.executable])
