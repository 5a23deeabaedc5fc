"""The documents, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
README = ROOT / "README.md"


def page(name: str) -> str:
    """A page of docs/."""
    return (DOCS / f"{name}.md").read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading of level two."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """The code of that language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return found


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below that heading, without its head."""
    lines = section(text, heading).split("\n\n|")[1].split("\n\n")[0].splitlines()[2:]
    cells = (re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|")) for line in lines)
    return [[cell.strip() for cell in row] for row in cells]
