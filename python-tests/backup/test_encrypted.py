"""A queue that only its connection has the key of: refused by name where a second one is needed.

SQLCipher and SQLite3 Multiple Ciphers encrypt files, and no function of SQLite's tells it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import MakeQueue, OpenSession, present

from hosts import Host, Session
from hosts.protocol import SQLITE_ERROR, SQLITE_NOTADB
from support import artifacts
from support.documents.declared import FUNCTIONS, TABLES
from support.queues import SCHEMA

pytestmark = pytest.mark.rule(5)

# Such a key is used as it is, where SQLCipher otherwise takes its time to make one from words.
KEY = f"""PRAGMA key="x'{"5e" * 32}'" """
#: In the database, and so in any plain copy of it.
SECRET = "a payload that nobody else may read"
HEADER = b"SQLite format 3\0"

#: What needs a second connection, and so the key.
REFUSED = [
    "queue_backup()",
    "queue_backup('{dir}/copy.db.zst')",
    'queue_backup(NULL, \'{{"type": "incremental"}}\')',
    'queue_backup(NULL, \'{{"type": "snapshot"}}\')',
    "queue_checkpoint()",
    "queue_checkpoint('TRUNCATE')",
    "queue_vacuum()",
    "queue_optimize(1)",
    "queue_run_due()",
    "queue_restore('{plain}')",
]
#: What the connection itself can do, and what it then says.
DONE: dict[str, object] = {
    "count(*) FROM queue_stats()": 1,
    "json_extract(queue_stats(), '$.page_size')": 4096,
    "tasks FROM queue_depth() WHERE status = 'queued'": 3,
    "count(*) FROM queue_stale(60)": 2,
    "count(*) FROM queue_leases()": 2,
    "json_extract(queue_requeue('{{\"all\": true}}', '{{\"dry_run\": true}}'), '$.matched')": 2,
    "queue_requeue_stale(60)": 2,
    "count(*) FROM queue_health() WHERE metric = 'database_size'": 1,
    "message FROM queue_integrity()": "ok",
    "queue_set('keep', '5')": "5",
    "value FROM queue_settings() WHERE name = 'keep'": "5",
    "count(*) FROM queue_schedule()": 4,
    "count(*) FROM queue_history()": 0,
    "json_extract(queue_analyze('task_queue'), '$.analyzed[0]')": "task_queue",
    "json_extract(queue_optimize(), '$.analyzed')": 1,
    "queue_rotate(1)": 0,
    "count(*) FROM queue_backups()": 0,
    "count(*) FROM queue_rotation(1)": 0,
    "json_extract(queue_verify('{plain}'), '$.status')": "ok",
    "queue_version() IS NOT NULL": 1,
}


@pytest.fixture(params=["sqlcipher3", "sqlite3mc"])
def cipher(request: pytest.FixtureRequest) -> Host:
    """Each SQLite that can encrypt."""
    return present(request.param)


@dataclass(frozen=True)
class Sealed:
    """An encrypted queue, the connection with its key, and a plain queue's backup."""

    path: Path
    session: Session
    plain: Path

    def words(self, sql: str) -> str:
        return sql.format(dir=self.path.parent, plain=self.plain)

    def content(self) -> tuple[object, ...]:
        """What is in the database, and that it is sound."""
        rows = self.session.rows("SELECT id, status, payload FROM task_queue ORDER BY id")
        return (*rows, self.session.value("PRAGMA quick_check"))


@pytest.fixture(params=["wal", "delete"])
def sealed(
    request: pytest.FixtureRequest,
    cipher: Host,
    make: MakeQueue,
    tmp_path: Path,
    open_session: OpenSession,
) -> Sealed:
    """Five tasks, encrypted, in each journal mode."""
    queue = make()
    backup = open_session(cipher, queue.path).object("SELECT queue_backup()")["backup_path"]
    path = tmp_path / "sealed" / "queue.db"
    path.parent.mkdir()
    session = open_session(cipher, path)
    session.rows(KEY)
    session.rows(f"PRAGMA journal_mode={request.param}")
    for statement in statements(SCHEMA.read_text("utf-8")):
        session.rows(statement)
    for status, lease in [("queued", "NULL")] * 3 + [("leased", "'2020-01-01 00:00:00'")] * 2:
        session.rows(
            "INSERT INTO task_queue(type, payload, status, lease_until_utc) "
            f"VALUES ('t', json_quote(?), '{status}', {lease})",
            SECRET,
        )
    return Sealed(path, session, Path(backup))


def statements(script: str) -> list[str]:
    """The statements of a script, since not every host runs one as a whole."""
    found, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return found


def plain_files(directory: Path) -> list[str]:
    """Files in which the secret can be read, or which are databases without a key."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [
        path.name
        for path in files
        if SECRET.encode() in path.read_bytes() or path.read_bytes()[:16] == HEADER
    ]


def test_everything_is_tried_here() -> None:
    calls = " ".join([*REFUSED, *DONE])
    # The rest speaks of backups, of which there are none.
    missing = {name for name in {*FUNCTIONS, *TABLES} if f"{name}(" not in calls}
    assert missing == {"queue_delete_backup"}


def test_work_for_a_second_connection_is_refused_by_name(sealed: Sealed) -> None:
    before = sealed.content()
    for call in REFUSED:
        error = sealed.session.error(f"SELECT {sealed.words(call)}")
        assert (
            f"'{sealed.path}' is encrypted with a key that only this connection has"
            in error.message
        )
        assert "VACUUM INTO" in error.message
        assert error.primary_code == SQLITE_ERROR, call
    assert sealed.content() == before
    assert plain_files(sealed.path.parent) == []
    left = {path.name.partition("-")[0] for path in sealed.path.parent.iterdir()}
    assert left == {"queue.db"}, "nothing was moved aside or left behind"


def test_the_advice_works(sealed: Sealed, cipher: Host, open_session: OpenSession) -> None:
    copy = sealed.path.with_name("copy.db")
    sealed.session.rows(f"VACUUM INTO '{copy}'")
    sealed.session.rows("VACUUM")
    sealed.session.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    assert plain_files(sealed.path.parent) == []
    again = open_session(cipher, copy)
    again.rows(KEY)
    assert again.value("SELECT count(*) FROM task_queue WHERE payload LIKE ?", f"%{SECRET}%") == 5


def test_what_the_connection_itself_can_do_is_done(sealed: Sealed) -> None:
    for call, answer in DONE.items():
        assert sealed.session.value(f"SELECT {sealed.words(call)}") == answer, call
    assert (
        "holds no backups" in sealed.session.error("SELECT queue_delete_backup('latest')").message
    )
    assert sealed.session.value("PRAGMA integrity_check") == "ok"
    assert plain_files(sealed.path.parent) == []


def test_a_backup_of_another_queue_is_restored_beside_it(sealed: Sealed) -> None:
    target = sealed.plain.with_name("restored.db")
    sealed.session.object("SELECT queue_restore(?, ?)", str(sealed.plain), str(target))
    artifacts.assert_sound(target)
    assert artifacts.query(target, "SELECT count(*) FROM task_queue") == [(40,)]


def test_a_forgotten_key_makes_it_no_broken_database(
    sealed: Sealed, cipher: Host, open_session: OpenSession
) -> None:
    before = sealed.content()
    # From SQLite 3.51 on, a connection without the key gets no further than to prepare this.
    error = open_session(cipher, sealed.path).error("SELECT queue_restore(?)", str(sealed.plain))
    assert error.primary_code == SQLITE_NOTADB
    error = open_session(cipher, ":memory:").error(
        "SELECT queue_restore(?, ?, '{\"overwrite\": true}')", str(sealed.plain), str(sealed.path)
    )
    assert "it is encrypted with a key that a second connection does not have" in error.message
    assert error.primary_code == SQLITE_ERROR
    assert sealed.content() == before
    assert sealed.path.read_bytes()[:16] != HEADER


def test_a_connection_that_keeps_others_out_makes_no_plain_copy_either(sealed: Sealed) -> None:
    sealed.session.rows("PRAGMA locking_mode=EXCLUSIVE")
    sealed.session.rows("UPDATE task_queue SET priority = priority")
    before = sealed.content()
    error = sealed.session.error("SELECT queue_backup()")
    assert "is encrypted" in error.message
    assert sealed.content() == before
    assert plain_files(sealed.path.parent) == []


def test_a_database_in_memory_that_has_a_key_is_refused(
    tmp_path: Path, open_session: OpenSession
) -> None:
    """SQLCipher gives it one, and the other says that it cannot."""
    session = open_session(present("sqlcipher3"), ":memory:")
    session.rows(KEY)
    session.rows("CREATE TABLE t(x)")
    target = tmp_path / "copy.db"
    error = session.error("SELECT queue_backup(?)", str(target))
    assert "is encrypted" in error.message
    assert not target.exists()


def test_a_page_that_is_left_plain_changes_nothing(
    tmp_path: Path, open_session: OpenSession
) -> None:
    """SQLCipher can leave the header in clear, so that the file looks like a database."""
    path = tmp_path / "queue.db"
    session = open_session(present("sqlcipher3"), path)
    session.rows(KEY)
    session.rows("PRAGMA cipher_plaintext_header_size=32")
    session.rows("PRAGMA cipher_salt=\"x'01010101010101010101010101010101'\"")
    session.rows("PRAGMA journal_mode=wal")
    session.rows("CREATE TABLE t(x)")
    session.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.read_bytes()[:16] == HEADER
    for call in ("queue_backup()", "queue_checkpoint()", "queue_vacuum()"):
        assert "is encrypted" in session.error(f"SELECT {call}").message
    assert session.object("SELECT queue_analyze()")["analyzed"] == ["t"]
    assert session.value("PRAGMA integrity_check") == "ok"
