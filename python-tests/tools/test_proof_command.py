"""scripts/proof: it runs its parts, goes on after failures, and writes the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proof import parts, sanitizers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "proof"


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


@pytest.mark.slow(60)
def test_the_page_says_what_was_done(library: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    options = ("--minutes", "0.1", "--seed", "5", "--only", "corruption,snapshot")
    done = proof(*options, "--page", str(page), target=target_of(library))
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text("utf-8")
    assert 'scripts/proof --minutes 0.1 --seed 5 --only "corruption,snapshot"' in text
    assert " 0 failures |" in text
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
    page = SCRIPT.parents[1] / "docs" / "proof.md"
    before = page.read_bytes() if page.exists() else None
    done = proof("--minutes", "0.01", "--only", "snapshot", target=target_of(library))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (page.read_bytes() if page.exists() else None) == before
    assert "written" not in done.stdout


def test_an_unknown_part_is_refused() -> None:
    done = proof("--only", "unheard of", target=Path("nowhere"))
    assert done.returncode == 2
    assert "there is no part unheard of; there are crash, corruption" in done.stderr


def test_the_parts_are_well_formed() -> None:
    for part in parts.PARTS:
        if not isinstance(part.how, parts.Tests):
            continue
        for name in part.how.files:
            assert (Path(__file__).parents[1] / name).exists(), (part.name, name)
        for pattern in part.how.figures.values():
            assert re.compile(pattern).groups == 1, (part.name, pattern)
        assert part.how.sanitizer in {"", *sanitizers.KINDS}


def test_the_sanitizers_builds_are_well_formed() -> None:
    try:
        tools = sanitizers.address()
    except sanitizers.UnavailableError as error:
        pytest.skip(str(error))
    command = tools.library()
    assert Path(command[0]).name == "cargo"
    assert command[1:] == ["build", "--release", "--target", sanitizers.TARGET]
    assert "-Zsanitizer=address" in tools.environment["RUSTFLAGS"]
    source, reports = sanitizers.amalgamation(), Path("reports")
    assert source.stat().st_size > 1_000_000
    assert str(source) in tools.sqlite(source, Path("made.so"))
    watched = sanitizers.Watched(tools, Path("libqueuekeeper.so"), Path("sqlite/libsqlite3.so.0"))
    environment = watched.environment(reports)
    assert Path(environment["LD_PRELOAD"]).exists()
    assert "log_path=reports/report" in environment["ASAN_OPTIONS"]


def test_reports_of_the_sanitizers_are_found(tmp_path: Path) -> None:
    use = "ERROR: AddressSanitizer: heap-use-after-free on address 0x1\n    #0 f x.rs:1\n"
    leak = "ERROR: LeakSanitizer: detected memory leaks\n\nDirect leak of 3\n    #0 malloc\n"
    race = "WARNING: ThreadSanitizer: data race (pid=10)\n  Write of size 8\n"
    reports = {
        "report.a.7": f"{'=' * 65}\n==a==7==" + use,
        "report.b.8": "\n====\n==8==" + leak,
        "report.c.10": f"{'=' * 18}\n{race}" * 2,
        "other": use,
    }
    for name, text in reports.items():
        (tmp_path / name).write_text(text, "utf-8")
    found = list(sanitizers.findings(tmp_path))
    assert [report.split(": ")[0] for report in found] == [
        "report.a.7",
        "report.b.8",
        "report.c.10",
        "report.c.10",
    ]
    assert "heap-use-after-free" in found[0]
    assert "#0 malloc" in found[1]
