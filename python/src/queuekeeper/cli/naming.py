"""What an argument names: a backup, or the queue.

Where nothing names a database, `verify FILE` and `restore FILE` mean a backup if its name says that
it is compressed, a catalog beside it has its name, or it has no backups beside it itself.
"""

from __future__ import annotations

from pathlib import Path

from queuekeeper.errors import Error
from queuekeeper.offsite import bounds
from queuekeeper.offsite.catalog import MANIFEST
from queuekeeper.offsite.local import DEFAULT_DIRECTORY

LATEST = "latest"
ALL = "all"
COMPRESSED = (".gz", ".zst")


def names_file(backup: str) -> bool:
    """Whether a backup is named by its path, so that no database is needed to find it."""
    return "/" in backup or "\\" in backup or backup.endswith((".db", *COMPRESSED))


def is_backup(word: str) -> bool:
    """Whether an argument that may be the queue or a backup is a backup."""
    if word in (LATEST, ALL) or word.endswith(COMPRESSED):
        return True
    path = Path(word)
    if not names_file(word) or path.is_dir():
        return False
    return not (path.parent / DEFAULT_DIRECTORY).is_dir() or _is_listed(path)


def _is_listed(path: Path) -> bool:
    """Whether a catalog beside it has the file's name. It is searched only, as anybody's may be."""
    try:
        return path.name.encode() in bounds.read(path.parent / MANIFEST, "the catalog")
    except (OSError, Error, ValueError):
        return False
