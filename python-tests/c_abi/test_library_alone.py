"""The library opens no socket and starts no process: it has no way to ask the system for one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from support.compiling import tool

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files")

#: What a program is started with, a connection made, a name looked up; and other code loaded.
UNWANTED = re.compile(
    r"exec[lv]p?e?|fexecve|execveat|v?fork|clone3?|posix_spawnp?|system|popen|"
    r"socket|socketpair|connect|bind|listen|accept4?|send(to|msg)?|recv(from|msg)?|"
    r"getaddrinfo|gethostby\w+|res_\w+"
)


def test_it_imports_nothing_that_starts_a_program_or_opens_a_socket(library: Path) -> None:
    done = subprocess.run(
        [tool("nm"), "-D", "--undefined-only", str(library)],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines()}
    assert {"open64", "fsync", "dlopen"} <= names
    assert sorted(name for name in names if UNWANTED.fullmatch(name)) == []


def test_it_makes_no_system_call_of_its_own_and_loads_only_sqlite() -> None:
    """`syscall` and `dlopen` could do all of that, too; both are used in few places."""
    sources = {path: path.read_text("utf-8") for path in (ROOT / "src").rglob("*.rs")}
    assert [path.name for path, text in sources.items() if re.search(r"\bsyscall\(", text)] == []
    loads = re.compile(r"\blibc::dlopen\(|\blibloading::|\bLoadLibrary\w*\(")
    assert {path.name for path, text in sources.items() if loads.search(text)} == {
        "libraries.rs",  # SQLite, for the C ABI
        "macho.rs",  # what is in the process already
    }
    assert not any(re.search(r"std::(net|process::Command)\b", text) for text in sources.values())
