"""The Python package: progress, cancelling, and threads."""

from __future__ import annotations

from collections.abc import Iterator

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
        told.append((done, total))
        idents.add(threading.get_ident())
    with queuekeeper.open(sys.argv[1]) as queue:
        made = queue.backup(progress=progress)
        queue.delete_backup(made.id)
    assert idents == {threading.get_ident()}
    assert told[-1] == (made.page_count, made.page_count), told[-1]
    print(json.dumps(told))
run_it(body)
""",
        large.path,
        thread,
    )
    assert len(told) > 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)


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
