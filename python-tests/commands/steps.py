"""Runs a list of commands, stopping at the first that fails; and builds the library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The Rust tests are a crate of their own, so that the library's has none of their dependencies.
RUST_TESTS = Path("tests") / "Cargo.toml"
# The fuzzers are one, too: they need libFuzzer, and a compiler's hidden options.
FUZZERS = Path("fuzz") / "Cargo.toml"
LIBRARIES = {"darwin": "libqueuekeeper.dylib", "win32": "queuekeeper.dll"}
LIBRARY = LIBRARIES.get(sys.platform, "libqueuekeeper.so")


@dataclass(frozen=True)
class Step:
    """One command and the name that the summary gives it."""

    name: str
    command: Sequence[str]


def cargo() -> str:
    """Cargo, also where only rustup's default directory has it."""
    found = shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))
    if found is None:
        raise SystemExit("cargo is not installed: see https://rustup.rs, and run this again")
    return found


def build() -> None:
    """Builds the library; ends the program if that fails."""
    sys.stdout.flush()
    if subprocess.run([cargo(), "build", "--release"], cwd=ROOT, check=False).returncode != 0:
        raise SystemExit("cargo build --release failed")


def library() -> Path:
    """Where cargo puts the library."""
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    return (target / "release" / LIBRARY).resolve()


def run(name: str, steps: Sequence[Step]) -> int:
    """Runs the steps in turn and prints one closing line; returns the exit status."""
    begun = time.monotonic()
    for step in steps:
        print(f"== {step.name}", flush=True)
        status = subprocess.run(step.command, cwd=ROOT, check=False).returncode
        if status != 0:
            print(f"{name}: {step.name} failed with status {status}", file=sys.stderr, flush=True)
            return 1
    seconds = time.monotonic() - begun
    names = ", ".join(step.name for step in steps)
    print(f"{name}: all passed in {seconds:.0f} s: {names}", flush=True)
    return 0
