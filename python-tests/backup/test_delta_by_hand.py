"""Every kind of artifact is restored with stock tools alone, by the page's own commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import OpenPython

from support.artifacts import masked
from support.artifacts.by_hand import APPLY, APPLY_SHELL, CHECK, SHELL, UNPACK
from support.artifacts.kinds import COMPRESSIONS, back_up, change, make_chain
from support.documents.pages import page
from support.queues import Queue
from support.queues.content import content_of_file, content_of_live

PROGRAMS = {"none": ("cp",), "gzip": ("gzip",), "zstd": ("zstd",)}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell and programs")


def shell(script: str, directory: Path) -> str:
    """Runs commands of docs/restore-by-hand.md in a directory."""
    done = subprocess.run(
        ["sh", "-euc", script], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} program")


def lay(artifact: Path, directory: Path) -> None:
    """Puts a backup, under the name that the commands use, where they run."""
    directory.mkdir(exist_ok=True)
    ending = artifact.name[artifact.name.index(".") :]
    shutil.copy(artifact, directory / f"backup{ending}")


@pytest.mark.parametrize("kind", ["full", "snapshot"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_full_backup_and_a_snapshot(
    compression: str, kind: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    need(*PROGRAMS[compression], "sqlite3")
    session = open_python(queue.path)
    made = back_up(session, type=kind, compression=compression)
    hand = tmp_path / "by hand"
    lay(Path(made["backup_path"]), hand)
    shell(SHELL[compression], hand)
    assert shell(CHECK, hand) == "ok"
    session.object("SELECT queue_restore(?, ?)", made["id"], str(tmp_path / "new.db"))
    by_hand, by_library = (hand / "queue.db").read_bytes(), (tmp_path / "new.db").read_bytes()
    assert masked(by_hand) == masked(by_library)
    live = content_of_live(queue.path, tmp_path / "copy.db")
    found = content_of_file(hand / "queue.db")
    assert found == live if kind == "full" else found.plain == live.plain


@pytest.mark.parametrize("way", ["python", "shell"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_chain_of_incrementals(
    compression: str, way: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    need(*PROGRAMS[compression], "sqlite3", "dd", "truncate")
    session = open_python(queue.path)
    chain = make_chain(session, queue, compression, 2)
    with queue.connect() as connection:
        connection.execute("DELETE FROM task_queue WHERE id > 20")
        connection.execute("CREATE TABLE more AS SELECT randomblob(900) FROM task_queue")
        connection.execute("VACUUM")
    chain.append(Path(back_up(session, type="incremental", compression=compression)["backup_path"]))
    assert ".delta." in chain[2].name
    hand = tmp_path / "by hand"
    lay(chain[0], hand)
    shell(SHELL[compression], hand)
    for delta in chain[1:]:
        lay(delta, hand)
        shell(UNPACK[compression], hand)
        if way == "python":
            subprocess.run([sys.executable, "-c", APPLY], cwd=hand, check=True)
        else:
            shell(APPLY_SHELL, hand)
    assert shell(CHECK, hand) == "ok"
    live = content_of_live(queue.path, tmp_path / "copy.db")
    assert content_of_file(hand / "queue.db") == live
    change(queue)
    assert content_of_live(queue.path, tmp_path / "copy.db") != live


def test_the_page_shows_these_commands() -> None:
    shown = page("restore-by-hand")
    for command in (*SHELL.values(), *UNPACK.values(), APPLY, APPLY_SHELL, CHECK):
        assert command.rstrip() in shown, f"the page does not show: {command}"
