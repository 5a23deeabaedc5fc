"""A remote that somebody else writes: what it says is an error in words, and leads nowhere."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Offsite

from support.queues import Queue

pytestmark = [pytest.mark.rule(5), pytest.mark.slow]

#: What stands in the entry of a catalog that the library wrote. Those that it must not believe.
FIELDS = {
    "parent_id": [[], {}, 7, True, "x" * 100_000],
    "source_path": [[], {"a": 1}, 7, None, "\x1b[2J"],
    "queue_name": [[], {}, 7, "\x1b[2J", ""],
    "name": [[], {}, 7, "../..", "\x1b[2J"],
    "id": [[], None, "", "../../x", "\x1b[2J"],
    "backup_path": [None, [], 7, "\x1b]0;x\x07.db", "x" * 300, ".queuekeeper-pull-x", "a\nb.db"],
    "created_at": [None, [], "soon", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"],
    "size_bytes": [-1, 1.5, True, None, "7", 10**400, 2**63],
    "checksum": [None, [], "", "00"],
    "hash_file_checksum": [False, [], 7, "00"],
    "sequence": [[], "x", -1, 10**400, True],
    "backup_type": [[], None, "\x1b[2J"],
    "task_counts": [[], 7, {"a": "b"}, "x"],
    "deleting": [True, "x"],
}

PROGRAM = """
import copy, hashlib, io
from queuekeeper import Error
from queuekeeper.cli import run
def digest_of(entry):
    others = {key: each for key, each in entry.items() if key != "object_digest"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
def told(*command):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = run([*command, "--db", str(path), "--remote", str(remote)])
    said = output.getvalue() + errors.getvalue()
    assert status in (0, 1, 3) and "Traceback" not in said, (command, status, said)
    assert all(each.isprintable() or each == "\\n" for each in said), (command, said)
    assert len(said) < 1_000_000
    return said
def put(entries):
    for name in ("backup_manifest.json", "backup_manifest.copy.json"):
        (remote / name).write_text(json.dumps(entries))
def rotated():
    copies.rotate(1, dry_run=True)
chain("daily", 2)
copies.push()
good = json.loads((remote / "backup_manifest.json").read_text())
outside = path.parent.parent / "outside"
"""


@pytest.mark.parametrize("field", FIELDS)
def test_an_entry_of_any_content_is_an_error_in_words(
    field: str, offsite: Offsite, queue: Queue
) -> None:
    before = queue.snapshot()
    offsite(
        PROGRAM
        + textwrap.dedent(f"""
        for value in {FIELDS[field]!r}:
            for sealed in (True, False):
                entries = copy.deepcopy(good)
                entries[-1][{field!r}] = value
                if sealed:
                    entries[-1]["object_digest"] = digest_of(entries[-1])
                put(entries)
                calls = [copies.list, copies.check, copies.pull, copies.push, copies.link]
                for call in (*calls, lambda: copies.pull("all"), rotated):
                    with contextlib.suppress(Error):
                        call()
            told("offsite", "list")
        finish()
        """),
    )
    assert queue.snapshot() == before


def test_what_is_no_catalog_or_too_large_is_refused_before_it_is_fetched(offsite: Offsite) -> None:
    offsite(
        PROGRAM
        + textwrap.dedent("""
        def refused_by_all(words):
            for call in (copies.list, copies.check, copies.pull, copies.push):
                assert words in refused(call), call
        for content in (b"", b"[", b"{}", b"[[]]", b"null", b"\\xff", b"[" * 100_000):
            for name in ("backup_manifest.json", "backup_manifest.copy.json"):
                (remote / name).write_bytes(content)
            refused_by_all(str(remote))
        # A file of zeros takes no room there; here it would.
        for name in ("backup_manifest.json", "backup_manifest.copy.json"):
            os.truncate(remote / name, 1 << 40)
        refused_by_all("longer than 67108864 bytes")
        put(good)
        os.truncate(remote / good[-1]["backup_path"], 1 << 42)
        shutil.rmtree(path.parent / "backups")
        assert "bytes left" in refused(copies.pull)
        assert list((path.parent / "backups").glob("*.db*")) == []
        finish()
        """),
    )


@pytest.mark.skipif(os.name == "nt", reason="files have no such permissions here")
@pytest.mark.parametrize(("mode", "others"), [(0o600, 0o077), (0o640, 0o027), (0o644, 0)])
def test_a_copy_in_a_directory_is_read_by_nobody_who_may_not_read_the_queue(
    mode: int, others: int, offsite: Offsite, queue: Queue
) -> None:
    queue.path.chmod(mode)
    offsite(
        """
        os.umask(0o022)
        queue.backup()
        copies.push()
        finish()
        """,
    )
    made = list((queue.directory / "remote").rglob("*"))
    assert len(made) == 4
    for each in [queue.directory / "remote", *made]:
        assert not each.stat().st_mode & others, each


def test_what_the_settings_claim_of_another_database_is_not_pushed(offsite: Offsite) -> None:
    """Whoever writes the rows of one database reads no other by that."""
    offsite(
        """
        victim = path.parent / "victim" / "queue.db"
        victim.parent.mkdir()
        with queuekeeper.open(path) as source:
            source.backup(str(path.parent / "copy.db"))
        (path.parent / "copy.db").rename(victim)
        with queuekeeper.open(victim) as other:
            other.set("queue_name", "orders")
            made = {other.backup().path.name for _ in range(2)}
        queue.set("queue_name", "orders")
        queue.set("former_paths", json.dumps([str(victim)]))
        queue.set("backup_dir", str(victim.parent / "backups"))
        own = queue.backup().path.name
        with Offsite(queue, str(remote)) as thief:
            done = thief.push()
        assert done.pushed == [own], done
        assert {each.backup_path for each in done.skipped} == made, done
        assert all("another database lies now" in each.reason for each in done.skipped)
        assert names() and not made & set(names())
        finish()
        """,
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_a_catalog_that_is_no_file_is_waited_for_by_nobody(kind: str, offsite: Offsite) -> None:
    offsite(
        f"""
        queue.backup()
        assert copies.push().pushed
        manifest = path.parent / "backups" / "backup_manifest.json"
        aside = manifest.rename(path.parent / "aside.json")
        put = dict(pipe=os.mkfifo, link=lambda to: to.symlink_to(aside), directory=os.mkdir)
        put[{kind!r}](manifest)
        signal.alarm(30)
        for call in (copies.push, copies.check):
            said = refused(call)
            assert str(manifest) in said and "no file" in said, said
        finish()
        """,
    )


@pytest.mark.skipif(os.name == "nt", reason="closing a file drops no locks here")
@pytest.mark.parametrize("which", ["its own", "another", "itself"])
def test_a_catalog_that_is_a_database_takes_no_lock_away(which: str, offsite: Offsite) -> None:
    """Closing any descriptor of a file drops the process's POSIX locks on it."""
    offsite(
        f"""
        import sqlite3, subprocess
        queue.backup()
        manifest = path.parent / "backups" / "backup_manifest.json"
        manifest.unlink()
        victims = {{"its own": path, "another": path.parent / "another.db", "itself": manifest}}
        victim = victims[{which!r}]
        held = sqlite3.connect(victim, isolation_level=None)
        held.execute("PRAGMA journal_mode=DELETE")
        held.execute("CREATE TABLE IF NOT EXISTS held(x)")
        if victim != manifest:
            os.link(victim, manifest)
        held.execute("BEGIN IMMEDIATE")
        for call in (copies.push, copies.check):
            said = refused(call)
            assert "a database that is open" in said or "catalog" in said, said
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0).execute('BEGIN IMMEDIATE')"
        command = [sys.executable, "-c", code, str(victim)]
        other = subprocess.run(command, capture_output=True, text=True)
        assert "locked" in other.stderr, other
        held.execute("COMMIT")
        finish()
        """,
    )


@pytest.fixture
def nesting(queue: Queue) -> Iterator[Path]:
    """Where directories may be nested more deeply than Python, and so pytest, removes them."""
    deep = queue.directory / "backups" / ".queuekeeper-pull-x"
    yield deep
    subprocess.run(["rm", "-rf", deep], check=True)


@pytest.mark.skipif(os.name == "nt", reason="paths are not as long here")
def test_what_others_nest_in_the_directory_of_a_pull_hinders_none(
    offsite: Offsite, nesting: Path
) -> None:
    offsite(
        f"""
        made = queue.backup().path
        assert copies.push().pushed
        made.unlink()
        deep = path.parent / "backups" / {nesting.name!r}
        os.mkdir(deep)
        here = os.open(deep, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            before, here = here, os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(before)
        os.close(here)
        old = path.parent / "backups" / ".queuekeeper-pull-y"
        old.mkdir()
        (old / "left.db").write_bytes(b"x")
        assert copies.pull("all").fetched == [made.name]
        assert made.exists() and not old.exists()
        finish()
        """,
    )


@pytest.mark.parametrize("way", ["beside it", "as a backup of its own", "in capitals"])
def test_a_file_of_another_tool_does_not_become_a_backup(way: str, offsite: Offsite) -> None:
    """A hash file beside it would say so, and a rotation then delete it."""
    offsite(
        PROGRAM
        + textwrap.dedent(f"""
        import sqlite3
        backups = path.parent / "backups"
        theirs = backups / "other.db"
        with contextlib.closing(sqlite3.connect(theirs)) as connection:
            connection.execute("CREATE TABLE precious(x)")
        sum_of = lambda content: hashlib.sha256(content).hexdigest()
        content = theirs.read_bytes()
        forged = {{**good[0], "id": "forged", "backup_path": theirs.name, "parent_id": None,
            "size_bytes": len(content), "checksum": sum_of(content)}}
        bare = {{**forged}}
        del bare["object_digest"], bare["hash_file_checksum"]
        said = json.dumps(bare).encode()
        magic = b"queuekeeper hashes 1"
        hashes = magic + len(said).to_bytes(4, "little") + said + (4096).to_bytes(8, "little")
        hashes += hashlib.sha256(hashes).digest()
        name = theirs.name + (".HASHES" if {way == "in capitals"} else ".hashes")
        (remote / name).write_bytes(hashes)
        forged["hash_file_checksum"] = sum_of(hashes)
        if {way != "beside it"}:
            forged |= {{"backup_path": name, "checksum": sum_of(hashes), "size_bytes": len(hashes),
                "hash_file_checksum": None}}
        forged["object_digest"] = digest_of(forged)
        put([*good, forged])
        for what in ("all", "forged"):
            said = ""
            with contextlib.suppress(Error):
                said = refused(copies.pull, what)
            queue.backup()
            queue.rotate(1)
            assert theirs.read_bytes() == content
            assert theirs not in [each.path for each in queue.backups()]
            assert not (backups / name).exists()
            words = str(theirs) if {way == "beside it"} else "is no backup's"
            assert words in said, said
        finish()
        """),
    )


def test_a_pull_that_died_between_the_files_of_a_backup_is_finished_by_the_next(
    offsite: Offsite,
) -> None:
    offsite(
        """
        from queuekeeper.offsite import place
        made = queue.backup().path
        copies.push()
        shutil.rmtree(made.parent)
        real = place.put
        def dying(staged, target, like):
            real(staged, target, like)
            raise KeyboardInterrupt
        place.put = dying
        with contextlib.suppress(KeyboardInterrupt):
            copies.pull("all")
        (arrived,) = names(made.parent)
        place.put = real
        files = [made.name, made.name + ".hashes"]
        files.remove(arrived)
        assert copies.pull("all").fetched == files
        assert [each.path for each in queue.backups()] == [made]
        finish()
        """,
    )


def test_what_takes_the_name_of_a_pulled_backup_gets_no_hash_file(offsite: Offsite) -> None:
    offsite(
        """
        from queuekeeper.offsite import place
        made = queue.backup().path
        copies.push()
        content = made.read_bytes()
        shutil.rmtree(made.parent)
        real = place.put
        def late(staged, target, like):
            if target == made:
                made.write_bytes(content)
            return real(staged, target, like)
        place.put = late
        assert "just been made by somebody else" in refused(copies.pull, "all")
        assert names(made.parent) == [made.name]
        place.put = real
        assert "no catalog lists it" in refused(copies.pull, "all")
        assert names(made.parent) == [made.name]
        finish()
        """,
    )


def test_an_entry_that_no_catalog_can_hold_is_no_entry(offsite: Offsite) -> None:
    offsite(
        PROGRAM
        + textwrap.dedent("""
        queue.backup()
        for field in ("name", "x", "queue_name"):
            for value in (chr(0xD800), [chr(0xDFFF)], {chr(0xD800): 1}):
                entries = copy.deepcopy(good)
                entries[0][field] = value
                put(entries)
                for call in (rotated, copies.push, copies.check, copies.list):
                    assert "is no catalog" in refused(call), (field, call)
                told("offsite", "list")
                told("offsite", "push")
        entries = copy.deepcopy(good)
        entries[0]["x"] = "\U0001f600 \\\\ud800"
        put(entries)
        assert len(copies.push().pushed) == 1
        finish()
        """),
    )


def test_no_push_writes_over_the_hash_file_of_another_backup(offsite: Offsite) -> None:
    offsite(
        PROGRAM
        + textwrap.dedent("""
        backups = path.parent / "backups"
        name = good[0]["backup_path"] + ".hashes"
        before = (remote / name).read_bytes()
        forged = {**good[0], "id": "forged", "backup_path": name, "hash_file_checksum": None}
        (backups / name).write_bytes(b"forged")
        forged |= {"checksum": hashlib.sha256(b"forged").hexdigest(), "size_bytes": 6}
        forged["object_digest"] = digest_of(forged)
        (backups / "backup_manifest.json").write_text(json.dumps([forged]))
        (left_out,) = copies.push().skipped
        assert (left_out.backup_path, "hash file" in left_out.reason) == (name, True), left_out
        assert (remote / name).read_bytes() == before
        finish()
        """),
    )
