"""Off-site copies of the backups, by rclone: a backup beside its database dies with the disk.

    from queuekeeper.offsite import Offsite

    with Offsite("queue.db", "gdrive:AI Assistant Backups") as offsite:
        offsite.push()
        offsite.rotate("7/4/12")

The remote is any that rclone knows, written as for rclone; without one, it is what the environment
variable QUEUEKEEPER_REMOTE or the setting `remote` says. What is pushed is what the local catalog
lists; the library itself never touches the network. Errors are `OffsiteError`s, and no text of this
package shows a secret.

| module | what lives there |
| --- | --- |
| `errors` | what can go wrong, and what is done about secrets |
| `rclone` | the rclone process |
| `remote` | objects on a remote |
| `catalog` | what a remote says that it holds |
| `source` | which backups of a catalog are this queue's own |
| `local` | the local directory, and the lock |
| `place` | how a pulled file gets its name; how a file to push is opened |
| `planning` | which backups a policy keeps |
| `push`, `pull`, `check`, `rotate` | the operations |
| `results` | what they return |
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from types import TracebackType

from queuekeeper import configuration
from queuekeeper._arguments import Keep, PathLike
from queuekeeper._calls import Progress
from queuekeeper._ownership import umask_of
from queuekeeper._queue import Queue
from queuekeeper.configuration import Configuration
from queuekeeper.offsite.catalog import RemoteCatalog, newest_first
from queuekeeper.offsite.check import check
from queuekeeper.offsite.errors import OffsiteError, usage
from queuekeeper.offsite.local import Local
from queuekeeper.offsite.pull import LATEST, meant, pull
from queuekeeper.offsite.push import push
from queuekeeper.offsite.rclone import VARIABLE as RCLONE
from queuekeeper.offsite.remote import Remote
from queuekeeper.offsite.results import Checked, Finding, Pulled, Pushed, Rotated, Skipped
from queuekeeper.offsite.rotate import rotate
from queuekeeper.results import Backup

__all__ = [
    "Checked",
    "Finding",
    "Offsite",
    "OffsiteError",
    "Pulled",
    "Pushed",
    "Rotated",
    "Skipped",
    "configured_remote",
]

VARIABLE = "QUEUEKEEPER_REMOTE"


class Offsite:
    """The off-site copies of one queue's backups on one remote.

    `queue` is an open queue, the path of its database, which may have died with its disk, or None.
    `directory` is the backup directory, by default the queue's own. `rclone` names the program.
    `found` says what the environment and the `.env` file have; by default it is looked for.
    `progress`, where it is taken, is called with the bytes done and the bytes in all, and ends the
    call by returning something true.

    One process of rclone serves all calls, from the first on until `close()`. Use an object in one
    thread at a time.
    """

    def __init__(
        self,
        queue: Queue | PathLike | None,
        remote: str | None = None,
        *,
        directory: PathLike | None = None,
        rclone: PathLike | None = None,
        found: Configuration | None = None,
    ) -> None:
        self._local = Local(queue, directory)
        try:
            self._configuration = found or configuration.of_queue(self._local.queue)
            address = remote or self._configuration.text("remote")
            if address is None:
                raise usage(
                    f"no remote: name it with --remote, set {VARIABLE}, or store it with "
                    "queue_set('remote', …)"
                )
            self._refuse_itself(address)
            environment = self._configuration.rclone_environment()
            if rclone is not None:
                environment[RCLONE] = os.fspath(rclone)
            self._remote = Remote(address, environment, umask_of(self._local.database))
        except BaseException:
            self._local.close()
            raise

    def __repr__(self) -> str:
        return f"<queuekeeper.offsite.Offsite {self._remote.shown!r}>"

    def __enter__(self) -> Offsite:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends rclone, and closes the queue if it was opened here."""
        self._remote.close()
        self._local.close()

    @property
    def remote(self) -> str:
        """The remote, without the secrets in its name."""
        return self._remote.shown

    @property
    def policy(self) -> str | None:
        """The policy for the remote: `QUEUEKEEPER_REMOTE_KEEP`, else the setting `remote_keep`."""
        return self._configuration.text("remote_keep")

    def push(self, *, policy: Keep | None = None, progress: Progress | None = None) -> Pushed:
        """Pushes what the local catalog lists of this queue and the remote lacks.

        What the policy, by default the setting `remote_keep`, would delete there is left out.
        """
        return push(self._local, self._remote, self._policy(policy), progress)

    def pull(self, what: str = LATEST, *, progress: Progress | None = None) -> Pulled:
        """Brings a backup (an id, a name, 'latest') back with its chain, or 'all' of this queue."""
        return pull(self._local, self._remote, what, progress)

    def find(self, what: str = LATEST) -> Backup:
        """The backup there that `pull` would bring back; `backup_path` is a name there."""
        catalog = RemoteCatalog.read(self._remote, self._remote.objects())
        return Backup.of(meant(self._local, self._remote, catalog, what)[0])

    def list(self) -> Sequence[Backup]:
        """What the remote lists, the newest backup first; `backup_path` is a name there."""
        catalog = RemoteCatalog.read(self._remote, self._remote.objects())
        return [Backup.of(entry) for entry in newest_first(catalog.entries)]

    def check(self, *, download: bool = False, progress: Progress | None = None) -> Checked:
        """Compares the remote with its catalog, and with the local one.

        With `download`, every object is read back; else the remote's own hashes count.
        """
        return check(self._local, self._remote, self.policy, progress, download=download)

    def rotate(self, policy: Keep | None = None, *, dry_run: bool = False) -> Rotated:
        """Deletes on the remote what a policy does not keep, by default `remote_keep`."""
        chosen = self._policy(policy)
        if chosen is None:
            raise usage(
                "no policy for the remote: pass one such as 7/4/12, or store it with "
                "queue_set('remote_keep', …)"
            )
        return rotate(self._local, self._remote, chosen, dry_run=dry_run)

    def link(self, what: str = LATEST, *, public: bool = False) -> str | None:
        """A link to a backup for a browser; None where the remote has none.

        It is for those who may see the backup anyway (Google Drive has such links). With `public`
        it is one with which anybody sees it; what that means, and for how long, the remote decides.
        """
        name = self.find(what).backup_path
        return self._remote.public_link(name) if public else self._remote.link(name)

    def _refuse_itself(self, address: str) -> None:
        """Two catalogs in one directory would be one, and rotating there would be rotating here."""
        with contextlib.suppress(OSError):
            if os.path.samefile(address, self._local.directory):  # noqa: PTH121 - is no path, mostly
                raise usage(f"'{address}' is the backup directory itself; name another place")

    def _policy(self, given: Keep | None) -> Keep | None:
        return given if given is not None else self.policy


def configured_remote(queue: Queue) -> str | None:
    """The remote that the environment names, or the file .env, else the database."""
    return configuration.of_queue(queue).text("remote")
