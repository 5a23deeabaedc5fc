"""The Python package: each operation, and what it returns."""

from __future__ import annotations

import pytest

from support.package import Package
from support.queues import Queue


def test_backup_and_all_that_is_done_with_backups(package: Package, queue: Queue) -> None:
    found = package.run(
        """
        with queuekeeper.open(sys.argv[1]) as queue:
            first = queue.backup(name="daily", verify="quick", compression="zstd")
            second = queue.backup(name="daily", type="incremental")
            assert isinstance(first, queuekeeper.Backup), first
            assert first.path.is_file() and first.created.utcoffset().total_seconds() == 0
            assert first.raw["checksum"] == first.checksum
            assert first.compressed is True and first.task_counts["leased"] == 7, first
            assert (second.backup_type, second.parent_id) == ("incremental", first.id)
            listed = queue.backups()
            assert [each.id for each in listed] == [second.id, first.id]
            assert [each.compressed for each in listed] == [False, True]
            assert listed[1].task_counts == first.task_counts
            verified = queue.verify("latest", "full")
            assert verified.ok and verified.details == [] and verified.id == second.id, verified
            plan = queue.rotation(1)
            assert [each.decision for each in plan] == ["keep", "keep"], plan
            assert queue.rotate({"keep_last": 1}) == 0
            restored = queue.restore(first.path, requeue_leases=True)
            assert restored.requeued == 12 and restored.safety_backup, restored
            assert queue.delete_backup(second.id).deleted == 1
            # What the restore saved is the newest, and the first is the newest verified one.
            assert queue.rotate("1/1/1") == 0 == queue.rotate(1, first.path.parent)
            print(json.dumps(len(queue.backups())))
        """,
        queue.path,
    )
    assert found == 2
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(0,)]


def test_a_backup_to_a_path_object_and_a_restore_into_another_file(
    package: Package, queue: Queue
) -> None:
    target = queue.directory / "copy.db"
    package.run(
        """
        from pathlib import Path
        with queuekeeper.open(Path(sys.argv[1])) as queue:
            made = queue.backup(Path(sys.argv[1]).with_name("one.db"), verify=None)
            queue.restore(made.path, Path(sys.argv[2]))
        with queuekeeper.open(":memory:") as aside:
            assert aside.verify(made.path).ok
        """,
        queue.path,
        target,
    )
    assert Queue(target).snapshot() == queue.snapshot()


def test_the_queue_and_its_leases(package: Package, queue: Queue) -> None:
    package.run(
        """
        with queuekeeper.open(sys.argv[1]) as queue:
            stats = queue.stats()
            assert stats.wal_mode is True and stats.page_size == 4096, stats
            assert stats.path == sys.argv[1] and stats.raw["path"] == stats.path
            depth = {each.status: each.tasks for each in queue.depth()}
            assert depth["leased"] == 7 and depth["queued"] == 10, depth
            stale = queue.stale(60)
            assert len(stale) == len(queue.stale()) == 8
            assert stale[0].overdue_seconds > 3000 and stale[0].locked_by == "worker-1"
            assert queue.requeue_stale(60) == 8 and queue.stale(60) == []
        """,
        queue.path,
    )


def test_settings(package: Package, queue: Queue) -> None:
    package.run(
        """
        with queuekeeper.open(sys.argv[1]) as queue:
            assert queue.set("keep", "3/2/1") == "3/2/1"
            assert queue.set("full_every", 5) in (5, "5")
            assert queue.set("requeue_sets_run_after", True) in (1, "1")
            queue.set("status_leased", ["leased", "processing", "held"])
            values = {each.name: each for each in queue.settings()}
            assert values["keep"].value == "3/2/1" and values["keep"].default_value == "7/4/12"
            assert "held" in values["status_leased"].value
            queue.set("keep", None)
            assert {each.name: each.value for each in queue.settings()}["keep"] == "7/4/12"
            try:
                queue.set("keep", "nonsense")
            except queuekeeper.Error as error:
                assert error.code == 1 and "keep" in str(error), error
            else:
                raise AssertionError("a bad value was taken")
        """,
        queue.path,
    )


#: What each program needs of the library, and what it does with it.
UPKEEP = {
    "checkpoint": (
        ("qk_checkpoint",),
        """
        done = queue.checkpoint("TRUNCATE")
        assert (done.mode, done.busy) == ("TRUNCATE", 0), done
        assert queue.checkpoint().mode == "PASSIVE"
        """,
    ),
    "vacuum": (
        ("qk_vacuum",),
        """
        done = queue.vacuum()
        assert done.size_before_bytes - done.size_after_bytes == done.reclaimed_bytes, done
        """,
    ),
    "analyze": (
        ("qk_analyze",),
        """
        assert "task_queue" in queue.analyze().analyzed
        assert queue.analyze("task_queue").analyzed == ["task_queue"]
        """,
    ),
    "optimize": (
        ("qk_optimize",),
        """
        assert queue.optimize().vacuumed is False
        done = queue.optimize(full=True)
        assert done.analyzed is True and done.vacuumed is True
        assert isinstance(done.stats_before, queuekeeper.Stats) and done.stats_after.page_count
        """,
    ),
    "integrity": (
        ("qk_integrity",),
        """
        assert queue.integrity() == queue.integrity("quick", 10) == ["ok"]
        """,
    ),
    "health": (
        ("qk_health",),
        """
        found = queue.health()
        assert {each.level for each in found} <= {"ok", "warning", "critical"} and found, found
        assert all(each.metric for each in found)
        """,
    ),
    "schedule": (
        ("qk_run_due", "qk_schedule", "qk_history"),
        """
        from datetime import datetime, timezone
        assert {each.job for each in queue.schedule()} == {"hourly", "daily", "weekly", "monthly"}
        assert all(each.cron and each.next_due_utc for each in queue.schedule())
        ran = queue.run_due(datetime.now(timezone.utc))
        assert isinstance(ran, list) and all(each.job for each in ran), ran
        steps = queue.history()
        assert {each.job for each in steps} == {each.job for each in ran}, steps
        """,
    ),
}


@pytest.mark.parametrize("name", UPKEEP)
def test_upkeep(name: str, package: Package, queue: Queue) -> None:
    needed, body = UPKEEP[name]
    # Until every branch of the library is in, one without the function is not a failure.
    missing = package.run(
        f"""
        missing = lacks(*{needed!r})
        if not missing:
            queue = queuekeeper.open(sys.argv[1])
            {body.strip().replace(chr(10), chr(10) + "    ")}
        print(json.dumps(missing))
        """,
        queue.path,
    )
    if missing:
        pytest.skip(f"the library has no {missing[0]}()")
