"""A bar for long work on a terminal: the phase by its name, MiB done and in all, the time left.

Each phase has a line of its own, since each counts anew. Lines stay until all of the work is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from queuekeeper import Queue
from queuekeeper.cli.grammar import asked
from queuekeeper.cli.show import mebibytes, mib

Moved = Callable[[int, int], None]


@contextlib.contextmanager
def progress(what: str, queue: Queue | None = None, unit: int | None = 1) -> Iterator[Moved | None]:
    """A function that moves the bar, if standard error is a terminal.

    It is told units of so many bytes; None where nobody knows how many.
    """
    console = Console(stderr=True)
    if not console.is_terminal or asked().quiet:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        phases = _Phases(bar, what, queue, unit)
        yield phases.moved


class _Phases:
    """The lines of one bar."""

    def __init__(self, bar: Progress, what: str, queue: Queue | None, unit: int | None) -> None:
        self._bar = bar
        self._queue = queue
        self._unit = unit
        self._phase: str | None = None
        # Until there is something to count, the bar only shows that work is going on.
        self._line: TaskID = bar.add_task(what, total=None, counted="")

    def moved(self, done: int, total: int) -> None:
        """Shows how far the phase is that the work is in."""
        phase = None if self._queue is None else self._queue.phase
        if phase != self._phase and phase is not None:
            if self._phase is None:
                self._bar.update(self._line, description=phase.capitalize())
            else:
                self._finish()
                self._line = self._bar.add_task(phase.capitalize(), total=None, counted="")
            self._phase = phase
        if total > 0:
            counted = self._counted(done, total)
            self._bar.update(self._line, completed=done, total=total, counted=counted)

    def _finish(self) -> None:
        (task,) = (each for each in self._bar.tasks if each.id == self._line)
        self._bar.update(self._line, completed=task.total)

    def _counted(self, done: int, total: int) -> str:
        if self._unit is None:
            return f"{done:,} of {total:,} pages"
        return f"{mib(done * self._unit)} of {mebibytes(total * self._unit)}"
