"""Rule 4: where a backup goes, under which name, and what is never replaced."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host
from hosts.protocol import SQLITE_CORRUPT, SQLITE_ERROR
from support import artifacts
from support.queues import Queue

pytestmark = pytest.mark.rule(4)

OWN_NAME = re.compile(r"queue_backup_(daily_)?\d{8}_\d{6}(_\d+)?\.db")


@pytest.mark.parametrize(
    "name",
    [
        "plain.db",
        "no ending",
        "with space.db",
        "it's quoted.db",
        'double "quotes".db',
        "semi;colon -- comment.db",
        "percent %s %n %41.db",
        "uri?mode=memory&cache=shared#x.db",
        "file:uri.db",
        "Wartung täglich 保守.db",
        "emoji 🦀.db",
        "back\\slash.db",
        "new\nline.db",
        "-dash.db",
    ],
)
def test_any_file_name_works(
    name: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    if os.name == "nt" and set(name) & set('"?:\n\\'):
        pytest.skip("no file name on Windows")
    directory = queue.directory / 'täglich\'s "backups"'
    directory.mkdir()
    path = directory / name
    session = open_session(host, queue.path)
    answer = session.object('SELECT queue_backup(?, \'{"verify": "quick"}\')', str(path))
    assert answer["backup_path"] == str(path)
    assert artifacts.query(path, "SELECT count(*) FROM task_queue") == [(52,)]
    (row,) = session.dicts("SELECT * FROM queue_backups(?)", str(directory))
    assert (row["backup_path"], row["checksum"]) == (str(path), artifacts.sha256(path))
    assert session.value("SELECT queue_rotate(1, ?)", str(directory)) == 0


@pytest.mark.parametrize("queue_name", ["it's a queue.db", "q ü?x=1#%41.db", "file:q.db"])
def test_any_name_of_the_database_works(
    queue_name: str, host: Host, queue: Queue, open_session: OpenSession
) -> None:
    path = queue.path.rename(queue.directory / queue_name)
    session = open_session(host, path)
    answer = session.object("SELECT queue_backup()")
    assert answer["source_path"] == str(path)
    assert Path(answer["backup_path"]).parent == queue.backups
    artifacts.assert_sound(Path(answer["backup_path"]))
    assert session.object("SELECT queue_stats()")["path"] == str(path)


def test_a_directory_gets_a_name_of_its_own(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    existing = queue.directory / "existing"
    existing.mkdir()
    for target in (str(existing), f"{existing}/", f"{queue.directory}/new/deep/"):
        path = Path(session.object("SELECT queue_backup(?)", target)["backup_path"])
        assert path.parent == Path(target)
        assert OWN_NAME.fullmatch(path.name)


def test_the_series_name_is_part_of_the_file_name(queue: Queue, open_python: OpenPython) -> None:
    answer = open_python(queue.path).object('SELECT queue_backup(NULL, \'{"name": "daily"}\')')
    path = Path(answer["backup_path"])
    assert path.name.startswith("queue_backup_daily_")
    assert OWN_NAME.fullmatch(path.name)
    assert answer["name"] == "daily"


def test_backups_within_one_second_get_different_names(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    paths = [session.object("SELECT queue_backup()")["backup_path"] for _ in range(12)]
    assert len(set(paths)) == 12
    assert len(artifacts.catalog(queue.backups)) == 12
    assert any(path.endswith("_2.db") for path in paths)


def test_a_relative_path_starts_at_the_current_directory(
    apsw: Host, queue: Queue, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(queue.directory)
    session = apsw.open("queue.db")
    try:
        session.load(library)
        answer = session.object("SELECT queue_backup('x.db')")
        assert answer["backup_path"] == str(queue.directory / "x.db")
        assert Path(session.object("SELECT queue_backup()")["backup_path"]).parent == queue.backups
    finally:
        session.close()


def test_the_setting_backup_dir_moves_the_default(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    session.rows("CREATE TABLE queuekeeper_settings(name TEXT PRIMARY KEY, value)")
    session.rows("INSERT INTO queuekeeper_settings VALUES ('backup_dir', 'else where')")
    path = Path(session.object("SELECT queue_backup()")["backup_path"])
    assert path.parent == queue.directory / "else where"
    assert session.value("SELECT count(*) FROM queue_backups()") == 1
    session.rows("UPDATE queuekeeper_settings SET value = 7")
    assert "setting backup_dir" in session.error("SELECT queue_backup()").message


def test_an_existing_file_is_never_overwritten_unless_asked(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    path = queue.directory / "kept.db"
    path.write_text("precious")
    for options in (None, "{}", '{"overwrite": false}'):
        error = session.error("SELECT queue_backup(?, ?)", str(path), options)
        assert error.primary_code == SQLITE_ERROR
        assert '"overwrite": true' in error.message
        assert path.read_text() == "precious"
    answer = session.object("SELECT queue_backup(?, '{\"overwrite\": true}')", str(path))
    artifacts.assert_sound(path)
    again = session.object("SELECT queue_backup(?, '{\"overwrite\": true}')", str(path))
    assert again["id"] != answer["id"]
    assert [entry["id"] for entry in artifacts.catalog(queue.directory)] == [again["id"]]


@pytest.mark.parametrize("kind", ["directory", "dangling link", "link", "fifo", "socket"])
def test_what_is_no_regular_file_is_never_overwritten(
    kind: str, queue: Queue, open_python: OpenPython
) -> None:
    if os.name == "nt":
        pytest.skip("needs a POSIX file system")
    path = queue.directory / "thing"
    victim = queue.directory / "victim"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "directory":
        path = queue.directory / "thing.db"
        path.mkdir()
    else:
        path.symlink_to(victim)
    if kind == "link":
        victim.write_text("precious")
    before = path.lstat()
    session = open_python(queue.path)
    if kind == "directory":
        # A directory means: a file in it.
        session.object("SELECT queue_backup(?, '{\"overwrite\": true}')", str(path))
        assert path.is_dir()
        return
    for options in ('{"overwrite": true}', "{}"):
        assert str(path) in session.error("SELECT queue_backup(?, ?)", str(path), options).message
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert victim.exists() == (kind == "link")
    assert kind != "link" or victim.read_text() == "precious"


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_stale_journal_beside_the_target_is_not_adopted(
    suffix: str, queue: Queue, open_python: OpenPython
) -> None:
    path = queue.directory / "copy.db"
    Path(f"{path}{suffix}").write_bytes(b"stale")
    error = open_python(queue.path).error("SELECT queue_backup(?)", str(path))
    assert f"{path}{suffix}" in error.message
    assert "move it away" in error.message
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_files_get_the_permissions_of_the_database(
    mode: int, queue: Queue, open_python: OpenPython
) -> None:
    if os.name == "nt":
        pytest.skip("needs POSIX permissions")
    queue.path.chmod(mode)
    answer = open_python(queue.path).object("SELECT queue_backup()")
    for path in (Path(answer["backup_path"]), queue.backups / artifacts.CATALOG):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_nothing_lies_beside_a_backup_but_its_hashes_the_catalog_and_its_lock(
    host: Host, queue: Queue, open_session: OpenSession
) -> None:
    session = open_session(host, queue.path)
    path = Path(session.object('SELECT queue_backup(NULL, \'{"verify": "full"}\')')["backup_path"])
    names = {entry.name for entry in queue.backups.iterdir()}
    hashes = path.name + ".hashes"
    assert names == {path.name, hashes, artifacts.CATALOG, artifacts.CATALOG + ".lock"}


@pytest.mark.parametrize("level", ["checksum", "quick", "full"])
def test_a_verified_backup_says_when_and_how(
    level: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    answer = session.object("SELECT queue_backup(NULL, ?)", f'{{"verify": "{level}"}}')
    assert answer["verified_level"] == level
    assert answer["verified_at"] >= answer["created_at"]
    plain = session.object('SELECT queue_backup(NULL, \'{"verify": "none"}\')')
    assert (plain["verified_at"], plain["verified_level"]) == (None, None)


def damage(queue: Queue) -> None:
    """Fills a page of an index with rubbish that a copy does not notice, but a check does."""
    with queue.connect() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((root,),) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'task_queue_region'"
        )
    with queue.path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)


def test_a_backup_that_fails_its_verification_is_not_kept(
    queue: Queue, open_python: OpenPython
) -> None:
    damage(queue)
    session = open_python(queue.path)
    files = queue.files()
    for level in ("quick", "full"):
        error = session.error("SELECT queue_backup(NULL, ?)", f'{{"verify": "{level}"}}')
        assert error.primary_code == SQLITE_CORRUPT
        assert "not kept" in error.message
        assert "PRAGMA integrity_check" in error.message
        assert queue.files() == files


def test_a_damaged_database_can_be_saved_as_it_is(queue: Queue, open_python: OpenPython) -> None:
    damage(queue)
    answer = open_python(queue.path).object("SELECT queue_backup()")
    copy = Path(answer["backup_path"]).read_bytes()
    assert artifacts.masked(copy) == artifacts.masked(queue.path.read_bytes())
