"""Whose the files are: what root does takes nothing away from the owner of a queue."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import users
from support.queues import SCHEMA
from support.users import ALICE, BOB, ROOT, WORKERS, Place, User

pytestmark = pytest.mark.skipif(not hasattr(os, "fchown"), reason="files have no such owners here")

CHANGE = "UPDATE task_queue SET priority = priority + 1"
TASK = "INSERT INTO task_queue(type, payload) VALUES ('t', '{}')"
MODULES = (str(Path(__file__).parents[2] / "python" / "src"),)
SETTLE = [f"SELECT queue_set('cron_{job}', 'off')" for job in ("weekly", "monthly")]


@pytest.fixture
def place(library: Path) -> Iterator[Place]:
    """Where several users can work."""
    yield from users.make_place(library)


def queue_of(place: Place, user: User, mode: int = 0o660) -> Path:
    """A queue of that user's, with a task in it."""
    path = place.make_queue(SCHEMA.read_text(), user, mode)
    place.run(path, user, TASK, *SETTLE)
    return path


def everything(directory: Path | None) -> list[str]:
    """All that makes, changes and deletes files, with the default directory or another."""
    path = "NULL" if directory is None else f"'{directory}/'"
    last = "" if directory is None else f", '{directory}'"
    one = f"{directory or '{default}'}/one.db"
    return [
        f"SELECT queue_backup({path})",
        CHANGE,
        f"""SELECT queue_backup({path}, '{{"type": "incremental"}}')""",
        f"""SELECT queue_backup({path}, '{{"type": "snapshot"}}')""",
        f"""SELECT queue_backup({path}, '{{"compression": "zstd", "verify": "full"}}')""",
        f"""SELECT queue_backup('{one}', '{{"overwrite": true}}')""",
        f"SELECT queue_verify('{one}')",
        f"SELECT queue_rotate(3{last})",
        f"SELECT queue_restore('{one}')",
        "SELECT queue_run_due()",
    ]


@pytest.mark.parametrize("first", ["root", "owner"])
@pytest.mark.parametrize("where", ["default", "named", "named, to be made"])
def test_the_owners_jobs_go_on_after_those_of_root(place: Place, where: str, first: str) -> None:
    path = queue_of(place, ALICE)
    directory = None if where == "default" else path.parent / "named" / "here"
    if where == "named":
        assert directory is not None
        directory.mkdir(parents=True)
        for made in (directory, directory.parent):
            os.chown(made, ALICE.uid, ALICE.gid)
    default = str(path.parent / "backups")
    statements = [sql.replace("{default}", default) for sql in everything(directory)]
    for user in (ROOT, ALICE, ROOT, ALICE) if first == "root" else (ALICE, ROOT, ALICE):
        place.run(path, user, *statements)
    found = users.owners(path.parent)
    strange = {name: each for name, each in found.items() if each[:2] != (ALICE.uid, ALICE.gid)}
    assert not strange
    files = {name for name in found if (path.parent / name).is_file()}
    assert {
        name for name in files if found[name][2] != 0o660 and not name.endswith(".lock")
    } == set()
    if first == "root" and where != "named":
        assert {found[name][2] for name in set(found) - files} == {0o770}
    backups = place.run(
        path, ALICE, f"SELECT count(*) FROM queue_backups('{directory or default}')"
    )
    assert backups[0][0][0] >= 3


def test_a_directory_of_roots_own_stays_roots(place: Place) -> None:
    path = queue_of(place, ALICE)
    kept = place.path / "kept"
    kept.mkdir(mode=0o755)
    place.run(path, ROOT, f"SELECT queue_backup('{kept}/')", f"SELECT queue_backup('{kept}/new/')")
    # Also by another name, in a directory that the owner may write.
    (path.parent / "linked").symlink_to(kept)
    place.run(path, ROOT, f"SELECT queue_backup('{path.parent}/linked/')")
    found = users.owners(kept)
    assert {each[:2] for each in found.values()} == {(0, 0)}
    assert {found[name][2] for name in found if name.endswith(".db")} == {0o660}
    assert found["new"][2] == 0o755


def test_a_directory_for_all_gives_nobody_what_is_roots(place: Place) -> None:
    path = queue_of(place, ALICE)
    shared = place.path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    place.run(path, ROOT, f"SELECT queue_backup('{shared}/')")
    assert {each[0] for each in users.owners(shared).values()} == {0}
    shared.chmod(0o777)
    place.run(path, ROOT, f"SELECT queue_backup('{shared}/own.db')")
    assert users.owners(shared)["own.db"] == (ALICE.uid, ALICE.gid, 0o660)


def test_a_queue_in_a_directory_for_all_can_be_run_by_its_owner_after_root(place: Place) -> None:
    path = queue_of(place, ALICE, 0o600)
    os.chown(path.parent, 0, 0)
    path.parent.chmod(0o1777)
    place.run(path, ALICE, f"SELECT queue_backup('{path.parent}/backups/')")
    for user in (ROOT, ALICE):
        place.run(path, user, "SELECT queue_run_due()")
    found = users.owners(path.parent)
    assert found["queue.db-schedule"] == (ALICE.uid, ALICE.gid, 0o600)
    assert {each[0] for each in found.values()} == {ALICE.uid}


def test_the_group_of_a_directory_goes_on_to_be_inherited(place: Place) -> None:
    path = queue_of(place, ALICE)
    os.chown(path.parent, ALICE.uid, WORKERS)
    path.parent.chmod(0o2770)
    place.run(path, ROOT, "SELECT queue_backup()", "SELECT queue_run_due()")
    found = users.owners(path.parent)
    del found["queue.db"]
    assert {each[:2] for each in found.values()} == {(ALICE.uid, WORKERS)}
    assert found["backups"][2] == 0o2770


def test_a_restored_database_belongs_to_whom_it_should(place: Place) -> None:
    path = queue_of(place, ALICE, 0o640)
    new, broken = path.parent / "new.db", path.parent / "broken.db"
    elsewhere = place.path / "elsewhere.db"
    place.run(path, ROOT, f"SELECT queue_backup('{path.parent}/one.db')")
    restore = f"SELECT queue_restore('{path.parent}/one.db', '{{}}', '{{{{\"overwrite\": true}}}}')"
    broken.write_bytes(b"no database" * 1000)
    os.chown(broken, BOB.uid, BOB.gid)
    broken.chmod(0o4606)
    place.run(path, ROOT, *[restore.format(target) for target in (new, broken, elsewhere)])
    found = users.owners(place.path)
    assert found["q/new.db"] == (ALICE.uid, ALICE.gid, 0o640)
    assert found["q/broken.db"] == (BOB.uid, BOB.gid, 0o606)
    assert found["elsewhere.db"] == (0, 0, 0o640)
    # The database itself is gone.
    new.unlink()
    (path.parent / "one.db").chmod(0o666)
    place.run(":memory:", ROOT, restore.format(new))
    assert users.owners(place.path)["q/new.db"] == (ALICE.uid, ALICE.gid, 0o664)


def test_a_catalog_that_is_made_anew_is_the_directorys_owners(place: Place) -> None:
    path = queue_of(place, ALICE)
    place.run(path, ALICE, "SELECT queue_backup()")
    manifest = path.parent / "backups" / "backup_manifest.json"
    manifest.unlink()
    place.run(path, ROOT, "SELECT queue_rotate(9)")
    found = manifest.stat()
    assert (found.st_uid, found.st_gid) == (ALICE.uid, ALICE.gid)
    place.run(path, ALICE, "SELECT queue_backup()", "SELECT queue_rotate(1)")


@pytest.mark.parametrize("mode", [0o4755, 0o2664, 0o1600, 0o444])
@pytest.mark.parametrize("user", [ROOT, ALICE], ids=["root", "owner"])
def test_no_copy_becomes_a_program_or_runs_as_another_user(
    place: Place, mode: int, user: User
) -> None:
    path = queue_of(place, ALICE)
    path.chmod(mode)
    place.run(path, user, "SELECT queue_backup()")
    found = users.owners(path.parent / "backups")
    assert {found[name][2] for name in found if not name.endswith(".lock")} == {mode & 0o666}
    entered = (mode & 0o444) >> 2
    assert users.owners(path.parent)["backups"][2] == mode & 0o666 | entered | 0o700


@pytest.mark.parametrize("user", [ROOT, ALICE], ids=["root", "owner"])
def test_nobody_else_can_take_the_locks_of_a_private_queue(place: Place, user: User) -> None:
    path = queue_of(place, ALICE, 0o600)
    place.run(path, user, "SELECT queue_backup()", "SELECT queue_run_due()")
    locks = [path.parent / "queue.db-schedule", path.parent / "backups/backup_manifest.json.lock"]
    code = "\n".join(
        [
            f"for name in {[str(lock) for lock in locks]!r}:",
            "    try: os.open(name, os.O_RDONLY); answers.append('open')",
            "    except PermissionError: answers.append('refused')",
        ]
    )
    assert users.run(place, path, BOB, [], code) == ["refused"] * 2
    assert users.run(place, path, ALICE, [], code) == ["open"] * 2
    for lock in locks:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_users_who_share_a_queue_by_a_group_do_not_lock_each_other_out(place: Place) -> None:
    path = queue_of(place, ALICE)
    os.chown(path, ALICE.uid, WORKERS)
    os.chown(path.parent, ALICE.uid, WORKERS)
    path.parent.chmod(0o770)
    shared = path.parent / "backups"
    shared.mkdir()
    os.chown(shared, 0, WORKERS)
    shared.chmod(0o2770)
    both = [User(each.uid, each.gid, (WORKERS,), 0o002) for each in (BOB, ALICE)]
    for user in (*both, ROOT, *both):
        place.run(path, user, "SELECT queue_backup()", "SELECT queue_rotate(2)", CHANGE)
        place.run(path, user, "SELECT queue_run_due()")
    found = users.owners(path.parent)
    # A user who is not root gives nothing away.
    assert found["queue.db-schedule"][0] == BOB.uid
    assert found["backups/backup_manifest.json.lock"][0] == BOB.uid


def test_one_directory_serves_the_queues_of_several_users(place: Place) -> None:
    shared = place.path / "backups"
    shared.mkdir()
    os.chown(shared, 0, WORKERS)
    shared.chmod(0o2770)
    paths = {}
    for name, user in (("a", ALICE), ("b", BOB)):
        member = User(user.uid, user.gid, (WORKERS,))
        paths[member] = place.make_queue(SCHEMA.read_text(), user, 0o660, name)
    for _ in range(2):
        for user, path in paths.items():
            place.run(path, user, f"SELECT queue_backup('{shared}/')", CHANGE)


def test_the_packages_files_are_the_owners_too(place: Place) -> None:
    path = queue_of(place, ALICE)
    modules = (str(Path(__file__).parents[2] / "python" / "src"),)
    code = f"""
from pathlib import Path
from types import SimpleNamespace
from queuekeeper._ownership import beside
from queuekeeper._lock import locked
path = Path({str(path)!r})
queuekeeper.prismq.QueueBackup(SimpleNamespace(db_path=path), path.parent / "made" / "backups")
with locked(Path(f"{{path}}-run-due"), beside(path)) as held:
    held.keep({{"who": os.geteuid()}})
side = local.Local(str(path))
with side.lock(), place.staging(side.directory) as staged:
    name = f"pulled{{os.geteuid()}}.db"
    (staged / name).write_bytes(b"x")
    place.put(staged / name, side.directory / name, path)
side.close()
answers.append("done")
"""
    for user in (ROOT, ALICE):
        assert users.run(place, path, user, [], code, modules) == ["done"]
    found = users.owners(path.parent)
    assert {each[:2] for each in found.values()} == {(ALICE.uid, ALICE.gid)}
    assert {found[name][2] for name in ("backups", "made", "made/backups")} == {0o770}
    assert found["backups/pulled0.db"][2] == found["queue.db-run-due"][2] == 0o660


@pytest.mark.parametrize("target", ["NULL", "beside", "another"])
@pytest.mark.parametrize("victim", ["there", "gone"])
@pytest.mark.parametrize("owner", [BOB, ROOT], ids=["bob", "root"])
def test_root_restores_nothing_that_only_rows_claim_into_a_file_of_another_user(
    place: Place, owner: User, victim: str, target: str
) -> None:
    private = place.make_queue(SCHEMA.read_text(), owner, 0o600, "private")
    private.parent.chmod(0o700)
    name = "SELECT queue_set('queue_name', 'orders')"
    ((answer,),) = place.run(private, owner, *SETTLE, name, "SELECT queue_backup()")[-1]
    if victim == "gone":
        private.unlink()
    path = queue_of(place, ALICE)
    (path.parent / "backups").symlink_to(private.parent / "backups")
    former = json.dumps([str(private)])
    place.run(path, ALICE, name, f"SELECT queue_set('former_paths', '{former}')")
    before = path.read_bytes()
    new = path.parent / "new.db"
    sql = {
        "NULL": "SELECT queue_restore('latest')",
        "beside": f"SELECT queue_restore('latest', '{new}')",
        "another": f"""SELECT queue_restore('latest', '{path}', '{{"overwrite": true}}')""",
    }[target]
    message = place.refused(path, ROOT, sql)
    assert f"belongs to user {owner.uid}" in message
    assert "pass its path or its id" in message
    assert path.read_bytes() == before
    assert not new.exists()
    artifact = json.loads(answer)["backup_path"]
    place.run(path, ROOT, f"SELECT queue_restore('{artifact}', '{path.parent}/named.db')")


@pytest.mark.parametrize("around", [ALICE, ROOT], ids=["alices", "anybodys"])
def test_root_asks_who_may_replace_a_database_that_is_roots_at_the_moment(
    place: Place, around: User
) -> None:
    """What the owner of a directory shows may be a file of root's that lies there for a moment."""
    private = place.make_queue(SCHEMA.read_text(), BOB, 0o600, "private")
    private.parent.chmod(0o700)
    name = "SELECT queue_set('queue_name', 'orders')"
    place.run(private, BOB, *SETTLE, name, "SELECT queue_backup()")
    path = queue_of(place, ALICE)
    (path.parent / "backups").symlink_to(private.parent / "backups")
    former = json.dumps([str(private)])
    place.run(path, ALICE, name, f"SELECT queue_set('former_paths', '{former}')")
    private.unlink()
    os.chown(path, ROOT.uid, ROOT.gid)
    os.chown(path.parent, around.uid, around.gid)
    path.parent.chmod(0o777 if around is ROOT else 0o755)
    message = place.refused(path, ROOT, "SELECT queue_restore('latest')")
    whose = "several users may replace" if around is ROOT else f"of user {ALICE.uid}"
    assert f"belongs to user {BOB.uid}" in message
    assert whose in message
    code = f"""
from queuekeeper import _ownership
from pathlib import Path
answers.append(_ownership.heir(Path({str(path)!r})))
"""
    modules = (str(Path(__file__).parents[2] / "python" / "src"),)
    assert users.run(place, path, ROOT, [], code, modules) == [-1 if around is ROOT else ALICE.uid]


@pytest.mark.parametrize("order", ["rotate", "latest"])
def test_a_name_that_leads_to_roots_database_for_a_moment_gives_nothing_of_it(
    place: Place, order: str
) -> None:
    """Bob's database is open when its name becomes a link to root's; both keep their backups in
    root's directory, to which bob's `backups` is a link."""
    private = place.make_queue(SCHEMA.read_text(), ROOT, 0o600, "private")
    private.parent.chmod(0o700)
    place.run(private, ROOT, *SETTLE, *["SELECT queue_backup()"] * 3)
    path = place.make_queue(SCHEMA.read_text(), BOB, 0o600)
    place.run(path, BOB, *SETTLE)
    backups = private.parent / "backups"
    (path.parent / "backups").symlink_to(backups)
    new = path.parent / "new.db"
    sql = {
        "rotate": "SELECT queue_rotate(1)",
        "latest": f"SELECT queue_restore('latest', '{new}')",
    }[order]
    before = sorted((private.parent / "backups").glob("*.db"))
    code = f"""
import fcntl, threading
from pathlib import Path
connection = apsw.Connection({str(path)!r})
connection.enableloadextension(True)
connection.loadextension({str(place.library)!r})
connection.execute("BEGIN; SELECT count(*) FROM task_queue").fetchall()
def swap():
    os.rename({str(path)!r}, {str(path)!r} + ".kept")
    os.symlink({str(private)!r}, {str(path)!r})
def heard(action, table, *_):
    if table == "queuekeeper_settings" and not os.path.islink({str(path)!r}):
        swap()
    return apsw.SQLITE_OK
lock = open({str(backups / "backup_manifest.json.lock")!r})
def waited():
    return [each for each in Path("/proc/self/fd").iterdir()
            if each.exists() and each.samefile(lock.name)][1:]
def held():
    while not waited():
        pass
    swap()
    lock.close()
thread = threading.Thread(target=held)
if {order!r} == "latest":
    connection.setauthorizer(heard)
else:
    fcntl.flock(lock, fcntl.LOCK_EX)
    thread.start()
try:
    answers.append(connection.execute({sql!r}).fetchall())
except apsw.Error as error:
    answers.append(str(error))
if thread.ident:
    thread.join()
answers.append(os.path.islink({str(path)!r}))
"""
    answer, swapped = users.run(place, path, ROOT, [], code)
    assert swapped
    assert sorted((private.parent / "backups").glob("*.db")) == before
    assert not new.exists()
    expected = "[[0]]" if order == "rotate" else "only of others"
    assert expected in str(answer)


#: Where bob's database lies, and what he puts his link in the place of.
WAYS = ["backups", "around", "several", "sticky"]


@pytest.mark.parametrize("way", WAYS)
def test_a_link_of_another_user_gives_and_deletes_nothing_of_roots(place: Place, way: str) -> None:
    private = place.make_queue(SCHEMA.read_text(), ROOT, 0o600, "private")
    private.parent.chmod(0o700)
    made = place.run(private, ROOT, *SETTLE, *["SELECT queue_backup()"] * 3)
    real = Path(json.loads(made[-1][0][0])["backup_path"])
    path = place.make_queue(SCHEMA.read_text(), BOB, 0o600)
    place.run(path, BOB, *SETTLE, "SELECT queue_backup()")
    around = path.parent
    (around / "backups").rename(around / "old")
    if way == "sticky":
        # The link's owner chose it, though nobody else may rename it.
        os.chown(around, 0, 0)
        around.chmod(0o1777)
    if way == "several":
        around.chmod(0o777)
    if way == "around":
        (around / "up").symlink_to(private.parent)
        led = around / "up" / "backups" / real.name
    else:
        (around / "backups").symlink_to(real.parent)
        os.chown(around / "backups", BOB.uid, BOB.gid, follow_symlinks=False)
        led = around / "backups" / real.name
    before = users.owners(private.parent), real.read_bytes()
    row = place.run(private, ROOT, f"SELECT id FROM queue_backups WHERE backup_path = '{real}'")
    ((named,),) = row[0]
    orders = [
        f"SELECT queue_restore('{led}')",
        f"SELECT queue_restore('{named}', NULL, json_object('dir', '{led.parent}'))",
        f"SELECT queue_delete_backup('{led}')",
        f"""SELECT queue_backup('{led}', '{{"overwrite": true}}')""",
    ]
    for order in orders:
        message = place.refused(path, ROOT, order)
        assert f"belongs to user {ROOT.uid}" in message
        assert ("several users" if way == "several" else f"user {BOB.uid}") in message
        assert f"without the link: '{real}'" in message
    assert (users.owners(private.parent), real.read_bytes()) == before
    # Of the directory that the error names, all of it is possible.
    place.run(path, ROOT, f"SELECT queue_verify('{led}')", f"SELECT queue_delete_backup('{real}')")
    # Nor does a rule for root's own database delete what a link of bob's leads to.
    sql = f"SELECT queue_rotate(1, '{led.parent}')"
    assert place.run(private, ROOT, sql, sql.replace(str(led.parent), str(real.parent))) == [
        [[0]],
        [[1]],
    ]


def test_a_link_of_a_user_to_a_directory_of_that_users_is_used_by_root(place: Place) -> None:
    path = queue_of(place, BOB)
    disk = place.path / "disk"
    disk.mkdir()
    os.chown(disk, BOB.uid, BOB.gid)
    (path.parent / "backups").symlink_to(disk)
    orders = ["SELECT queue_backup()"] * 3
    place.run(path, BOB, *orders)
    place.run(path, ROOT, *orders, "SELECT queue_restore('latest')")
    assert place.run(path, ROOT, "SELECT queue_rotate(1)") == [[[6]]]


@pytest.mark.parametrize("mode", [0o770, 0o757], ids=["group", "all"])
def test_who_may_write_the_directory_of_a_database_gets_nothing_of_its_owner(
    place: Place, mode: int
) -> None:
    path = queue_of(place, ALICE, 0o600)
    os.chown(path.parent, ALICE.uid, WORKERS)
    path.parent.chmod(mode)
    answers = claim_of_alices(place, path)
    assert "several users may replace" in answers
    assert heir_of(place, path) == -1


@pytest.mark.parametrize("owner", [ALICE, ROOT], ids=["alice", "root"])
@pytest.mark.parametrize("mode", [0o660, 0o606, 0o664])
def test_who_may_write_and_read_a_database_gets_nothing_that_is_closed_to_them(
    place: Place, owner: User, mode: int
) -> None:
    path = queue_of(place, owner, mode)
    os.chown(path, owner.uid, WORKERS)
    assert "more users may read" in claim_of_alices(place, path, owner)
    assert heir_of(place, path) == owner.uid


def claim_of_alices(place: Place, path: Path, owner: User = ALICE) -> str:
    """Root's answers to rows that claim a private backup of the same owner's."""
    private = place.make_queue(SCHEMA.read_text(), owner, 0o600, "private")
    private.parent.chmod(0o700)
    name = "SELECT queue_set('queue_name', 'orders')"
    ((made,),) = place.run(private, owner, *SETTLE, name, "SELECT queue_backup()")[-1]
    former = f"SELECT queue_set('former_paths', '{json.dumps([str(private)])}')"
    directory = f"SELECT queue_set('backup_dir', '{private.parent}/backups')"
    place.run(path, owner, name, former, directory)
    answer = place.refused(path, ROOT, "SELECT queue_restore('latest')")
    # Where they were made nothing lies, so the doubts of a push are no reason.
    private.unlink()
    remote = str(place.path / "remote")
    code = f"""
from queuekeeper.offsite import Offsite
with queuekeeper.open({str(path)!r}) as queue, Offsite(queue, {remote!r}) as copies:
    done = copies.push()
    answers += [done.pushed, [each.backup_path for each in done.skipped]]
"""
    pushed, skipped = users.run(place, path, ROOT, [], code, MODULES)
    assert (pushed, skipped) == ([], [Path(json.loads(made)["backup_path"]).name])
    return answer


def heir_of(place: Place, path: Path) -> int | None:
    """Who gets what root passes on for a database, as the package sees it."""
    code = f"""
from queuekeeper import _ownership
from pathlib import Path
answers.append(_ownership.heir(Path({str(path)!r})))
"""
    found: list[int | None] = users.run(place, path, ROOT, [], code, MODULES)
    return found[0]


@pytest.mark.parametrize("link", ["file", "directory"])
def test_who_may_replace_a_database_behind_a_link_gets_nothing_of_others(
    place: Place, link: str
) -> None:
    """Root's database lies in root's directory, and that in one of alice's."""
    around = place.path / "alice"
    around.mkdir()
    os.chown(around, ALICE.uid, ALICE.gid)
    made = place.make_queue(SCHEMA.read_text(), ROOT, 0o600, "alice/q")
    path = place.path / "link.db"
    if link == "directory":
        (place.path / "link").symlink_to(made.parent)
        path = place.path / "link" / made.name
    else:
        path.symlink_to(made)
    assert heir_of(place, path) == ALICE.uid
    private = place.make_queue(SCHEMA.read_text(), ROOT, 0o600, "private")
    name = "SELECT queue_set('queue_name', 'orders')"
    place.run(private, ROOT, *SETTLE, name, "SELECT queue_backup()")
    former = f"SELECT queue_set('former_paths', '{json.dumps([str(private)])}')"
    directory = f"SELECT queue_set('backup_dir', '{private.parent}/backups')"
    other = place.make_queue(SCHEMA.read_text(), ROOT, 0o600, "other")
    place.run(other, ROOT, name, former, directory)
    # Without its last link, which is refused as a target.
    target = made if link == "file" else path
    sql = f"""SELECT queue_restore('latest', '{target}', '{{"overwrite": true}}')"""
    message = place.refused(other, ROOT, sql)
    assert f"a database of user {ALICE.uid}" in message


@pytest.mark.parametrize("victim", ["there", "gone"])
def test_root_pushes_nothing_of_another_user_that_only_rows_claim(
    place: Place, victim: str
) -> None:
    private = place.make_queue(SCHEMA.read_text(), BOB, 0o600, "private")
    name = "SELECT queue_set('queue_name', 'orders')"
    ((answer,),) = place.run(private, BOB, *SETTLE, name, "SELECT queue_backup()")[-1]
    if victim == "gone":
        private.unlink()
    path = queue_of(place, ALICE)
    former = f"SELECT queue_set('former_paths', '{json.dumps([str(private)])}')"
    directory = f"SELECT queue_set('backup_dir', '{private.parent}/backups')"
    place.run(path, ALICE, name, former, directory)
    ((moved,),) = place.run(path, ROOT, "SELECT queue_backup()")[-1]
    remote = path.parent / "remote"
    code = f"""
from queuekeeper.offsite import Offsite
with queuekeeper.open({str(path)!r}) as queue, Offsite(queue, {str(remote)!r}) as copies:
    done = copies.push()
    answers += [done.pushed, [each.backup_path for each in done.skipped]]
"""
    modules = (str(Path(__file__).parents[2] / "python" / "src"),)
    pushed, skipped = users.run(place, path, ROOT, [], code, modules)
    assert pushed == [Path(json.loads(moved)["backup_path"]).name]
    assert skipped == [Path(json.loads(answer)["backup_path"]).name]


def test_root_restores_the_latest_of_a_queue_that_its_owner_moved(place: Place) -> None:
    path = queue_of(place, ALICE)
    place.run(path, ALICE, "SELECT queue_set('queue_name', 'orders')", "SELECT queue_backup()")
    moved = place.path / "moved"
    path.parent.rename(moved)
    place.run(moved / path.name, ROOT, "SELECT queue_restore('latest')")


def test_what_root_gives_away_is_the_directory_that_it_made(place: Place) -> None:
    """The owner turns a link on the way, behind the making and again behind the opening."""
    path = queue_of(place, ALICE)
    modules = (str(Path(__file__).parents[2] / "python" / "src"),)
    outside, way, link = place.path / "outside", path.parent / "way", path.parent / "link"
    (outside / "made").mkdir(parents=True)
    (outside / "made").chmod(0o700)
    way.mkdir()
    os.chown(way, ALICE.uid, ALICE.gid)
    link.symlink_to(way)
    code = f"""
from pathlib import Path
from queuekeeper import _ownership as ownership
link, way, outside = map(Path, {[str(link), str(way), str(outside)]!r})
made = turns = 0
def turn(target):
    global turns
    turns += 1
    link.unlink()
    link.symlink_to(target)
def heard(event, arguments):
    global made
    if event == "os.mkdir":
        made = 1
    elif made == 1 and event == "open":
        made = 2
        turn(outside)
    elif made == 2 and event == "os.listdir":
        made = 3
        turn(way)
sys.addaudithook(heard)
ownership.make_directories(link / "made", ownership.of(Path({str(path)!r})))
answers.append(turns)
"""
    assert users.run(place, path, ROOT, [], code, modules) == [2]
    found = users.owners(place.path)
    assert found["outside/made"] == (0, 0, 0o700)
    assert found["q/way/made"] == (ALICE.uid, ALICE.gid, 0o770)
