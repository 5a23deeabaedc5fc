"""C programs built against the header and the library under test."""

from __future__ import annotations

import os
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
#: The sanitizer that watches the library, "address" or "thread", and so each program, too; see
#: proof/sanitizers.py. It is empty where scripts/proof has not set it.
SANITIZER = os.environ.get("QUEUEKEEPER_SANITIZER", "")


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
        *compiler_of(compiler),
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


#: Programs of others that end without freeing what is theirs.
LEAKING = ("node",)


def compiler_of(compiler: tuple[str, ...]) -> tuple[str, ...]:
    """The compiler, or the one that knows the sanitizer, and what that takes."""
    named = os.environ.get("QUEUEKEEPER_CC")
    program = named or tool(compiler[0])
    watched = (f"-fsanitize={SANITIZER}", "-fno-omit-frame-pointer", "-DSANITIZED")
    return (program, *compiler[1:], *(watched if SANITIZER else ()))


def preloaded(*libraries: Path) -> str:
    """What LD_PRELOAD is to be, for these libraries behind a sanitizer's, which must come first."""
    first = os.environ.get("LD_PRELOAD", "").split() if SANITIZER else []
    return " ".join([*first, *map(str, libraries)])


def environment(program: str = "") -> dict[str, str]:
    """What the programs run in: a sanitizer sees more in them than in others' programs."""
    found = dict(os.environ)
    if SANITIZER == "address" and Path(program).name not in LEAKING:
        # Each leak is the library's or ours. It is told, and does not change how a program ends.
        found["ASAN_OPTIONS"] += ":detect_leaks=1"
        found["LSAN_OPTIONS"] = "exitcode=0"
    if SANITIZER == "thread":
        # Only in a program that it watches itself a library can be watched.
        found["LD_LIBRARY_PATH"] = found["QUEUEKEEPER_LIBRARIES"]
    return found


def build_shared(target: Path, *sources: Path) -> Path:
    """Builds a library that is preloaded into a host, with warnings as errors."""
    command = [tool(C99[0]), *C99[1:], *STRICT, "-O1", "-shared", "-fPIC", *map(str, sources)]
    command += ["-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run(*command: str | Path, cwd: Path | None = None, seconds: float = SECONDS) -> str:
    """What a program prints, if it exits with status 0."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=cwd,
        env=environment(words[0]),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
