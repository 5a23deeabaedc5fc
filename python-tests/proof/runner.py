"""Runs one part of the proof for its share of the time, and says what came of it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from commands.steps import ROOT
from proof import fuzzers, sanitizers
from proof.parts import Part, Targets, Tests, Workload

TESTS = ROOT / "python-tests"
#: What a part may take longer than it was told, before it counts as hanging: the tests that have
#: begun are ended.
GRACE_SECONDS = 600.0
#: Why the tests that the end of the time has cut off were skipped, as conftest.py says it.
OVER = "the time is over"
#: Where the tests do their work; it is gone when the page is read.
TEMPORARY = re.compile(r"/[\w./-]*queuekeeper-\w+(?:/work(?=/))?")


@dataclass
class Result:
    """What came of a part."""

    part: Part
    seed: int
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    #: Why it could not be run on this machine, if so.
    missing: str = ""


@dataclass(frozen=True)
class Runner:
    """With what the parts are run."""

    python: Path
    library: Path
    seed: int

    def run(self, part: Part, seconds: float) -> Result:
        """A part, for about that long; whatever goes wrong is one of its failures."""
        result = Result(part, self.seed)
        begun = time.monotonic()
        try:
            if isinstance(part.how, Workload):
                self._workload(part.how, seconds, result)
            elif isinstance(part.how, Targets):
                outcome = fuzzers.fuzz(seconds, self.seed)
                result.counts, result.failures = outcome.counts, outcome.failures
            else:
                self._tests(part.how, seconds, result)
        except sanitizers.UnavailableError as error:
            result.missing = str(error)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            result.failures.append(f"it could not be run: {type(error).__name__}: {error}")
        result.seconds = time.monotonic() - begun
        return result

    def _workload(self, how: Workload, seconds: float, result: Result) -> None:
        command = [str(self.python), "-m", "proof.workloads", how.name, "--seed", str(self.seed)]
        command += ["--seconds", f"{seconds:.0f}", "--library", str(self.library)]
        with tempfile.TemporaryFile("w+") as output:
            status = wait(command, None, seconds + GRACE_SECONDS, output.fileno())
            output.seek(0)
            lines = output.read().splitlines()
        if not lines:
            result.failures.append(f"it ended with status {status} and said nothing")
            return
        record = json.loads(lines[-1])
        result.counts = record["counts"]
        result.failures += record["failures"]

    def _tests(self, how: Tests, seconds: float, result: Result) -> None:
        watched = sanitizers.build(how.sanitizer) if how.sanitizer else None
        environment = self._environment(how, seconds)
        pytest = [str(self.python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        with tempfile.TemporaryDirectory(prefix="queuekeeper-proof-") as name:
            report, listed, found = (Path(name, part) for part in ("report.xml", "tests", "found"))
            found.mkdir()
            if watched is not None:
                environment |= watched.environment(found)
            tests = self._shuffled(pytest, how, environment)
            listed.write_text("\n".join(tests), "utf-8")
            command = [*pytest, f"@{listed}", "-n", str(os.cpu_count() or 1), "--junitxml"]
            command += [
                str(report),
                "-o",
                "junit_logging=system-out",
                "-o",
                "junit_duration_report=call",
                "--basetemp",
                f"{name}/tmp",
            ]
            status = wait(command, environment, seconds + GRACE_SECONDS, sys.stderr.fileno())
            if report.exists():
                read_report(report, how, result)
            else:
                result.failures.append(f"pytest ended with status {status} and no report")
            if watched is not None:
                reports = [TEMPORARY.sub("…", report) for report in sanitizers.findings(found)]
                result.failures += reports
                result.counts["reports of the sanitizer"] = len(reports)
        result.counts["tests that there are"] = len(tests)

    def _environment(self, how: Tests, seconds: float) -> dict[str, str]:
        """What the tests go by."""
        return {
            "QUEUEKEEPER_PROOF": "long",
            "QUEUEKEEPER_PROOF_OVER": "" if how.own_clock else str(time.time() + seconds),
            # Among others, a test with a clock of its own gets a tenth of the time.
            "QUEUEKEEPER_PROOF_SECONDS": f"{seconds if how.own_clock else seconds / 10:.0f}",
            "QUEUEKEEPER_PROOF_SEED": str(self.seed),
            "QUEUEKEEPER_LIBRARY": str(self.library),
        }

    def _shuffled(self, pytest: list[str], how: Tests, more: Mapping[str, str]) -> list[str]:
        """The names of the tests, in an order that depends on the seed."""
        collect = [*pytest, "--collect-only", *how.files]
        listed = subprocess.run(
            collect,
            cwd=TESTS,
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        tests = [line for line in listed.stdout.splitlines() if "::" in line]
        if listed.returncode != 0 or not tests:
            raise ValueError(f"pytest finds no tests in {how.files}: {listed.stdout[-500:]}")
        random.Random(self.seed).shuffle(tests)
        return tests


def wait(
    command: list[str],
    more: Mapping[str, str] | None,
    seconds: float,
    output: int,
) -> int:
    """Runs it in python-tests/; what goes on for longer is interrupted, and that is a failure."""
    process = subprocess.Popen(
        command,
        cwd=TESTS,
        env={**os.environ, **(more or {})},
        stdout=output,
        start_new_session=True,
    )
    try:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait(GRACE_SECONDS)
            raise
    finally:
        # Whatever it has started, too, if it has not ended in an orderly way.
        if process.poll() is None:
            kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process that leads a group, and the group."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_report(report: Path, how: Tests, result: Result) -> None:
    """What pytest wrote about the tests that it has run."""
    counts: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        problem = next((found for kind in ("failure", "error") for found in case.iter(kind)), None)
        if problem is not None:
            message = TEMPORARY.sub("…", (problem.get("message") or "").strip())
            result.failures.append(f"{name}: {message[:2000]}")
        skipped = case.find("skipped")
        if skipped is not None and skipped.get("message") == OVER:
            continue
        counts["tests run" if skipped is None else "tests skipped"] += 1
        said = "".join(case.itertext())
        for what, pattern in how.figures.items():
            counts[what] += sum(int(number) for number in re.findall(pattern, said))
    result.counts = dict(counts)
