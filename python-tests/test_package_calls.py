"""The Python package: progress, cancelling, Ctrl-C, and threads."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from support.eventually import until_writing
from support.package import Package
from support.queues import Queue, Shape, grow, make_queue

MEGABYTES = 200
# An interrupt is heard within a fraction of a second; a busy machine may take longer.
LONGEST_SECONDS = 3.0

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")


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


def interrupt(process: subprocess.Popen[str], number: int) -> float:
    """Sends the signal; how long the program then took to end."""
    begun = time.monotonic()
    process.send_signal(number)
    process.wait(30)
    return time.monotonic() - begun


@POSIX
@pytest.mark.parametrize("progress", ["None", "lambda done, total: None"])
def test_ctrl_c_ends_a_long_backup_and_leaves_nothing(
    progress: str, package: Package, large: Queue
) -> None:
    files = large.files()
    process = package.start(
        f"""
        queue = queuekeeper.open(sys.argv[1])
        try:
            queue.backup(compression="zstd", level=19, progress={progress})
        except KeyboardInterrupt:
            assert queue.stats().page_size == 4096
            print(json.dumps("interrupted"))
        """,
        large.path,
    )
    until_writing(large.backups, 0)
    assert interrupt(process, signal.SIGINT) < LONGEST_SECONDS
    assert package.finish(process) == "interrupted"
    assert large.files() == files


@POSIX
def test_what_any_signal_handler_raises_ends_the_call(package: Package, large: Queue) -> None:
    files = large.files()
    process = package.start(
        """
        def handler(number, frame):
            raise RuntimeError("ended by a signal")
        signal.signal(signal.SIGUSR1, handler)
        queue = queuekeeper.open(sys.argv[1])
        try:
            queue.backup(compression="zstd", level=19)
        except RuntimeError as error:
            print(json.dumps(str(error)))
        """,
        large.path,
    )
    until_writing(large.backups, 0)
    assert interrupt(process, signal.SIGUSR1) < LONGEST_SECONDS
    assert package.finish(process) == "ended by a signal"
    assert large.files() == files


@POSIX
def test_a_handler_that_raises_nothing_runs_at_once_and_the_call_goes_on(
    package: Package, large: Queue
) -> None:
    latest, whole = package.run(
        """
        ticks = []
        signal.signal(signal.SIGALRM, lambda number, frame: ticks.append(time.monotonic()))
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        with queuekeeper.open(sys.argv[1]) as queue:
            begun = time.monotonic()
            made = queue.backup(verify="quick")
            ended = time.monotonic()
            queue.delete_backup(made.id)
        signal.setitimer(signal.ITIMER_REAL, 0)
        marks = [begun, *[tick for tick in ticks if begun < tick < ended], ended]
        latest = max(after - before for before, after in zip(marks, marks[1:]))
        print(json.dumps([latest, ended - begun]))
        """,
        large.path,
    )
    assert latest < whole / 2


@POSIX
def test_ctrl_c_ends_the_wait_for_a_lock(package: Package, queue: Queue) -> None:
    with queue.connect() as holder:
        holder.execute("BEGIN IMMEDIATE")
        process = package.start(
            """
            queue = queuekeeper.open(sys.argv[1])
            print("ready", flush=True)
            try:
                queue.requeue_stale(60)
            except KeyboardInterrupt:
                print(json.dumps("interrupted"))
            """,
            queue.path,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        assert interrupt(process, signal.SIGINT) < LONGEST_SECONDS
        assert package.finish(process) == "interrupted"


@POSIX
def test_ctrl_c_ends_the_main_threads_call_and_not_that_of_another_thread(
    package: Package, large: Queue
) -> None:
    process = package.start(
        """
        queue = queuekeeper.open(sys.argv[1])
        begun, release, made = threading.Event(), threading.Event(), []
        def progress(done, total):
            begun.set()
            release.wait()
        def back_up():
            made.append(queue.backup(progress=progress))
        thread = threading.Thread(target=back_up)
        thread.start()
        begun.wait()
        print("ready", flush=True)
        try:
            queue.backup(name="second")
        except KeyboardInterrupt:
            release.set()
            thread.join()
            assert [each.id for each in queue.backups()] == [made[0].id]
            queue.delete_backup("latest")
            print(json.dumps("interrupted"))
        """,
        large.path,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert package.finish(process) == "interrupted"


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


@POSIX
def test_signals_at_any_moment_break_nothing(package: Package, queue: Queue) -> None:
    package.run(
        """
        import random
        class Stop(RuntimeError):
            pass
        def stop(number, frame):
            raise Stop
        signal.signal(signal.SIGALRM, stop)
        path = sys.argv[1] + "-copy"
        stopped = done = 0
        with queuekeeper.open(sys.argv[1]) as queue:
            until = time.monotonic() + 2
            while time.monotonic() < until or not (stopped and done):
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.02))
                    if random.random() < 0.5:
                        queue.stats()
                    else:
                        queue.backup(path, overwrite=True, progress=lambda done, total: None)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    done += 1
                except Stop:
                    stopped += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert queue.verify(path).ok
        """,
        queue.path,
    )
    assert [name for name in queue.files() if ".tmp" in name] == []
