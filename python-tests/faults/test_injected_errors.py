"""Rule 6: each file operation of each action in turn fails, with each error that fits it.

An error must carry the result code that fits, and name path and cause; it leaves the database as it
was, every backup listed and sound, and no temporary file. When the cause is gone, the same
action succeeds on the same connection. Some operations don't matter; then the action succeeds.

The Nth operation fails, for N = 1, 2, 3, ... until the action completes: where something is written
the disk is full from then on (ENOSPC), a sync fails once (EIO), names cannot be made or removed
once (EACCES). Of the reads, about a dozen of each action fail once (EIO); of some, each.

QUEUEKEEPER_PROOF=long lets each operation fail with each error, once and from then on, and each
read.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MakeDisk, MakeQueue, OpenPython

from hosts import SqlError
from hosts.protocol import (
    SQLITE_CANTOPEN,
    SQLITE_CORRUPT,
    SQLITE_ERROR,
    SQLITE_FULL,
    SQLITE_IOERR,
    SQLITE_READONLY,
)
from support import artifacts
from support.eventually import until_writing
from support.faults import (
    CHANGES,
    NAMES,
    READ,
    READS,
    SYNC,
    TAKES_SPACE,
    UNLINK,
    Answer,
    Fault,
    Faults,
)
from support.faults import (
    LOOK as LOOKS,
)
from support.faults.actions import ACTIONS, IDS, LOOK, VERIFY, Action, Scene, named, state_of, steps
from support.queues import grow

pytestmark = pytest.mark.rule(6)

LONG = os.environ.get("QUEUEKEEPER_PROOF") == "long"
READS_OF_EACH = 12
MORE_LOOKS = 4
#: Here each read fails, since they read copies, artifacts and hash files as well as the database.
EACH_READ = {"incremental", "zstd", "restore", "verify", "verify a chain"}

#: What SQLite makes of each; it tries to open for reading what it may not open for writing.
CODES = {
    errno.ENOSPC: {SQLITE_FULL, SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_READONLY},
    errno.EACCES: {SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_IOERR},
    errno.EIO: {SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_READONLY},
    errno.ENOENT: {SQLITE_CANTOPEN, SQLITE_IOERR, SQLITE_READONLY},
    errno.EROFS: {SQLITE_CANTOPEN, SQLITE_IOERR, SQLITE_READONLY},
}
CAUSES = re.compile(
    "No space left|is full|Input/output error|I/O error|cannot be read|Permission denied|No such|"
    "unable to open|[Rr]ead-?only|may only read|malformed|not sound|not a sound|bytes, but|"
    # SQLite takes a file that it cannot look at for one that is gone.
    "was moved"
)


def fitting(scene: Scene) -> Iterator[Fault]:
    """For each change, the error that fits it; for some reads, EIO."""
    space = 0
    for at, operation in enumerate(scene.log, 1):
        space += bool(operation.kind & TAKES_SPACE)
        if operation.kind & TAKES_SPACE and (not operation.kind & NAMES or at % 2):
            yield Fault(errno.ENOSPC, space, TAKES_SPACE, lasting=True)
        else:
            yield Fault(errno.EIO if operation.kind == SYNC else errno.EACCES, at, CHANGES)
    yield from reads(scene, READS & ~LOOKS)


def reads(scene: Scene, kinds: int) -> Iterator[Fault]:
    """EIO at some of these operations, spread over all of them."""
    scene.reset()
    count = scene.armed(Fault(kinds=kinds)).seen
    each = LONG or scene.action.name in EACH_READ
    for at in range(1, count + 1, 1 if each else max(1, count // READS_OF_EACH)):
        yield Fault(errno.EIO, at, kinds)


def all_of_them(scene: Scene) -> Iterator[Fault]:
    """Each error at each operation that can have it, once and for good."""
    for what, kinds in ((errno.ENOSPC, TAKES_SPACE), (errno.EIO, CHANGES), (errno.EACCES, NAMES)):
        scene.reset()
        count = scene.armed(Fault(kinds=kinds)).seen
        for at in range(1, count + 1):
            yield Fault(what, at, kinds)
            yield Fault(what, at, kinds, lasting=True)
    yield from reads(scene, READS)


def check_error(error: SqlError, fault: Fault) -> None:
    """The code fits, and path and cause are named."""
    assert error.message.startswith("queue_"), error
    codes = set(CODES[fault.what])
    if "VACUUM INTO" in error.message or "cannot vacuum" in error.message:
        # What the disk said of VACUUM's own copy is forgotten with that file.
        codes.add(SQLITE_CORRUPT)
    if "output file already exists" not in error.message:
        assert error.primary_code in codes, error
        assert CAUSES.search(error.message), error
    parts = error.message.split("'")
    assert any(part.startswith("/") for part in parts), f"no path in: {error.message}"


def check_fault(scene: Scene, fault: Fault) -> bool:
    """One fault, and what comes after it; whether there was an error."""
    scene.reset()
    verify = [VERIFY] if LONG else []
    answer = scene.armed(
        fault,
        {"files": str(scene.place)},
        *steps(*LOOK, scene.sql, *LOOK, *verify),
        {"files": str(scene.place)},
    )
    assert answer.status == 0, f"the host ended with {answer.status}"
    # A second backup in one second looks for a free name, so the last of a count may not come.
    assert answer.struck > 0 or answer.seen >= fault.at - MORE_LOOKS, "the fault never came"
    error = answer.error(1)
    found = state_of(answer, 3, scene.going)
    if error is None:
        assert found.content in (scene.old.content, scene.new.content)
        # An error of the disk says nothing about a backup.
        assert '"status":"corrupted"' not in str(answer.answers[1])
    else:
        check_error(error, fault)
        # Each step of a job counts by itself.
        if scene.action.name != "run_due":
            assert found.content == scene.old.content, error
        # Where nothing can be deleted, something stays until the next run.
        if not (fault.lasting and fault.kinds & UNLINK):
            check_left(scene, answer)
    kept = scene.old.backups.keys() & scene.new.backups.keys()
    assert kept <= found.backups.keys(), f"lost {kept - found.backups.keys()}"
    scene.check_next(answer, 3 + len(LOOK))
    scene.check_catalog()
    return error is not None


def check_left(scene: Scene, answer: Answer) -> None:
    """An error leaves no file of ours, unless it was that it could not be deleted."""
    error = answer.error(1)
    assert error is not None
    # What is done, and only not known to be durable, stays.
    done = "may not survive a power cut" in error.message
    if answer.kind == UNLINK or done or scene.action.name == "run_due":
        return
    made = set(answer.answers[2]["ok"]) - {
        path.relative_to(scene.original).as_posix() for path in scene.original.rglob("*")
    }
    left = {name for name in made if not name.endswith(("-wal", "-shm", "-journal", ".lock"))}
    journals = {name for name in made if "queuekeeper-" in name}
    told = {name for name in left if name in error.message and ".corrupt-" in name}
    safety = {name for name in left if "before_restore" in name}
    left -= told | safety | {"backups", "backups/" + artifacts.CATALOG}
    assert not left | journals, error


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_each_operation_fails(action: Action, faults: Faults, memory: Path) -> None:
    scene = Scene(action, faults, memory)
    errors = count = 0
    for fault in all_of_them(scene) if LONG else fitting(scene):
        count += 1
        try:
            errors += check_fault(scene, fault)
        except AssertionError as error:
            where = f"{action.name}, {fault} of kinds {fault.kinds:x}"
            raise AssertionError(f"{where}: {error}") from error
    assert count > 10
    # A job tells of each step in its result.
    assert errors or action.name == "run_due"


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_a_place_that_goes_away(action: Action, faults: Faults, memory: Path) -> None:
    # As when a network drive is unplugged: no name can be looked up any more.
    scene = Scene(action, faults, memory)
    struck = 0
    for at in range(1, 40, 1 if LONG else 13):
        scene.reset()
        answer = scene.armed(Fault(errno.ENOENT, at, NAMES, lasting=True))
        assert answer.status == 0, answer
        struck += answer.struck
        error = answer.error(1)
        if error is not None and error.primary_code == SQLITE_ERROR:
            assert re.search("exist|holds no backups|does not list", error.message), error
        scene.check()
    assert struck


def test_a_live_database_that_cannot_be_read_for_a_moment_is_not_moved_aside(
    faults: Faults, memory: Path
) -> None:
    # SQLite calls such a page corrupt, and a corrupt target was moved aside, away from its workers.
    scene = Scene(named("restore, rollback journal"), faults, memory)
    scene.reset()
    count = scene.armed(Fault(kinds=READ)).seen
    errors = 0
    for at in range(1, count + 1):
        scene.reset()
        answer = scene.armed(Fault(errno.EIO, at, READ), {"files": str(scene.place)})
        errors += answer.error(1) is not None
        aside = [one for one in answer.answers[2]["ok"] if one.startswith("queue.db.corrupt")]
        assert not aside, f"read {at}: {answer.path}"
    assert errors


@pytest.mark.parametrize(
    "name", ["restore over a broken file", "restore to a new file", "overwrite", "full"]
)
def test_a_name_that_cannot_be_looked_up_for_a_moment_is_not_free(
    name: str, faults: Faults, memory: Path
) -> None:
    """A broken file stayed where it was, and then the target existed already."""
    scene = Scene(named(name), faults, memory)
    scene.reset()
    count = scene.armed(Fault(kinds=LOOKS)).seen
    errors = 0
    for at in range(1, count + 1):
        scene.reset()
        answer = scene.armed(Fault(errno.EIO, at, LOOKS))
        error = answer.error(1)
        errors += error is not None
        assert error is None or error.primary_code != SQLITE_ERROR, f"look {at}: {error}"
    assert errors


def test_a_backup_that_cannot_be_read_for_a_moment_is_not_recorded_as_damaged(
    faults: Faults, memory: Path
) -> None:
    scene = Scene(named("verify"), faults, memory)
    scene.reset()
    count = scene.armed(Fault(kinds=READ)).seen
    outcomes = set()
    for at in range(1, count + 1):
        scene.reset()
        answer = scene.armed(Fault(errno.EIO, at, READ))
        error = answer.error(1)
        outcomes.add(error.primary_code if error else 0)
        for entry in artifacts.catalog(scene.queue.backups):
            assert "damaged_at" not in entry, f"read {at}: {answer.path}"
    assert SQLITE_IOERR in outcomes


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_a_disk_with_little_space_left(
    action: Action, faults: Faults, make_disk: MakeDisk, memory: Path
) -> None:
    disk = make_disk(4 << 20)
    scene = Scene(action, faults, disk, memory)
    filler = disk / "filler"
    errors = 0
    for pages in range(0, 60, 1) if LONG else (0, 2, 13, 34):
        scene.reset()
        free = shutil.disk_usage(disk).free
        filler.write_bytes(bytes(max(0, free - pages * 4096)))
        answer = scene.armed()
        assert answer.status == 0, answer
        error = answer.error(1)
        errors += error is not None
        # Without space for its WAL index, SQLite cannot even open the database.
        if error is not None and answer.error(0) is None:
            check_error(error, Fault(errno.ENOSPC))
        filler.unlink()
        scene.check()
    assert errors or action.name == "run_due"


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_a_file_system_that_can_only_be_read(
    action: Action, faults: Faults, make_disk: MakeDisk, memory: Path
) -> None:
    disk = make_disk(4 << 20)
    # A database in WAL mode could not be opened at all.
    scene = Scene(replace(action, journal="delete"), faults, disk, memory)
    scene.reset()

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

    before = artifacts.sha256(scene.queue.path)
    remount("ro")
    try:
        answer = scene.armed()
    finally:
        remount("rw")
    assert answer.status == 0, answer
    assert artifacts.sha256(scene.queue.path) == before
    error = answer.error(1)
    # A directory without a catalog, and verifying, need not be written to.
    assert error is not None or action.name in {"verify", "verify a chain", "run_due"}, (
        answer.answers
    )
    if error is not None:
        check_error(error, Fault(errno.EROFS))
    scene.check()


def test_a_directory_that_is_deleted_under_a_backup(
    make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make()
    grow(queue, 96)
    session = open_python(queue.path)
    session.object("SELECT queue_backup()")
    shutil.rmtree(queue.backups)
    queue.backups.mkdir()
    session.start("SELECT queue_backup()")
    until_writing(queue.backups)
    shutil.rmtree(queue.backups)
    with pytest.raises(SqlError) as caught:
        session.result()
    assert caught.value.primary_code == SQLITE_CANTOPEN
    assert str(queue.backups) in caught.value.message
    assert session.value("PRAGMA integrity_check") == "ok"
    session.object("SELECT queue_backup()")
    assert len(artifacts.backups_in(queue.backups)) == 1
