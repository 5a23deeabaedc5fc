"""Runs the fuzzers in fuzz/ for a part of the proof.

cargo-fuzz builds them all once, with AddressSanitizer; where it is missing, it is installed into
target/tools, and nowhere else. Each starts from its seeds (fuzz/seeds) and from what it has found
to be of use in earlier runs (fuzz/corpus), and as many run at once as there are cores. One that
ends with a finding is a failure, with the place of the input; keep that as a seed, under a name
that says what it is.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from commands.steps import ROOT, cargo
from support import memory

FUZZ = ROOT / "fuzz"
BUILT = ROOT / "target" / "fuzz"
TOOLS = ROOT / "target" / "tools"
VERSION = "0.13.2"
#: What each takes at least when all parts of the proof are run.
LEAST_SECONDS = 600.0
#: What one may take longer than it was told before it counts as hanging.
GRACE_SECONDS = 120.0
#: No input takes longer, more memory in all, or more at once: what is read is bounded, and zstd's
#: window of 128 MiB is the largest piece.
LIMITS = ("-timeout=60", "-rss_limit_mb=1024", "-malloc_limit_mb=160")
#: As cargo-fuzz sets it: Rust's own statics are no violation.
SANITIZER = {"ASAN_OPTIONS": "detect_odr_violation=0"}
#: What a fuzzer says, last of all.
EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
COVERED = re.compile(r"cov: (\d+)")
WRITTEN = re.compile(r"Test unit written to (\S+)")
REASON = re.compile(
    r"^(?:thread .* panicked at .*\n.*|SUMMARY: .*|==\d+== ?ERROR: .*)", re.MULTILINE
)


@dataclass
class Outcome:
    """What came of one fuzzer, or of all."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def names() -> list[str]:
    """The fuzzers that there are."""
    return re.findall(
        r'^\[\[bin\]\]\nname = "(\w+)"', (FUZZ / "Cargo.toml").read_text("utf-8"), re.M
    )


def at_once() -> int:
    """How many run at a time."""
    return os.cpu_count() or 1


def seconds_each(seconds: float) -> float:
    """What each can take of the time of all."""
    return seconds / math.ceil(len(names()) / at_once())


def environment() -> dict[str, str]:
    """Sanitizers and coverage are options of the compiler that a stable one hides."""
    path = os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", "")])
    return {**os.environ, "RUSTC_BOOTSTRAP": "1", "PATH": path}


def output_of(*command: str) -> str:
    """What a command of the build says; that it fails is an error."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ValueError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return done.stdout


def build() -> Path:
    """Builds all fuzzers; where they are."""
    if shutil.which("cargo-fuzz", path=environment()["PATH"]) is None:
        where = ("--root", str(TOOLS), "--quiet")
        output_of(cargo(), "install", "cargo-fuzz", "--version", VERSION, "--locked", *where)
    output_of(cargo(), "fuzz", "build", "--target-dir", str(BUILT))
    host = re.search(r"^host: (\S+)$", output_of("rustc", "-vV"), re.MULTILINE)
    if host is None:
        raise ValueError("rustc does not say for what it compiles")
    return BUILT / host[1] / "release"


def run(program: Path, seconds: float, seed: int) -> Outcome:
    """One fuzzer for that long, or until it has found something."""
    name = program.name
    corpus, artifacts = FUZZ / "corpus" / name, FUZZ / "artifacts" / name
    for directory in (corpus, artifacts):
        directory.mkdir(parents=True, exist_ok=True)
    command = [str(program), str(corpus), str(FUZZ / "seeds" / name), *LIMITS]
    command += [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed or 1}"]
    command += ["-print_final_stats=1", f"-artifact_prefix={artifacts}{os.sep}"]
    try:
        with tempfile.TemporaryDirectory(dir=memory.PLACE) as place:
            done = subprocess.run(
                command,
                cwd=FUZZ,
                env={**os.environ, "TMPDIR": place, **SANITIZER},
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds + GRACE_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return Outcome(failures=[f"{name}: it did not end"])
    executions, covered = EXECUTIONS.findall(done.stderr), COVERED.findall(done.stderr)
    outcome = Outcome({"executions": 0})
    if executions:
        outcome.counts["executions"] += int(executions[-1])
        outcome.counts[f"{name}: executions"] = int(executions[-1])
    if covered:
        outcome.counts[f"{name}: edges covered"] = int(covered[-1])
    if done.returncode != 0:
        reason, written = REASON.search(done.stderr), WRITTEN.findall(done.stderr)
        said = reason[0] if reason else done.stderr[-300:]
        outcome.failures.append(f"{name}: {said}: {written[-1] if written else 'no input'}")
    return outcome


def fuzz(seconds: float, seed: int) -> Outcome:
    """All fuzzers, each for that long."""
    place, whole = build(), Outcome({"executions": 0, "targets": len(names())})
    with ThreadPoolExecutor(at_once()) as pool:
        for one in pool.map(lambda name: run(place / name, seconds, seed), names()):
            executions = whole.counts["executions"] + one.counts.pop("executions", 0)
            whole.counts.update(one.counts, executions=executions)
            whole.failures += one.failures
    return whole
