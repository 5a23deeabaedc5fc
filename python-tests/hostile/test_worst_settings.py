"""A row of queuekeeper_settings that somebody else wrote does what docs/security.md says at worst.

Each setting gets values of every type. Whatever they are, a call works or is an error in words; no
task is lost, and outside of the database's directory nothing is touched, but for the backups that
`backup_dir` and `remote` send to a directory.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from hosts import SqlError
from hosts.protocol import SQLITE_INTERNAL
from hosts.python_host import PythonSession
from support.artifacts.kinds import state
from support.documents.declared import SETTINGS
from support.hostile import values as hostile_values
from support.hostile.values import VALUES
from support.package import Package
from support.queues import Queue, Shape, make_queue
from support.schedules import NOON, RUN, text
from support.servers.remotes import environment

pytestmark = [pytest.mark.rule(5), pytest.mark.rule(6)]

#: What reads settings, and what acts by them. A backup is first and last: it needs its directory.
CALLS = (
    "SELECT queue_backup()",
    "SELECT count(*) FROM queue_settings()",
    "SELECT count(*) FROM queue_health()",
    "SELECT count(*) FROM queue_depth()",
    "SELECT count(*) FROM queue_stale()",
    "SELECT count(*) FROM queue_stale(60)",
    "SELECT count(*) FROM queue_schedule()",
    "SELECT count(*) FROM queue_history()",
    "SELECT count(*) FROM queue_backups()",
    "SELECT count(*) FROM queue_rotation(2)",
    "SELECT queue_requeue_stale(60)",
    'SELECT queue_backup(NULL, \'{"type": "incremental"}\')',
    "SELECT queue_verify('latest')",
    "SELECT queue_rotate(2)",
)


class Place:
    """The database of somebody else, and beside it what is none of its business."""

    def __init__(self, top: Path) -> None:
        self.queue = make_queue(top / "opened" / "queue.db", Shape(tasks=6, page_size=512))
        self.outside = top / "outside"
        self.outside.mkdir()
        (self.outside / "secret.txt").write_text("secret")
        self.before = state(self.outside)
        self.tasks = self.queue.query("SELECT id, type, payload FROM task_queue")

    def store(self, name: str, what: str) -> None:
        hostile_values.store(self.queue.path, name, what, self.outside)

    def check(self, name: str, what: str) -> None:
        """Nothing was lost, and nothing outside was touched."""
        assert self.queue.query("SELECT id, type, payload FROM task_queue") == self.tasks
        now = state(self.outside)
        assert {each: now.get(each) for each in self.before} == self.before, (name, what)
        added = sorted(set(now) - set(self.before))
        if name in ("backup_dir", "remote"):
            own = ("queue_backup_", "backup_manifest", "backups")
            assert all(each.startswith(own) for each in added), added
        else:
            assert added == [], (name, what)


def outcome(session: PythonSession, sql: str, *values: Any) -> str | None:
    """The error of a call, which must be one in words; None if it worked."""
    try:
        session.rows(sql, *values)
    except SqlError as error:
        assert error.primary_code != SQLITE_INTERNAL, (sql, error)
        assert len(error.message) > 10, (sql, error)
        return error.message
    return None


@pytest.mark.parametrize("name", SETTINGS)
def test_a_hostile_value_is_an_error_in_words_or_does_what_is_documented(
    name: str, memory: Path, open_python: OpenPython
) -> None:
    place = Place(memory)
    session = open_python(place.queue.path)
    for number, what in enumerate(VALUES):
        place.store(name, what)
        for sql in CALLS:
            outcome(session, sql)
        outcome(session, RUN, text(NOON + timedelta(hours=number)))
        place.check(name, what)
        # What everything else needs is shown whatever one of them says.
        shown = {row[0] for row in session.rows("SELECT name FROM queue_settings()")}
        assert set(SETTINGS) <= shown
    session.rows("SELECT queue_set(?, NULL)", name)
    for sql in CALLS:
        assert outcome(session, sql) is None, sql


#: The command line on some settings in turn, within one process.
PROGRAM = """
import contextlib, io, re
from pathlib import Path
from queuekeeper.cli import run
sys.path.insert(0, sys.argv[1])
import values as hostile_values
path, outside, what = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
commands = [
    ["settings"], ["settings", "--json"], ["health"], ["leases"], ["depth"], ["schedule"],
    ["history"], ["backup", "--no-offsite", "--rotate"], ["backups"], ["rotate", "3", "--dry-run"],
    ["run-due"],
]
for name in json.loads(sys.argv[5]):
    hostile_values.store(path, name, what, outside)
    offsite = [["offsite", "list"], ["backup"]] if name.startswith("remote") else []
    for command in commands + offsite:
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = run([*command, "--db", str(path)])
        said = output.getvalue() + errors.getvalue()
        assert status in (0, 1, 2, 3, 4), (name, command, status, said)
        assert "Traceback" not in said, (name, command, said)
        assert len(said) < 1_000_000, (name, command, len(said))
        odd = [each for each in said if not each.isprintable() and each != "\\n"]
        assert not odd, (name, command, odd)
        if status == 3:
            # run-due says before what is broken, and at last why it could not run.
            last = errors.getvalue().split("\\n")[-2]
            assert last.startswith("queuekeeper: error: "), (name, command, said)
            assert command == ["run-due"] or errors.getvalue().count("\\n") == 1, said
print(json.dumps(sorted(os.listdir("."))))
"""


#: Those that a terminal, a path or an argument could suffer from.
SHOWN = ("blob", "huge text", "control characters", "directory", "option")
#: A setting of each kind, and all that the command line itself reads.
SOME = [
    *("backup_dir", "queue_name", "former_paths", "remote", "remote_keep", "keep", "preset"),
    *("task_table", "column_id", "status_leased", "time_zone", "cron_daily", "history_rows"),
    *("database_mb_warning", "stale_secs"),
]


@pytest.mark.slow
@pytest.mark.parametrize("what", SHOWN)
def test_the_command_line_says_it_in_a_line_and_does_nothing_else(
    what: str, own: Package, memory: Path
) -> None:
    place = Place(memory)
    away = memory / "away"
    away.mkdir()
    found = own.run(
        PROGRAM,
        # By itself: the environment of the package lacks what the tests import.
        Path(__file__).parents[1] / "support" / "hostile",
        place.queue.path,
        place.outside,
        what,
        json.dumps(SOME),
        cwd=away,
        env=environment(HOME=str(away)),
    )
    # A relative remote is a directory of the one who runs the command, and named so on purpose.
    named = {str(VALUES[what])} if isinstance(VALUES[what], (int, str)) else set()
    assert set(found) - named <= {".cache", ".config"}, found
    place.check("backup_dir" if what == "directory" else "all", what)


def write(queue: Queue, **rows: Any) -> None:
    """Rows that `queue_set()` need not have made."""
    with closing(sqlite3.connect(queue.path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS queuekeeper_settings(name, value)")
        connection.executemany("INSERT INTO queuekeeper_settings VALUES (?, ?)", rows.items())


def test_jobs_that_a_row_turns_off_are_not_run(queue: Queue, open_python: OpenPython) -> None:
    write(queue, **{f"cron_{job}": "off" for job in ("hourly", "daily", "weekly", "monthly")})
    session = open_python(queue.path)
    assert json.loads(session.value(RUN, text(NOON))) == []
    # It shows in the schedule, and after two days in the health.
    assert {row[0] for row in session.rows("SELECT cron FROM queue_schedule()")} == {"off"}
    sql = "SELECT level FROM queue_health() WHERE metric LIKE '%backup%'"
    assert "critical" in {row[0] for row in session.rows(sql)}
