"""README.md: short, and its minute works as typed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import OpenPython

from support.documents.pages import README, ROOT, blocks, section
from support.queues import Queue

TEXT = README.read_text("utf-8")
#: What differs from run to run: where the queue lies, and when its backups were made.
VARYING = re.compile(r"^/\S+/(?=backups/)|\d{8}_\d{6}", re.M)


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 150


def test_sixty_seconds_answer_as_shown(tmp_path: Path, library: Path) -> None:
    shell = shutil.which("sqlite3")
    if shell is None:
        pytest.skip("no sqlite3 shell on PATH")
    shown = section(TEXT, "Sixty seconds")
    build, make, begin = blocks(shown, "sh")[0].splitlines()
    assert (build, begin) == ("cargo build --release", "sqlite3 queue.db")
    (tmp_path / "target" / "release").mkdir(parents=True)
    (tmp_path / "target" / "release" / library.name).symlink_to(library)
    (tmp_path / "sql").symlink_to(ROOT / "sql")
    subprocess.run(["sh", "-c", make], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        [shell, "-bail", *begin.split()[1:]],
        input=blocks(shown, "sql")[0],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert VARYING.sub("…", done.stdout) == VARYING.sub("…", blocks(shown, "text")[0])


def test_each_remedy_does_what_it_is_for(queue: Queue, open_python: OpenPython) -> None:
    remedies = re.findall(r"`(SELECT [^`]*;)`", section(TEXT, "It broke"))
    session = open_python(queue.path)
    tasks = session.value("SELECT count(*) FROM task_queue")
    session.rows("SELECT queue_backup()")
    session.rows("DELETE FROM task_queue")
    answers = {sql: session.rows(sql) for sql in reversed(remedies)}
    assert tasks != 0
    assert session.value("SELECT count(*) FROM task_queue") == tasks
    assert answers.pop("SELECT queue_requeue_stale(300);") != [(0,)]
    assert answers.pop("SELECT * FROM queue_integrity();")[0][0] == "ok"
    assert answers.pop("SELECT * FROM queue_history();") == []
    assert all(answers.values())
    assert len(answers) == 4
