"""Rule 4: whoever owns a backup directory cannot lead root's work out of it by swapping names.

A directory belongs to another user, who exchanges what root makes in it with links: to a database
of root's, to a file that is not there, to a directory, in a loop or at the very moment. After each
round nothing outside has changed, and the result is a right backup or an error.

QUEUEKEEPER_PROOF_SECONDS=N lets the races go on for that long in all, QUEUEKEEPER_PROOF_SEED=N
makes others of them; -s shows how many rounds there were, and how many swaps.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support import users
from support.artifacts import CATALOG, sha256
from support.hostile.races import look, swapping, victim
from support.queues import SCHEMA
from support.servers.remotes import environment
from support.users import BOB, ROOT, Place, User

pytestmark = [
    pytest.mark.rule(4),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="exchanges names"),
]

SEED = int(os.environ.get("QUEUEKEEPER_PROOF_SEED", "1"))
#: Four races, as many at a time as there are processors.
SECONDS = float(os.environ.get("QUEUEKEEPER_PROOF_SECONDS", "0"))
SHARE = SECONDS * min(1.0, (os.cpu_count() or 1) / 4)
SHORT, LEAST = 4.0, 6
TASKS = 20
RACES = ("snapshot", "incremental", "restore", "archive")


@dataclass(frozen=True)
class Scene:
    """A queue of root's, a directory of somebody else's, and what must not change."""

    place: Place
    queue: Path
    directory: Path
    sentinel: Path

    @property
    def foreign(self) -> Path:
        """A database of root's."""
        return self.sentinel / "foreign.db"

    def backup(self, target: str, options: str = "{}") -> None:
        """A backup by root, while nobody is at work."""
        self.place.run(self.queue, ROOT, f"SELECT queue_backup('{target}', '{options}')")


@pytest.fixture
def scene(library: Path) -> Iterator[Scene]:
    """Where nothing has happened yet."""
    for place in users.make_place(library):
        path = place.make_queue(SCHEMA.read_text(), ROOT, 0o600)
        tasks = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TASKS})"
        insert = f"{tasks} INSERT INTO task_queue(type, payload) SELECT 't', '{{}}' FROM n"
        place.run(path, ROOT, insert)
        directory, sentinel = place.path / "theirs", place.path / "outside"
        directory.mkdir()
        os.chown(directory, BOB.uid, BOB.gid)
        sentinel.mkdir()
        with contextlib.closing(sqlite3.connect(sentinel / "foreign.db")) as connection:
            connection.execute("CREATE TABLE precious(x)")
            connection.execute("INSERT INTO precious VALUES ('mine')")
            connection.commit()
        (sentinel / "empty").touch()
        (sentinel / "below").mkdir()
        yield Scene(place, path, directory, sentinel)


# --- races ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", RACES)
def test_a_race_leads_nothing_out_of_the_directory(work: str, scene: Scene, tmp_path: Path) -> None:
    source, chain = scene.queue.parent / "source.db", scene.directory / "z2.db.zst"
    scene.backup(str(source))
    for name in ("z0", "z1", "z2"):
        scene.place.run(scene.queue, ROOT, "UPDATE task_queue SET priority = priority + 1")
        options = '{"type": "incremental", "compression": "zstd"}'
        scene.backup(f"{scene.directory}/{name}.db.zst", options)
    order: dict[str, Any] = {
        "work": work,
        "queue": str(scene.queue),
        "library": str(scene.place.library),
        "directory": str(scene.directory),
        "sentinel": str(scene.sentinel),
        "source": str(source),
        "chain": str(chain),
        "remote": str(scene.place.path / "remote"),
        "copy": str(tmp_path / "copy"),
        "seconds": SHARE or SHORT,
        "least": LEAST,
        "seed": SEED,
    }
    attack = {
        "uid": BOB.uid,
        "gid": BOB.gid,
        "directory": str(scene.directory),
        "files": [str(scene.foreign), str(scene.sentinel / "made"), str(scene.sentinel / "empty")],
        "directories": [str(scene.sentinel / "below"), str(scene.sentinel)],
        "seed": SEED,
    }
    outcomes: Counter[str] = Counter()
    variables = environment(QUEUEKEEPER_LIBRARY=str(scene.place.library))
    with swapping(attack) as swapper:
        for outcome in victim(order, variables):
            assert "changed" not in outcome, outcome
            outcomes[judged(outcome, tmp_path / "copy")] += 1
        swaps = swapper.stop()
    left = [path for path in scene.directory.iterdir() if not path.is_symlink() and path.is_file()]
    for path in left:
        assert b"precious" not in path.read_bytes(), path
    rounds = sum(outcomes.values())
    print(f"{work}: {rounds} rounds, {swaps} swaps, {dict(outcomes)}")
    assert rounds >= LEAST
    assert swaps > 0 or work == "restore"


def judged(outcome: dict[str, Any], copy: Path) -> str:
    """The outcome in a word; what is neither right nor an error fails."""
    if "error" in outcome:
        assert outcome["error"].strip(), outcome
        return "error"
    result = outcome["result"]
    if "status" in result:
        assert result["status"] == "ok", outcome
        return "verified"
    assert outcome.get("is_file"), outcome
    if "checksum" in result:
        assert sha256(copy) == result["checksum"], outcome
    else:
        assert sound(copy), outcome
    return "made"


def sound(path: Path) -> bool:
    """Whether it is the queue, whole."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        try:
            (check,) = connection.execute("PRAGMA integrity_check").fetchall()
            (count,) = connection.execute("SELECT count(*) FROM task_queue").fetchall()
        except sqlite3.DatabaseError:
            return False
        return (check, count) == (("ok",), (TASKS,))


# --- the very moment ------------------------------------------------------------------------------


def held(
    scene: Scene,
    calls: str,
    statement: str,
    ready: Callable[[], bool],
    meanwhile: Callable[[], object],
    paths: tuple[Path | str, ...] = (),
) -> str | None:
    """Runs a statement as root, which is held behind each of these calls (of those on these paths,
    if there are any), while somebody does something else as soon as it is possible; its error."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    code = (
        "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.enableloadextension(True); "
        "c.loadextension(sys.argv[2]); c.execute(sys.argv[3]).fetchall()"
    )
    traced = [strace, "-f", "-o", os.devnull, "-e", f"trace={calls}"]
    traced += ["-e", f"inject={calls}:delay_exit=500000"]
    traced += [each for path in paths for each in ("-P", str(path))]
    program = [sys.executable, "-c", code, str(scene.queue), str(scene.place.library), statement]
    process = subprocess.Popen([*traced, *program], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and not ready():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        meanwhile()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    if "ptrace" in errors and "not permitted" in errors:
        pytest.skip("no process may be traced here")
    return errors.strip() if process.returncode else None


def temporary(directory: Path, size: int = 0) -> list[Path]:
    """What root is making there, if it is that large."""
    found = [path for path in directory.glob(".queuekeeper-*.tmp") if not path.is_symlink()]
    return [path for path in found if path.stat().st_size >= size]


def swap(directory: Path, target: Path) -> None:
    """Puts links in the place of what root is making."""
    for path in temporary(directory):
        path.rename(directory / f"stolen-{path.name[1:]}")
        path.symlink_to(target)


TYPES = [
    '{"type": "snapshot"}',
    '{"type": "incremental"}',
    '{"type": "incremental", "compression": "zstd"}',
    '{"compression": "gzip"}',
    "{}",
]


@pytest.mark.parametrize("target", ["foreign.db", "made", "empty"])
@pytest.mark.parametrize("options", TYPES)
def test_a_temporary_file_that_is_swapped_as_soon_as_it_is_made(
    options: str, target: str, scene: Scene
) -> None:
    scene.backup(f"{scene.directory}/one.db")
    before = look(scene.sentinel)
    statement = f"SELECT queue_backup('{scene.directory}/two.db', '{options}')"
    if "compression" in options:
        statement = statement.replace("two.db", "two.db." + ("zst" if "zstd" in options else "gz"))
    error = held(
        scene,
        "flock",
        statement,
        lambda: bool(temporary(scene.directory)),
        lambda: swap(scene.directory, scene.sentinel / target),
    )
    assert look(scene.sentinel) == before
    made = scene.directory / statement.split("'")[1].rsplit("/", 1)[1]
    assert (error is None) == made.is_file()
    assert not made.is_symlink()


@pytest.mark.parametrize("options", TYPES[:2] + TYPES[-1:])
def test_what_was_swapped_before_it_gets_its_name_is_an_error_that_says_who(
    options: str, scene: Scene
) -> None:
    before = look(scene.sentinel)
    target = scene.directory / "one.db"
    error = held(
        scene,
        "fsync,fdatasync",
        f"SELECT queue_backup('{target}', '{options}')",
        lambda: bool(temporary(scene.directory, 4096)),
        lambda: swap(scene.directory, scene.foreign),
    )
    assert look(scene.sentinel) == before
    assert error is not None
    assert str(scene.directory) in error
    assert f"belongs to user {BOB.uid}" in error
    assert not scene.place.run(
        scene.queue, ROOT, f"SELECT count(*) FROM queue_backups('{scene.directory}')"
    )[0][0][0]


def test_a_directory_that_is_swapped_has_nothing_deleted_elsewhere(scene: Scene) -> None:
    for name in ("one", "two"):
        scene.backup(f"{scene.directory}/{name}.db")
    # A database of root's, with the name of a backup.
    shutil.copy(scene.foreign, scene.sentinel / "one.db")
    before = look(scene.sentinel)
    manifest, moved = scene.directory / CATALOG, scene.place.path / "moved"

    def move() -> None:
        scene.directory.rename(moved)
        scene.directory.symlink_to(scene.sentinel)

    held(
        scene,
        "fsync",
        f"SELECT queue_rotate(1, '{scene.directory}')",
        lambda: b'"deleting"' in manifest.read_bytes(),
        move,
    )
    assert scene.directory.is_symlink()
    assert look(scene.sentinel) == before
    assert not (moved / "one.db").exists()


def test_a_target_that_becomes_a_link_is_not_restored_into(scene: Scene) -> None:
    source, target = scene.queue.parent / "source.db", scene.directory / "target.db"
    scene.backup(str(source))
    shutil.copy(source, target)
    before = look(scene.sentinel)

    def move() -> None:
        target.rename(scene.directory / "moved.db")
        target.symlink_to(scene.foreign)

    options = '{"overwrite": true}'
    error = held(
        scene,
        "flock",
        f"SELECT queue_restore('{source}', '{target}', '{options}')",
        lambda: bool(temporary(scene.directory)),
        move,
    )
    assert look(scene.sentinel) == before
    assert error is not None
    assert str(target) in error
    assert b"precious" not in b"".join(path.read_bytes() for path in scene.directory.glob("*/*"))


def test_a_catalog_that_becomes_a_link_behind_the_look_at_it_is_not_read(scene: Scene) -> None:
    scene.backup(f"{scene.directory}/one.db")
    for name in ("one", "two", "three"):
        scene.backup(f"{scene.sentinel}/{name}.db")
    strace, manifest = shutil.which("strace"), scene.directory / CATALOG
    if strace is None:
        pytest.skip("needs strace")
    link = scene.directory / "link"
    link.symlink_to(scene.sentinel / CATALOG)
    code = (
        "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.enableloadextension(True); "
        "c.loadextension(sys.argv[2])\nfor _ in range(40):\n"
        "    try: print(c.execute('SELECT count(*) FROM queue_backups(?)', sys.argv[3:]).get)\n"
        "    except apsw.Error as error: print('refused')"
    )
    traced = [strace, "-f", "-o", os.devnull, "-P", str(manifest)]
    traced += ["-e", "trace=%%stat", "-e", "inject=%%stat:delay_exit=20000"]
    program = [sys.executable, "-c", code, str(scene.queue), str(scene.place.library)]
    process = subprocess.Popen(
        [*traced, *program, str(scene.directory)], stdout=subprocess.PIPE, text=True
    )
    libc = ctypes.CDLL(None)
    try:
        while process.poll() is None:
            libc.renameat2(-100, bytes(link), -100, bytes(manifest), 2)
            time.sleep(0.007)
        assert process.stdout is not None
        outcomes = Counter(process.stdout.read().split())
    finally:
        process.kill()
        process.wait()
    assert sum(outcomes.values()) == 40, outcomes
    assert set(outcomes) <= {"1", "refused"}, outcomes


# --- the way to the directory ---------------------------------------------------------------------


def exchange(one: Path, other: Path) -> None:
    """Two names change places."""
    assert ctypes.CDLL(None).renameat2(-100, bytes(one), -100, bytes(other), 2) == 0


def are_open(*paths: Path) -> bool:
    """Whether a process has all these open."""
    for process in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if {str(path) for path in paths} <= {
                str(each.readlink()) for each in process.iterdir()
            }:
                return True
    return False


def are_given_away(top: Path) -> list[Path]:
    """What of root's belongs to somebody else."""
    return [path for path in (top, *top.rglob("*")) if path.lstat().st_uid != ROOT.uid]


@pytest.fixture
def ways(scene: Scene) -> tuple[Path, Path]:
    """Two names in somebody's directory that can change places: that of a directory in it, and a
    link to root's."""
    own, link = scene.directory / "own", scene.directory / "link"
    own.mkdir()
    os.chown(own, BOB.uid, BOB.gid)
    link.symlink_to(scene.sentinel)
    return own, link


def test_a_way_that_leads_elsewhere_behind_the_making_of_a_directory_gives_none_away(
    scene: Scene, ways: tuple[Path, Path]
) -> None:
    """The way is another one when what was made is opened, and the old one behind that."""
    queue = scene.place.make_queue(SCHEMA.read_text(), BOB, 0o600, "hers")
    other, made = scene.sentinel / "new", ways[0] / "new"
    other.mkdir(mode=0o700)
    # As young as can be.
    os.utime(other, (time.time() + 3600,) * 2)

    def meanwhile() -> None:
        exchange(*ways)
        deadline = time.monotonic() + 5
        while not are_open(other) and time.monotonic() < deadline:
            time.sleep(0.001)
        exchange(*ways)

    held(
        replace(scene, queue=queue),
        "mkdir,mkdirat,open,openat",
        f"SELECT queue_backup('{made}/')",
        made.exists,
        meanwhile,
        (ways[0], made, f"{made}/"),
    )
    assert not are_given_away(scene.sentinel)
    assert made.stat().st_uid == BOB.uid


def test_a_link_in_the_place_of_a_directory_that_was_just_made_gives_none_away(
    scene: Scene,
) -> None:
    queue = scene.place.make_queue(SCHEMA.read_text(), BOB, 0o600, "hers")
    other, made = scene.sentinel / "new", scene.directory / "new"
    other.mkdir(mode=0o700)
    # As young as can be.
    os.utime(other, (time.time() + 3600,) * 2)

    def meanwhile() -> None:
        made.rmdir()
        made.symlink_to(other)

    error = held(
        replace(scene, queue=queue),
        "mkdir,mkdirat",
        f"SELECT queue_backup('{made}/')",
        made.exists,
        meanwhile,
    )
    assert made.is_symlink()
    assert error is not None
    assert not are_given_away(scene.sentinel)
    assert list(other.iterdir()) == []


def test_a_way_that_leads_elsewhere_does_not_give_the_lock_of_the_schedule_away(
    scene: Scene,
) -> None:
    """Whose the database is, and where the lock is made, is asked of one directory."""
    queue = scene.place.make_queue(SCHEMA.read_text(), BOB, 0o600, "hers")
    own, link = queue.parent, scene.place.path / "link"
    link.symlink_to(scene.sentinel)

    def meanwhile() -> None:
        exchange(own, link)
        deadline = time.monotonic() + 2
        while not are_open(scene.sentinel) and time.monotonic() < deadline:
            time.sleep(0.001)
        exchange(own, link)

    held(
        replace(scene, queue=queue),
        "open,openat",
        "SELECT queue_run_due()",
        lambda: are_open(own),
        meanwhile,
        (own, f"{own}/"),
    )
    assert own.is_dir()
    assert not own.is_symlink()
    assert not are_given_away(scene.sentinel)
    lock = own / "queue.db-schedule"
    assert lock.stat().st_uid == BOB.uid


def held_behind_the_catalog(scene: Scene, ways: tuple[Path, Path], statement: str) -> str | None:
    """Runs a statement on root's backups, while the way to them leads to somebody else's as soon as
    the catalog is open under its lock; its error, if any."""
    own, link = ways
    manifest = scene.sentinel / CATALOG
    return held(
        scene,
        "openat",
        statement.replace("{}", str(link)),
        lambda: are_open(manifest, manifest.with_name(manifest.name + ".lock")),
        lambda: exchange(own, link),
        (link / CATALOG, scene.sentinel),
    )


def give(top: Path, user: User) -> None:
    """All that lies there becomes that user's."""
    for path in (top, *top.rglob("*")):
        os.chown(path, user.uid, user.gid)


def test_a_way_that_leads_elsewhere_behind_the_catalog_does_not_give_that_away(
    scene: Scene, ways: tuple[Path, Path]
) -> None:
    scene.backup(f"{scene.sentinel}/one.db")
    shutil.copytree(scene.sentinel, ways[0], dirs_exist_ok=True)
    give(ways[0], BOB)
    error = held_behind_the_catalog(
        scene, ways, """SELECT queue_backup('{}/two.db', '{"type": "snapshot"}')"""
    )
    assert ways[0].is_symlink()
    assert error is None
    assert not are_given_away(scene.sentinel)
    assert {path.name for path in scene.sentinel.glob("*.db")} >= {"one.db", "two.db"}
    assert not (ways[1] / "two.db").exists()


def test_a_way_that_leads_elsewhere_behind_the_catalog_vouches_for_no_file(
    scene: Scene, ways: tuple[Path, Path]
) -> None:
    """What is a backup there is none of root's: of another content, or listed there alone."""
    for name in ("zero", "one", "two"):
        scene.backup(f"{scene.sentinel}/{name}.db")
    shutil.copytree(scene.sentinel, ways[0], dirs_exist_ok=True)
    give(ways[0], BOB)
    text = scene.sentinel / "one.db"
    text.write_bytes(b"precious".ljust(text.stat().st_size))
    forget(scene.sentinel / CATALOG, "zero.db")
    shutil.copy(scene.foreign, scene.sentinel / "zero.db")
    (scene.sentinel / "zero.db.hashes").unlink()
    before = {name: (scene.sentinel / name).read_bytes() for name in ("zero.db", "one.db")}
    held_behind_the_catalog(scene, ways, "SELECT queue_rotate(1, '{}')")
    assert ways[0].is_symlink()
    assert {name: (scene.sentinel / name).read_bytes() for name in before} == before


def forget(catalog: Path, name: str) -> None:
    """A catalog lists a backup no more."""
    entries = json.loads(catalog.read_bytes())
    kept = [entry for entry in entries if entry["backup_path"] != name]
    assert len(kept) < len(entries)
    catalog.write_text(json.dumps(kept))


# --- what lies there before -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [CATALOG, CATALOG + ".lock", "one.db", "one.db.hashes", "one.db-journal", "one.db-wal"]
)
@pytest.mark.parametrize("target", ["foreign.db", "made", "empty"])
def test_a_link_that_waits_there_is_not_followed(name: str, target: str, scene: Scene) -> None:
    before = look(scene.sentinel)
    link = scene.directory / name
    link.symlink_to(scene.sentinel / target)
    for options in ('{"type": "snapshot"}', '{"type": "incremental"}', '{"overwrite": true}'):
        statement = f"SELECT queue_backup('{scene.directory}/one.db', '{options}')"
        users.run(scene.place, scene.queue, ROOT, [statement])
    for statement in (
        f"SELECT queue_restore('latest', '{scene.directory}/one.db')",
        f"SELECT queue_rotate(1, '{scene.directory}')",
        f"SELECT queue_verify('{scene.directory}/one.db', 'full')",
    ):
        users.run(scene.place, scene.queue, ROOT, [statement])
    assert look(scene.sentinel) == before


def test_a_backup_directory_may_be_a_link(scene: Scene) -> None:
    """To another disk, say."""
    disk = scene.place.path / "disk"
    disk.mkdir()
    (scene.queue.parent / "backups").symlink_to(disk)
    for options in TYPES:
        scene.place.run(scene.queue, ROOT, f"SELECT queue_backup(NULL, '{options}')")
    scene.place.run(
        scene.queue, ROOT, "SELECT queue_verify('latest', 'full')", "SELECT queue_rotate(2)"
    )
    scene.place.run(scene.queue, ROOT, "SELECT queue_restore('latest')")
    assert list(disk.glob("queue_backup_*.db"))
