"""scripts/bench as a whole, on a queue so small that only its working is proved."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import raw, tables
from benchmarks.goals import OURS_UNDER_LOAD
from benchmarks.idle import incremental_name
from benchmarks.raw import Records

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs of POSIX")

ROOT = Path(__file__).parents[2]
PLOTS = ("changes", "growth", "idle", "load")
#: What cannot be measured without a program.
COMPRESSED = {"then zstd -3 -T0", "then gzip", "then sha256sum"}
NEEDING: dict[str, set[str]] = {
    "sqlite3": {".backup", "VACUUM INTO", "PRAGMA quick_check", "then integrity_check"}
    | COMPRESSED,
    "sqlite3_rsync": {"sqlite3_rsync"},
    "zstd": {"zstd -1 -T0", "then zstd -3 -T0"},
    "gzip": {"gzip -1", "then gzip"},
    "sha256sum": {"then sha256sum"},
}


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "bench"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.slow(60)
def test_the_command_measures_everything_and_makes_the_page(tmp_path: Path) -> None:
    results = tmp_path / "results"
    where = ("--directory", tmp_path / "queues", "--output", results)
    asked = ("--size", "1MB", "--minutes", "9")
    done = bench(*asked, "--rounds", "1", "--alone", "0.2", *where)
    assert done.returncode == 0, done.stdout + done.stderr
    found = raw.read(results / "raw.json")
    assert found.about["command"] == "scripts/bench --size 1MB --minutes 9"
    check_that_all_is_measured(found)
    check_incrementals(found)
    check_load(found)
    check_page(results, found)
    check_plots(results)
    assert list((tmp_path / "queues").iterdir()) == []
    for file in results.iterdir():
        assert str(tmp_path) not in file.read_text("utf-8"), f"{file} names a local directory"
    check_that_the_page_can_be_made_anew(results)


def check_that_all_is_measured(found: Records) -> None:
    """Every call of ours, and every peer whose program is there."""
    peers = {name for names in tables.PEERS for name in names}
    wanted = peers | set(tables.OURS) | set(tables.LIMITS)
    for program in found.about["missing"]:
        wanted -= NEEDING[program]
    assert set(found.names("1MB", "idle")) == wanted
    assert set(OURS_UNDER_LOAD) <= set(found.names("1MB", "load"))
    assert {record.group for record in found.all} == {"idle", "load", "tasks", "catalogs"}
    assert all(record.run.seconds > 0 for record in found.all)


def check_incrementals(found: Records) -> None:
    """They store the pages that were changed."""
    for share in (0.01, 0.1):
        (run,) = found.of("1MB", incremental_name(share)).values()
        assert run.found["backup_type"] == "incremental"
        # The counters of a commit in page 1 come on top.
        assert run.found["pages_stored"] == pytest.approx(run.found["page_count"] * share, abs=3)


def check_load(found: Records) -> None:
    """Others commit before and during the runs."""
    runs = [record.run for record in found.all if record.group == "load"]
    for run in runs:
        # Two at a hundred a second for 0.2 s; fewer on a busy machine.
        assert 2 <= len(run.found["before_us"]) <= 60
        assert run.found["wal_bytes"] > 0
    assert any(run.found["during_us"] for run in runs)


def check_page(results: Path, found: Records) -> None:
    """It shows the figures, the goals and the plots."""
    page = (results / "BENCHMARKS.md").read_text("utf-8")
    (full,) = found.of("1MB", "full").values()
    (copy,) = found.of("1MB", "cp, sync").values()
    assert f"| full | {tables.duration(full.seconds)} |" in page
    assert f"| full ÷ `cp` and sync | **{full.seconds / copy.seconds:.2f}** |" in page
    for name in PLOTS:
        assert f'src="{name}-light.svg"' in page
        assert f'srcset="{name}-dark.svg"' in page


def check_plots(results: Path) -> None:
    for file in (f"{name}-{palette}.svg" for name in PLOTS for palette in ("light", "dark")):
        root = ElementTree.parse(results / file).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        # As words: a text that became a path could not be found in the page.
        assert len(list(root.iter("{http://www.w3.org/2000/svg}text"))) > 5, file


def check_that_the_page_can_be_made_anew(results: Path) -> None:
    page = results / "BENCHMARKS.md"
    before = page.read_text("utf-8")
    page.unlink()
    done = bench("--page", "--output", results)
    assert done.returncode == 0, done.stderr
    assert page.read_text("utf-8") == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--size", "much"), "'MUCH' is no size"),
        (("--only", "nonsense"), "--only knows"),
        (("--size", "9999999GB"), "GB free"),
    ],
)
def test_wrong_arguments_are_explained(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = bench("--directory", tmp_path, *arguments)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_help_names_every_option() -> None:
    text = (ROOT / "benchmarks" / "__main__.py").read_text("utf-8")
    options = set(re.findall(r'add_argument\(\s*"(--\w+)"', text)) - {"--library"}
    assert options >= {"--size", "--minutes", "--only", "--rounds"}
    shown = bench("--help").stdout
    assert all(option in shown for option in options)
