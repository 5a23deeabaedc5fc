"""Every state that a caller can be in, and what each function does there.

`python -m support.states` prints the table as Markdown, for the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass

WORKS = "works"
NOTE = "works, on the last commit, and says so"

JOURNALS = ("wal", "delete")

#: Each call, "{dir}" being a directory for backups.
CALLS = {
    "queue_version": "SELECT queue_version()",
    "queue_stats": "SELECT queue_stats()",
    "queue_requeue_stale": "SELECT queue_requeue_stale(60)",
    "queue_backup": "SELECT queue_backup('{dir}/')",
    "queue_rotate": "SELECT queue_rotate(1, '{dir}')",
    "queue_checkpoint": "SELECT queue_checkpoint('TRUNCATE')",
    "queue_vacuum": "SELECT queue_vacuum()",
    "queue_analyze": "SELECT queue_analyze()",
    "FROM queue_stats": "SELECT count(page_count) FROM queue_stats()",
    "FROM queue_depth": "SELECT sum(tasks) FROM queue_depth()",
    "FROM queue_stale": "SELECT count(*) FROM queue_stale(60)",
    "FROM queue_integrity": "SELECT message FROM queue_integrity()",
    "FROM queue_backups": "SELECT count(*) FROM queue_backups('{dir}')",
}

CHANGE = "UPDATE task_queue SET priority = priority + 1 WHERE id = 1"
READ = "SELECT count(*) FROM task_queue"


@dataclass(frozen=True)
class State:
    """A state that a caller can be in."""

    name: str
    #: The statements that lead into it.
    enter: tuple[str, ...] = ()
    #: The statements that lead out of it, keeping what was changed.
    leave: tuple[str, ...] = ()
    #: Whether a change (CHANGE) is uncommitted in it.
    uncommitted: bool = False
    #: A statement that is half-read in it.
    half_read: str = ""
    #: Whether the call's result is inserted into a table.
    inserting: bool = False
    #: Whether nobody else can get at the database until the connection is closed.
    alone: bool = False
    #: The journal modes in which nobody else can read the database until the state is left.
    shuts_out: tuple[str, ...] = ()


EXCLUSIVE = "PRAGMA locking_mode=EXCLUSIVE"

STATES = (
    State("autocommit"),
    State("BEGIN", ("BEGIN",), ("COMMIT",)),
    State("BEGIN, after a read", ("BEGIN", READ), ("COMMIT",)),
    State("BEGIN IMMEDIATE", ("BEGIN IMMEDIATE",), ("COMMIT",)),
    State("BEGIN IMMEDIATE, uncommitted rows", ("BEGIN IMMEDIATE", CHANGE), ("COMMIT",), True),
    State(
        "BEGIN EXCLUSIVE, uncommitted rows",
        ("BEGIN EXCLUSIVE", CHANGE),
        ("COMMIT",),
        True,
        shuts_out=("delete",),
    ),
    State("SAVEPOINT, after a read", ("SAVEPOINT s", READ), ("RELEASE s",)),
    State("SAVEPOINT, uncommitted rows", ("SAVEPOINT s", CHANGE), ("RELEASE s",), True),
    State(
        "SAVEPOINT in BEGIN IMMEDIATE",
        ("BEGIN IMMEDIATE", CHANGE, "SAVEPOINT s", CHANGE),
        ("RELEASE s", "COMMIT"),
        True,
    ),
    State("a half-read cursor", half_read="SELECT id FROM task_queue"),
    State(
        "a half-read cursor in BEGIN IMMEDIATE",
        ("BEGIN IMMEDIATE", CHANGE),
        ("COMMIT",),
        True,
        half_read="SELECT id FROM task_queue",
    ),
    State("INSERT … SELECT f()", inserting=True),
    State("locking_mode=EXCLUSIVE, after a read", (EXCLUSIVE, READ), alone=True),
    State("locking_mode=EXCLUSIVE, after a write", (EXCLUSIVE, CHANGE), alone=True),
    State(
        "locking_mode=EXCLUSIVE, uncommitted rows",
        (EXCLUSIVE, "BEGIN IMMEDIATE", CHANGE),
        ("COMMIT",),
        True,
        alone=True,
    ),
)

VACUUM_IN_WRITE = "cannot vacuum: this connection's own open write transaction"
VACUUM_IN_READ = "cannot vacuum: this connection's own open read"
OWN_TRANSACTION = "this connection's own open write transaction has the database locked"
OWN_MODE = "this connection's own locking_mode=EXCLUSIVE"

#: (call, journal, state): what happens, where it isn't simply WORKS. A text that is neither WORKS
#: nor NOTE is part of an error message.
OTHERWISE: dict[tuple[str, str, str], str] = {}

for _state in STATES:
    for _journal in JOURNALS:
        if _state.uncommitted or _state.inserting or _state.name == "BEGIN IMMEDIATE":
            OTHERWISE["queue_backup", _journal, _state.name] = NOTE

# With a rollback journal, BEGIN EXCLUSIVE keeps readers out as well.
OTHERWISE["queue_backup", "delete", "BEGIN EXCLUSIVE, uncommitted rows"] = OWN_TRANSACTION
for _journal in JOURNALS:
    _key = ("queue_backup", _journal, "locking_mode=EXCLUSIVE, uncommitted rows")
    OTHERWISE[_key] = OWN_MODE

for _state in STATES:
    for _journal in JOURNALS:
        _key = ("queue_vacuum", _journal, _state.name)
        if _state.alone:
            OTHERWISE[_key] = OWN_MODE
        elif _state.uncommitted or _state.inserting or _state.name == "BEGIN IMMEDIATE":
            OTHERWISE[_key] = VACUUM_IN_WRITE
        # The tests read in each transaction that they begin.
        elif _journal == "delete" and (_state.half_read or _state.enter):
            OTHERWISE[_key] = VACUUM_IN_READ
_key = ("queue_checkpoint", "wal", "locking_mode=EXCLUSIVE, uncommitted rows")
OTHERWISE[_key] = OWN_MODE


def expected(call: str, journal: str, state: State) -> str:
    """What happens: WORKS, NOTE, or part of the error message."""
    return OTHERWISE.get((call, journal, state.name), WORKS)


def main() -> None:
    for journal in JOURNALS:
        print(f"journal_mode={journal}\n")
        print("| state | " + " | ".join(f"`{call}`" for call in CALLS) + " |")
        print("| --- |" + " --- |" * len(CALLS))
        for state in STATES:
            cells = (expected(call, journal, state) for call in CALLS)
            print(f"| {state.name} | " + " | ".join(cells) + " |")
        print()


if __name__ == "__main__":
    main()
