"""The Python package: each operation, and what it returns."""

from __future__ import annotations

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


def test_upkeep(package: Package, queue: Queue) -> None:
    package.run(
        """
        with queuekeeper.open(sys.argv[1]) as queue:
            done = queue.checkpoint("truncate")
            assert (done.mode, done.busy) == ("TRUNCATE", 0), done
            assert queue.checkpoint().mode == "PASSIVE"
            won = queue.vacuum()
            assert won.size_before_bytes - won.size_after_bytes == won.reclaimed_bytes, won
            assert won.page_count_before >= won.page_count_after, won
            assert won.checkpoint.mode == "TRUNCATE" and won.freelist_count_after == 0, won
            assert "task_queue" in queue.analyze().analyzed
            assert queue.analyze("task_queue").analyzed == ["task_queue"]
            assert queue.optimize().vacuumed is False
            full = queue.optimize(full=True)
            assert full.analyzed is True and full.vacuumed is True
            assert isinstance(full.stats_before, queuekeeper.Stats), full
            assert full.stats_after.wal_mode is True
            assert queue.integrity() == queue.integrity("quick", 10) == ["ok"]
            metrics = {each.metric: each for each in queue.health()}
            assert metrics["database_size"].level == "ok", metrics
            assert {each.level for each in metrics.values()} <= {"ok", "warning", "critical"}
            assert queuekeeper.Queue.version() == queuekeeper.__version__
        """,
        queue.path,
    )


def test_the_schedule(package: Package, queue: Queue) -> None:
    package.run(
        """
        from datetime import datetime, timedelta, timezone
        with queuekeeper.open(sys.argv[1]) as queue:
            assert {job.job for job in queue.schedule()} == {"hourly", "daily", "weekly", "monthly"}
            assert all(job.cron and job.next_due_utc for job in queue.schedule())
            for job in ("daily", "weekly", "monthly"):
                queue.set(f"cron_{job}", "off")
            ran = queue.run_due(datetime(2030, 1, 1, 3, 30, tzinfo=timezone(timedelta(hours=2))))
            assert [job.job for job in ran] == ["hourly"], ran
            assert ran[0].due_utc == "2030-01-01 01:00:00" and ran[0].status == "ok", ran
            assert [step.step for step in ran[0].steps] == ["checkpoint", "requeue"], ran
            assert ran[0].steps[1].detail == {"requeued": 12}, ran
            assert {(each.job, each.status) for each in queue.history()} == {("hourly", "ok")}
            assert queue.run_due("2030-01-01 01:59:59") == []
            planned = queue.run_due("2030-01-02 02:00:00", dry_run=True)
            found = {(each.status, each.started_utc, each.finished_utc) for each in planned}
            assert found == {("due", None, None)}
            assert queue.run_due(now=2**31, retry_now=True, dry_run=True)[0].attempt == 1
        """,
        queue.path,
    )
