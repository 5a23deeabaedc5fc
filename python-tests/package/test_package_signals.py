"""The Python package: Ctrl-C and other signals while a call runs."""

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

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")

MEGABYTES = 200
# An interrupt is heard within a fraction of a second; a busy machine may take longer.
LONGEST_SECONDS = 3.0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """One large queue for all tests here, since it takes a while to make."""
    queue = make_queue(tmp_path_factory.mktemp("large") / "queue.db", Shape(tasks=100))
    grow(queue, MEGABYTES)
    yield queue
    queue.path.unlink()


def interrupt(process: subprocess.Popen[str], number: int) -> float:
    """Sends the signal; how long the program then took to end."""
    begun = time.monotonic()
    process.send_signal(number)
    process.wait(30)
    return time.monotonic() - begun


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
