"""What the command backup does besides the backup: compacting before, pushing and rotating after.

# Promise

None of these steps ends the backup: what fails is told, and makes the exit status 1.
"""

from __future__ import annotations

from typing import Any

from queuekeeper import Backup, Error, InterruptError, Queue, configuration
from queuekeeper._pushes import by_hand
from queuekeeper.cli import show
from queuekeeper.cli.progress import progress
from queuekeeper.cli.shared import warn
from queuekeeper.offsite import Offsite


class Steps:
    """The steps of one backup, and what came of them."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._failures: list[str] = []
        #: For people.
        self.told = {"vacuum": "skipped", "off-site": "skipped", "rotation": "skipped"}
        #: For JSON.
        self.results: dict[str, Any] = {}

    def vacuum(self) -> None:
        """Compacts the queue."""
        try:
            with progress("Compacting", self._queue, self._queue.stats().page_size) as bar:
                done = self._queue.vacuum(progress=bar)
        except InterruptError:
            raise
        except Error as error:
            self._failed("vacuum", error)
            return
        self.told["vacuum"] = f"{show.mebibytes(done.reclaimed_bytes)} won"
        self.results["vacuum"] = dict(done.raw)

    def push(self, made: Backup, remote: str | None, *, asked: bool, rotate: bool) -> None:
        """Pushes what the backup's directory holds, if there is a remote, and rotates there."""
        if not asked and not configuration.of_queue(self._queue).has("remote"):
            self.told["off-site"] = "skipped: no remote is configured"
            return
        try:
            with Offsite(self._queue, remote, directory=made.path.parent) as copies:
                self._push(copies, made)
                if rotate and copies.policy is not None:
                    rotated = copies.rotate()
                    self.told["off-site rotation"] = f"{show.counted(len(rotated.deleted))} deleted"
                    self.results["offsite_rotation"] = rotated.as_dict()
        except InterruptError:
            raise
        except Error as error:
            self._failed("off-site", error)

    def _push(self, copies: Offsite, made: Backup) -> None:
        with progress("Pushing") as bar:
            done = by_hand(copies, bar)
        link = copies.link(made.id) if made.path.name in done.pushed else None
        self.told["off-site"] = f"{show.counted(len(done.pushed))} pushed to {done.remote}"
        if link is not None:
            self.told["link"] = link
        self.results["offsite"] = {**done.as_dict(), "link": link}
        self._failures += [f"{each.backup_path} not pushed: {each.reason}" for each in done.skipped]

    def rotate(self, made: Backup) -> None:
        """Rotates the backup's directory by the setting keep."""
        (keep,) = (each.value for each in self._queue.settings() if each.name == "keep")
        try:
            deleted = self._queue.rotate(str(keep), made.path.parent)
        except Error as error:
            self._failed("rotation", error)
            return
        self.told["rotation"] = f"{show.counted(deleted)} deleted, by keep = {keep}"
        self.results["rotated"] = deleted

    def complain(self) -> bool:
        """Tells what failed; whether nothing did."""
        for failure in self._failures:
            warn(failure)
        return not self._failures

    def _failed(self, step: str, error: Error) -> None:
        self.told[step] = "failed"
        self._failures.append(f"{step} failed, and the backup was made without: {error}")
