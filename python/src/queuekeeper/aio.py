"""The door for asyncio: a queue's methods in a thread, which cancelling ends.

    backup = await aio.call(queue.backup, verify="quick")

# Promise

The event loop goes on meanwhile. A cancelled call ends within a fraction of a second and has undone
what it had begun, before the CancelledError goes on; nothing of it runs any more in the background.
So does Ctrl-C in `asyncio.run()`. What was done when the cancelling came stays done.

# How

`asyncio.to_thread()` alone gives the thread up, which then works on: a cancelled backup would be
made all the same. Here the call is interrupted, again and again until it has ended; one that waits
for its turn gives it up. A call that no thread has begun yet never begins: whoever takes `_Work`
first, its thread or its cancelling, has it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from queuekeeper._queue import Queue

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

PAUSE_SECONDS = 0.05


class _Work:
    """A call, for a thread of the executor."""

    def __init__(self, queue: Queue, method: Callable[[], Any]) -> None:
        self._queue = queue
        self._method = method
        self._begun = threading.Lock()
        #: Held while the thread is interrupted, which must not have gone on to another call.
        self._guard = threading.Lock()
        self._thread: int | None = None

    def run(self) -> Any:
        """Runs in that thread."""
        if not self._begun.acquire(blocking=False):
            return None
        self._thread = threading.get_ident()
        try:
            return self._method()
        except StopIteration as error:
            # No future takes one, and who awaits it would wait for ever.
            raise RuntimeError("the call raised StopIteration") from error
        finally:
            with self._guard:
                self._thread = None

    def is_given_up(self) -> bool:
        """Whether it had not begun, and never will."""
        return self._begun.acquire(blocking=False)

    def interrupt(self) -> None:
        """Asks it to end."""
        with self._guard:
            if self._thread is not None:
                self._queue._handle.interrupt(self._thread)


async def call(method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a method of a queue, called in a thread of the loop's executor."""
    queue = getattr(method, "__self__", None)
    if not isinstance(queue, Queue):
        raise TypeError("aio.call() takes a method of a queue, such as queue.backup")
    work = _Work(queue, lambda: method(*args, **kwargs))
    future: asyncio.Future[T] = asyncio.get_running_loop().run_in_executor(None, work.run)
    is_cancelled = False
    while True:
        try:
            # It is waited for even if it is cancelled again.
            await asyncio.wait({future}, timeout=PAUSE_SECONDS if is_cancelled else None)
        except asyncio.CancelledError:
            is_cancelled = True
            if work.is_given_up():
                future.cancel()
                raise
        if future.done():
            break
        work.interrupt()
    if is_cancelled:
        future.exception()
        raise asyncio.CancelledError
    return future.result()
