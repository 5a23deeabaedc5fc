"""What an authorizer sees of the library, and that the one in docs/security.md denies it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from hosts import Host
from support.documents.declared import FUNCTIONS, TABLES
from support.hostile import CALLS
from support.queues import Queue

pytestmark = pytest.mark.rule(8)

CHILD = Path(__file__).parents[1] / "support" / "hostile" / "authorizer_child.py"
PRAGMA, READ, SELECT, UPDATE, FUNCTION = 19, 20, 21, 23, 31
LOOKS = {"queue_depth", "queue_leases", "queue_stale", "queue_stats", "queue_version"}
#: One that allows everything.
OPEN = "def authorizer(*_): return 0"


def of_the_page() -> str:
    """The authorizer in docs/security.md."""
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    (code,) = (each for each in re.findall(r"```python\n(.*?)```", text, re.S) if "LOOKS" in each)
    return str(code)


def under(
    code: str, host: Host, queue: Queue, library: Path, statements: list[str]
) -> list[dict[str, Any]]:
    if host.name == "shell" or host.scripted:
        pytest.skip("this host offers no authorizer to the tests")
    order = {
        "module": host.module or host.name,
        "directory": host.directory,
        "path": str(queue.path),
        "library": str(library.with_suffix("")) if host.module == "sqlite3" else str(library),
        "code": code,
        "statements": statements,
    }
    done = subprocess.run(
        [host.program, "-I", str(CHILD)],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def plain(queue: Queue) -> dict[str, list[str]]:
    """Every call, by the name of what it calls."""
    return {
        name.removeprefix("FROM ") + ("" if name in FUNCTIONS else "()"): [
            sql.format(dir=queue.directory) for sql in statements
        ]
        for name, statements in CALLS.items()
    }


def test_every_call_is_seen_by_its_name(host: Host, queue: Queue, library: Path) -> None:
    queue.backups.mkdir()
    for name, statements in plain(queue).items():
        answers = under(OPEN, host, queue, library, statements)
        for sql, answer in zip(statements, answers):
            own = [each for each in answer["asked"] if "queue_" in str(each[1:3])]
            if name in FUNCTIONS:
                assert [FUNCTION, None, name] in [each[:3] for each in own], (sql, own)
            else:
                read = [each for each in own if each[0] == READ and each[1] == name[:-2]]
                assert read, (sql, own)


def test_the_pages_authorizer_denies_everything_but_the_looks(
    host: Host, queue: Queue, library: Path
) -> None:
    queue.backups.mkdir()
    calls = plain(queue)
    assert {name.removesuffix("()") for name in calls} == {*FUNCTIONS, *TABLES}
    before = queue.files(), queue.snapshot()
    for name, statements in calls.items():
        looks = name.removesuffix("()") in LOOKS
        counted = f"SELECT count(*) FROM {name}" if name.endswith("()") else f"SELECT {name}('x')"
        odd = [counted, counted.upper()] if name.endswith("()") else []
        for sql, answer in zip(
            [*statements, *odd], under(of_the_page(), host, queue, library, [*statements, *odd])
        ):
            if looks:
                assert answer["error"] is None, (sql, answer["error"])
            else:
                words = ("not authorized", "prohibited")
                assert any(word in str(answer["error"]) for word in words), (sql, answer["error"])
    assert (queue.files(), queue.snapshot()) == before


@pytest.mark.slow
def test_no_host_lets_a_stranger_by_the_pages_authorizer(
    any_host: Host, queue: Queue, library: Path
) -> None:
    queue.backups.mkdir()
    calls = {
        name: each for name, each in plain(queue).items() if name.removesuffix("()") not in LOOKS
    }
    statements = [sql for each in calls.values() for sql in each]
    before = queue.files(), queue.snapshot()
    for sql, answer in zip(statements, under(of_the_page(), any_host, queue, library, statements)):
        assert answer["error"] is not None, sql
    assert (queue.files(), queue.snapshot()) == before


def test_what_the_looks_themselves_ask_for_is_on_the_page(
    host: Host, queue: Queue, library: Path
) -> None:
    """A sandbox that allows less than this has looks that fail."""
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    (listed,) = re.findall(r"The looks themselves ask for these: (.*?)\.\n", text, re.S)
    words = set(re.findall(r"`(\w+)`", listed))
    statements = [sql for name, each in plain(queue).items() for sql in each
                  if name.removesuffix("()") in LOOKS]  # fmt: skip
    pragmas, functions, tables = set(), set(), set()
    for answer in under(OPEN, host, queue, library, statements):
        for action, first, second, *_ in answer["asked"]:
            if action == PRAGMA:
                pragmas.add(first)
            elif action == FUNCTION:
                functions.add(second)
            elif action == READ:
                tables.add(first)
            elif (action, first) != (UPDATE, "sqlite_master"):
                assert action == SELECT, (action, first, second)
    ours = {*FUNCTIONS, *TABLES}
    assert pragmas <= words, pragmas - words
    assert functions - ours <= words, functions - words
    assert {each for each in tables - ours if not each.startswith("task_queue")} <= words, tables
