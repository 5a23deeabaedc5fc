"""A backup's threads: what fails in one is the backup's error, and none outlives the backup."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython

from hosts.protocol import SQLITE_FULL, SQLITE_IOERR
from hosts.python_host import PythonSession
from support import artifacts, users
from support.artifacts.kinds import back_up, status_of
from support.compiling import preloaded, tool
from support.eventually import threads, until_threads
from support.queues import SCHEMA, Queue
from support.users import ALICE

pytestmark = [
    pytest.mark.rule(6),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and LD_PRELOAD"),
]

SHIM = Path(__file__).parents[1] / "support" / "faults" / "threads.c"
# More than is written before the first early sync, with any compression.
MEGABYTES = 80

KINDS = {
    "full": '{"verify": "none"}',
    "zstd": '{"compression": "zstd", "level": 1}',
    "incremental": '{"type": "incremental"}',
    "incremental zstd": '{"type": "incremental", "compression": "zstd"}',
    "snapshot": '{"type": "snapshot"}',
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail."""
    built = tmp_path_factory.mktemp("shim") / "faults.so"
    command = [
        tool("gcc"),
        "-Wall",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        str(built),
        str(SHIM),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return built


@pytest.fixture
def faults(shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory; hosts that are opened from here on look into it for what is to fail."""
    directory = tmp_path / "faults"
    directory.mkdir()
    monkeypatch.setenv("FAULTS", str(directory))
    monkeypatch.setenv("LD_PRELOAD", preloaded(shim))
    return directory


@pytest.fixture
def large(make: MakeQueue) -> Queue:
    """A queue that no compression makes small."""
    queue = make()
    with queue.connect() as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("CREATE TABLE ballast(id INTEGER PRIMARY KEY, content)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
            "INSERT INTO ballast SELECT i, randomblob(100000) FROM n",
            (MEGABYTES * 10,),
        )
    return queue


def check_that_nothing_is_left(session: PythonSession, queue: Queue, files: list[str]) -> None:
    """Of the backup that failed, and that the next one is as if there had been none."""
    assert queue.files() == files
    made = back_up(session)
    assert status_of(session, made["id"]) == "ok"


@pytest.mark.parametrize("fault", ["sync", "sync-once"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full_when_it_is_synced(
    kind: str, fault: str, faults: Path, large: Queue, open_python: OpenPython
) -> None:
    """Also when only one of several syncs says so: a lost write is reported once."""
    session = open_python(large.path)
    back_up(session)
    files, before = large.files(), threads(session)
    (faults / fault).touch()
    error = session.error("SELECT queue_backup(NULL, ?)", KINDS[kind])
    until_threads(session, before)
    assert str(large.backups) in error.message
    assert error.primary_code == SQLITE_FULL, error
    assert "free some space" in error.message
    (faults / fault).unlink(missing_ok=True)
    check_that_nothing_is_left(session, large, files)


@pytest.mark.parametrize("kind", KINDS)
def test_a_system_without_threads(
    kind: str, faults: Path, large: Queue, open_python: OpenPython
) -> None:
    """Whatever a thread would have done is then done without it, with the same result."""
    session = open_python(large.path)
    options = json.loads(KINDS[kind])
    made = [back_up(session, **options)]
    before = threads(session)
    for allowed in range(5):
        (faults / "threads").write_bytes(bytes(allowed))
        made.append(back_up(session, **options))
        until_threads(session, before)
    (faults / "threads").unlink()
    for each in made:
        assert status_of(session, each["backup_path"], "full") == "ok"
    assert len({each["content_digest"] for each in made}) == 1
    # What is compressed by one thread is what many would have made of it. A delta names its time.
    if "incremental" not in kind:
        assert len({each["size_bytes"] for each in made}) == 1
    assert artifacts.temporaries_in(large.backups) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_who_may_have_no_more_processes(kind: str, library: Path) -> None:
    """As `ulimit -u 1` has it, which binds everybody but root."""
    pytest.importorskip("resource")
    for place in users.make_place(library):
        path = place.make_queue(SCHEMA.read_text(), ALICE, 0o600)
        code = f'''
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
connection = apsw.Connection(order["path"])
connection.enableloadextension(True)
connection.loadextension(order["library"])
for sql in (
    "SELECT queue_backup()",
    """SELECT queue_backup(NULL, '{KINDS[kind]}')""",
    "SELECT queue_verify('latest', 'full')",
    "SELECT queue_restore('latest')",
    "SELECT queue_optimize(1)",
    "SELECT queue_run_due()",
):
    answers.append(connection.execute(sql).get)
'''
        answers = users.run(place, path, ALICE, [], code)
        assert json.loads(answers[2])["status"] == "ok"
        steps = [step for job in json.loads(answers[-1]) for step in job["steps"]]
        late = {step["step"] for step in steps if step["status"] == "skipped"}
        assert {step["status"] for step in steps} - {"skipped"} == {"ok"}, steps
        # VACUUM has its hour.
        assert late <= {"optimize", "vacuum"}, steps


@pytest.mark.parametrize("kind", ["full", "zstd", "incremental"])
def test_a_file_that_cannot_grow_in_the_middle_of_the_walk(
    kind: str, large: Queue, open_python: OpenPython
) -> None:
    resource = pytest.importorskip("resource")
    session = open_python(large.path)
    back_up(session)
    with large.connect() as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("UPDATE ballast SET content = randomblob(100000)")
    files, before = large.files(), threads(session)
    unlimited = resource.prlimit(session.process.pid, resource.RLIMIT_FSIZE)
    # Python ignores the signal, so that a write beyond the limit fails.
    resource.prlimit(session.process.pid, resource.RLIMIT_FSIZE, (20 << 20, unlimited[1]))
    error = session.error("SELECT queue_backup(NULL, ?)", KINDS[kind])
    until_threads(session, before)
    # SQLite, which writes deltas, calls this an I/O error.
    expected = SQLITE_IOERR if kind == "incremental" else SQLITE_FULL
    assert error.primary_code == expected, error
    assert str(large.backups) in error.message
    resource.prlimit(session.process.pid, resource.RLIMIT_FSIZE, unlimited)
    check_that_nothing_is_left(session, large, files)
