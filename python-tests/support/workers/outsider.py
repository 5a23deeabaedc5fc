"""Another process's view of a lock: whether it is kept out, asked over and over."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.queues import Queue


@dataclass
class Seen:
    """What the attempts to write came to."""

    kept_out: int = 0
    got_in: int = 0
    errors: list[str] = field(default_factory=list)


def try_to_write(queue: Queue, seen: Seen) -> None:
    """One attempt to take the write lock, without waiting."""
    connection = sqlite3.connect(queue.path, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        seen.got_in += 1
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            seen.kept_out += 1
        else:
            seen.errors.append(str(error))
    finally:
        connection.close()


@contextlib.contextmanager
def outsider(queue: Queue) -> Iterator[Seen]:
    """Tries to write all the time, in a process that holds no lock itself."""
    seen = Seen()
    done = threading.Event()

    def go_on() -> None:
        while not done.is_set():
            try_to_write(queue, seen)
            time.sleep(0.002)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
