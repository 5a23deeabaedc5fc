"""Makes the project's virtual environment from the Python that runs this, without packages.

`ensure(REQUIREMENTS)` returns the environment's Python with those packages installed; a second call
with the same requirements costs nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

# What the pinned requirements run on.
OLDEST = (3, 11)

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
REQUIREMENTS = ROOT / "python-tests" / "requirements.txt"


def python_of(environment: Path) -> Path:
    """The interpreter inside a virtual environment."""
    if os.name == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def base_python() -> str:
    """This Python, or a newer one on PATH if the requirements need that."""
    if sys.version_info >= OLDEST:
        # Not the environment's own Python, if that runs this: it would be deleted first.
        return getattr(sys, "_base_executable", None) or sys.executable
    for minor in range(30, OLDEST[1] - 1, -1):
        found = shutil.which(f"python{OLDEST[0]}.{minor}")
        if found is not None:
            return found
    wanted = ".".join(map(str, OLDEST))
    raise SystemExit(f"this needs Python {wanted} or newer, but {sys.executable} is older")


def fingerprint(base: str, requirements: Path) -> str:
    """What the environment was made from: another Python or another list makes it anew."""
    made_from = f"{os.path.realpath(base)}\n{ROOT}\n".encode() + requirements.read_bytes()
    return hashlib.sha256(made_from).hexdigest()


def create(environment: Path, base: str) -> None:
    """An empty environment with pip, whichever way that Python offers."""
    shutil.rmtree(environment, ignore_errors=True)
    # -I: nothing of the directory where this runs is to come first.
    for module, options in (("venv", []), ("virtualenv", ["-q"])):
        command = [base, "-I", "-m", module, *options, str(environment)]
        if subprocess.run(command, check=False).returncode == 0:
            return
        shutil.rmtree(environment, ignore_errors=True)
    raise SystemExit(
        f"{base} cannot make a virtual environment: install its venv module "
        "(on Debian and Ubuntu: apt-get install python3-venv) and run this again"
    )


def ensure(requirements: Path = REQUIREMENTS, environment: Path = ENVIRONMENT) -> Path:
    """The environment's Python, with the requirements installed."""
    python = python_of(environment)
    stamp = environment / "made-from.sha256"
    base = base_python()
    wanted = fingerprint(base, requirements)
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"making {environment} from {base}", flush=True)
    create(environment, base)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", "-r", str(requirements)], check=False)
    if done.returncode != 0:
        raise SystemExit(f"pip could not install {requirements}")
    stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    print(ensure())
