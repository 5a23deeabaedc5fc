"""PrismQ's backend, as far as the drop-in classes see it: its layout, and programs that use it."""

from __future__ import annotations

import shutil
from pathlib import Path

BACKEND = Path(__file__).resolve().parent

#: The backend's own module for its queue, with nothing changed but what it imports.
INIT = """
from .database import QueueDatabase, QueueDatabaseError
from queuekeeper.prismq import (
    BackupInfo, QueueBackup, QueueBackupError, QueueMaintenance, QueueMaintenanceError
)
"""

#: How the programs of the tests begin.
SETUP = """
from datetime import datetime, timedelta, timezone
from pathlib import Path
from Client.Backend.src.queue import *
from Client.Backend.src.queue import QueueDatabaseError
import sqlite3
db = QueueDatabase()
backup = QueueBackup(db)
maint = QueueMaintenance(db)
def raised(kind, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except kind as error:
        assert isinstance(error, QueueDatabaseError), type(error).__mro__
        return str(error)
    raise AssertionError(f"{call} went well")
def fill(count=100):
    with db.transaction() as connection:
        connection.executemany(
            "INSERT INTO task_queue(type, payload) VALUES ('fill', ?)",
            [('{"content": "' + "x" * 500 + '"}',)] * count,
        )
"""


def lay_out(repository: Path) -> Path:
    """A directory laid out as the backend's repository is."""
    module = repository / "Client" / "Backend" / "src" / "queue"
    module.mkdir(parents=True)
    shutil.copy(BACKEND / "database.py", module)
    (module / "__init__.py").write_text(INIT)
    return repository
