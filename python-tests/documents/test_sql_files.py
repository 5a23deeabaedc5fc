"""sql/hourly.sql and its kin, run as their users run them: by SQLite's own shell, from a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, MakeQueue, OpenPython

from hosts import find_host
from support import artifacts
from support.artifacts.kinds import back_up
from support.documents.declared import METRICS
from support.faults.damage import outdate_index, overwrite
from support.queues import Queue, Shape
from support.workers import writing

NAMES = ("hourly", "daily", "weekly", "monthly", "health", "backups")
LOAD_BY_NAME = sys.platform.startswith("linux")


class Done:
    """What a run came to."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status, self.stderr = status, stderr
        self.text = stdout
        self.lines = [line.strip() for line in stdout.splitlines()]

    def said(self, name: str) -> list[str]:
        """The values of "name = value"."""
        pairs = [line.split(" = ", 1) for line in self.lines]
        return [pair[1] for pair in pairs if pair[0] == name]


RunFile = Callable[..., Done]


@pytest.fixture
def run_file(library: Path) -> RunFile:
    """Runs "sqlite3 queue.db < sql/NAME.sql"."""
    shell = find_host("shell")
    if shell.missing:
        pytest.skip(shell.missing)
    found_by_name = LOAD_BY_NAME and library.name == "libqueuekeeper.so"

    def run(name: str, queue: Queue, *options: str, path: Path | None = library.parent) -> Done:
        environment = {key: text for key, text in os.environ.items() if key != "LD_LIBRARY_PATH"}
        if path and found_by_name:
            environment["LD_LIBRARY_PATH"] = str(path)
        elif path:
            options = ("-cmd", f".load {library}", *options)
        with (ROOT / "sql" / f"{name}.sql").open("rb") as script:
            done = subprocess.run(
                [shell.program, "-init", os.devnull, *options, str(queue.path)],
                stdin=script,
                capture_output=True,
                text=True,
                timeout=120,
                env=environment,
                check=False,
            )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def set_up(queue: Queue, **settings: object) -> None:
    """Settings as queue_set() stores them."""
    with queue.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS queuekeeper_settings(name, value)")
        connection.executemany(
            "INSERT INTO queuekeeper_settings VALUES (?, ?)", list(settings.items())
        )


def free_pages(queue: Queue) -> None:
    """Leaves many free pages in the database."""
    with queue.connect() as connection:
        connection.execute("CREATE TABLE filler AS SELECT zeroblob(400000) AS x")
        connection.execute("DROP TABLE filler")


def test_hourly(queue: Queue, run_file: RunFile) -> None:
    done = run_file("hourly", queue)
    assert (done.status, done.stderr) == (0, "")
    assert done.said("checkpoint") == ["PASSIVE"]
    assert done.said("frames") == done.said("copied")
    assert done.said("requeued") == ["8"]
    assert queue.query("SELECT count(*) FROM task_queue WHERE locked_by IS NULL") == [(48,)]
    set_up(queue, stale_secs=0)
    with queue.connect() as connection:
        connection.execute(
            "UPDATE task_queue SET lease_until_utc = datetime('now', '-9 seconds') "
            "WHERE locked_by IS NOT NULL"
        )
    assert run_file("hourly", queue).said("requeued") == ["4"]


def test_daily(queue: Queue, run_file: RunFile) -> None:
    set_up(queue, keep=2)
    deleted = []
    for _ in range(4):
        done = run_file("daily", queue)
        assert (done.status, done.stderr) == (0, "")
        (backup,) = map(Path, done.said("backup"))
        artifacts.assert_sound(backup)
        assert backup.name.startswith("queue_backup_daily_")
        assert (done.said("type"), done.said("verified")) == (["full"], ["quick"])
        deleted += done.said("backups_deleted")
        (tables,) = done.said("tables_analyzed")
        assert int(tables) >= 3
    assert deleted == ["0", "0", "1", "1"]
    assert len(artifacts.backups_in(queue.backups)) == 2
    assert {entry["verified_level"] for entry in artifacts.catalog(queue.backups)} == {"quick"}
    assert "name   created_at                size_bytes  verified_level" in done.lines
    assert queue.query("SELECT count(*) > 0 FROM sqlite_stat1") == [(1,)]


def test_daily_heeds_the_settings_of_the_job(queue: Queue, run_file: RunFile) -> None:
    set_up(queue, job_backup_type="incremental", job_compression="zstd", backup_dir="elsewhere")
    first, second = run_file("daily", queue), run_file("daily", queue)
    assert (first.said("type"), second.said("type")) == (["full"], ["incremental"])
    (backup,) = map(Path, second.said("backup"))
    assert backup.parent.name == "elsewhere"
    assert backup.name.endswith(".delta.db.zst")


def test_daily_deletes_nothing_without_a_backup(queue: Queue, run_file: RunFile) -> None:
    set_up(queue, keep=1)
    for _ in range(2):
        assert run_file("daily", queue).status == 0
    kept = artifacts.backups_in(queue.backups)
    overwrite(queue, "task_queue_region")
    done = run_file("daily", queue)
    assert done.status == 1
    assert "queue_backup" in done.stderr
    assert done.said("backups_deleted") == done.said("requeued") == []
    assert set(kept) <= set(artifacts.backups_in(queue.backups))


def test_weekly(queue: Queue, run_file: RunFile) -> None:
    free_pages(queue)
    done = run_file("weekly", queue)
    assert (done.status, done.stderr) == (0, "")
    (backup,) = map(Path, done.said("backup"))
    assert backup.name.startswith("queue_backup_weekly_")
    assert done.said("integrity") == ["ok", "ok"]
    assert done.said("free_pages") == ["0"]
    ((before,), (after,)) = done.said("mb_before"), done.said("mb_after")
    assert float(before) > float(after)
    assert queue.query("PRAGMA freelist_count") == [(0,)]


def test_weekly_rewrites_no_damaged_database(queue: Queue, run_file: RunFile) -> None:
    outdate_index(queue)
    free_pages(queue)
    done = run_file("weekly", queue)
    assert done.status == 1
    assert "CHECK constraint failed: the database is damaged, see above" in done.stderr
    assert "task_queue_type" in done.said("integrity")[0]
    assert done.said("mb_after") == []
    ((free,),) = queue.query("PRAGMA freelist_count")
    assert free > 50


def test_monthly(queue: Queue, run_file: RunFile) -> None:
    done = run_file("monthly", queue)
    assert (done.status, done.stderr) == (0, "")
    (backup,) = map(Path, done.said("backup"))
    assert backup.name.startswith("queue_backup_monthly_")
    assert done.said("verified") == ["full"]
    assert (done.said("vacuum"), done.said("bytes_after")) == (["no"], [])
    free_pages(queue)
    done = run_file("monthly", queue)
    assert (done.status, done.said("vacuum")) == (0, ["yes"])
    ((before,), (after,)) = done.said("bytes_before"), done.said("bytes_after")
    # The statistics take some pages of what was won.
    assert int(after) < int(before) - 390_000
    assert queue.query("PRAGMA freelist_count") == [(0,)]


def test_health(queue: Queue, run_file: RunFile) -> None:
    set_up(queue, free_disk_gb_warning=0, free_disk_gb_critical=0)
    assert run_file("monthly", queue).status == 0
    before = queue.snapshot(), queue.files()
    done = run_file("health", queue)
    assert (done.status, done.stderr) == (0, "")
    assert done.said("integrity") == ["ok"]
    levels = dict(
        line.split()[1::-1] for line in done.lines if line.startswith(("ok ", "warning "))
    )
    # Which versions of SQLite are affected is no matter here.
    levels.pop("sqlite_version")
    assert levels == dict.fromkeys((each for each in METRICS if each != "sqlite_version"), "ok")
    assert (queue.snapshot(), queue.files()) == before


def test_health_is_critical_without_a_backup_and_says_what_to_do(
    queue: Queue, run_file: RunFile
) -> None:
    set_up(queue, stale_leases_warning=7)
    done = run_file("health", queue)
    assert done.status == 1
    assert "CHECK constraint failed: the queue is in a critical state, see above" in done.stderr
    assert any(line.startswith("critical: backup_age: ") for line in done.lines)
    assert any(line.startswith("warning: stale_leases: ") for line in done.lines)


def test_health_is_critical_when_the_database_is_damaged(queue: Queue, run_file: RunFile) -> None:
    set_up(queue, free_disk_gb_warning=0, free_disk_gb_critical=0)
    assert run_file("daily", queue).status == 0
    overwrite(queue, "task_queue_region")
    done = run_file("health", queue)
    assert done.status == 1
    assert done.said("integrity") != ["ok"]


def test_backups_fit_a_terminal_of_80_columns(
    queue: Queue, run_file: RunFile, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = [
        back_up(session, **options)
        for options in (
            {"verify": "quick"},
            {"type": "incremental", "compression": "gzip"},
            {"type": "snapshot", "compression": "zstd", "verify": "full", "name": "a" * 12},
            {"name": "daily_at_four"},
        )
    ]
    session.value("SELECT queue_verify(?, 'checksum')", made[0]["id"])
    damaged = Path(made[3]["backup_path"])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert session.object("SELECT queue_verify(?)", made[3]["id"][:8])["status"] == "corrupted"
    shutil.copy(made[0]["backup_path"], queue.backups / "backup_20250102_030405_daily.db")
    with (queue.backups / "backup_20250102_030405_daily.db").open("ab") as file:
        file.truncate(1023 * 1024 * 1024)
    done = run_file("backups", queue)
    assert (done.status, done.stderr) == (0, "")
    assert max(map(len, done.text.splitlines())) <= 80
    header, _, *rows = (line.split() for line in done.lines)
    assert header == ["id", "made", "type", "zip", "size", "verified", "name"]
    assert [row[0] for row in rows[:4]] == [one["id"][:8] for one in reversed(made)]
    times = [" ".join(row[1:3]) for row in rows[:4]]
    assert times == [one["created_at"][:16].replace("T", " ") for one in reversed(made)]
    assert [row[3:] for row in rows[:3]] == [
        ["full", *size_of(made[3]), "DAMAGED", "daily_at_fo."],
        ["compact", "zstd", *size_of(made[2]), "full", "a" * 12],
        ["delta", "gzip", *size_of(made[1])],
    ]
    assert rows[4] == ["2025-01-02", "03:04", "adopted", "1023.0", "MiB", "backup_2025."]


def size_of(entry: dict[str, Any]) -> list[str]:
    """A size as the script writes it."""
    size = int(entry["size_bytes"])
    return [str(size), "B"] if size < 1024 else [f"{size / 1024:.1f}", "KiB"]


def test_health_shows_what_failed_in_the_schedule(queue: Queue, run_file: RunFile) -> None:
    with queue.connect() as connection:
        connection.execute(
            "CREATE TABLE queuekeeper_log(id INTEGER PRIMARY KEY, job, step, due_utc, started_utc, "
            "finished_utc, status, detail)"
        )
        connection.executemany(
            "INSERT INTO queuekeeper_log(job, step, started_utc, status, detail) "
            "VALUES ('daily', ?, datetime('now', ?), ?, 'disk full')",
            [
                ("backup", "-1 hour", "failed"),
                ("verify", "-1 hour", "skipped"),
                ("rotate", "-2 days", "failed"),
            ],
        )
    failed = [line for line in run_file("health", queue).lines if line.startswith("failed: ")]
    assert len(failed) == 1
    assert failed[0].startswith("failed: daily: backup at ")
    assert failed[0].endswith(" UTC: disk full")


@pytest.mark.parametrize("name", NAMES)
def test_a_library_that_was_loaded_by_hand_is_not_looked_for(
    name: str, make: MakeQueue, run_file: RunFile, library: Path
) -> None:
    queue = make(Shape(journal_mode="delete", stale_leased=2))
    set_up(queue, free_disk_gb_critical=0, backup_hours_critical=1e9)
    if name == "health":
        assert run_file("daily", queue).status == 0
    done = run_file(name, queue, "-cmd", f".load {library.with_suffix('')}", path=None)
    assert (done.status, done.stderr) == (0, "")


@pytest.mark.skipif(not LOAD_BY_NAME, reason="the name of the library on Linux")
@pytest.mark.parametrize("name", NAMES)
def test_without_the_library_nothing_is_done(name: str, queue: Queue, run_file: RunFile) -> None:
    before = queue.snapshot(), queue.files()
    done = run_file(name, queue, path=queue.directory)
    assert (done.status, done.text) == (1, "")
    assert "libqueuekeeper" in done.stderr
    assert (queue.snapshot(), queue.files()) == before


def test_they_run_beside_busy_workers(queue: Queue, run_file: RunFile) -> None:
    with writing(queue.path, count=2, rate=50) as writers:
        done = {name: run_file(name, queue) for name in NAMES}
    assert {name: (one.status, one.stderr) for name, one in done.items() if name != "health"} == {
        name: (0, "") for name in NAMES if name != "health"
    }
    assert [report.errors for report in writers.reports] == [[], []]
    for backup in artifacts.backups_in(queue.backups):
        rows = artifacts.query(queue.backups / backup, "SELECT sum(priority) FROM task_queue")
        assert rows == [(5200,)]
