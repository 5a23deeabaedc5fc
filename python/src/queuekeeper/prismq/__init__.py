"""Drop-in replacements for the classes of PrismQ's backend.

    from queuekeeper.prismq import QueueBackup, QueueMaintenance

The constructors, methods, defaults and return types are those of the backend's own modules. They
take its `QueueDatabase`, of which they use `db_path`, `get_connection()` and `close()`.

Their errors are also instances of the backend's `QueueDatabaseError`, wherever its database class
comes from, so that `except QueueDatabaseError` catches them; `register_base()` names that class
where it has another name.

What differs is what the old ones did wrong: a backup is one snapshot and finishes while others
write; a restore is one transaction, saves the present database first, and checks the backup;
cleaning up never deletes the newest verified backup; tasks in status `leased` are rescued, too; and
the default backup directory is the queue's own, beside the database.
"""

from queuekeeper.prismq.backup import BackupInfo, QueueBackup
from queuekeeper.prismq.errors import (
    QueueBackupError,
    QueueDatabaseError,
    QueueMaintenanceError,
    register_base,
)
from queuekeeper.prismq.maintenance import QueueMaintenance

__all__ = [
    "BackupInfo",
    "QueueBackup",
    "QueueBackupError",
    "QueueDatabaseError",
    "QueueMaintenance",
    "QueueMaintenanceError",
    "register_base",
]
