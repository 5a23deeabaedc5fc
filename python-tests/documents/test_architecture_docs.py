"""docs/architecture.md: what it names is there, and the sources keep to the floors that it draws.

A use of a module by another that the page does not allow fails here, and a circle; so does a use
that the page allows and that is no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from support.documents.pages import page, rows

PAGE = page("architecture")
SOURCES = ROOT / "src"

Module = tuple[str, ...]
Edges = set[tuple[Module, Module]]

TESTS_ONLY = re.compile(r"#\[cfg\(test\)\]\n(?:pub\(\w+\) )?mod (\w+);")
TESTS_BELOW = re.compile(r"\n#\[cfg\([^\n]*\btest\b[^\n]*\)\]\nmod tests \{.*", re.DOTALL)
COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)
#: A path within the crate, with what it names in braces.
WITHIN = re.compile(r"\b((?:crate|self|super)(?:::\w+)*)((?:::)?\{(?:[^{}]|\{[^{}]*\})*\})?")


def named(path: Path) -> Module:
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return parts[:-1] if parts[-1] == "mod" else parts


def modules() -> dict[Module, str]:
    """Each module that is not for tests alone, with its code."""
    texts = {path: path.read_text("utf-8") for path in sorted(SOURCES.rglob("*.rs"))}
    tests = {
        path.parent / name for path, text in texts.items() for name in TESTS_ONLY.findall(text)
    }
    return {
        named(path): COMMENT.sub("", TESTS_BELOW.sub("", text))
        for path, text in texts.items()
        if path.name != "lib.rs" and tests.isdisjoint({path.with_suffix(""), *path.parents})
    }


def split(text: str) -> list[str]:
    """What is between the commas that lie outside of braces."""
    return re.findall(r"(?:[^{},]|\{[^{}]*\})+", text)


def expanded(path: str) -> Iterator[str]:
    """`a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`."""
    start, brace, rest = path.partition("::{")
    if not brace:
        yield path.partition(" as ")[0].strip()
        return
    for part in split(rest.removesuffix("}")):
        yield from expanded(f"{start.strip()}::{part.strip()}")


def target(module: Module, path: str, known: dict[Module, str]) -> Module:
    """The module that a path leads to; the empty one is the crate itself."""
    first, *rest = path.split("::")
    place = () if first == "crate" else module
    rest = rest if first in ("crate", "self") else [first, *rest]
    while rest and rest[0] == "super":
        place, rest = place[:-1], rest[1:]
    whole = (*place, *rest)
    return next(whole[:end] for end in range(len(whole), -1, -1) if not end or whole[:end] in known)


def uses() -> Edges:
    known = modules()
    found = {
        (module, target(module, path, known))
        for module, text in known.items()
        for start, group in WITHIN.findall(text)
        for path in expanded(start + group)
    }
    return {(one, other) for one, other in found if other and one != other}


def of_floors(edges: Edges) -> set[tuple[str, str]]:
    return {(one[0], other[0]) for one, other in edges if one[0] != other[0]}


def circles(edges: Edges) -> set[frozenset[str]]:
    """Modules of one top module that reach each other, by more than a module and its parts."""

    def nested(one: Module, other: Module) -> bool:
        return one == other[: len(one)] or other == one[: len(other)]

    inner = {(a, b) for a, b in edges if a[0] == b[0] and not nested(a, b)}
    reached: dict[Module, set[Module]] = {}
    for start, _ in inner:
        todo, seen = [start], set[Module]()
        while todo:
            place = todo.pop()
            todo += [b for a, b in inner if a == place and b not in seen]
            seen |= {b for a, b in inner if a == place}
        reached[start] = seen
    return {
        frozenset("::".join(b) for b in [a, *seen] if a in reached.get(b, ()))
        for a, seen in reached.items()
        if a in seen
    }


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def floors() -> dict[str, list[str]]:
    """What each top module may use, the highest first."""
    table = {words(row[0])[0]: words(row[2]) for row in rows(PAGE, "The floors")}
    return {Path(place).stem: uses for place, uses in table.items()}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\bsrc/[\w./]*\w", PAGE))))
def test_each_path_of_the_sources_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z_]+(?:::\w+)+)`", PAGE))))
def test_each_module_is_there(path: str) -> None:
    known = modules()
    parts = tuple(path.split("::"))
    if parts not in known:
        assert parts[:-1] in known
        assert re.search(rf"\bfn {parts[-1]}\b", known[parts[:-1]])


def test_each_child_of_the_sources_is_named() -> None:
    children = {path.name for path in SOURCES.iterdir()}
    named = set(re.findall(r"\bsrc/(\w+(?:\.rs)?)\b", PAGE))
    assert children <= named
    assert sorted(floors()) == sorted({module[0] for module in modules()})


def test_each_module_may_use_only_what_lies_below_it() -> None:
    order = list(floors())
    for place, (module, below) in enumerate(floors().items()):
        assert set(below) <= set(order[place + 1 :]), module


def test_the_sources_use_what_the_page_says_and_nothing_else() -> None:
    allowed = {(module, other) for module, below in floors().items() for other in below}
    assert of_floors(uses()) == allowed


def test_no_modules_use_each_other() -> None:
    assert circles(uses()) == set()


def test_the_readme_and_the_page_for_developers_lead_to_it() -> None:
    assert "(docs/architecture.md)" in (ROOT / "README.md").read_text("utf-8")
    assert "(architecture.md)" in (ROOT / "docs" / "development.md").read_text("utf-8")


def test_how_a_path_is_read() -> None:
    known: dict[Module, str] = {("a",): "", ("a", "b"): "", ("a", "b", "c"): "", ("d",): ""}
    assert list(expanded("crate::{a::{self, b}, d::X as Y}")) == [
        "crate::a::self",
        "crate::a::b",
        "crate::d::X",
    ]
    assert target(("a", "b", "c"), "super::super::b::thing", known) == ("a", "b")
    assert target(("a", "b"), "self::c::Thing", known) == ("a", "b", "c")
    assert target(("a", "b"), "crate::VERSION", known) == ()


def test_what_a_circle_is() -> None:
    one, two, part = ("m", "one"), ("m", "two"), ("m", "one", "part")
    assert circles({(one, two), (two, one)}) == {frozenset({"m::one", "m::two"})}
    assert circles({(one, part), (part, one), (one, two), (one, ("n", "two"))}) == set()
