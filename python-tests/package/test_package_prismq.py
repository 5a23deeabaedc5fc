"""The drop-in classes for PrismQ's backend behave as its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from queuekeeper import prismq
from support.package import Package
from support.package.backend import SETUP
from support.queues import Queue

Run = Callable[[str], Any]


@pytest.fixture
def run(package: Package, backend_environment: dict[str, str]) -> Run:
    """Runs a program that has the backend's objects."""
    return lambda program: package.run(SETUP + inspect.cleandoc(program), env=backend_environment)


#: The backend's own methods: their arguments, with the defaults.
METHODS = {
    "QueueBackup.__init__": ["self", "db", ("backup_dir", None)],
    "QueueBackup.create_backup": ["self", ("name", None)],
    "QueueBackup.verify_backup": ["self", "backup_path"],
    "QueueBackup.restore_backup": ["self", "backup_path", ("target_path", None)],
    "QueueBackup.list_backups": ["self"],
    "QueueBackup.cleanup_old_backups": ["self", ("keep_count", 10)],
    "QueueBackup.get_latest_backup": ["self"],
    "BackupInfo.__init__": ["self", "path", "size_bytes", "created_at"],
    "BackupInfo.from_path": ["path"],
    "QueueMaintenance.__init__": ["self", "db"],
    "QueueMaintenance.checkpoint": ["self", ("mode", "PASSIVE")],
    "QueueMaintenance.vacuum": ["self"],
    "QueueMaintenance.analyze": ["self", ("table", None)],
    "QueueMaintenance.integrity_check": ["self"],
    "QueueMaintenance.cleanup_stale_leases": ["self", ("timeout_seconds", 300)],
    "QueueMaintenance.get_database_stats": ["self"],
    "QueueMaintenance.optimize": ["self", ("full", False)],
}


@pytest.mark.parametrize("method", METHODS)
def test_the_arguments_and_defaults_are_the_backends(method: str) -> None:
    kind, name = method.split(".")
    parameters = inspect.signature(getattr(getattr(prismq, kind), name)).parameters.values()
    named = [
        each.name if each.default is inspect.Parameter.empty else (each.name, each.default)
        for each in parameters
    ]
    assert named == METHODS[method]


def test_backups_are_made_listed_and_cleaned_up(run: Run, queue: Queue) -> None:
    run(
        """
        assert backup.db is db and backup.backup_dir == db.db_path.parent / "backups"
        other = QueueBackup(db, str(backup.backup_dir / "deep" / "down"))
        assert other.backup_dir == backup.backup_dir / "deep" / "down" and other.backup_dir.is_dir()
        backup = other
        assert backup.list_backups() == [] and backup.get_latest_backup() is None
        before = datetime.now().replace(microsecond=0)
        made = [backup.create_backup(name=f"backup_{number}") for number in range(4)]
        plain = backup.create_backup()
        assert all(isinstance(path, Path) and path.suffix == ".db" for path in (*made, plain))
        assert "queue_backup_backup_0_" in made[0].name and plain.name.startswith("queue_backup_2")
        listed = backup.list_backups()
        assert [info.path for info in listed] == [plain, *reversed(made)]
        assert all(isinstance(info, BackupInfo) for info in listed)
        latest = backup.get_latest_backup()
        assert latest == listed[0] and latest.size_bytes == plain.stat().st_size
        assert latest.size_mb == latest.size_bytes / 1048576
        assert before <= latest.created_at <= datetime.now() and latest.created_at.tzinfo is None
        from_path = BackupInfo.from_path(plain)
        assert from_path.size_bytes == latest.size_bytes and from_path.path == plain
        assert backup.cleanup_old_backups(keep_count=7) == 0
        assert backup.cleanup_old_backups() == 0
        assert backup.cleanup_old_backups(keep_count=3) == 2
        assert [info.path for info in backup.list_backups()] == [plain, made[3], made[2]]
        # Names that a file can have, but a series cannot; and the old module's backups.
        assert "a_b__c" in backup.create_backup("a b:*c").name
        (backup.backup_dir / "queue_backup_old_20200101_020202.db").write_bytes(plain.read_bytes())
        assert backup.list_backups()[-1].created_at.year == 2020
        assert backup.cleanup_old_backups(4) == 1
        assert backup.list_backups()[-1].path == made[2]
        """
    )


def test_two_queues_with_one_backup_directory_keep_their_own(run: Run, queue: Queue) -> None:
    run(
        """
        other = type(db)(str(db.db_path.parent / "other.db"))
        others = QueueBackup(other, backup.backup_dir)
        mine = [backup.create_backup() for _ in range(3)]
        theirs = [others.create_backup() for _ in range(3)]
        assert backup.get_latest_backup().path == mine[2]
        assert [info.path for info in others.list_backups()] == theirs[::-1]
        assert backup.cleanup_old_backups(1) == 2
        assert [info.path for info in others.list_backups()] == theirs[::-1]
        assert [info.path for info in backup.list_backups()] == [mine[2]]
        """
    )


def test_a_backup_has_what_was_committed_while_the_database_is_in_use(
    run: Run, queue: Queue
) -> None:
    run(
        """
        fill(7)
        reading = db.get_connection().execute("SELECT * FROM task_queue")
        reading.fetchone()
        path = backup.create_backup("in_use")
        copy = sqlite3.connect(path)
        count = "SELECT count(*) FROM task_queue WHERE type = 'fill'"
        assert copy.execute(count).fetchone() == (7,)
        assert backup.verify_backup(path) is True
        assert backup.verify_backup(str(path)) is True
        assert reading.fetchone() is not None
        """
    )


def test_backups_are_restored(run: Run, queue: Queue) -> None:
    run(
        """
        count = "SELECT count(*) FROM task_queue"
        (before,) = db.get_connection().execute(count).fetchone()
        path = backup.create_backup()
        fill(5)
        connection = db.get_connection()
        assert backup.restore_backup(path) is None
        try:
            connection.execute(count)
        except sqlite3.ProgrammingError as error:
            assert "closed" in str(error), error
        else:
            raise AssertionError("the database was not closed")
        assert db.get_connection().execute(count).fetchone()[0] == before
        assert "before_restore" in backup.get_latest_backup().path.name
        target = backup.backup_dir / "restored.db"
        for _ in range(2):
            backup.restore_backup(path, target)
            assert sqlite3.connect(target).execute(count).fetchone() == (before,)
        # A database that is none any more.
        db.close()
        db.db_path.write_bytes(b"broken" * 1000)
        for suffix in ("-wal", "-shm"):
            Path(str(db.db_path) + suffix).unlink(missing_ok=True)
        backup.restore_backup(path)
        assert db.get_connection().execute(count).fetchone()[0] == before
        assert maint.integrity_check() == ["ok"]
        """
    )


def test_errors_of_backups(run: Run, queue: Queue) -> None:
    run(
        """
        missing = backup.backup_dir / "nonexistent.db"
        assert "not found" in raised(QueueBackupError, backup.verify_backup, missing)
        assert "not found" in raised(QueueBackupError, backup.restore_backup, missing)
        broken = backup.backup_dir / "broken.db"
        broken.write_bytes(b"not a valid sqlite database")
        raised(QueueBackupError, backup.verify_backup, broken)
        connection = db.get_connection()
        raised(QueueBackupError, backup.restore_backup, broken)
        assert connection.execute("SELECT 1").fetchone(), "it was closed for nothing"
        path = backup.create_backup()
        content = bytearray(path.read_bytes())
        content[4096 * 3:4096 * 4] = bytes(4096)
        path.write_bytes(content)
        assert "integrity check failed" in raised(QueueBackupError, backup.verify_backup, path)
        raised(QueueBackupError, backup.verify_backup, db.db_path)
        raised(QueueBackupError, backup.cleanup_old_backups, -1)
        raised(QueueBackupError, QueueBackup, db, str(path / "below"))
        assert "Backup failed" in raised(QueueBackupError, backup.create_backup, "../escaped")
        """
    )


def test_maintenance(run: Run, queue: Queue) -> None:
    run(
        """
        assert maint.db is db
        modes = [value for name, value in vars(QueueMaintenance).items() if "CHECKPOINT" in name]
        assert modes == ["PASSIVE", "FULL", "RESTART", "TRUNCATE"], modes
        fill()
        for mode in modes:
            done = maint.checkpoint(mode=mode)
            assert set(done) == {"busy", "log", "checkpointed"} and done["busy"] in (0, 1), done
        assert "Invalid checkpoint mode" in raised(QueueMaintenanceError, maint.checkpoint, "X")
        assert "Invalid checkpoint mode" in raised(QueueMaintenanceError, maint.checkpoint, "full")
        before = maint.get_database_stats()
        assert set(before) == {
            "page_count", "page_size", "total_size_mb", "freelist_count", "wal_mode", "wal_size_mb"
        }
        assert before["wal_mode"] is True and before["wal_size_mb"] >= 0
        assert before["total_size_mb"] == before["page_count"] * before["page_size"] / 1048576
        with db.transaction() as connection:
            connection.execute("DELETE FROM task_queue WHERE type = 'fill'")
        assert maint.get_database_stats()["freelist_count"] > 0
        assert maint.vacuum() is None
        after = maint.get_database_stats()
        assert after["page_count"] < before["page_count"] and after["freelist_count"] == 0
        assert maint.analyze() is None and maint.analyze(table="task_queue") is None
        rows = db.get_connection().execute("SELECT tbl FROM sqlite_stat1").fetchall()
        assert "task_queue" in {row["tbl"] for row in rows}
        raised(QueueMaintenanceError, maint.analyze, "no_such_table")
        assert maint.integrity_check() == ["ok"]
        quick, full = maint.optimize(), maint.optimize(full=True)
        assert (quick["analyzed"], quick["vacuumed"]) == (True, False)
        assert (full["analyzed"], full["vacuumed"]) == (True, True)
        assert set(full["stats_before"]) == set(full["stats_after"]) == set(before)
        db.close()
        assert "busy" in maint.checkpoint()
        """
    )


def test_pending_changes_are_committed_where_the_backends_own_classes_did(
    run: Run, queue: Queue
) -> None:
    run(
        """
        for call in (maint.vacuum, maint.analyze, maint.optimize):
            connection = db.get_connection()
            connection.execute("INSERT INTO task_queue(type) VALUES ('pending')")
            assert connection.in_transaction
            call()
            assert not connection.in_transaction
        count = "SELECT count(*) FROM task_queue WHERE type = 'pending'"
        assert sqlite3.connect(db.db_path).execute(count).fetchone() == (3,)
        """
    )


def test_stale_leases(run: Run, queue: Queue) -> None:
    run(
        """
        def insert(status, minutes):
            until = datetime.now(timezone.utc) + timedelta(minutes=minutes)
            with db.transaction() as connection:
                connection.execute(
                    "INSERT INTO task_queue(type, status, lease_until_utc, locked_by) "
                    "VALUES ('lease', ?, ?, 'worker')",
                    (status, until.strftime("%Y-%m-%d %H:%M:%S")),
                )
        assert maint.cleanup_stale_leases() == 8, "those that the queue came with"
        assert maint.cleanup_stale_leases() == 0
        for status in ("processing", "leased"):
            insert(status, -10)
            insert(status, -2)
            insert(status, 10)
        assert maint.cleanup_stale_leases(timeout_seconds=300) == 2
        assert maint.cleanup_stale_leases(timeout_seconds=60) == 2
        assert maint.cleanup_stale_leases(timeout_seconds=0) == 0
        rows = db.get_connection().execute(
            "SELECT status, count(*), count(locked_by) FROM task_queue "
            "WHERE type = 'lease' GROUP BY status"
        )
        assert sorted(map(tuple, rows)) == [
            ("leased", 1, 1), ("processing", 1, 1), ("queued", 4, 0)
        ]
        raised(QueueMaintenanceError, maint.cleanup_stale_leases, -1)
        raised(QueueMaintenanceError, maint.cleanup_stale_leases, "soon")
        with db.transaction() as connection:
            connection.execute("DROP TABLE task_queue")
        raised(QueueMaintenanceError, maint.cleanup_stale_leases)
        """
    )


def test_many_threads(run: Run, queue: Queue) -> None:
    run(
        """
        failures = []
        def work(number):
            try:
                fill(5)
                assert backup.verify_backup(backup.create_backup(f"thread_{number}"))
                maint.analyze()
                maint.cleanup_stale_leases()
                assert maint.get_database_stats()["page_count"]
            except Exception as error:
                failures.append(repr(error))
        threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        assert len(backup.list_backups()) == 6
        """
    )


def test_the_backends_base_class_is_found_or_named(own: Package, queue: Queue) -> None:
    own.run(
        """
        import types
        from queuekeeper import prismq
        class Other(Exception):
            pass
        class Bare:
            db_path = sys.argv[1]
            def get_connection(self): return None
            def close(self): pass
        def raised():
            try:
                prismq.QueueMaintenance(Bare()).checkpoint("X")
            except prismq.QueueMaintenanceError as error:
                return error
        assert isinstance(raised(), prismq.QueueDatabaseError) and not isinstance(raised(), Other)
        prismq.register_base(Other)
        assert isinstance(raised(), Other)
        prismq.register_base(None)
        assert not isinstance(raised(), Other)
        sys.modules["__main__"].QueueDatabaseError = Other
        assert isinstance(raised(), Other) and type(raised()).__name__ == "QueueMaintenanceError"
        """,
        queue.path,
    )
