"""Fixtures: the built library, the hosts that load it, and queues for it to look after."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from commands import steps
from hosts import (
    FURTHER_NAMES,
    HOST_NAMES,
    SCRIPTED_NAMES,
    Host,
    HostDiedError,
    Session,
    find_host,
)
from hosts.python_host import PythonSession
from support import package as packages
from support.compiling import SANITIZER
from support.faults import Faults, build
from support.memory import scratch
from support.package import Package
from support.package.backend import lay_out
from support.queues import Queue, Shape, make_queue
from support.servers import remotes

# Whoever starts the tests in the background may have told them to ignore Ctrl-C, and every process
# that they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
LONG = os.environ.get("QUEUEKEEPER_PROOF") == "long"
#: When scripts/proof wants no other test to begin, in seconds since 1970.
OVER = float(os.environ.get("QUEUEKEEPER_PROOF_OVER") or "inf")
#: Under a sanitizer, those that need no installing, which it would watch for long.
EVERY_HOST = HOST_NAMES if SANITIZER else (*HOST_NAMES, *FURTHER_NAMES)
#: Those that can leave a statement half-read, and be interrupted.
ABLE_HOSTS = tuple(name for name in EVERY_HOST if name not in SCRIPTED_NAMES)


class OpenSession(Protocol):
    """Opens a database in a process of a host, with the library loaded unless told otherwise."""

    def __call__(
        self, host: Host, path: Path | str, readonly: bool = False, load: bool = True
    ) -> Session: ...


class OpenPython(Protocol):
    """The same on the host that is always there, whose sessions can do more."""

    def __call__(
        self, path: Path | str, readonly: bool = False, load: bool = True
    ) -> PythonSession: ...


class MakeQueue(Protocol):
    """Makes a queue database of a shape, alone in a directory of its own."""

    def __call__(self, shape: Shape | None = None, name: str = "queue.db") -> Queue: ...


MakeDisk = Callable[[int], Path]
Offsite = Callable[..., Any]


@pytest.fixture(scope="session")
def library() -> Path:
    """The release library, or the one that QUEUEKEEPER_LIBRARY names."""
    named = os.environ.get("QUEUEKEEPER_LIBRARY")
    path = Path(named) if named else steps.library()
    if not path.exists():
        pytest.exit(f"{path} is not there: run cargo build --release first", returncode=4)
    return path.resolve()


@pytest.fixture(params=ABLE_HOSTS if LONG else HOST_NAMES)
def host(request: pytest.FixtureRequest) -> Host:
    """Each host in turn; one that isn't on this machine is skipped."""
    return present(request.param)


@pytest.fixture(params=EVERY_HOST)
def any_host(request: pytest.FixtureRequest) -> Host:
    """The same with all hosts that the tests install for themselves."""
    return present(request.param)


@pytest.fixture(params=ABLE_HOSTS)
def able_host(request: pytest.FixtureRequest) -> Host:
    """Of these, the hosts that can be interrupted."""
    return present(request.param)


def present(name: str) -> Host:
    """The host of that name, or a skip that says why it isn't there."""
    found = find_host(name)
    if found.missing:
        # Without apsw, which requirements.txt installs, nearly nothing would be tested.
        assert name != "apsw", found.missing
        pytest.skip(found.missing)
    return found


@pytest.fixture
def apsw() -> Host:
    """The host that is always there, for what doesn't depend on the host."""
    found = find_host("apsw")
    assert not found.missing, found.missing
    return found


@pytest.fixture
def open_session(library: Path) -> Iterator[OpenSession]:
    """Sessions that are closed after the test; a host that crashes then fails it."""
    sessions: list[Session] = []

    def open_it(host: Host, path: Path | str, readonly: bool = False, load: bool = True) -> Session:
        session = host.open(str(path), readonly)
        sessions.append(session)
        if load:
            session.load(library)
        return session

    yield open_it
    close_all(sessions)


@pytest.fixture
def open_python(apsw: Host, open_session: OpenSession) -> OpenPython:
    """Sessions on apsw that are closed after the test."""

    def open_it(path: Path | str, readonly: bool = False, load: bool = True) -> PythonSession:
        session = open_session(apsw, path, readonly, load)
        assert isinstance(session, PythonSession)
        return session

    return open_it


@pytest.fixture(scope="session")
def injector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fault injector, built for this run."""
    return build(tmp_path_factory.mktemp("injector"))


@pytest.fixture(scope="session")
def faults(
    library: Path, injector: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Faults]:
    """A host whose file operations can be made to fail, or to be its last."""
    started = Faults(find_host("apsw"), library, injector, tmp_path_factory.mktemp("faults"))
    yield started
    started.close()


@pytest.fixture
def memory() -> Iterator[Path]:
    """An empty directory, in memory where there is a place for that: nothing waits for a disk."""
    with scratch() as place:
        yield place


@pytest.fixture(scope="module")
def module_memory() -> Iterator[Path]:
    """The same for all tests of a module."""
    with scratch() as place:
        yield place


@pytest.fixture
def make(tmp_path: Path) -> MakeQueue:
    """Makes queues; each lies alone in its directory, so that new files are noticed."""
    made = 0

    def make_it(shape: Shape | None = None, name: str = "queue.db") -> Queue:
        nonlocal made
        made += 1
        return make_queue(tmp_path / f"queue-{made}" / name, shape or Shape())

    return make_it


@pytest.fixture
def queue(make: MakeQueue) -> Queue:
    """A small queue in WAL mode, with dead workers' leases and live ones."""
    return make(Shape(stale_leased=5, stale_processing=3, live_leases=4))


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that all processes of one run of the tests share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def wheel(run_directory: Path) -> Path:
    """The Python package's wheel, built once a run."""
    return packages.wheel(run_directory / "wheel")


@pytest.fixture(scope="session", params=["own", "system"])
def package(request: pytest.FixtureRequest, wheel: Path) -> Package:
    """The Python package with all extras, on each Python in turn."""
    base = packages.pythons().get(request.param)
    if base is None:
        pytest.skip("there is no other Python at /usr/bin/python3 that is new enough")
    return Package(request.param, packages.environment(base, wheel))


@pytest.fixture(scope="session")
def own(wheel: Path) -> Package:
    """The same on the Python that runs the tests, for what does not depend on the Python."""
    return Package("own", packages.environment(packages.pythons()["own"], wheel))


@pytest.fixture
def offsite(own: Package, queue: Queue) -> Offsite:
    """Runs programs that copy the queue's backups; what they gave to finish()."""
    return functools.partial(remotes.run, own, queue)


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """A directory laid out as the repository of PrismQ's backend is."""
    return lay_out(tmp_path / "repository")


@pytest.fixture
def backend_environment(backend: Path, queue: Queue) -> dict[str, str]:
    """The environment of programs that use the backend, on a queue."""
    return {**os.environ, "PYTHONPATH": str(backend), "PRISMQ_QUEUE_DB_PATH": str(queue.path)}


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Makes a file system of a given size in memory, where the tests may."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / f"disk-{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a small file system takes Linux and root")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: who begins one when the others are done lets all wait for it."""
    items.sort(key=seconds, reverse=True)


def seconds(item: pytest.Item) -> int:
    """What the test takes, as far as it says so."""
    marker = item.get_closest_marker("slow")
    return int(marker.args[0] if marker.args else 5) if marker else 0


def pytest_runtest_setup() -> None:
    """Ends in an orderly way when the time is over: who is killed leaves file systems mounted."""
    if time.time() > OVER:
        pytest.skip("the time is over")


def close_all(sessions: list[Session]) -> None:
    """Closes every session, and only then complains about those that crashed."""
    crashes = []
    for session in sessions:
        try:
            session.close()
        except HostDiedError as crash:
            crashes.append(str(crash))
    assert not crashes, crashes
