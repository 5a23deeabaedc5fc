"""The command: scripts/bench. See --help."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import catalogs, idle, load, machine, page, peers, raw, tasks
from benchmarks.measure import MeasureError
from benchmarks.raw import Records
from benchmarks.rounds import FEWEST, Rounds
from benchmarks.setting import Setting
from support.queues import video

ROOT = Path(__file__).parents[1]
GROUPS = (idle.GROUP, load.GROUP, catalogs.GROUP, tasks.GROUP)
UNITS = {"MB": 10**6, "GB": 10**9}
#: Every queue below the one asked for is measured, too.
USUAL = ("10MB", "100MB", "1GB", "4GB")
#: The one that everything is measured on, if a larger one is asked for.
MAIN = "1GB"
#: Of the time that is left for the main queue, so much is for the runs without load, then for the
#: peers under load, and then for each kind of requeue of most leases. What remains is for our
#: backups under load.
IDLE_SHARE, PEERS_SHARE, REQUEUE_SHARE = 0.62, 0.25, 0.2
#: Less than 25 in all, with building the library and what is begun when the time is over.
USUAL_MINUTES = 22.0
#: The database, a copy, a restored one, what the restore saves, and its WAL; and some air.
ROOM = 6


def size_of(label: str) -> int:
    """The bytes of "100MB"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(MB|GB)", label)
    if match is None:
        raise argparse.ArgumentTypeError(f"{label!r} is no size such as 10MB or 1GB")
    return round(float(match[1]) * UNITS[match[2]])


def label(text: str) -> str:
    size_of(text.upper())
    return text.upper()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Builds the library, makes queues, and measures queuekeeper beside what a user"
        " would take instead. Writes the page BENCHMARKS.md with plots, and every figure as JSON.",
    )
    parser.add_argument("--size", type=label, default=MAIN, help="the largest queue (default 1GB)")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each (default 7)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=USUAL_MINUTES,
        help=f"when time runs short, the dearest calls get fewer runs, most at least {FEWEST}"
        f" (default {USUAL_MINUTES}; a queue above 1GB takes its time on top)",
    )
    parser.add_argument(
        "--only", default=",".join(GROUPS), help=f"some of these groups: {', '.join(GROUPS)}"
    )
    parser.add_argument(
        "--alone",
        type=float,
        default=Setting.alone_seconds,
        help="seconds that the other processes commit before each run under load, and at least"
        f" during it (default {Setting.alone_seconds:g})",
    )
    parser.add_argument(
        "--directory", type=Path, help="where the queues lie (default target/bench)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "benchmarks" / "results",
        help="where the page goes (default benchmarks/results)",
    )
    parser.add_argument(
        "--page", action="store_true", help="only make the page anew, from raw.json"
    )
    # For scripts/bench alone, which has built the library and knows where it is.
    parser.add_argument("--library", dest="built", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def command(options: argparse.Namespace) -> str:
    """What was asked for, as far as it decides what is measured and how often."""
    words = ["scripts/bench", "--size", options.size]
    if options.minutes != USUAL_MINUTES:
        words += ["--minutes", f"{options.minutes:g}"]
    return " ".join(words)


class Bench:
    """One run of everything that was asked for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.groups = options.only.split(",")
        unknown = set(self.groups) - set(GROUPS)
        if unknown:
            raise MeasureError(f"--only knows {', '.join(GROUPS)}, and not {', '.join(unknown)}")
        self.directory = (options.directory or ROOT / "target" / "bench").resolve()
        self.measured: Path = options.built
        self.records = Records()
        self.begun = time.monotonic()
        self.deadline: float = self.begun + 60 * options.minutes
        self.sizes = [name for name in USUAL if size_of(name) < size_of(options.size)]
        self.sizes.append(options.size)
        smaller = [name for name in self.sizes if size_of(name) <= size_of(MAIN)]
        self.main = smaller[-1] if smaller else options.size

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begun:5.0f} s] {text}", flush=True)

    @contextlib.contextmanager
    def queue(self, name: str) -> Iterator[Setting]:
        """A queue of that size, which is deleted at the end."""
        place = self.directory / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            begun = time.monotonic()
            small = name == catalogs.LABEL
            path = place / "queue.db"
            queue = catalogs.small_queue(path) if small else video.make(path, size_of(name))
            took = time.monotonic() - begun
            if not small:
                self.records.queues[name] = {
                    "bytes": queue.bytes,
                    "pages": queue.pages,
                    "tasks": queue.tasks,
                    "made_seconds": round(took, 1),
                }
                self.say(f"{name}: {queue.tasks:,} tasks, {queue.pages:,} pages, in {took:.1f} s")
            yield Setting(name, queue, self.measured, alone_seconds=self.options.alone)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def until(self, share: float) -> float:
        """When that share of the time that is left will be over."""
        now = time.monotonic()
        return now + share * (self.deadline - now)

    def run(self) -> None:
        self.check_room()
        with tempfile.TemporaryDirectory(dir=self.directory) as place:
            # A copy, so that all figures are of one library if somebody builds another meanwhile.
            self.measured = Path(place) / self.options.built.name
            shutil.copyfile(self.options.built, self.measured)
            for name in self.sizes:
                if name == self.main or idle.GROUP in self.groups:
                    with self.queue(name) as setting:
                        self.measure(
                            name, setting, Rounds(setting, self.records, self.say, self.save)
                        )
                    self.save()
        # Of what was written, as --page does: both make the same page.
        show(raw.read(self.options.output / "raw.json"), self.options.output)
        self.say(f"done; the page is {self.options.output / 'BENCHMARKS.md'}")

    def measure(self, name: str, setting: Setting, rounds: Rounds) -> None:
        """All that is measured on one queue."""
        wanted, count = self.groups, self.options.rounds
        if name == self.main:
            self.describe(setting)
            self.catalogs()
            if tasks.GROUP in wanted:
                rounds.run(tasks.GROUP, tasks.LINES, count, self.deadline)
                self.save()
        if idle.GROUP in wanted:
            above = size_of(name) > size_of(self.main)
            lines = idle.LINES if name == self.main else idle.GROWTH
            share = IDLE_SHARE if load.GROUP in wanted and name == self.main else 1.0
            # Only for how things grow.
            most = 1 if above else count
            rounds.run(idle.GROUP, lines, most, self.until(share), idle.FIRM)
            self.save()
        if name == self.main:
            self.others_there(rounds)

    def others_there(self, rounds: Rounds) -> None:
        """What is measured under load, and the requeue that is too dear for all rounds."""
        wanted, count = self.groups, self.options.rounds
        few = min(count, FEWEST)
        if load.GROUP in wanted:
            rounds.run(load.GROUP, [load.ENDLESS], 1, self.deadline)
            rounds.run(load.GROUP, [load.PEERS], count, self.until(PEERS_SHARE))
        if tasks.GROUP in wanted:
            rounds.run(tasks.GROUP, tasks.DEAR, few, self.until(REQUEUE_SHARE), fewest=1)
        if load.GROUP in wanted:
            rounds.run(load.GROUP, [load.REQUEUE], few, self.until(REQUEUE_SHARE), fewest=1)
            rounds.run(load.GROUP, [load.OURS], count, self.deadline)

    def catalogs(self) -> None:
        """The catalogs have a tiny queue of their own."""
        if catalogs.GROUP not in self.groups:
            return
        largest = catalogs.largest(size_of(self.main))
        with self.queue(catalogs.LABEL) as setting:
            rounds = Rounds(setting, self.records, self.say, self.save)
            count = self.options.rounds
            rounds.run(catalogs.GROUP, catalogs.lines(largest), count, self.deadline)
            sweep = [[catalogs.sweep(largest)]]
            rounds.run(catalogs.GROUP, sweep, min(count, FEWEST), self.deadline)
        self.save()

    def describe(self, setting: Setting) -> None:
        self.records.about = {
            "command": command(self.options),
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
            "main": self.main,
            "machine": machine.describe(setting),
            "missing": peers.missing(),
            "library_bytes": setting.library.stat().st_size,
        }

    def check_room(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        needed = ROOM * size_of(self.options.size)
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise MeasureError(
                f"{self.directory} has {free / 1e9:.1f} GB free, and this takes up to"
                f" {needed / 1e9:.1f} GB: free some, or name another --directory"
            )

    def save(self) -> None:
        """The figures so far: --page makes a page of them, also if this is stopped."""
        if not self.records.about:
            return
        self.options.output.mkdir(parents=True, exist_ok=True)
        self.records.about["minutes"] = round((time.monotonic() - self.begun) / 60, 1)
        self.records.write(self.options.output / "raw.json")


def show(records: Records, output: Path) -> None:
    """The page and its plots."""
    # Which alone need a package.
    from benchmarks import plots

    text = page.page(records, page.READING.read_text("utf-8"))
    (output / "BENCHMARKS.md").write_text(text, "utf-8")
    plots.write(records, records.about["main"], output)


def main() -> int:
    options = arguments()
    try:
        if options.page:
            show(raw.read(options.output / "raw.json"), options.output)
        else:
            Bench(options).run()
    except MeasureError as error:
        print(f"bench: failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
