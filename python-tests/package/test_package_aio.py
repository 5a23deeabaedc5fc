"""The door for asyncio: the loop goes on, and what is cancelled has ended."""

from __future__ import annotations

import pytest
from conftest import MakeQueue

from support.package import Package
from support.queues import Shape, grow

BEGIN = """
import asyncio
from queuekeeper import aio
path = sys.argv[1]
queue = queuekeeper.open(path)
backups = os.path.join(os.path.dirname(path), "backups")
def made():
    there = os.listdir(backups) if os.path.isdir(backups) else []
    return [name for name in there if name.startswith("queue_backup")]
async def until_working():
    while queue.phase is None:
        await asyncio.sleep(0.001)
"""


def test_the_loop_goes_on_and_results_and_errors_come_back(
    package: Package, make: MakeQueue
) -> None:
    queue = make(Shape(tasks=50))
    grow(queue, 40)
    package.run(
        BEGIN
        + """
async def main():
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.002)
    ticking = asyncio.create_task(tick())
    seen = []
    note = lambda done, total: seen.append(done)
    made = await aio.call(queue.backup, verify="full", progress=note)
    assert made.verified_level == "full" and seen and ticks > 5, ticks
    several = await asyncio.gather(*(aio.call(queue.stats) for _ in range(20)))
    assert len({each.page_count for each in several}) == 1
    try:
        await aio.call(queue.verify, "no-such")
    except queuekeeper.Error as error:
        assert "no-such" in str(error)
    else:
        raise AssertionError
    try:
        await aio.call(len, "abc")
    except TypeError as error:
        assert "queue.backup" in str(error)
    ticking.cancel()
asyncio.run(main())
""",
        queue.path,
    )


@pytest.mark.parametrize("how", ["cancel", "timeout", "twice", "waiting"])
def test_what_is_cancelled_has_ended_and_left_nothing(
    how: str, package: Package, make: MakeQueue
) -> None:
    queue = make(Shape(tasks=50))
    grow(queue, 60)
    package.run(
        BEGIN
        + f"how = {how!r}\n"
        + """
async def main():
    # Slow enough to be cancelled, since each report is waited for.
    slowly = lambda done, total: time.sleep(0.05)
    task = asyncio.create_task(aio.call(queue.backup, compression="zstd", progress=slowly))
    await until_working()
    if how == "waiting":
        # Another call's turn: the one that waits for it is ended, and not the other.
        other, task = task, asyncio.create_task(aio.call(queue.set, "keep", 3))
        await asyncio.sleep(0.1)
        assert not other.done()
        began = time.monotonic()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        assert time.monotonic() - began < 0.5 and not other.done()
        await other
        assert made()
        assert [each.value for each in queue.settings() if each.name == "keep"] == ["7/4/12"]
        return
    began = time.monotonic()
    try:
        if how == "timeout":
            await asyncio.wait_for(task, 0.01)
        else:
            task.cancel()
            if how == "twice":
                await asyncio.sleep(0)
                task.cancel()
            await task
    except (asyncio.CancelledError, asyncio.TimeoutError):
        pass
    else:
        raise AssertionError("it was not cancelled")
    assert time.monotonic() - began < 2
    assert queue.phase is None and made() == [], made()
    assert queue.backup().size_bytes > 0
asyncio.run(main())
""",
        queue.path,
    )


def test_ctrl_c_ends_it(package: Package, make: MakeQueue) -> None:
    queue = make(Shape(tasks=50))
    grow(queue, 60)
    package.run(
        BEGIN
        + """
if sys.version_info < (3, 11):
    sys.exit()
async def main():
    slowly = lambda done, total: time.sleep(0.05)
    task = asyncio.create_task(aio.call(queue.backup, progress=slowly))
    await until_working()
    os.kill(os.getpid(), signal.SIGINT)
    await task
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
else:
    raise AssertionError
assert queue.phase is None and made() == [], made()
""",
        queue.path,
    )


def test_what_no_thread_has_begun_is_cancelled_at_once_and_never_begins(
    package: Package, make: MakeQueue
) -> None:
    package.run(
        BEGIN
        + """
from concurrent.futures import ThreadPoolExecutor
async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, time.sleep, 1)
    task = asyncio.create_task(aio.call(queue.backup))
    await asyncio.sleep(0.05)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    assert not busy.done()
    await busy
    await aio.call(queue.stats)
    assert made() == []
asyncio.run(main())
""",
        make(Shape(tasks=5)).path,
    )


def test_a_progress_function_that_raises_stop_iteration_ends_the_call(
    package: Package, make: MakeQueue
) -> None:
    package.run(
        BEGIN
        + """
async def main():
    try:
        await asyncio.wait_for(aio.call(queue.backup, progress=lambda *_: next(iter(()))), 20)
    except RuntimeError as error:
        assert isinstance(error.__cause__, StopIteration)
    else:
        raise AssertionError
    assert made() == []
asyncio.run(main())
""",
        make(Shape(tasks=50)).path,
    )
