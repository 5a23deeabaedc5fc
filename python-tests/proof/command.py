"""The proof: runs all parts in shares of a duration, and writes docs/proof.md."""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from commands import environment, steps
from proof import fuzzers
from proof.page import Run, page
from proof.parts import PARTS, Part, Targets
from proof.runner import TESTS, Runner

PAGE = steps.ROOT / "docs" / "proof.md"
#: No part is worth beginning for less.
LEAST_SECONDS = 2.0
HOSTS = (
    "from hosts import HOST_NAMES, find_host\n"
    "hosts = [find_host(name) for name in HOST_NAMES]\n"
    "print(', '.join(f'{host.name} {host.version}' for host in hosts if not host.missing))"
)


def say(text: str) -> None:
    # At once, so that it keeps its place among the output of child processes.
    print(text, flush=True)


def arguments() -> argparse.Namespace:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(
        prog="scripts/proof",
        description="Kills, damages, races and starves the library for as long as it is told, and"
        " writes docs/proof.md. A failure ends nothing but its round; the exit status"
        " is 1 if there was one. Needs what scripts/test needs.",
        epilog=f"Parts: {', '.join(names)}.",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=40,
        help="for all parts together, but for the fuzz targets, which without --only take ten "
        "minutes each besides, as many at once as there are cores; 40",
    )
    parser.add_argument("--seed", type=int, help="of all random choices, if not a new one")
    parser.add_argument(
        "--only", metavar="PART,…", help="these parts; then docs/proof.md stays as it is"
    )
    parser.add_argument("--page", type=Path, help="write the page there instead")
    parser.add_argument("--no-build", action="store_true", help="use the library as it is")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else names
    unknown = [name for name in chosen if name not in names]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(names)}")
    options.parts = [part for part in PARTS if part.name in chosen]
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def output_of(command: Sequence[str], directory: Path = steps.ROOT) -> str:
    """What a command prints, or nothing."""
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def commit() -> str:
    """Which source is proved."""
    changed = output_of(["git", "status", "--porcelain", "--", "src", "Cargo.lock"])
    return output_of(["git", "rev-parse", "--short", "HEAD"]) + (" with changes" if changed else "")


def load() -> str:
    """What else the machine had to do meanwhile."""
    if sys.platform == "win32":
        return "unknown"
    return f"{os.getloadavg()[2]:.1f} in the last 15 minutes"


def facts(python: Path) -> dict[str, str]:
    """What is proved, and on what."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return {
        "commit": commit(),
        "system": system,
        "SQLite": output_of([str(python), "-c", HOSTS], TESTS),
        "compiler": output_of(["rustc", "--version"]),
    }


def durations(chosen: Sequence[Part], seconds: float, *, every: bool) -> list[float]:
    """What each part takes; a fuzz target its own time if these are all, else what there is."""
    beside = [isinstance(part.how, Targets) for part in chosen]
    shares = sum(part.share for part, own in zip(chosen, beside) if not (own and every))
    times = []
    for part, own in zip(chosen, beside):
        share = max(LEAST_SECONDS, seconds * part.share / shares)
        if own:
            share = fuzzers.LEAST_SECONDS if every else fuzzers.seconds_each(share)
        times.append(share)
    return times


def prove(options: argparse.Namespace) -> int:
    if not options.no_build:
        steps.build()
    runner = Runner(environment.ensure(), steps.library(), options.seed)
    begun, described = datetime.now(timezone.utc), facts(runner.python)
    whole: list[Part] = options.parts
    times = durations(whole, options.minutes * 60, every=not options.only)
    results = []
    for part, seconds in zip(whole, times):
        each = " each" if isinstance(part.how, Targets) else ""
        say(f"== {part.name}: {seconds / 60:.1f} minutes{each}, seed {options.seed}")
        result = runner.run(part, seconds)
        results.append(result)
        for failure in result.failures:
            say(f"FAILED {failure}")
        if result.missing:
            say(f"not run on this machine: {result.missing}")
        figures = ", ".join(f"{count} {what}" for what, count in sorted(result.counts.items()))
        say(f"{part.name}: {len(result.failures)} failures in {result.seconds:.0f} s; {figures}")
    place = options.page or (None if options.only else PAGE)
    command = f"scripts/proof --minutes {options.minutes:g} --seed {options.seed}"
    if options.only:
        command += f' --only "{options.only}"'
    if place is not None:
        end = datetime.now(timezone.utc)
        when = f"{begun:%Y-%m-%d}, {begun:%H:%M} to {end:%H:%M} UTC"
        run = Run(command, {"date": when, **described, "load average": load()})
        place.write_text(page(run, results), "utf-8")
        say(f"written: {place}")
    return 1 if any(result.failures for result in results) else 0


def main() -> int:
    # Started in the background, it and all its children would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = arguments()
    try:
        return prove(options)
    except KeyboardInterrupt:
        print("proof: interrupted", file=sys.stderr)
        return 130
