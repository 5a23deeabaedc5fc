"""The door for asyncio: a queue's methods in a thread, which cancelling ends.

    backup = await aio.call(queue.backup, verify="quick")

# Promise

The event loop goes on meanwhile. A cancelled call ends within a fraction of a second and has undone
what it had begun, before the CancelledError goes on; nothing of it runs any more in the background.
So does Ctrl-C in `asyncio.run()`. What was done when the cancelling came stays done.

# How

`asyncio.to_thread()` alone gives the thread up, which then works on: a cancelled backup would be
made all the same. Here the call is interrupted, again and again until it has ended, since one that
waits for its turn does not notice.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Callable, TypeVar

from queuekeeper._queue import Queue
from queuekeeper.errors import SQLITE_INTERRUPT, InterruptError

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

PAUSE_SECONDS = 0.05


async def call(method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a method of a queue, called in a thread of the loop's executor."""
    queue = getattr(method, "__self__", None)
    if not isinstance(queue, Queue):
        raise TypeError("aio.call() takes a method of a queue, such as queue.backup")
    threads: list[int] = []
    is_cancelled = False

    def work() -> T:
        if is_cancelled:
            raise InterruptError("cancelled before it began", SQLITE_INTERRUPT)
        threads.append(threading.get_ident())
        return method(*args, **kwargs)

    future = asyncio.get_running_loop().run_in_executor(None, work)
    while True:
        try:
            # It is waited for even if it is cancelled again.
            await asyncio.wait({future}, timeout=PAUSE_SECONDS if is_cancelled else None)
        except asyncio.CancelledError:
            is_cancelled = True
        if future.done():
            break
        for thread in threads:
            queue._handle.interrupt(thread)
    if is_cancelled:
        future.exception()
        raise asyncio.CancelledError
    return future.result()
