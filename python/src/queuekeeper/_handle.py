"""An open database: the handle, whose turn it is, and its end.

# Promise

Calls from several threads run one at a time. A call that is ended by an exception ends itself
alone, never the call of another thread that runs on the same handle. A call from within a progress
function of the same thread is refused, since it would wait for ever.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from queuekeeper import _calls
from queuekeeper._abi import Abi, Argument, CallError, Heard
from queuekeeper.errors import SQLITE_INTERRUPT, SQLITE_MISUSE, from_code

TURN_SECONDS = 0.05


def _close(abi: Abi, handle: int) -> CallError | None:
    """What a finalizer must not raise, it returns."""
    try:
        abi.close(handle)
    except CallError as failure:
        return failure
    return None


class _Call:
    """A call; whether it works just now is noted where no signal's exception can come between."""

    working = False
    #: Whether it is to end, though its turn has not come.
    ended = False


class Handle:
    """One handle of the library."""

    def __init__(self, abi: Abi, path: bytes) -> None:
        self._abi = abi
        self._turn = threading.Lock()
        self._running: _Call | None = None
        self._guard = threading.Lock()
        #: The last call of each thread.
        self._calls: dict[int, _Call] = {}
        try:
            self._number = abi.open(path)
        except CallError as failure:
            raise from_code(failure.code, str(failure)) from None
        self._end = weakref.finalize(self, _close, abi, self._number)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._end.alive

    @property
    def phase(self) -> str | None:
        """What the running call is doing."""
        return None if self.closed else self._abi.phase(self._number)

    def close(self) -> None:
        """Closes it; a second time does nothing."""
        self._refuse_nested("close()")
        failure = self._end()
        if failure is not None:
            raise from_code(failure.code, str(failure))

    def call(
        self, name: str, arguments: list[Argument], progress: _calls.Progress | None = None
    ) -> Any:
        """Calls one of the library's functions."""
        self._refuse_nested(name.replace("qk_", "") + "()")
        if self.closed:
            raise from_code(SQLITE_MISUSE, "this queue was closed; open it anew")
        mine = _Call()
        self._calls[threading.get_ident()] = mine

        def work(heard: Heard) -> Any:
            with self._my_turn(mine, heard):
                return self._abi.call(name, self._number, arguments, heard)

        try:
            return _calls.run(work, lambda: self._interrupt(mine), progress)
        except CallError as failure:
            raise from_code(failure.code, str(failure)) from None
        finally:
            self._calls.pop(threading.get_ident(), None)

    def interrupt(self, thread: int) -> None:
        """Asks the call of that thread to end, if it runs."""
        mine = self._calls.get(thread)
        if mine is not None:
            mine.ended = True
            self._interrupt(mine)

    def _interrupt(self, mine: _Call) -> None:
        with self._guard:
            if self._running is mine:
                self._abi.interrupt(self._number)

    def _refuse_nested(self, what: str) -> None:
        outer = self._calls.get(threading.get_ident())
        if outer is not None and outer.working:
            message = (
                f"{what} was called by a progress function, on the very queue that it reports of"
            )
            raise from_code(SQLITE_MISUSE, message)

    @contextlib.contextmanager
    def _my_turn(self, mine: _Call, heard: Heard) -> Iterator[None]:
        """Runs in the thread that makes the call, which is never one with signal handlers."""
        mine.working = True
        try:
            while not self._turn.acquire(timeout=TURN_SECONDS):
                if mine.ended or heard(0, 0):
                    raise CallError(SQLITE_INTERRUPT, "interrupted while another thread's call ran")
            try:
                with self._guard:
                    self._running = mine
                if mine.ended:
                    raise CallError(SQLITE_INTERRUPT, "interrupted before its turn came")
                yield
            finally:
                with self._guard:
                    self._running = None
                self._turn.release()
        finally:
            mine.working = False
