"""queuekeeper: keeps a SQLite-backed task queue healthy.

    import queuekeeper

    with queuekeeper.open("queue.db") as queue:
        backup = queue.backup(name="daily", verify="quick")
        queue.rotate("7/4/12")
        queue.requeue_stale(300)

Everything runs on the SQLite of this interpreter's `sqlite3` module, so a program that has the same
file open there keeps its locks. Errors are `queuekeeper.Error` and its subclasses; they carry
SQLite's result code.
"""

from queuekeeper._arguments import (
    BackupType,
    CheckpointMode,
    Compression,
    IntegrityLevel,
    VerifyLevel,
    VerifyOption,
)
from queuekeeper._library import load, loadable_path
from queuekeeper._queue import Queue, open  # noqa: A004
from queuekeeper.errors import (
    BindingError,
    BusyError,
    CantOpenError,
    CorruptError,
    Error,
    FullError,
    InterruptError,
    MisuseError,
    ReadOnlyError,
    UnavailableError,
)
from queuekeeper.results import (
    Analysis,
    Backup,
    Checkpoint,
    Decision,
    Deletion,
    Depth,
    HealthMetric,
    HistoryEntry,
    JobRun,
    Lease,
    Optimization,
    Requeue,
    Restoration,
    ScheduledJob,
    Setting,
    StaleLease,
    Stats,
    StepRun,
    Vacuum,
    Verification,
)

__all__ = [
    "Analysis",
    "Backup",
    "BackupType",
    "BindingError",
    "BusyError",
    "CantOpenError",
    "Checkpoint",
    "CheckpointMode",
    "Compression",
    "CorruptError",
    "Decision",
    "Deletion",
    "Depth",
    "Error",
    "FullError",
    "HealthMetric",
    "HistoryEntry",
    "IntegrityLevel",
    "InterruptError",
    "JobRun",
    "Lease",
    "MisuseError",
    "Optimization",
    "Queue",
    "ReadOnlyError",
    "Requeue",
    "Restoration",
    "ScheduledJob",
    "Setting",
    "StaleLease",
    "Stats",
    "StepRun",
    "UnavailableError",
    "Vacuum",
    "Verification",
    "VerifyLevel",
    "VerifyOption",
    "__version__",
    "load",
    "loadable_path",
    "open",
]


def __getattr__(name: str) -> str:
    """`__version__`: the one number of the library and the package."""
    if name == "__version__":
        from importlib.metadata import version

        return version("queuekeeper")
    raise AttributeError(f"module 'queuekeeper' has no attribute {name!r}")


__version__: str
