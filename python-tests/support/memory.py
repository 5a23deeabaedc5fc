"""Directories in memory, where there is a place for that: nothing waits for a disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

SHARED = Path("/dev/shm")
#: Nothing where files cost a disk; they lie in the usual place then.
PLACE = SHARED if SHARED.is_dir() and os.access(SHARED, os.W_OK) else None


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty directory."""
    with tempfile.TemporaryDirectory(prefix="queuekeeper-", dir=PLACE) as name:
        yield Path(name)
