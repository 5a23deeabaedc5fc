"""docs/security.md: each "cannot" names tests that are run, and each setting its worst value."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ROOT, MakeQueue, OpenPython

from support.documents.pages import page, rows

TESTS = ROOT / "python-tests"
PAGES = [
    str(path.relative_to(ROOT)) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
]
PAGE = page("security")
#: A file of tests, or one of its tests.
NAMED = re.compile(r"`(?:python-tests/)?(\w+/test_\w+\.py)(?:::(test_\w+))?`")


def test_each_named_test_is_there() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 30
    for file, test in named:
        path = TESTS / file
        assert path.exists(), file
        assert not test or f"\ndef {test}(" in path.read_text("utf-8"), (file, test)


def test_each_writer_has_a_row_and_what_it_cannot_do_is_held_by_tests_that_are_run() -> None:
    table = rows(PAGE, "Who can write what")
    assert len(table) == 12
    held = []
    for writer, can, cannot, tests in table[:-1]:
        assert can, writer
        assert cannot, writer
        found = NAMED.findall(tests)
        assert found, writer
        held += ["::".join(filter(None, each)) for each in found]
    # The process itself: nothing.
    assert table[-1][0].startswith("**the process itself**")
    assert table[-1][2:] == ["", ""]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(f"python-tests/{each}" for each in sorted(set(held)))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for each in held:
        assert f"\n{each}" in f"\n{done.stdout}", each


def test_each_setting_has_its_worst_value_once(make: MakeQueue, open_python: OpenPython) -> None:
    known = [
        str(name) for (name,) in open_python(make().path).rows("SELECT name FROM queue_settings()")
    ]
    table = rows(PAGE, "What a setting can do at worst")
    documented = [name for row in table for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(documented) == sorted(known)
    assert all(len(row) == 2 and len(row[1]) > 20 for row in table)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text("utf-8"))
    for file, part in links:
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), (name, file)
        if part:
            heads = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert part in anchors, (name, file, part)
