"""C programs built against the header and the library under test."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "queuekeeper.h"
SOURCES = ROOT / "tests" / "c"
#: What the programs share.
SHARED = SOURCES / "shared.c"
CLIENT = (SOURCES / "client.c", SOURCES / "wrong_use.c", SHARED)
STRICT = ("-Wall", "-Wextra", "-Werror", "-Wpedantic", "-g")
C99 = ("gcc", "-std=c99")
CPP = ("g++", "-std=c++11", "-x", "c++")
SECONDS = 120


def tool(name: str) -> str:
    """The path of a program that the tests need, or a skip that says how to get it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; on Debian and Ubuntu: apt-get install g++ valgrind")
    return found


def functions() -> set[str]:
    """The C functions that the header declares."""
    return set(re.findall(r"^\S.*?\b(qk_\w+)\(", HEADER.read_text("utf-8"), re.MULTILINE))


def build(
    program: Path, library: Path, *sources: Path, compiler: tuple[str, ...] = C99, more: str = ""
) -> Path:
    """Builds a program, with warnings as errors; it finds the library where it lies."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the C programs are built for Linux")
    command = [
        tool(compiler[0]),
        *compiler[1:],
        *STRICT,
        *more.split(),
        f"-I{HEADER.parent}",
        *map(str, sources),
        # What follows is no source.
        *(("-x", "none") if "-x" in compiler else ()),
        str(library),
        f"-Wl,-rpath,{library.parent}",
        "-pthread",
        "-o",
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return program


def build_shared(target: Path, *sources: Path) -> Path:
    """Builds a library that is preloaded into a host, with warnings as errors."""
    command = [tool(C99[0]), *C99[1:], *STRICT, "-O1", "-shared", "-fPIC", *map(str, sources)]
    command += ["-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What a program prints, if it exits with status 0."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
