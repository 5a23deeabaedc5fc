"""Rule 6: what a C program may do with handles, callbacks, forks and texts, and what it should not.

Each program of tests/c says what it tries; it ends by itself, and what it leaves is sound.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenPython, present

from hosts import further
from support import artifacts
from support.compiling import SANITIZER, SHARED, SOURCES, build, run
from support.queues import Queue, Shape

pytestmark = [
    pytest.mark.rule(6),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and cancels as there"),
]

#: So many tasks that a backup calls back while it copies.
SHAPE = Shape(tasks=400, stale_leased=5, stale_processing=3)


@pytest.fixture
def queue(make: MakeQueue) -> Queue:
    """The database that the programs work on."""
    return make(SHAPE)


@pytest.fixture
def try_out(
    queue: Queue, library: Path, tmp_path: Path, open_python: OpenPython
) -> Callable[..., None]:
    """Runs a program; whatever it did, the queue and its backups are sound afterwards."""
    directory = tmp_path / "backups of the program"
    directory.mkdir()

    def try_it(name: str, *more: Path | str, linked: str = "") -> None:
        program = build(tmp_path / name, library, SOURCES / f"{name}.c", SHARED, more=linked)
        assert run(program, queue.path, directory, *more) == "0 failures\n"
        assert queue.query("PRAGMA integrity_check") == [("ok",)]
        if SANITIZER == "thread":
            # No Python can load what it watches.
            return
        session = open_python(queue.path)
        for place in (directory, queue.backups):
            session.value("SELECT queue_backup(?)", f"{place}/")
            assert artifacts.temporaries_in(place) == []
            for entry in artifacts.catalog(place):
                artifacts.assert_sound(place / entry["backup_path"])

    return try_it


@pytest.fixture
def copy(library: Path, tmp_path: Path) -> Path:
    """Another copy of the library."""
    return Path(shutil.copy(library, tmp_path / "another.so"))


def test_callbacks_that_call_back(try_out: Callable[..., None]) -> None:
    try_out("callbacks")


def test_handles_and_texts_that_are_none(
    try_out: Callable[..., None], library: Path, copy: Path
) -> None:
    try_out("strangers", library, copy)


@pytest.mark.parametrize("what", ["among", "others", "wrapped"])
def test_auto_extensions_and_statements_that_call(
    what: str, try_out: Callable[..., None], copy: Path
) -> None:
    try_out("automatic", copy, what, linked="-Wl,--no-as-needed -l:libsqlite3.so.0 -ldl")


@pytest.mark.parametrize("what", ["functions", "trust", "transaction", "temporary"])
def test_what_auto_extensions_leave_on_connections(what: str, try_out: Callable[..., None]) -> None:
    try_out("openings", what, linked="-Wl,--no-as-needed -l:libsqlite3.so.0")


def test_functions_of_others_are_called_by_no_backup_on_the_oldest_sqlite(
    try_out: Callable[..., None],
) -> None:
    present("oldest")
    oldest = further.oldest().directory
    linked = f"-L{oldest} -Wl,-rpath,{oldest} -Wl,--no-as-needed -l:libsqlite3.so.0"
    try_out("openings", "functions", linked=linked)


def test_forks(try_out: Callable[..., None], make: MakeQueue) -> None:
    another = make(SHAPE)
    try_out("forks", another.path)
    assert another.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(0,)]


def test_ends_of_processes_threads_and_of_the_programs_interest(
    try_out: Callable[..., None], copy: Path
) -> None:
    try_out("endings", copy)
