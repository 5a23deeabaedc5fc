"""Rule 8 also where SQLite does not hold it: no place of a schema calls a function."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import OpenSession

from hosts import Host
from hosts.protocol import Session

pytestmark = pytest.mark.rule(8)

#: Each place of a schema where an expression may stand: how it is made, and what evaluates it.
PLACES = {
    "check": ("CREATE TABLE v(a CHECK({bait} IS NOT a))", "INSERT INTO v VALUES (1)"),
    "check of a table": (
        "CREATE TABLE v(a, CONSTRAINT c CHECK({bait} IS NOT a))",
        "INSERT INTO v VALUES (1)",
    ),
    "check when updating": (
        "CREATE TABLE v(a CHECK({bait} IS NOT a)); INSERT INTO v VALUES (1)",
        "UPDATE v SET a = 2",
    ),
    "check of integrity": (
        "CREATE TABLE v(a CHECK({bait} IS NOT a)); INSERT INTO v VALUES (1)",
        "PRAGMA quick_check",
    ),
    "default": ("CREATE TABLE v(a, b DEFAULT ({bait}))", "INSERT INTO v(a) VALUES (1)"),
    "generated": (
        "CREATE TABLE v(a, b AS ({bait})); INSERT INTO v VALUES (1)",
        "SELECT b FROM v",
    ),
    "stored": ("CREATE TABLE v(a, b AS ({bait}) STORED)", "INSERT INTO v VALUES (1)"),
    "index": ("CREATE TABLE v(a); CREATE INDEX i ON v({bait})", "INSERT INTO v VALUES (1)"),
    "partial index": (
        "CREATE TABLE v(a); CREATE INDEX i ON v(a) WHERE {bait} IS NULL",
        "INSERT INTO v VALUES (1)",
    ),
    "view": ("CREATE TABLE v(a); CREATE VIEW w AS SELECT {bait}", "SELECT * FROM w"),
    "window": (
        "CREATE TABLE v(a); INSERT INTO v VALUES (1); CREATE VIEW w AS "
        "SELECT sum(a) OVER q FROM v WINDOW q AS (ORDER BY {bait})",
        "SELECT * FROM w",
    ),
    "trigger": (
        "CREATE TABLE v(a); CREATE TRIGGER t AFTER INSERT ON v BEGIN SELECT {bait}; END",
        "INSERT INTO v VALUES (1)",
    ),
    "trigger's condition": (
        "CREATE TABLE v(a); CREATE TRIGGER t AFTER INSERT ON v WHEN {bait} IS NULL "
        "BEGIN SELECT 1; END",
        "INSERT INTO v VALUES (1)",
    ),
    "trigger's upsert": (
        "CREATE TABLE v(a); CREATE TABLE u(a UNIQUE); INSERT INTO u VALUES (1); CREATE TRIGGER t "
        "AFTER INSERT ON v BEGIN INSERT INTO u VALUES (1) ON CONFLICT(a) DO UPDATE SET a = {bait};"
        " END",
        "INSERT INTO v VALUES (1)",
    ),
    "trigger's update from": (
        "CREATE TABLE v(a); CREATE TABLE u(a); INSERT INTO u VALUES (1); CREATE TRIGGER t AFTER "
        "INSERT ON v BEGIN UPDATE u SET a = x FROM (SELECT {bait} AS x); END",
        "INSERT INTO v VALUES (1)",
    ),
}
#: Rows that no statement makes, only writable_schema: name, definition, what evaluates it.
ROWS = {
    "temporary table": (
        "table",
        "CREATE TEMP TABLE w(a CHECK({bait} IS NOT a))",
        "INSERT INTO w VALUES (1)",
    ),
    "temporary view": ("view", "CREATE TEMP VIEW w AS SELECT {bait}", "SELECT * FROM w"),
    "temporary trigger": (
        "trigger",
        "CREATE TEMP TRIGGER w AFTER INSERT ON v BEGIN SELECT {bait}; END",
        "INSERT INTO v VALUES (1)",
    ),
}
QUOTED = (
    "queue_backup('{stolen}')",
    "\"queue_backup\"('{stolen}')",
    "[QUEUE_backup] /* ( */ ('{stolen}')",
    "`queue_backup`\n--\n('{stolen}')",
    # A space to SQLite, and nothing to see.
    "\ufeffqueue_backup('{stolen}')",
    "\"queue_backup\"\ufeff('{stolen}')",
    "queue_backup/**/\ufeff ('{stolen}')",
)


@pytest.fixture
def stolen(tmp_path: Path) -> Path:
    return tmp_path / "stolen.db"


def make(path: Path, sql: str, stolen: Path, bait: str = QUOTED[0]) -> None:
    """Somebody else makes a database, with functions of their own under our names."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("queue_backup", -1, lambda *_: "x", deterministic=True)
        connection.executescript(sql.format(bait=bait.format(stolen=stolen)))


def make_row(path: Path, what: str, stolen: Path) -> str:
    """The same by writing the schema; returns what evaluates it."""
    kind, sql, use = ROWS[what]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("CREATE TABLE v(a); PRAGMA writable_schema = ON")
        connection.execute(
            "INSERT INTO sqlite_schema VALUES (?, 'w', ?, ?, ?)",
            (
                kind,
                "v" if kind == "trigger" else "w",
                2 if kind == "table" else 0,
                sql.format(bait=QUOTED[0].format(stolen=stolen)),
            ),
        )
    return use


def attempt(session: Session, *statements: str) -> str:
    """The first error's message, or nothing."""
    for sql in statements:
        try:
            session.rows(sql)
        except Exception as error:
            return str(error)
    return ""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("place", [*PLACES, *ROWS])
def test_no_place_of_a_schema_calls_a_function(
    place: str, when: str, host: Host, tmp_path: Path, stolen: Path, open_session: OpenSession,
    library: Path,
) -> None:  # fmt: skip
    path = tmp_path / "hostile.db"
    if place in PLACES:
        sql, use = PLACES[place]
        make(path, sql, stolen)
    else:
        use = make_row(path, place, stolen)
    session = open_session(host, path, load=False)
    if when == "before":
        attempt(session, "SELECT a FROM v")
    session.load(library)
    message = attempt(session, use)
    assert not stolen.exists()
    assert place == "default" or "unsafe use of" in message or "malformed" in message, message


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_no_host_lets_a_schema_call_a_function(
    when: str, any_host: Host, tmp_path: Path, stolen: Path, open_session: OpenSession,
    library: Path,
) -> None:  # fmt: skip
    for number, (sql, use) in enumerate(PLACES.values()):
        path = tmp_path / f"hostile{number}.db"
        make(path, sql, stolen)
        session = open_session(any_host, path, load=False)
        if when == "before":
            attempt(session, "SELECT a FROM v")
        session.load(library)
        attempt(session, use)
        session.close()
        assert not stolen.exists(), sql


@pytest.mark.parametrize("bait", QUOTED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_statement_that_calls_it_too_is_no_cover(
    when: str, bait: str, host: Host, tmp_path: Path, stolen: Path, open_session: OpenSession,
    library: Path,
) -> None:  # fmt: skip
    path = tmp_path / "hostile.db"
    make(path, PLACES["check"][0], stolen, bait)
    session = open_session(host, path, load=False)
    if when == "before":
        attempt(session, "SELECT a FROM v")
    session.load(library)
    mine = tmp_path / "mine.db"
    for use in (
        f"INSERT INTO v SELECT queue_backup('{mine}')",
        "INSERT INTO v VALUES ('queue_backup(')",
        "INSERT INTO v /* queue_backup() */ VALUES (1)",
    ):
        message = attempt(session, use)
        assert "unsafe use of" in message, message
    assert not stolen.exists()
    assert not mine.exists()


def test_an_attached_schema_calls_nothing_either(
    host: Host, tmp_path: Path, stolen: Path, open_session: OpenSession, library: Path
) -> None:
    make(tmp_path / "hostile.db", PLACES["check"][0], stolen)
    session = open_session(host, tmp_path / "mine.db", load=False)
    session.rows(f'ATTACH \'{tmp_path / "hostile.db"}\' AS "a""b"')
    session.load(library)
    message = attempt(session, 'INSERT INTO "a""b".v VALUES (1)')
    assert "unsafe use of" in message, message
    assert not stolen.exists()
    # What doesn't touch that database works as ever.
    session.rows("SELECT queue_backup()")


def test_a_function_of_ours_that_writes_is_no_cover(
    host: Host, tmp_path: Path, open_session: OpenSession, library: Path
) -> None:
    path = tmp_path / "hostile.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("queue_set", -1, lambda *_: "x", deterministic=True)
        connection.executescript(
            "CREATE TABLE loot(a); CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, "
            "value CHECK(name = 'backup_dir' OR queue_set('backup_dir', '/tmp/x') IS NOT 1))"
        )
    session = open_session(host, path, load=False)
    attempt(session, "SELECT * FROM queuekeeper_settings")
    session.load(library)
    assert attempt(session, "SELECT queue_set('stale_secs', 7)")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM queuekeeper_settings").fetchall() == []


def test_the_users_own_statements_call_from_everywhere(
    host: Host, tmp_path: Path, open_session: OpenSession
) -> None:
    session = open_session(host, tmp_path / "mine.db")
    session.rows("CREATE TABLE t(a CHECK(a IS NOT 'queue_version'))")
    session.rows("INSERT INTO t SELECT queue_version()")
    session.rows("INSERT INTO t VALUES (QUEUE_VERSION()) RETURNING queue_version()")
    session.rows('UPDATE t SET a = "queue_version"() WHERE queue_version /* */ () = a')
    session.rows("CREATE TABLE made AS SELECT queue_version() AS a")
    assert session.value("SELECT count(*) FROM made JOIN t USING (a)") == 2
    session.rows(
        "WITH w AS (SELECT queue_version() AS a) DELETE FROM t WHERE a IN (SELECT a FROM w)"
    )
    assert session.value("SELECT count(*) FROM t") == 0


def test_temporary_views_and_triggers_are_the_users_own(
    host: Host, tmp_path: Path, open_session: OpenSession
) -> None:
    session = open_session(host, tmp_path / "mine.db")
    session.rows("CREATE TABLE t(a)")
    session.rows("CREATE TEMP VIEW w AS SELECT queue_version() AS a")
    session.rows(
        "CREATE TEMP TRIGGER g AFTER INSERT ON t WHEN new.a IS NULL BEGIN "
        "UPDATE t SET a = queue_version(); END"
    )
    session.rows("INSERT INTO t VALUES (NULL)")
    assert session.value("SELECT count(*) FROM t JOIN w USING (a)") == 1
