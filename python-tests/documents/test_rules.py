"""Each of the design's eight rules is held by tests, and by a way to break it that they notice.

So is each topic of commands/mutants.py that no rule covers.

`pytest -m rule` runs all tests that hold a rule; `scripts/mutations` breaks each and writes
docs/mutations.md.
"""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from commands import mutants

TESTS = ROOT / "python-tests"
RULES = range(1, 9)
MARK = re.compile(r"\bmark\.rule\((\d)\)")


def holders() -> dict[int, list[str]]:
    """The files of tests that say which rule they hold, by rule."""
    found: dict[int, list[str]] = {rule: [] for rule in RULES}
    for path in sorted(TESTS.rglob("test_*.py")):
        for rule in sorted(set(MARK.findall(path.read_text("utf-8")))):
            found[int(rule)].append(path.relative_to(TESTS).as_posix())
    return found


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_held_by_tests_and_was_broken_to_see_them_fail(rule: int) -> None:
    assert holders()[rule], f"no test says that it holds rule {rule}"
    assert [one for one in mutants.MUTANTS if one.breaks == rule]


def test_each_way_breaks_a_rule_or_belongs_to_a_topic_and_stands_in_that_order() -> None:
    order = [*RULES, *mutants.TOPICS]
    places = [order.index(one.breaks) for one in mutants.MUTANTS]
    assert places == sorted(places)
    assert set(places) == set(range(len(order)))


def test_each_way_to_break_a_rule_still_fits_the_sources() -> None:
    for one in mutants.MUTANTS:
        text = (ROOT / one.file).read_text("utf-8")
        assert text.count(one.old) == 1, one
        name, *words = one.tests.split()[0].split("::")
        test = (ROOT / "python-tests" / name).read_text("utf-8")
        assert all(f"def {word.split('[')[0]}(" in test for word in words), one


def test_the_written_outcome_is_of_the_same_ways_and_none_was_overlooked() -> None:
    lines = (ROOT / "docs" / "mutations.md").read_text("utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if re.match(r"\| (?!rule |---)", line)]
    written = [(row[0].removeprefix("| "), row[1], row[2].strip("`")) for row in rows]
    assert written == [(str(one.breaks), one.what, one.file) for one in mutants.MUTANTS]
    for row in rows:
        assert re.fullmatch(r"`\w+/test_\w+\.py.*` \|", row[3]), row
