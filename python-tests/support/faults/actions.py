"""Everything that the library does to files, as single statements, and how to tell what they left.

A scene is a queue with backups of all kinds and commits that are in the WAL alone, made once for
each action and then put back as often as needed, always at the same place.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import artifacts
from support.artifacts import CATALOG
from support.faults import NO_FAULT, Answer, Fault, Faults
from support.queues import Shape, make_queue

CHANGE = "UPDATE task_queue SET priority = priority + 1 WHERE id % 7 = {}"
FULL, OTHER = "SELECT queue_backup()", "SELECT queue_backup(NULL, '{}')"
FIRST = "{dir}/backups/first.db.zst"
PLAIN = [
    f"SELECT queue_backup('{FIRST}')",
    CHANGE.format(1),
    OTHER.format('{"type": "incremental"}'),
    CHANGE.format(2),
    FULL,
    CHANGE.format(3),
]
ONLY_DAILY = [f"SELECT queue_set('cron_{job}', 'off')" for job in ("hourly", "weekly", "monthly")]


@dataclass(frozen=True)
class Action:
    """One statement; `{dir}` in it is the directory of the queue."""

    name: str
    sql: str
    before: list[str] = field(default_factory=lambda: PLAIN)
    journal: str = "wal"
    #: The error of the next run, when the first had come to its end before it died.
    done: str = ""
    #: Whether its success means that its effect survives a loss of power.
    lasts: bool = True


ACTIONS = [
    Action("full", FULL),
    Action("full, the first", FULL, before=[CHANGE.format(1)]),
    Action("full, rollback journal", FULL, journal="delete"),
    Action("incremental", OTHER.format('{"type": "incremental"}')),
    Action("gzip", OTHER.format('{"compression": "gzip"}')),
    Action("zstd", OTHER.format('{"compression": "zstd", "type": "incremental"}')),
    Action("snapshot", OTHER.format('{"type": "snapshot", "verify": "full"}')),
    Action(
        "overwrite",
        "SELECT queue_backup('{dir}/backups/one.db', '{\"overwrite\": true}')",
        before=["SELECT queue_backup('{dir}/backups/one.db')", *PLAIN],
    ),
    Action("verify", "SELECT queue_verify('latest', 'full')"),
    Action(
        "verify a chain",
        "SELECT queue_verify('latest', 'full')",
        before=[*PLAIN, OTHER.format('{"type": "incremental", "compression": "gzip"}')],
    ),
    Action("rotate", "SELECT queue_rotate(1)"),
    Action(
        "delete_backup",
        f"SELECT queue_delete_backup('{FIRST}', '{{\"dependants\": true}}')",
        done="there is no backup",
    ),
    Action("restore", f"SELECT queue_restore('{FIRST}')"),
    # SQLite deletes the journal without making that durable, unless PRAGMA synchronous is EXTRA.
    Action(
        "restore, rollback journal",
        f"SELECT queue_restore('{FIRST}')",
        journal="delete",
        lasts=False,
    ),
    Action(
        "restore to a new file",
        f"SELECT queue_restore('{FIRST}', '{{dir}}/new.db')",
        done="exists already",
    ),
    Action(
        "restore over a broken file",
        f"SELECT queue_restore('{FIRST}', '{{dir}}/broken.db', '{{\"overwrite\": true}}')",
    ),
    Action("checkpoint", "SELECT queue_checkpoint('TRUNCATE')"),
    Action("vacuum", "SELECT queue_vacuum()"),
    Action("vacuum, rollback journal", "SELECT queue_vacuum()", journal="delete"),
    Action("analyze", "SELECT queue_analyze()"),
    Action("requeue_stale", "SELECT queue_requeue_stale(60)"),
    Action("set", "SELECT queue_set('keep', '3')", before=[*PLAIN[:2]]),
    Action("run_due", "SELECT queue_run_due()", before=[*ONLY_DAILY, *PLAIN]),
]
IDS = [action.name for action in ACTIONS]


def named(name: str) -> Action:
    """The action of that name."""
    return next(action for action in ACTIONS if action.name == name)


DUMP = (
    "SELECT json_group_array(json_array(id, type, priority, payload, status, attempts, locked_by)) "
    "FROM task_queue"
)
#: One that died between its name and its place in the catalog is adopted until the next writer.
LISTED = "backup_type <> 'adopted'"
#: What a look at a database and its backups asks. Rotating so is what any writer does first:
#: it completes what another one has begun, and lists what is there then.
LOOK = [
    "PRAGMA integrity_check",
    DUMP,
    "SELECT name, value FROM queue_settings()",
    "SELECT queue_rotate(1000)",
    f"SELECT id, backup_path FROM queue_backups() WHERE {LISTED}",
]
VERIFY = f"SELECT queue_verify(id, 'quick') FROM queue_backups() WHERE {LISTED}"
WARM = {"sql": "SELECT count(*) FROM task_queue"}


@dataclass(frozen=True)
class State:
    """What somebody sees who opens the database and lists its backups."""

    content: str
    backups: dict[str, str]


def steps(*statements: str) -> list[dict[str, Any]]:
    """Statements as steps of a request."""
    return [{"sql": sql} for sql in statements]


def state_of(answer: Answer, first: int, going: int = 0) -> State:
    """What the statements of LOOK, from this step on, have said; the database must be sound.

    A deletion that somebody else has begun, of at most so many backups, is completed and counted.
    """
    assert answer.rows(first) == [["ok"]]
    content = json.dumps([answer.rows(first + 1), answer.rows(first + 2)])
    ((completed,),) = answer.rows(first + 3)
    assert completed in range(going + 1)
    return State(content, {row[0]: Path(row[1]).name for row in answer.rows(first + 4)})


class Scene:
    """An action's starting point, and what was there before it and is there after it."""

    def __init__(
        self, action: Action, faults: Faults, top: Path, original: Path | None = None
    ) -> None:
        self.action, self.faults = action, faults
        self.place, self.original = top / "work", (original or top) / "original"
        self.sql = action.sql.replace("{dir}", str(self.place))
        self.queue = make_queue(
            self.place / "queue.db", Shape(tasks=20, stale_leased=3, journal_mode=action.journal)
        )
        if any("/backups/" in sql for sql in action.before):
            self.queue.backups.mkdir()
        before = [sql.replace("{dir}", str(self.place)) for sql in action.before]
        # Nothing is closed, so that the last commits are in the WAL alone.
        made = self.ask(*steps("PRAGMA wal_autocheckpoint=0", *before), close=False)
        assert all("error" not in answer for answer in made.answers), made.answers
        (self.place / "broken.db").write_bytes(b"This is no database. " * 1000)
        if self.queue.backups.exists():
            (self.queue.backups / ".queuekeeper-leftover.tmp").write_bytes(b"half a backup")
        (self.place / "queue.db-shm").unlink(missing_ok=True)
        shutil.copytree(self.place, self.original)
        self.old = self.look()
        self.reset()
        self.run = self.armed()
        assert self.run.error(1) is None, self.run.error(1)
        self.log = faults.operations()
        self.new = self.look()

    @property
    def going(self) -> int:
        """How many backups the action deletes."""
        return len(self.old.backups.keys() - self.new.backups.keys())

    def reset(self) -> None:
        """Puts everything back to the beginning."""
        shutil.rmtree(self.place)
        shutil.copytree(self.original, self.place)

    def ask(self, *requests: dict[str, Any], fault: Fault = NO_FAULT, close: bool = True) -> Answer:
        """A request on the queue."""
        return self.faults.ask(self.queue.path, list(requests), fault, self.place, close=close)

    def armed(self, fault: Fault = NO_FAULT, *more: dict[str, Any]) -> Answer:
        """The action itself (step 1), under a fault; then other steps."""
        return self.ask(WARM, {"sql": self.sql, "armed": True}, *more, fault=fault)

    def look(self) -> State:
        """What is there now."""
        return state_of(self.ask(*steps(*LOOK)), 0)

    def check(self) -> State:
        """What is there now, after a fault, is old or new; the next run works, and sweeps."""
        self.check_catalog()
        answer = self.ask(*steps(*LOOK, self.sql, *LOOK, VERIFY), {"files": str(self.place)})
        assert answer.status == 0, f"the host ended with {answer.status}"
        found = state_of(answer, 0, self.going)
        assert found.content in (self.old.content, self.new.content)
        kept = self.old.backups.keys() & self.new.backups.keys()
        assert kept <= found.backups.keys(), f"lost {kept - found.backups.keys()}"
        self.check_next(answer, len(LOOK))
        return found

    def check_next(self, answer: Answer, first: int) -> None:
        """The action's next run, at this step, and the look after it (perhaps with VERIFY)."""
        error = answer.error(first)
        if error is not None:
            assert self.action.done, error
            assert self.action.done in error.message, error
        after = state_of(answer, first + 1)
        assert after.content in (self.old.content, self.new.content)
        if len(answer.answers) > first + 1 + len(LOOK) + 1:
            for (found,) in answer.rows(first + 1 + len(LOOK)):
                assert json.loads(found)["status"] == "ok", found
        self.check_files(answer.answers[-1]["ok"], after)

    def check_catalog(self) -> None:
        """Every backup that the catalog lists, and does not call doubtful, is as it says."""
        if not (self.queue.backups / CATALOG).exists():
            return
        listed = artifacts.catalog(self.queue.backups)
        sure = [one for one in listed if not (one.get("deleting") or one.get("replacing"))]
        ids = {one["id"] for one in sure}
        for entry in sure:
            path = self.queue.backups / entry["backup_path"]
            assert path.exists(), f"{entry['backup_path']} is listed and not there"
            assert artifacts.sha256(path) == entry["checksum"], path.name
            assert entry["parent_id"] in {None, *ids}, f"{path.name} builds on nothing"

    def check_files(self, files: list[str], state: State) -> None:
        """Nothing lies about that nobody knows, but a hash file that came before its artifact."""
        passing = ("-wal", "-shm", "-journal", "-schedule", ".lock", CATALOG)
        found = {name for name in files if not name.endswith(passing)}
        backups = {f"backups/{name}" for name in state.backups.values()}
        known = {"queue.db", "backups", "new.db", *backups, *(name + ".hashes" for name in backups)}
        unknown = {
            name
            for name in found - known
            if not name.startswith("broken.db")
            and not artifacts.is_hash_file(self.queue.directory / name)
        }
        assert not unknown, f"left: {sorted(unknown)}"
        assert backups <= found
