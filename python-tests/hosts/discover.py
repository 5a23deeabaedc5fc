"""Which hosts there are on this machine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hosts import further
from hosts.driver_host import DriverSession
from hosts.protocol import Session
from hosts.python_host import PythonSession
from hosts.shell import ShellSession

HOST_NAMES = ("shell", "stdlib", "apsw", "pysqlite3")
#: Those that the tests install when they are asked for; see further.py.
FURTHER_NAMES = ("oldest", *further.WHEELS, *further.PROGRAMS, "better-sqlite3")

#: Those whose modules are JavaScript's and offer no interrupt.
SCRIPTED_NAMES = (*further.PROGRAMS, "better-sqlite3")

SCRIPT = Path(__file__).with_name("driver.mjs")

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
    #: The module, and where it lies if not where the program looks by itself.
    module: str = ""
    directory: str = ""
    #: A directory with another libsqlite3 for the program.
    libraries: str = ""

    @property
    def scripted(self) -> bool:
        """Whether it is driven in JavaScript."""
        return self.name in SCRIPTED_NAMES

    def open(
        self, path: str, readonly: bool = False, preexec: Callable[[], None] | None = None
    ) -> Session:
        """A new process of this host with that database open."""
        if self.name == "shell":
            return ShellSession(self.program, path, readonly, preexec)
        if self.scripted:
            quiet = ["--no-warnings"] if self.module == "node:sqlite" else []
            command = [self.program, *quiet, str(SCRIPT), self.module, self.directory]
            return DriverSession(command, path, readonly, preexec)
        return self.open_python(path, readonly, preexec)

    def open_python(
        self, path: str, readonly: bool = False, preexec: Callable[[], None] | None = None
    ) -> PythonSession:
        """The same for a host that is a Python module, which can do more."""
        more = {"LD_LIBRARY_PATH": self.libraries} if self.libraries else {}
        module = self.module or self.name
        return PythonSession(self.program, module, path, readonly, preexec, more, self.directory)


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
            return replace(checked(name, program, answer), module=module)
    return Host(name, missing=f"no Python whose {module} loads extensions ({answer})")


def checked(name: str, program: str, version: str) -> Host:
    """The host, unless its SQLite is too old for the library."""
    if too_old(version):
        return Host(name, missing=f"{program} has SQLite {version}, older than 3.37")
    return Host(name, program, version)


def find_further(name: str) -> Host:
    """A host that the tests install for themselves."""
    try:
        if name == "oldest":
            return find_oldest()
        if name in further.WHEELS:
            found = further.wheel(name)
        elif name in further.PROGRAMS:
            found = further.program(name)
        else:
            found = further.better_sqlite3()
    except further.MissingError as error:
        return Host(name, missing=f"{name} cannot be installed here: {error}")
    except further.FailedError as error:
        # Without a network that is no fault; where the tests run for a change, it is.
        if os.environ.get("CI"):
            raise
        return Host(name, missing=f"{name} could not be installed: {error}")
    places = (
        found.directory / "node_modules" if found.module == "better-sqlite3" else found.directory
    )
    return asked(Host(name, found.program, module=found.module, directory=str(places)))


def find_oldest() -> Host:
    """The system's Python on the oldest SQLite, if its module can be given another one."""
    others = find_host("stdlib")
    if others.missing:
        return Host("oldest", missing=others.missing)
    libraries = str(further.oldest().directory)
    host = asked(Host("oldest", others.program, module="sqlite3", libraries=libraries))
    if host.version == others.version:
        return Host("oldest", missing=f"{others.program} has a SQLite of its own inside")
    return host


def asked(host: Host) -> Host:
    """The host with the version that its SQLite gives."""
    with host.open(":memory:") as session:
        version = session.value("SELECT sqlite_version()")
    return replace(host, version=version)


@functools.cache
def find_host(name: str) -> Host:
    """The host of that name, or why it isn't there."""
    if name in FURTHER_NAMES:
        return find_further(name)
    if name == "shell":
        return find_shell()
    if name == "stdlib":
        others = [path for path in map(shutil.which, ("/usr/bin/python3", "python3")) if path]
        return find_module(name, "sqlite3", [sys.executable, *others])
    return find_module(name, name, [sys.executable])
