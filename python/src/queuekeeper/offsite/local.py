"""The local side: which directory it is, what its catalog lists, and who may work on it now.

# Promise

- The directory is the one that is named, else the queue's own: the setting `backup_dir`, else
  `backups` beside the database, which need not exist any more.
- `entries()` are the catalog's objects as the library wrote them. Files that other tools left
  there are no part of it, nor is what is being deleted, also where its deletion fails.
- Whoever holds `lock()` is the only one who changes what the directory has off-site. The system
  drops the lock with the process.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import queuekeeper
from queuekeeper import _ownership as ownership
from queuekeeper._arguments import Keep, PathLike
from queuekeeper._lock import Held, locked
from queuekeeper._queue import Queue
from queuekeeper.errors import CorruptError
from queuekeeper.offsite import bounds
from queuekeeper.offsite.catalog import MANIFEST, Entry, parse, written
from queuekeeper.offsite.errors import busy, damaged, missing, usage
from queuekeeper.results import Decision

LOCK = "backup_manifest.offsite.lock"
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.05
MEMORY = ":memory:"
#: The library's default, beside the database.
DEFAULT_DIRECTORY = "backups"


class Local:
    """A queue, or what is left of one, and the directory of its backups."""

    def __init__(self, queue: Queue | PathLike | None, directory: PathLike | None = None) -> None:
        self._own: Queue | None = None
        if isinstance(queue, Queue):
            self.queue = queue
            self.database = self._path_of(queue)
        else:
            path = None if queue is None else Path(os.path.abspath(queue))  # noqa: PTH100 - keeps links
            # The disk died: there is no database, and its backups are what is asked for.
            self.database = path
            self.queue = self._own = queuekeeper.open(
                path if path is not None and path.exists() else MEMORY
            )
        #: Whether there is a database that can be asked.
        self.is_live = self.database is not None and self.database.exists()
        try:
            self.directory = self._directory(directory)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the queue, if it was opened here."""
        if self._own is not None:
            self._own.close()

    def entries(self) -> list[Entry]:
        """What the catalog lists, in its own order."""
        path = self.directory / MANIFEST
        try:
            content = bounds.read(path, f"'{path}'", self.database)
        except FileNotFoundError:
            content = b"[]"
        entries = parse(content, f"'{path}'")
        listed = self.queue.backups(self.directory) if self.directory.is_dir() else []
        own = [each for each in listed if each.is_kept and each.backup_type != "adopted"]
        if entries is None or (own and not entries):
            raise damaged(
                f"'{path}' is missing or damaged, although there are backups; 'queuekeeper verify' "
                "rebuilds it; then run this again"
            )
        return [each for each in entries if each.get("deleting") is not True]

    def planned(self, entries: Iterable[Entry], policy: Keep) -> list[Decision]:
        """The library's plan for a catalog with these entries, wherever their backups lie."""
        # `queue_rotation()` takes a catalog's file for `dir`, and then plans by its word alone.
        with tempfile.TemporaryDirectory(prefix="queuekeeper-") as place:
            path = Path(place) / MANIFEST
            path.write_bytes(written(entries))
            return self.queue.rotation(policy, path)

    def names(self) -> set[str]:
        """What the database is called here, and by SQLite, which resolved its links when it opened
        it: others may have its name lead elsewhere by now."""
        found = {str(self.database)}
        with contextlib.suppress(CorruptError):
            found.add(str(self._path_of(self.queue)))
        return found

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Waits for others, and keeps them out."""
        path = self.directory / LOCK
        deadline = time.monotonic() + PATIENCE_SECONDS
        with contextlib.ExitStack() as stack:
            while _held(stack, path, self.database) is None:
                stack.close()
                if time.monotonic() > deadline:
                    raise busy(
                        f"another process has been at the off-site copies of '{self.directory}' "
                        f"for {PATIENCE_SECONDS:.0f} s; run this again when it is done"
                    )
                time.sleep(PAUSE_SECONDS)
            yield

    def _directory(self, named: PathLike | None) -> Path:
        if named is not None:
            return Path(os.path.abspath(named))  # noqa: PTH100 - keeps links
        if self.database is None:
            raise usage("there is no database whose backup directory it could be: name a directory")
        beside = setting(self.queue, "backup_dir") or DEFAULT_DIRECTORY
        return self.database.parent / beside

    @staticmethod
    def _path_of(queue: Queue) -> Path | None:
        path = queue.stats().path
        return Path(path) if path else None


def setting(queue: Queue, name: str) -> str | None:
    """A setting of a database, if it has a value."""
    try:
        found = next((each.value for each in queue.settings() if each.name == name), None)
    except CorruptError:
        # A broken database says nothing any more, and its off-site copies are what is needed.
        return None
    return None if found is None else str(found)


def _held(stack: contextlib.ExitStack, path: Path, database: Path | None) -> Held | None:
    """The lock, until the stack is closed; None if another process has it."""
    try:
        ownership.make_directories(path.parent, ownership.of(database))
        return stack.enter_context(locked(path, ownership.of_writers(path.parent)))
    except OSError as error:
        raise missing(f"cannot make the lock file '{path}': {error.strerror}") from None
