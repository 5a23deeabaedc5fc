"""scripts/proof: it runs its parts, goes on after failures, and writes the page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "proof"


def proof(*arguments: str, target: Path) -> subprocess.CompletedProcess[str]:
    """The command, on the library in that target directory."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--no-build", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(target)},
        timeout=300,
        check=False,
    )


def target_of(library: Path) -> Path:
    """Where cargo has put it."""
    if library.parent.name != "release":
        pytest.skip("QUEUEKEEPER_LIBRARY names a library that cargo has not put there")
    return library.parent.parent


@pytest.mark.slow
def test_the_page_says_what_was_done(library: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    options = ("--minutes", "0.1", "--seed", "5", "--only", "corruption,snapshot")
    done = proof(*options, "--page", str(page), target=target_of(library))
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text("utf-8")
    assert 'scripts/proof --minutes 0.1 --seed 5 --only "corruption,snapshot"' in text
    assert "no failure |" in text
    for line in ("## corruption", "## snapshot", "| cases |", "| transfers |", "apsw 3."):
        assert line in text, text


@pytest.mark.slow
def test_it_goes_on_after_a_failure_and_tells_it(library: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    options = ("--minutes", "0.01", "--seed", "5", "--only", "crash,snapshot")
    # There is no library there.
    done = proof(*options, "--page", str(page), target=tmp_path)
    assert done.returncode == 1
    text = page.read_text("utf-8")
    assert " failures |" in text
    for part in text.split("## ")[1:]:
        assert "Failures:" in part
        assert "- seed 5, round 1, the scene: SqlError: " in part


def test_without_all_parts_the_page_of_the_project_stays(library: Path) -> None:
    page = SCRIPT.parents[1] / "PROOF.md"
    before = page.read_bytes() if page.exists() else None
    done = proof("--minutes", "0.01", "--only", "snapshot", target=target_of(library))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (page.read_bytes() if page.exists() else None) == before
    assert "written" not in done.stdout


def test_an_unknown_part_is_refused() -> None:
    done = proof("--only", "unheard of", target=Path("nowhere"))
    assert done.returncode == 2
    assert "there is no part unheard of; there are crash, corruption" in done.stderr
