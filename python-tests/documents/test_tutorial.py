"""docs/tutorial.md: each step answers as shown, one after the other."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.documents.pages import ROOT, blocks, page

#: What differs from run to run.
VARYING = re.compile(r"^/\S+/(?=backups/)|\d{8}_\d{6}(?:_\d+)?", re.M)
BETWEEN = "--- the next step ---"


def test_each_step_answers_as_shown(tmp_path: Path, library: Path) -> None:
    shell = shutil.which("sqlite3")
    if shell is None:
        pytest.skip("no sqlite3 shell on PATH")
    text = page("tutorial")
    make, begin = blocks(text, "sh")[0].splitlines()
    (tmp_path / "target" / "release").mkdir(parents=True)
    (tmp_path / "target" / "release" / library.name).symlink_to(library)
    (tmp_path / "sql").symlink_to(ROOT / "sql")
    subprocess.run(["sh", "-c", make], cwd=tmp_path, check=True, capture_output=True)
    steps, shown = blocks(text, "sql"), blocks(text, "text")
    assert len(steps) == len(shown) > 5
    done = subprocess.run(
        [shell, "-bail", *begin.split()[1:]],
        input=f"\n.print {BETWEEN}\n".join(steps),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split(f"{BETWEEN}\n")
    for step, answer, expected in zip(steps, answers, shown, strict=True):
        assert VARYING.sub("…", answer).strip() == VARYING.sub("…", expected).strip(), step
