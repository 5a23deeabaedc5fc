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


class Handle:
    """One handle of the library."""

    def __init__(self, abi: Abi, path: bytes) -> None:
        self._abi = abi
        self._turn = threading.Lock()
        self._running: object | None = None
        self._guard = threading.Lock()
        self._calling: set[int] = set()
        try:
            self._number = abi.open(path)
        except CallError as failure:
            raise from_code(failure.code, str(failure)) from None
        self._end = weakref.finalize(self, _close, abi, self._number)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._end.alive

    def close(self) -> None:
        """Closes it; a second time does nothing."""
        with self._entered("close()"):
            failure = self._end()
        if failure is not None:
            raise from_code(failure.code, str(failure))

    def call(
        self, name: str, arguments: list[Argument], progress: _calls.Progress | None = None
    ) -> Any:
        """Calls one of the library's functions."""
        if self.closed:
            raise from_code(SQLITE_MISUSE, "this queue was closed; open it anew")
        mine = object()

        def work(heard: Heard) -> Any:
            with self._my_turn(mine, heard):
                return self._abi.call(name, self._number, arguments, heard)

        def interrupt() -> None:
            with self._guard:
                if self._running is mine:
                    self._abi.interrupt(self._number)

        with self._entered(name.replace("qk_", "") + "()"):
            try:
                return _calls.run(work, interrupt, progress)
            except CallError as failure:
                raise from_code(failure.code, str(failure)) from None

    @contextlib.contextmanager
    def _entered(self, what: str) -> Iterator[None]:
        thread = threading.get_ident()
        if thread in self._calling:
            message = (
                f"{what} was called by a progress function, on the very queue that it reports of"
            )
            raise from_code(SQLITE_MISUSE, message)
        self._calling.add(thread)
        try:
            yield
        finally:
            self._calling.discard(thread)

    @contextlib.contextmanager
    def _my_turn(self, mine: object, heard: Heard) -> Iterator[None]:
        while not self._turn.acquire(timeout=TURN_SECONDS):
            if heard(0, 0):
                raise CallError(SQLITE_INTERRUPT, "interrupted while another thread's call ran")
        try:
            with self._guard:
                self._running = mine
            yield
        finally:
            with self._guard:
                self._running = None
            self._turn.release()
