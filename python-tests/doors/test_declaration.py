"""Each operation is declared once, in src/calls/operations.toml; all doors follow from that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython, OpenSession

from commands import steps
from hosts import find_host
from support.documents.declared import OFFERED, OPERATIONS
from support.documents.pages import ROOT
from support.queues import Queue

CORE = """
//! Says a word several times.

use serde::Serialize;

use crate::connection::Caller;
use crate::error::Result;

/// What was said.
#[derive(Serialize)]
pub struct Echo {
    said: String,
}

/// Says `word` twice, or `times` times.
///
/// # Errors
///
/// None.
pub fn echo(_caller: &Caller, word: Option<&str>, times: Option<i64>) -> Result<Echo> {
    let times = usize::try_from(times.unwrap_or(2)).unwrap_or_default();
    Ok(Echo { said: word.unwrap_or_default().repeat(times) })
}
"""
DECLARED = """
[[operation]]
name = "echo"
kind = "function"
does = "Says a word several times."
arguments = ["word: text", "times?: number"]
returns = "JSON: what was `said`"
example = "SELECT queue_echo('ab', 3);"
call = "json(&crate::queue::echo::echo(caller, word, times)?)"
c = "`times`: `QK_DEFAULT` for 2."
"""
METHOD = '''
    def echo(self, word: str, times: int | None = None) -> str:
        """Says a word several times."""
        given = [arguments.text(word, "word"), arguments.number(times, "times")]
        said: str = self._handle.call("qk_echo", list(given))["said"]
        return said
'''
TARGET = ROOT / "target" / "declaration"
ARGUMENTS = "const char *word, int64_t times"
PROGRAM = """
import queuekeeper, sys
with queuekeeper.open(sys.argv[1]) as queue:
    print(queue.echo("ab", 3), queue.echo("c"))
"""


def options_of(message: str) -> list[str]:
    """The keys that an error about an unknown one names."""
    return re.findall(r"`(\w+)`", message.partition("expected")[2])


def test_what_is_checked_in_follows_from_the_declaration() -> None:
    command = [sys.executable, str(ROOT / "scripts/operations"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("name", [each["name"] for each in OFFERED if "options" in each])
def test_the_declared_options_are_those_that_are_taken(
    name: str, queue: Queue, open_python: OpenPython
) -> None:
    (operation,) = [each for each in OPERATIONS if each["name"] == name]
    empty = ", ".join("NULL" for _ in operation["arguments"][:-1])
    call = f"SELECT queue_{name}({empty and empty + ', '}'{{\"unheard\": 1}}')"
    message = open_python(queue.path).error(call).message
    assert sorted(options_of(message)) == sorted(operation["options"])


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The sources, where a test may change them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("the sources are in no git repository")
    copy = tmp_path / "copy"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def declare(copy: Path) -> None:
    """What one does to add an operation."""
    (copy / "src/queue/echo.rs").write_text(CORE.lstrip())
    for path, before, added in (
        ("src/queue/mod.rs", "pub mod leases;\n", "pub mod echo;\n"),
        ("src/calls/operations.toml", "", DECLARED),
        ("python/src/queuekeeper/_queue.py", "\n    # Upkeep\n", METHOD),
    ):
        text = (copy / path).read_text("utf-8")
        place = text.index(before) if before else len(text)
        (copy / path).write_text(text[:place] + added + text[place:], "utf-8")


def seed() -> None:
    """A place for what is built, which lasts; what others wrote may be compiled already."""
    compiled = ROOT / "target" / "debug"
    if TARGET.exists() or not compiled.exists():
        return
    own = shutil.ignore_patterns("*queuekeeper*")
    for part in ("build", "deps", ".fingerprint"):
        shutil.copytree(compiled / part, TARGET / "debug" / part, ignore=own)


def run(copy: Path, *command: str, **env: str) -> str:
    """In the copy."""
    # Of the coverage or the sanitizer of this run it knows nothing.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUST")}
    clean |= {"CARGO_TARGET_DIR": str(TARGET), **env}
    done = subprocess.run(command, cwd=copy, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow(100)
def test_an_operation_that_is_declared_is_behind_every_door(
    copied: Path, queue: Queue, open_session: OpenSession
) -> None:
    """Nothing else is touched than its core, the declaration and a method of the package."""
    declare(copied)
    seed()
    run(copied, sys.executable, "scripts/operations")
    run(copied, "sh", "scripts/header")
    library = TARGET / "debug" / steps.LIBRARY

    session = open_session(find_host("apsw"), queue.path, load=False)
    session.load(library)
    assert session.value("SELECT queue_echo('ab', 3) ->> 'said'") == "ababab"
    assert session.value("SELECT queue_echo('ab') ->> 'said'") == "abab"
    assert "number of arguments" in session.error("SELECT queue_echo()").message

    paths = {"PYTHONPATH": "python/src", "QUEUEKEEPER_LIBRARY": str(library)}
    assert run(copied, sys.executable, "-c", PROGRAM, str(queue.path), **paths) == "ababab cc\n"

    header = " ".join((copied / "include/queuekeeper.h").read_text("utf-8").split())
    assert "Says a word several times. See the SQL function `queue_echo(word [, times])`." in header
    assert f"int qk_echo(qk_queue *queue, {ARGUMENTS}, char **result);" in header
    row = "| `queue_echo(word [, times])` | JSON: what was `said` | `SELECT queue_echo('ab', 3);` |"
    assert row in (copied / "docs/reference.md").read_text("utf-8")
    lists = (
        "import json; from support.documents.declared import *; from hosts.c_driver import CALLS; "
    )
    lists += "print(json.dumps([FUNCTIONS['queue_echo'], CALLS['echo'], EXAMPLES['queue_echo']]))"
    of_tests: Any = json.loads(run(copied, sys.executable, "-c", lists, PYTHONPATH="python-tests"))
    assert of_tests == [[1, 2], ["tn", "text"], "SELECT queue_echo('ab', 3)"]
