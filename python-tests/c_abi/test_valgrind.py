"""Rule 6: under valgrind, no function and no table touches memory that is not its own.

The library is loaded into SQLite's shell, and everything that there is runs there once, also
wrongly. The C functions go through the same in test_c_client.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hosts import find_host
from support.compiling import tool
from support.documents.declared import FUNCTIONS, TABLES
from support.hostile import CALLS
from support.queues import Queue

pytestmark = pytest.mark.rule(6)

VALGRIND = ("--quiet", "--error-exitcode=9", "--leak-check=full", "--keep-debuginfo=yes")
KINDS = ("--show-leak-kinds=definite", "--errors-for-leak-kinds=definite")
SECONDS = 300


def script(library: Path, directory: Path) -> str:
    """Everything, rightly and wrongly."""
    right = [sql.format(dir=directory) for each in CALLS.values() for sql in each]
    wrong = [
        f"{'SELECT' if name in FUNCTIONS else 'SELECT * FROM'} {name}({', '.join([bad] * count)})"
        for name, counts in {**FUNCTIONS, **arguments_of_tables()}.items()
        for count in counts
        if count > 0
        for bad in ("x'00'", "'{'")
    ]
    lines = [f".load {library}", *(f"{sql};" for sql in (*right, *wrong))]
    return "\n".join([*lines, "SELECT 'the end';", ".quit", ""])


def arguments_of_tables() -> dict[str, tuple[int, ...]]:
    """For each table the most arguments that it takes."""
    return {name: (len(arguments),) for name, (_, arguments) in TABLES.items()}


def test_the_loaded_library_is_clean_under_valgrind(queue: Queue, library: Path) -> None:
    shell = find_host("shell")
    if shell.missing:
        pytest.skip(shell.missing)
    queue.backups.mkdir()
    done = subprocess.run(
        [tool("valgrind"), *VALGRIND, *KINDS, shell.program, str(queue.path)],
        cwd=queue.directory,
        input=script(library, queue.directory),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    # The shell's own status is 1 after a statement that failed.
    assert done.returncode in (0, 1), done.stderr[-4000:]
    assert "==" not in done.stderr, done.stderr[-4000:]
    assert done.stdout.rstrip().endswith("the end")
    assert "backup_path" in done.stdout
    refused = [line for line in done.stderr.splitlines() if "queue_" in line]
    assert len(refused) >= 20, done.stderr[-4000:]
