"""The results page of scripts/proof."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proof.runner import Result

HEAD = """\
# Proof

What `scripts/proof` found when it was run last. The command makes this page; nothing in it is
written by hand. The tests run a short form of every part, see `tools/test_proof_*.py` and
`faults/test_injected_*.py` in `python-tests/`.
"""


@dataclass(frozen=True)
class Run:
    """When, where and how the command was run."""

    command: str
    facts: Mapping[str, str]


def page(run: Run, results: Sequence[Result]) -> str:
    """The whole page."""
    failures = sum(len(result.failures) for result in results)
    minutes = sum(result.seconds for result in results) / 60
    facts = {**run.facts, "in all": f"{minutes:.1f} minutes, {failures} failures"}
    lines = [HEAD, "```sh", run.command, "```", ""]
    lines += table(("", ""), list(facts.items()))
    lines += ["", *summary(results)]
    for result in results:
        lines += ["", *section(result)]
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; a bar or a line break in a cell would end it."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    ruler = ["---"] * len(head)
    return ["| " + " | ".join(row) + " |" for row in [list(head), ruler, *cells]]


def summary(results: Sequence[Result]) -> list[str]:
    """One line for each part."""
    rows = [
        (
            f"[{result.part.name}](#{anchor(result.part.name)})",
            f"{result.seconds / 60:.1f}",
            str(result.seed),
            str(len(result.failures)),
        )
        for result in results
    ]
    return table(("part", "minutes", "seed", "failures"), rows)


def anchor(name: str) -> str:
    """What a heading is called in a link."""
    kept = "".join(letter for letter in name.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")


def section(result: Result) -> list[str]:
    """What a part does, how often it did it, and what it found."""
    lines = [
        f"## {result.part.name}",
        "",
        *textwrap.wrap(result.part.text, 118, break_on_hyphens=False),
        "",
    ]
    if result.missing:
        lines += [f"Not run on this machine: {result.missing}", ""]
    counts = sorted(result.counts.items())
    lines += table(("what", "how often"), [(what, f"{count:,}") for what, count in counts])
    if result.failures:
        lines += ["", "Failures:", ""]
        lines += [f"- {' '.join(failure.split())}" for failure in result.failures]
    return lines
