"""The Python package: progress, cancelling, and threads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.package import Package
from support.queues import Queue, Shape, grow, make_queue

MEGABYTES = 200


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """One large queue for all tests here, since it takes a while to make."""
    queue = make_queue(tmp_path_factory.mktemp("large") / "queue.db", Shape(tasks=100))
    grow(queue, MEGABYTES)
    yield queue
    queue.path.unlink()


# Runs the rest of the program in the main thread, or in another.
IN_A_THREAD = """
def run_it(body):
    if sys.argv[2] == "main":
        return body()
    raised = []
    def work():
        try:
            body()
        except BaseException as error:
            raised.append(error)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
"""

THREADS = pytest.mark.parametrize("thread", ["main", "other"])


@THREADS
def test_progress_is_told_in_the_callers_thread(
    thread: str, package: Package, large: Queue
) -> None:
    told = package.run(
        IN_A_THREAD
        + """
def body():
    told, idents = [], set()
    def progress(done, total):
        told.append((queue.phase, done, total))
        idents.add(threading.get_ident())
    with queuekeeper.open(sys.argv[1]) as queue:
        made = queue.backup(progress=progress)
        queue.delete_backup(made.id)
    assert idents == {threading.get_ident()}
    assert told[-1] == ("syncing", made.page_count, made.page_count), told[-1]
    print(json.dumps(told))
run_it(body)
""",
        large.path,
        thread,
    )
    assert len(told) > 2
    assert told == sorted(told)


@THREADS
@pytest.mark.parametrize(
    ("progress", "raised"),
    [
        ("lambda done, total: True", "queuekeeper.InterruptError"),
        ("lambda done, total: done > total / 2", "queuekeeper.InterruptError"),
        ("lambda done, total: 1 // 0", "ZeroDivisionError"),
        ("lambda done, total: sys.exit(7)", "SystemExit"),
        ("lambda done: False", "TypeError"),
    ],
)
def test_a_progress_function_ends_the_call(
    progress: str, raised: str, thread: str, package: Package, large: Queue
) -> None:
    files = large.files()
    package.run(
        IN_A_THREAD
        + f"""
def body():
    with queuekeeper.open(sys.argv[1]) as queue:
        try:
            queue.backup(progress={progress})
        except {raised} as error:
            assert getattr(error, "primary_code", 9) == 9
        else:
            raise AssertionError("it went on")
        assert queue.stats().page_size == 4096
run_it(body)
""",
        large.path,
        thread,
    )
    assert large.files() == files


@THREADS
def test_a_progress_function_may_not_use_its_own_queue(
    thread: str, package: Package, large: Queue
) -> None:
    package.run(
        IN_A_THREAD
        + """
def body():
    with queuekeeper.open(sys.argv[1]) as queue, queuekeeper.open(sys.argv[1]) as other:
        for forbidden in (queue.stats, queue.close):
            try:
                queue.backup(progress=lambda done, total: forbidden() and None)
            except queuekeeper.MisuseError as error:
                assert "progress" in str(error) and error.code == 21, error
            else:
                raise AssertionError("it was allowed")
        made = queue.backup(progress=lambda done, total: other.depth() and None)
        queue.delete_backup(made.id)
run_it(body)
""",
        large.path,
        thread,
    )


def test_other_threads_run_python_code_during_a_call(package: Package, large: Queue) -> None:
    slowest, whole = package.run(
        """
        stop, marks = threading.Event(), [time.monotonic()]
        def tick():
            while not stop.wait(0.005):
                marks.append(time.monotonic())
        thread = threading.Thread(target=tick)
        thread.start()
        with queuekeeper.open(sys.argv[1]) as queue:
            queue.delete_backup(queue.backup(verify="full").id)
        stop.set()
        thread.join()
        slowest = max(after - before for before, after in zip(marks, marks[1:]))
        print(json.dumps([slowest, marks[-1] - marks[0]]))
        """,
        large.path,
    )
    # A thread that had to wait for the call would have waited as long as it took.
    assert slowest < whole / 2


def test_ten_threads_on_one_queue(package: Package, queue: Queue) -> None:
    package.run(
        """
        failures = []
        with queuekeeper.open(sys.argv[1]) as queue:
            def work(number):
                try:
                    for _ in range(10):
                        assert queue.stats().page_size == 4096
                        queue.backup(name=f"thread-{number}")
                        try:
                            queue.verify(f"no-such-{number}")
                        except queuekeeper.Error as error:
                            # The message is that of this thread's own call.
                            assert f"no-such-{number}" in str(error), error
                except BaseException as error:
                    failures.append(repr(error))
            threads = [threading.Thread(target=work, args=[number]) for number in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not failures, failures
            assert len(queue.backups()) == 100
        """,
        queue.path,
    )


# Each call with the phases that it went through; [phase, done, total] as they were told.
PHASES = """
import pathlib
told = {}
with queuekeeper.open(sys.argv[1]) as queue:
    target = str(pathlib.Path(sys.argv[1]).with_name("restored.db"))
    def watched(name, call, *arguments, **options):
        heard = told[name] = []
        def progress(done, total):
            heard.append((queue.phase, done, total))
        result = call(*arguments, progress=progress, **options)
        assert queue.phase is None
        return result
    assert queue.phase is None
    full = watched("full", queue.backup, compression="zstd", verify="quick")
    watched("snapshot", queue.backup, type="snapshot", compression="gzip")
    delta = watched("incremental", queue.backup, type="incremental", compression="gzip")
    watched("plain", queue.backup, verify="full")
    watched("checksum", queue.verify, delta.id, "checksum")
    watched("verify", queue.verify, delta.id, "full")
    watched("live", queue.restore, delta.id)
    watched("new", queue.restore, delta.id, target)
    watched("vacuum", queue.vacuum)
    watched("optimize", queue.optimize, True)
assert queue.phase is None
print(json.dumps(told))
"""

THROUGH = {
    "full": "copying syncing rebuilding comparing checking",
    "snapshot": "copying reading compressing syncing",
    "incremental": "copying compressing syncing",
    "plain": "copying syncing reading comparing checking",
    "checksum": "reading",
    "verify": "rebuilding comparing checking",
    "live": "rebuilding comparing checking saving syncing writing",
    "new": "rebuilding comparing checking syncing",
    "vacuum": "compacting",
    "optimize": "compacting analyzing",
}
UNCOUNTED = {"checking", "compacting", "analyzing"}


@pytest.mark.parametrize("shape", [Shape(tasks=300), Shape(tasks=300, journal_mode="delete")])
def test_each_phase_has_a_name_and_counts_its_own_pages(
    shape: Shape, package: Package, tmp_path: Path
) -> None:
    queue = make_queue(tmp_path / "queue.db", shape)
    grow(queue, 20)
    told = package.run(PHASES, queue.path)
    for call, words in THROUGH.items():
        passes = [
            (phase, [(done, total) for _, done, total in heard])
            for phase, heard in itertools.groupby(told[call], key=lambda each: each[0])
        ]
        assert [phase for phase, _ in passes] == words.split(), call
        for phase, counted in passes:
            where = f"{call}, {phase}: {counted}"
            totals = {total for _, total in counted}
            assert len(totals) == 1, where
            assert counted == sorted(counted), where
            assert counted[0][0] == 0, where
            uncounted = phase in UNCOUNTED or (call, phase) == ("snapshot", "copying")
            assert (totals == {0}) == uncounted, where
            assert counted[-1][0] == counted[-1][1], where


def test_another_thread_sees_the_phase(package: Package, large: Queue) -> None:
    seen = package.run(
        """
seen = set()
with queuekeeper.open(sys.argv[1]) as queue:
    over = threading.Event()
    def look():
        while not over.wait(0.001):
            seen.add(queue.phase)
    thread = threading.Thread(target=look)
    thread.start()
    made = queue.backup(verify="full")
    queue.delete_backup(made.id)
    queue.integrity()
    over.set()
    thread.join()
    assert queue.phase is None
print(json.dumps(sorted(filter(None, seen))))
""",
        large.path,
    )
    assert {"copying", "reading", "comparing", "checking"} <= set(seen)
