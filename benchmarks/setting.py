"""Where a measurement takes place: the queue, directories beside it, and the SQLite host."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import MeasureError, Others, Run, cpu_of, forget_peak, peak_of
from hosts import Host, find_host
from hosts.protocol import Value
from hosts.python_host import PythonSession
from support.queues.video import Queue

# Python's own module before apsw: where the system's SQLite is a shared library, the sqlite3 shell
# of the peers runs on the very same one.
HOSTS = ("stdlib", "apsw")
#: Longer than any call takes, also on the queue of 4 GB.
LIMIT_SECONDS = 900.0


def python_host() -> Host:
    """The SQLite that the library is loaded into."""
    for name in HOSTS:
        host = find_host(name)
        if not host.missing:
            return host
    raise MeasureError(f"no SQLite to load the library into: {host.missing}")


@dataclass(frozen=True)
class Setting:
    """One queue and what is measured on it."""

    label: str
    queue: Queue
    library: Path
    host: Host = field(default_factory=python_host)
    #: How long the workers of the group under load are alone before each run, and with it at least.
    alone_seconds: float = 2.0

    @property
    def database(self) -> Path:
        return self.queue.path

    @property
    def scratch(self) -> Path:
        """For what a run writes; emptied when its block is done."""
        return self.database.parent / "scratch"

    @property
    def kept(self) -> Path:
        """For what a later block of the same round needs."""
        return self.database.parent / "kept"

    def clear(self, *directories: Path) -> None:
        """Empties the directories, and removes what a live restore saved beside the queue."""
        shutil.rmtree(self.database.parent / "backups", ignore_errors=True)
        for directory in directories or (self.scratch,):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()

    def open(self, database: Path | None = None) -> PythonSession:
        """A new process of the host, with the library loaded."""
        session = self.host.open_python(str(database or self.database))
        session.limit_seconds = LIMIT_SECONDS
        session.load(self.library)
        return session

    def call(self, sql: str, *params: Value, database: Path | None = None) -> Run:
        """One statement in a process of its own; only the statement is timed."""
        with self.open(database) as session:
            return timed(session, sql, *params)

    def backup(self, directory: Path | None = None, **options: Any) -> Run:
        """queue_backup() into a directory, by default the scratch one."""
        place = f"{directory or self.scratch}/"
        run = self.call("SELECT queue_backup(?, ?)", place, json.dumps(options))
        run.found = kept_of(json.loads(run.found["answer"]))
        hashes = Path(run.found["backup_path"] + ".hashes")
        run.found["hashes_bytes"] = hashes.stat().st_size if hashes.exists() else 0
        return run


def kept_of(backup: dict[str, Any]) -> dict[str, Any]:
    """What is worth keeping of a catalog object."""
    names = ("backup_path", "size_bytes", "pages_stored", "page_count", "backup_type")
    return {name: backup[name] for name in names}


def timed(session: PythonSession, sql: str, *params: Value) -> Run:
    """One statement in a session."""
    process = session.process.pid
    forget_peak(process)
    cpu, others = cpu_of(process), Others()
    result = session.execute(sql, *params)
    used = cpu_of(process) - cpu
    run = Run(result.seconds, used, peak_of(process), others.since(used))
    if len(result.rows) == 1 and len(result.rows[0]) == 1:
        run.found["answer"] = result.rows[0][0]
    return run
