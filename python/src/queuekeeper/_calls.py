"""Making a call that Ctrl-C, other signals and the caller's progress function can end.

# Promise

An exception of the progress function, or of a signal handler while the call runs, ends the call
within a fraction of a second; it undoes what it has begun (done batches and steps stay), and then
the exception goes on. A
progress function that returns something true ends the call with an InterruptError.

# How

Python runs signal handlers in the main thread, between two instructions of Python code, and never
inside a call of C. Nor would a callback from C help: the handler runs before the callback's first
instruction, and what it raises there is printed and lost. So in the main thread, the call is made
by a helper thread while the main one waits for news of it, in Python. The progress function runs
in the caller's thread, and the call waits for its answer. In other threads no handler ever runs,
and the call is made directly.
"""

from __future__ import annotations

import _thread
import contextlib
import threading

# Not `queue`: the program may have a package of that name. This is what `queue` has it from.
from _queue import Empty, SimpleQueue
from typing import Any, Callable

from queuekeeper._abi import Heard

Progress = Callable[[int, int], Any]
Work = Callable[[Heard], Any]

#: On Windows a wait is not ended by Ctrl-C, but its end notices it.
LOOK_UP_SECONDS = 0.1


def run(work: Work, interrupt: Callable[[], None], progress: Progress | None) -> Any:
    """The result of `work`, which is given a function to tell its progress to.

    `interrupt` asks it to end from another thread; it is called until it has ended.
    """
    if threading.current_thread() is threading.main_thread():
        return _Attended(work, interrupt, progress).result()
    return _direct(work, progress)


def _direct(work: Work, progress: Progress | None) -> Any:
    raised: list[BaseException] = []

    def heard(done: int, total: int) -> bool:
        try:
            return bool(raised) or (progress is not None and bool(progress(done, total)))
        except BaseException as error:
            raised.append(error)
            return True

    try:
        return work(heard)
    finally:
        if raised:
            raise raised[0]


class _Attended:
    """A call in a helper thread, and the main thread that waits for it."""

    def __init__(
        self, work: Work, interrupt: Callable[[], None], progress: Progress | None
    ) -> None:
        self._work = work
        self._interrupt = interrupt
        self._progress = progress
        self._news: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._helpers: list[int] = []
        self._stop = False
        self._ended = False
        self._outcome: Any = None
        self._failure: BaseException | None = None

    def result(self) -> Any:
        raised: BaseException | None = None
        try:
            while True:
                # A signal's exception may come anywhere in here. The call is waited for even so.
                try:
                    if not self._start():
                        return _direct(self._work, self._progress)
                    while not self._ended:
                        self._attend()
                    break
                except BaseException as error:
                    if not self._helpers:
                        raise
                    raised = raised or error
                    self._end()
        finally:
            # If yet another signal got us out of the loop, nobody waits for an answer in vain.
            if self._helpers and not self._ended:
                self._end()
        if raised is not None:
            raise raised
        if self._failure is not None:
            raise self._failure
        return self._outcome

    def _start(self) -> bool:
        """Starts the helper thread; false if there can be none, as at the interpreter's end."""
        if self._helpers:
            return True
        try:
            # One step, between whose parts no signal comes: the list knows if there is a thread.
            self._helpers.extend(map(_thread.start_new_thread, [self._help], [()]))
        except RuntimeError as error:
            if self._helpers or "new thread" not in str(error):
                raise
            return False
        return True

    def _help(self) -> None:
        try:
            self._outcome = self._work(self._heard)
        except BaseException as error:
            self._failure = error
        self._ended = True
        self._news.put(None)

    def _heard(self, done: int, total: int) -> bool:
        """Runs in the helper thread."""
        if self._progress is not None and not self._stop:
            self._news.put((done, total))
            return self._answers.get()
        return self._stop

    def _attend(self) -> None:
        """Answers one piece of news; runs in the main thread."""
        try:
            news = self._news.get(timeout=LOOK_UP_SECONDS)
        except Empty:
            news = None
        if self._stop:
            # A call that had not begun to work when it was interrupted did not notice.
            self._interrupt()
            self._answers.put(True)
        elif news is not None and self._progress is not None:
            self._answers.put(bool(self._progress(*news)))

    def _end(self) -> None:
        self._stop = True
        self._answers.put(True)
        with contextlib.suppress(Exception):
            self._interrupt()
