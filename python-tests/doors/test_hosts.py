"""One suite for every SQLite that can be had: each function and table, with checked answers.

What a host is made of, and what it can, stands in docs/hosts.md; a test compares the two. With
QUEUEKEEPER_PROOF=long, all other tests that are made for every host run in these, too.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import EVERY_HOST, ROOT, MakeQueue, OpenSession, present

import hosts
from hosts import HOST_NAMES, SCRIPTED_NAMES, Host, Session, SqlError
from hosts.c_caller import CCaller
from hosts.protocol import SQLITE_BUSY, SQLITE_ERROR, Value
from support import artifacts
from support.compiling import run
from support.documents.declared import FUNCTIONS, TABLES
from support.eventually import until
from support.queues import Queue, Shape
from support.workers import writing

PAGE = ROOT / "docs" / "hosts.md"
WORKERS = Path(hosts.__file__).with_name("workers.mjs")
SUM = "SELECT sum(priority), count(*) FROM task_queue"


@dataclass
class Tour:
    """A session that remembers what it called."""

    session: Session
    called: set[str] = field(default_factory=set)

    def _note(self, sql: str) -> str:
        self.called.update(re.findall(r"\b(queue_\w+)\(", sql))
        return sql

    def value(self, sql: str, *params: Value) -> Any:
        return self.session.value(self._note(sql), *params)

    def object(self, sql: str, *params: Value) -> dict[str, Any]:
        return self.session.object(self._note(sql), *params)

    def dicts(self, sql: str, *params: Value) -> list[dict[str, Any]]:
        return self.session.dicts(self._note(sql), *params)


def test_every_function_and_table_gives_the_right_answer(
    any_host: Host, queue: Queue, open_session: OpenSession
) -> None:
    tour = Tour(open_session(any_host, queue.path))
    for part in (measures, settings, backups, leases, upkeep, schedule):
        part(tour, queue)
    assert tour.called == {*FUNCTIONS, *TABLES}
    assert tour.value("PRAGMA integrity_check") == "ok"


def measures(tour: Tour, queue: Queue) -> None:
    assert f'\nversion = "{tour.value("SELECT queue_version()")}"\n' in (
        ROOT / "Cargo.toml"
    ).read_text("utf-8")
    (row,) = tour.dicts("SELECT page_count, wal_mode, path FROM queue_stats()")
    ((pages,),) = queue.query("PRAGMA page_count")
    assert row == {"page_count": pages, "wal_mode": 1, "path": str(queue.path)}
    whole = tour.object("SELECT queue_stats()")
    assert [whole[name] for name in row] == [pages, 1, str(queue.path)]
    depth = tour.dicts("SELECT status, tasks FROM queue_depth() ORDER BY status")
    assert [tuple(row.values()) for row in depth] == queue.query(
        "SELECT status, count(*) FROM task_queue GROUP BY status ORDER BY status"
    )
    health = tour.dicts("SELECT value, level FROM queue_health() WHERE metric = 'sqlite_version'")
    version = str(tour.value("SELECT sqlite_version()"))
    level = "warning" if loses_commits(version) else "ok"
    assert health == [{"value": version, "level": level}]
    assert tour.value("SELECT message FROM queue_integrity('full')") == "ok"


def settings(tour: Tour, queue: Queue) -> None:
    assert tour.value("SELECT queue_set('keep', '3')") == "3"
    # A number through the host's own binding, which JavaScript makes a REAL.
    assert tour.value("SELECT queue_set('full_every', ?)", 3) == 3
    rows = tour.dicts(
        "SELECT name, value FROM queue_settings() WHERE name IN ('keep', 'full_every') ORDER BY 1"
    )
    assert [row["name"] for row in rows] == ["full_every", "keep"]
    assert [float(row["value"]) for row in rows] == [3, 3]
    assert tour.value("SELECT queue_set('full_every', NULL)") is None
    stored = queue.query("SELECT name FROM queuekeeper_settings")
    assert stored == [("keep",)]


def backups(tour: Tour, queue: Queue) -> None:
    made = [tour.object("SELECT queue_backup()")]
    change = "UPDATE task_queue SET priority = priority + 1 WHERE id = ?"
    tour.session.rows(change, 1)
    made += [
        tour.object("SELECT queue_backup(NULL, ?)", json.dumps(options))
        for options in (
            {"type": "incremental", "compression": "zstd", "name": None},
            {"type": "snapshot", "verify": "full"},
            {"compression": "gzip", "name": "daily"},
        )
    ]
    assert made[0]["task_counts"] == dict(
        queue.query("SELECT status, count(*) FROM task_queue GROUP BY status")
    )
    assert made[1]["parent_id"] == made[0]["id"]
    assert made[1]["pages_stored"] < made[1]["page_count"]
    listed = tour.dicts("SELECT id, backup_path, checksum, compression FROM queue_backups()")
    assert [row["id"] for row in listed] == [each["id"] for each in reversed(made)]
    for row in listed:
        assert row["checksum"] == artifacts.sha256(Path(row["backup_path"]))
        found = tour.object("SELECT queue_verify(?, 'full')", row["id"])
        assert found["status"] == "ok", found
    plan = tour.dicts("SELECT backup_path, decision, reasons FROM queue_rotation(?)", 1)
    assert [row["decision"] for row in plan] == ["keep", "delete", "delete", "delete"]
    assert tour.value("SELECT queue_rotate(?)", 1) == 3
    kept = {row["backup_path"] for row in plan if row["decision"] == "keep"}
    assert {row["backup_path"] for row in tour.dicts("SELECT * FROM queue_backups()")} == kept
    gone = tour.object("SELECT queue_delete_backup(?)", made[3]["id"])
    assert not Path(made[3]["backup_path"]).exists(), gone


def leases(tour: Tour, queue: Queue) -> None:
    assert tour.value("SELECT count(*) FROM queue_stale(?)", 60) == 8
    held = tour.value("SELECT count(*) FROM queue_leases()")
    found = tour.object("SELECT queue_requeue(?, ?)", '{"all": true}', '{"dry_run": true}')
    assert found == {"matched": held, "requeued": 0, "dry_run": True}
    tour.object("SELECT queue_backup()")
    assert tour.value("SELECT queue_requeue_stale(?)", 60) == 8
    assert tour.value("SELECT count(*) FROM queue_stale()") == 0
    restored = tour.object("SELECT queue_restore('latest')")
    assert tour.value("SELECT count(*) FROM queue_stale()") == 8
    # What it held before is saved, and another process sees the old leases again.
    saved = Path(restored["safety_backup"])
    assert artifacts.query(saved, "SELECT count(*) FROM task_queue WHERE status = 'queued'") == [
        (18,)
    ]
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'queued'") == [(10,)]


def upkeep(tour: Tour, queue: Queue) -> None:
    answer = tour.object("SELECT queue_checkpoint('TRUNCATE')")
    assert (answer["mode"], answer["busy"], answer["log"]) == ("TRUNCATE", 0, 0)
    tour.session.rows("CREATE TABLE filler(x)")
    tour.session.rows("INSERT INTO filler SELECT zeroblob(200000)")
    tour.session.rows("DROP TABLE filler")
    won = tour.object("SELECT queue_vacuum()")
    assert won["freelist_count_before"] > 40
    assert won["freelist_count_after"] == 0
    assert queue.query("PRAGMA freelist_count") == [(0,)]
    assert tour.object("SELECT queue_analyze('task_queue')")["analyzed"] == ["task_queue"]
    answer = tour.object("SELECT queue_optimize(?)", 1)
    assert (answer["analyzed"], answer["vacuumed"]) == (True, True)
    assert answer["stats_after"]["page_count"] > 0


def schedule(tour: Tour, queue: Queue) -> None:
    tour.value("SELECT queue_set('backup_dir', ?)", str(queue.directory / "scheduled"))
    jobs = [row["job"] for row in tour.dicts("SELECT job FROM queue_schedule()")]
    assert jobs == ["hourly", "daily", "weekly", "monthly"]
    ran = json.loads(tour.value("SELECT queue_run_due()"))
    assert {(job["job"], job["status"]) for job in ran} <= {(job, "ok") for job in jobs}
    assert ran, "a queue that never ran a job has some that are due"
    steps = tour.dicts("SELECT job, status FROM queue_history()")
    assert {row["status"] for row in steps} <= {"ok", "skipped"}
    assert {row["job"] for row in steps} == {job["job"] for job in ran}
    assert json.loads(tour.value("SELECT queue_run_due()")) == []


KINDS: tuple[dict[str, str], ...] = (
    {},
    {"type": "incremental"},
    {"type": "incremental", "compression": "zstd"},
    {"compression": "gzip"},
    {"compression": "zstd"},
    {"type": "snapshot"},
)


@pytest.mark.rule(3)
def test_each_kind_of_backup_under_a_writer_comes_back_whole(
    any_host: Host, make: MakeQueue, open_session: OpenSession
) -> None:
    queue = make(Shape(tasks=200))
    session = open_session(any_host, queue.path)
    with writing(queue.path, 1, 100) as writers:
        made = []
        for options in KINDS:
            made.append(session.object("SELECT queue_backup(NULL, ?)", json.dumps(options)))
            # The next one has something new to store.
            await_a_commit(session)
        # Live, while the writer goes on.
        session.object("SELECT queue_restore(?)", made[0]["id"])
    (report,) = writers.reports
    assert report.errors == []
    assert [backup["backup_type"] for backup in made] == [
        kind.get("type", "full") for kind in KINDS
    ]
    for number, backup in enumerate(made):
        target = queue.directory / f"restored-{number}.db"
        session.object("SELECT queue_restore(?, ?)", backup["id"], str(target))
        artifacts.assert_sound(target)
        assert artifacts.query(target, SUM) == [(20_000, 200)]
    assert queue.query(SUM) == [(20_000, 200)]
    assert queue.query("PRAGMA integrity_check") == [("ok",)]
    assert artifacts.temporaries_in(queue.backups) == []


def await_a_commit(session: Session) -> None:
    """Returns when another connection has committed."""
    version = session.value("PRAGMA data_version")
    until(lambda: bool(session.value("PRAGMA data_version") != version), "a commit")


@pytest.mark.rule(1)
def test_the_hosts_own_locks_survive_a_backup(
    any_host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(any_host, queue.path)
    session.rows("BEGIN IMMEDIATE")
    session.rows("UPDATE task_queue SET priority = 7")
    assert "uncommitted" in session.object("SELECT queue_backup()")["note"]
    impatient = sqlite3.connect(queue.path, timeout=0, isolation_level=None)
    with contextlib.closing(impatient), pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.execute("BEGIN IMMEDIATE")
    session.rows("COMMIT")
    assert queue.query("SELECT DISTINCT priority FROM task_queue") == [(7,)]
    assert queue.query("PRAGMA integrity_check") == [("ok",)]


def test_what_cannot_be_loaded_is_an_error_and_harms_nothing(
    any_host: Host, queue: Queue, library: Path, open_session: OpenSession
) -> None:
    session = open_session(any_host, queue.path, load=False)
    text = queue.directory / "text.so"
    text.write_text("this is no library")
    for wrong in (queue.directory / "missing.so", text):
        with pytest.raises(SqlError) as error:
            session.load(wrong)
        assert error.value.message
    assert "no such function" in session.error("SELECT queue_version()").message
    session.load(library)
    session.load(library)
    assert session.value("SELECT queue_requeue_stale(60)") == 8


def test_errors_arrive_in_the_same_words(
    any_host: Host, apsw: Host, queue: Queue, open_session: OpenSession
) -> None:
    sessions = [open_session(each, queue.path) for each in (any_host, apsw)]
    calls: list[tuple[str, Value]] = [
        ("SELECT queue_backup(?)", f"{queue.directory}/missing/x.db"),
        ("SELECT queue_backup(NULL, ?)", '{"%s %d %n": 1}'),
        ("SELECT queue_requeue_stale(?)", "soon"),
        ("SELECT queue_restore(?)", "no-such-id"),
        ("SELECT queue_verify('latest', ?)", "é\u2028"),
        ("SELECT * FROM queue_stale(?)", -1),
        ("SELECT * FROM queue_backups(?)", f"{queue.directory}/%s%n"),
    ]
    for sql, value in calls:
        mine, theirs = (session.error(sql, value) for session in sessions)
        assert mine.message.replace("REAL", "INTEGER") == theirs.message, sql
        assert mine.primary_code in (theirs.primary_code, None), sql
    # Locked out by another connection, which has a code of its own.
    sessions[0].rows("PRAGMA busy_timeout=50")
    sessions[1].rows("BEGIN IMMEDIATE")
    assert sessions[0].error("SELECT queue_requeue_stale(60)").primary_code == SQLITE_BUSY
    sessions[1].rows("COMMIT")


def test_closing_and_loading_again(
    any_host: Host, queue: Queue, library: Path, open_session: OpenSession
) -> None:
    session = open_session(any_host, queue.path)
    for number in range(5):
        session.reopen(str(queue.path))
        session.load(library)
        made = session.object("SELECT queue_backup()")
        artifacts.assert_sound(Path(made["backup_path"]))
        assert session.value("SELECT count(*) FROM queue_backups()") == number + 1
    session.close()


@pytest.mark.parametrize("name", SCRIPTED_NAMES)
def test_threads_of_one_program_work_side_by_side(
    name: str, make: MakeQueue, library: Path
) -> None:
    """Each has a SQLite connection, and what its end takes down is nothing that others need."""
    host = present(name)
    queue = make(Shape(stale_leased=50))
    made = json.loads(run(host.program, WORKERS, host.module, host.directory, library, queue.path))
    assert [len(backups) for backups in made] == [5] * 6
    assert len({backup for backups in made for backup in backups}) == 30
    assert len(artifacts.catalog(queue.backups)) == 30
    for backup in made[-1]:
        artifacts.assert_sound(Path(backup))
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(0,)]


def test_the_c_abi_on_the_oldest_sqlite(queue: Queue, library: Path) -> None:
    """Through a program that has no other SQLite: the library finds this one by itself."""
    oldest = present("oldest")
    caller = CCaller(library, oldest.program, {"LD_LIBRARY_PATH": oldest.libraries})
    try:
        caller.ask("open", path=str(queue.path))
        assert caller.call("stats")["sqlite_version"] == oldest.version
        made = caller.call("backup", None, '{"compression": "zstd", "verify": "full"}')
        assert made["verified_level"] == "full"
        assert caller.call("requeue_stale", 60) == 8
        caller.call("restore", made["id"])
        assert len(caller.call("stale", 60)) == 8
        caller.ask("close")
    finally:
        caller.end()


def loses_commits(version: str) -> bool:
    """Whether that SQLite has the WAL-reset bug; the versions are those of its own page."""
    number = tuple(map(int, version.split(".")))
    fixed = number >= (3, 51, 3) or (3, 50, 7) <= number < (3, 51) or (3, 44, 6) <= number < (3, 45)
    return not fixed


#: Options of a build that have made a difference to the library.
TELLING = re.compile(
    r"THREADSAFE=[02]|OMIT_(PROGRESS_CALLBACK|SHARED_CACHE|DEPRECATED|AUTOINIT)|DQS=0|HAS_CODEC"
    r"|ENABLE_API_ARMOR|SECURE_DELETE|DEFAULT_FOREIGN_KEYS|DEFAULT_MEMSTATUS=0|TEMP_STORE=[23]"
)


def row_of(host: Host, session: Session) -> list[str]:
    """What docs/hosts.md has to say of a host, as the host itself says it."""
    version = str(session.value("SELECT sqlite_version()"))
    added = [
        session.value(f"SELECT count(*) FROM {table} WHERE name IN ({names})")
        for table, names in (
            ("(SELECT DISTINCT name FROM pragma_function_list)", quoted(FUNCTIONS)),
            ("pragma_module_list", quoted(TABLES)),
        )
    ]
    options = [str(row[0]) for row in session.rows("SELECT * FROM pragma_compile_options")]
    error = session.error("SELECT queue_backup(1, 2)")
    return [
        f"`{host.name}`",
        version,
        "yes" if loses_commits(version) else "no",
        " + ".join(map(str, added)),
        "yes" if error.code == SQLITE_ERROR else "no",
        "no" if host.scripted else "yes",
        str(session.value("SELECT upper(typeof(?))", 7)),
        ", ".join(f"`{option}`" for option in options if TELLING.fullmatch(option)) or "none",
    ]


def quoted(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)


def rows_of_the_page() -> dict[str, list[str]]:
    """The first table in docs/hosts.md, by host."""
    table = PAGE.read_text("utf-8").split("\n\n")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0].strip("`"): row for row in rows[2:]}


def test_the_page_has_a_row_for_each_host() -> None:
    assert list(rows_of_the_page()) == list(EVERY_HOST)


def test_the_page_says_what_the_host_says(
    any_host: Host, queue: Queue, open_session: OpenSession
) -> None:
    found = row_of(any_host, open_session(any_host, queue.path))
    written = rows_of_the_page()[any_host.name]
    if any_host.name in HOST_NAMES and found[1] != written[1]:
        pytest.skip(f"another system, with SQLite {found[1]} instead of {written[1]}")
    assert found == written, "| " + " | ".join(found) + " |"
