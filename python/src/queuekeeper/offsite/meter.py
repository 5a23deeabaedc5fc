"""Progress over several files: bytes moved, of bytes in all."""

from __future__ import annotations

from queuekeeper._calls import Progress
from queuekeeper.offsite.rclone import Moved, ended


class Meter:
    """Counts what is moved, and tells whoever wants to know."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.total = 0
        self._done = 0
        #: What went over the line, without what was there already.
        self.bytes = 0

    @property
    def moved(self) -> Moved | None:
        """For a transfer that is under way: called with the bytes of that file."""
        return None if self._progress is None else self._tell

    def add(self, size: int, *, moved: bool = True) -> None:
        """A file is done, and has been moved for that, or not."""
        self._done += size
        self.bytes += size if moved else 0
        # A hash file is not part of the sum, which is known beforehand.
        self.total = max(self.total, self._done)
        # Small files are done before anybody could be asked.
        if self._tell(0):
            raise ended("off-site copies")

    def _tell(self, moved: int) -> object:
        if self._progress is None:
            return None
        return self._progress(min(self._done + moved, self.total), self.total)
