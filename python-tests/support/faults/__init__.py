"""Faults at the Nth file operation of a host: the injector of tests/faults, and its hosts.

The injector counts every system call of a process that changes, syncs or reads something below one
directory, and lets the Nth one fail or be the last. See tests/faults/faults.c.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hosts import Host, SqlError
from support import compiling

SOURCES = Path(__file__).resolve().parents[3] / "tests" / "faults"
FORKING = Path(__file__).resolve().parents[2] / "hosts" / "forking.py"

# The bits of struct control's `kinds`, in the order of faults.c.
(CREATE, WRITE, SYNC, TRUNCATE, RENAME, LINK, UNLINK, MKDIR, RMDIR, PERMIT, ALLOCATE, OTHER) = (
    1 << bit for bit in range(12)
)
OPEN, READ, MAP, LOOK, LIST = (1 << bit for bit in range(12, 17))
CHANGES = (1 << 12) - 1
READS = OPEN | READ | MAP | LOOK | LIST
#: What a full disk refuses, and what a place that may not be written to.
TAKES_SPACE = CREATE | WRITE | TRUNCATE | RENAME | LINK | MKDIR | ALLOCATE
NAMES = CREATE | RENAME | LINK | UNLINK | MKDIR | RMDIR | PERMIT | OPEN

KILL = -1


class Control(ctypes.Structure):
    """struct control of faults.c."""

    _fields_ = [
        ("armed", ctypes.c_uint32),
        ("kinds", ctypes.c_uint32),
        ("lasting", ctypes.c_uint32),
        ("lazy", ctypes.c_uint32),
        ("torn", ctypes.c_uint32),
        ("opens", ctypes.c_uint32),
        ("lock", ctypes.c_uint32),
        ("what", ctypes.c_int32),
        ("kind", ctypes.c_uint32),
        ("at", ctypes.c_uint64),
        ("seen", ctypes.c_uint64),
        ("struck", ctypes.c_uint64),
        ("directory", ctypes.c_char * 4096),
        ("path", ctypes.c_char * 4096),
    ]


@dataclass(frozen=True)
class Fault:
    """What happens at which operation."""

    what: int = 0
    at: int = 0
    kinds: int = CHANGES
    lasting: bool = False
    torn: bool = False

    def __str__(self) -> str:
        name = "death" if self.what == KILL else errno.errorcode.get(self.what, "nothing")
        return f"{name}{' from' if self.lasting else ' at'} operation {self.at}"


NO_FAULT = Fault()


@dataclass(frozen=True)
class Operation:
    """One line of the log: what was changed, and how."""

    kind: int
    result: int
    inode: int
    offset: int
    path: str
    #: The new name of what was renamed, or where the links led to of what was opened.
    other: str
    data: bytes


@dataclass
class Answer:
    """What a request came to."""

    status: int
    answers: list[dict[str, Any]]
    seen: int
    struck: int
    #: The first operation that was struck, and its path.
    kind: int = 0
    path: str = ""

    def rows(self, step: int) -> list[list[Any]]:
        """The rows of a statement that must have succeeded."""
        answer = self.answers[step]
        assert "error" not in answer, answer["error"]
        rows = answer["ok"]
        assert isinstance(rows, list)
        return rows

    def error(self, step: int) -> SqlError | None:
        """The error of a statement, if it had one."""
        found = self.answers[step].get("error")
        return SqlError(found["message"], found["code"], found["class"]) if found else None


HEADER = struct.Struct("=IIqQQQQQ")


def parse(log: bytes) -> Iterator[Operation]:
    """The operations of a log."""
    place = 0
    while place < len(log):
        size, kind, result, inode, offset, path, other, data = HEADER.unpack_from(log, place)
        assert size == HEADER.size + path + other + data
        rest = log[place + HEADER.size : place + size]
        names = rest[: path + other].decode()
        yield Operation(
            kind, result, inode, offset, names[:path], names[path:], rest[path + other :]
        )
        place += size


@dataclass
class Faults:
    """A host under the injector, or without any; each request runs in a child of its own."""

    host: Host
    library: Path
    injector: Path | None
    place: Path
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        control = self.place / "control"
        size = (ctypes.sizeof(Control) + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
        control.write_bytes(bytes(size))
        self.log = self.place / "control.log"
        self.log.write_bytes(b"")
        with control.open("r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 0)
        self.control = Control.from_buffer(self.shared)
        module = "sqlite3" if self.host.name == "stdlib" else self.host.name
        self.process = subprocess.Popen(
            [self.host.program, "-I", str(FORKING), module, str(control), str(self.library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.place,
            env={**os.environ, **self.preload(control)},
        )

    def preload(self, control: Path) -> dict[str, str]:
        """The environment that brings the injector into a process."""
        if self.injector is None:
            return {}
        return {
            "LD_PRELOAD": compiling.preloaded(self.injector),
            "QUEUEKEEPER_FAULTS": str(control),
        }

    def close(self) -> None:
        """Ends the host."""
        self.process.communicate(timeout=30)
        del self.control
        self.shared.close()

    def ask(
        self,
        path: Path,
        steps: list[dict[str, Any]],
        fault: Fault = NO_FAULT,
        directory: Path | None = None,
        load: bool = True,
        close: bool = True,
        opens: bool = False,
    ) -> Answer:
        """Runs steps on the database at `path`; `fault` counts below `directory`, where it lies.

        With `opens`, operations() tells afterwards which files were opened, on the whole machine.
        """
        os.truncate(self.log, 0)
        control = self.control
        control.armed = control.lock = control.seen = control.struck = control.kind = 0
        control.path = b""
        control.kinds, control.what, control.at = fault.kinds, fault.what, fault.at
        control.lasting, control.torn, control.lazy = fault.lasting, fault.torn, 1
        control.opens = opens
        control.directory = b"" if opens else os.fsencode(directory or path.parent)
        request = {
            "path": str(path),
            "library": str(self.library) if load else "",
            "steps": steps,
            "close": close,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return Answer(
            answer["status"],
            answer["answers"],
            control.seen,
            control.struck,
            control.kind,
            os.fsdecode(control.path),
        )

    def operations(self) -> list[Operation]:
        """What the last request changed while it was armed."""
        return list(parse(self.log.read_bytes()))


def build(place: Path) -> Path:
    """The injector, or a skip that says why there is none."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("the fault injector is for Linux on x86-64")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the fault injector is for glibc")
    return compiling.build_shared(place / "faults.so", *sorted(SOURCES.glob("*.c")))
