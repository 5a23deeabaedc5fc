"""Times one call: of a program, of a chain of programs, or of anything that tells its own seconds.

# How

Besides the time, a run knows what it cost in processor time and memory, and how busy everybody
else kept the machine meanwhile: a figure from a busy machine is worth little, and without that
number nobody would see it. The peak of a program's memory is read from outside while it runs,
because what wait4() tells would include the memory of the process that started it. Where there is
no /proc, these are unknown and the times are still there.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Union

PROC = Path("/proc")
# Of a second, in /proc.
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
MIB = 1 << 20
Argument = Union[str, Path]


class MeasureError(Exception):
    """What could not be measured, in one line."""


@dataclass
class Run:
    """What one call took."""

    seconds: float
    #: Processor seconds of the call itself.
    cpu: float | None = None
    #: The most memory that its process ever held, in bytes.
    peak: int | None = None
    #: How many processors were busy with something else, on average.
    others: float | None = None
    #: When it ended, by time.monotonic().
    ended: float = field(default_factory=time.monotonic)
    #: What the call answered, as far as it is worth keeping.
    found: dict[str, Any] = field(default_factory=dict)


def peak_of(process: int) -> int | None:
    """The highest resident size of a living process so far."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(process) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def forget_peak(process: int) -> None:
    """Lets the highest resident size begin anew at the present one."""
    with contextlib.suppress(OSError):
        (PROC / str(process) / "clear_refs").write_text("5")


def cpu_of(process: int) -> float:
    """Processor seconds of a living process so far."""
    with contextlib.suppress(OSError):
        # The name before the bracket may have spaces in it.
        fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def machine_busy() -> float | None:
    """Processor seconds of all processes since the machine started."""
    with contextlib.suppress(OSError):
        fields = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, _idle, _wait, *interrupts_and_stolen = map(int, fields)
        return (user + nice + system + sum(interrupts_and_stolen)) / TICKS
    return None


def own_busy() -> float:
    """Processor seconds of this process."""
    times = os.times()
    return times.user + times.system


class Others:
    """Counts how busy the rest of the machine is, from here to `since()`."""

    def __init__(self) -> None:
        self.begun, self.busy, self.own = time.monotonic(), machine_busy(), own_busy()

    def since(self, cpu: float) -> float | None:
        """Processors busy with something else than this process and a call that took `cpu`."""
        busy, elapsed = machine_busy(), time.monotonic() - self.begun
        if busy is None or self.busy is None or elapsed <= 0:
            return None
        return max(0.0, (busy - self.busy - (own_busy() - self.own) - cpu) / elapsed)


@contextlib.contextmanager
def watching(look: Callable[[], int | None], seconds: float = 0.01) -> Iterator[list[int]]:
    """Looks over and over while the block runs; the only value of the list is the highest."""
    highest = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            highest[0] = max(highest[0], look() or 0)
            done.wait(seconds)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield highest
    finally:
        done.set()
        thread.join()
        highest[0] = max(highest[0], look() or 0)


def size_of(path: Path) -> int:
    """A file's length; none is as good as empty."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def program(
    command: Sequence[Argument], output: Path | None = None, limit: float | None = None
) -> Run:
    """Runs a program, its output in a file if that is wanted, and kills it at the limit.

    A killed one has `found["killed"]`; any other that fails is an error.
    """
    with contextlib.ExitStack() as files:
        target: IO[bytes] | int = subprocess.PIPE
        if output is not None:
            target = files.enter_context(output.open("wb"))
        others = Others()
        begun = time.monotonic()
        process = subprocess.Popen(list(map(str, command)), stdout=target, stderr=subprocess.PIPE)
        timer = threading.Timer(limit or 3600, process.kill)
        timer.start()
        try:
            with watching(lambda: peak_of(process.pid)) as peak:
                # What these programs print fits into a pipe, so nobody needs to read it before.
                _, status, usage = os.wait4(process.pid, 0)
                ended = time.monotonic()
        except BaseException:
            timer.cancel()
            process.kill()
            raise
        seconds = ended - begun
        timed_out = not timer.is_alive()
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        printed = process.stdout.read().decode() if process.stdout else ""
        complaint = process.stderr.read().decode() if process.stderr else ""
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    cpu = usage.ru_utime + usage.ru_stime
    run = Run(seconds, cpu, peak[0] or None, others.since(cpu), ended)
    run.found["printed"] = printed.strip()
    if process.returncode != 0 and not timed_out:
        raise MeasureError(f"{' '.join(map(str, command))} failed: {complaint.strip()}")
    if timed_out:
        run.found["killed"] = True
    return run


def chain(*runs: Callable[[], Run]) -> Run:
    """One after the other, as one run."""
    done = [run() for run in runs]
    seconds = sum(run.seconds for run in done)
    peaks = [run.peak for run in done if run.peak is not None]
    busy = [run.others * run.seconds for run in done if run.others is not None]
    total = Run(seconds, sum(run.cpu or 0 for run in done), max(peaks, default=None))
    total.others = sum(busy) / seconds if busy and seconds > 0 else None
    return total


def here(action: Callable[[], object]) -> Run:
    """Something that this process does itself."""
    others, cpu, begun = Others(), own_busy(), time.monotonic()
    action()
    seconds = time.monotonic() - begun
    return Run(seconds, own_busy() - cpu, None, others.since(0.0))


def settle(size: int) -> None:
    """The same start for every run: nothing left to write, and memory for so many bytes at hand.

    A virtual machine gets memory from its host page by page when it first touches it, which would
    count against whoever comes first.
    """
    os.sync()
    populate = getattr(mmap, "MAP_POPULATE", 0)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | populate
    mmap.mmap(-1, size + size // 4, flags=flags).close()


def read_through(path: Path) -> None:
    """Reads a file into one buffer over and over: what memory can do."""
    buffer = bytearray(MIB)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
