"""How a worker learns that it is to end: by a line on its standard input, or by the end of that."""

from __future__ import annotations

import sys
import threading


def to_stop() -> threading.Event:
    """Set once it was told."""
    stop = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    return stop
