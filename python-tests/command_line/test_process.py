"""The command line as a process: on a terminal and off it, interrupted, without its libraries."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeQueue
from rich.cells import cell_len

from support.eventually import until_writing
from support.package import LIMIT_SECONDS, Package
from support.package.terminal import HAS_TERMINALS, on_a_terminal
from support.queues import Queue, Shape, grow


@pytest.mark.parametrize("program", ["script", "module"])
def test_the_program_as_a_process(program: str, package: Package, queue: Queue) -> None:
    command = (
        [str(package.command)]
        if program == "script"
        else [str(package.python), "-m", "queuekeeper"]
    )
    environment = {**os.environ, "PRISMQ_QUEUE_DB_PATH": str(queue.path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": LIMIT_SECONDS}
        return subprocess.run([*command, *arguments], env=environment, check=False, **options)

    version = run("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("queuekeeper ")
    # No progress, no colours and no columns cut off where nobody looks.
    made = run("backup", "--verify", "full")
    assert (made.returncode, made.stderr) == (0, "")
    assert "\033" not in made.stdout
    listed = run("backups")
    (backup,) = queue.backups.glob("*.db")
    assert backup.name in listed.stdout
    assert run("stats", "--no-such").returncode == 64
    failed = run("stats", "--db", "/no-such.db")
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (3, "", 1)


#: Runs a program on a terminal of 80 columns; what it wrote, and its status.
ON_A_TERMINAL = """
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
written = b""
while True:
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break
    if not more:
        break
    written += more
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(written)
sys.exit(status)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals like these")
@pytest.mark.parametrize("plain", [False, True])
def test_on_a_terminal_there_are_colours_and_a_bar(
    plain: bool, own: Package, make: MakeQueue
) -> None:
    queue = make(Shape(stale_leased=5))
    grow(queue, 60)
    environment = {**os.environ, "TERM": "xterm-256color", "PRISMQ_QUEUE_DB_PATH": str(queue.path)}
    environment.pop("NO_COLOR", None)
    if plain:
        environment["NO_COLOR"] = "1"

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", ON_A_TERMINAL, str(own.command), *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.decode()

    bar = run("backup", "--verify", "full")
    assert "Backing up" in bar
    assert "Copying" in bar
    assert "Checking" in bar
    assert " MiB" in bar
    assert "left" in bar
    assert ("\033[3" in bar) != plain
    table = run("leases", "--stale", "--db", str(queue.path))
    assert max(map(len, re.sub("\033.*?m", "", table).splitlines())) <= 80
    coloured = run("verify")
    assert ("\033[32mok" in coloured) != plain


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals like these")
def test_the_history_can_be_read_on_a_terminal(own: Package, queue: Queue) -> None:
    own.cli("set", "backup_dir", queue.path, "--db", queue.path)
    assert own.cli("run-due", queue.path).returncode == 1
    with queue.connect() as connection:
        connection.execute(
            "UPDATE queuekeeper_log SET detail = detail || ? WHERE status = 'failed'",
            ("; 盘" + 60 * "满" + "\033[2J [bold] " + 90 * "/long",),
        )
    entries = json.loads(own.cli("history", queue.path, "--json").stdout)
    command = [sys.executable, "-c", ON_A_TERMINAL, str(own.command), "history", str(queue.path)]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT_SECONDS, check=False)
    lines = re.sub("\033.*?m", "", done.stdout.decode()).splitlines()
    assert done.returncode == 0
    assert max(cell_len(line) for line in lines) <= 80
    (error,) = {each["detail"] for each in entries if each["status"] == "failed"}
    words = error.replace("\033", "\\x1b").replace(" ", "")
    shown = "".join("".join(lines).split())
    assert shown.count(words) == sum(each["status"] == "failed" for each in entries) > 1
    # A line for each step, and one for the head, besides those of the errors.
    assert sum(not line.startswith(" ") for line in lines) == 1 + len(entries)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_ctrl_c_in_a_long_backup_stops_within_a_second_and_leaves_nothing(
    package: Package, make: MakeQueue
) -> None:
    queue = make()
    grow(queue, 300)
    files = queue.files()
    command = [str(package.command), "backup", "--compression", "zstd", "--level", "19"]
    process = subprocess.Popen(
        [*command, "--db", str(queue.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until_writing(queue.backups, 0)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    output, errors = process.communicate(timeout=LIMIT_SECONDS)
    # A second, on a machine that is not busy with other tests.
    assert time.monotonic() - begun < 3
    assert (process.returncode, output) == (130, b"")
    # The first line is what ends the one with ^C in it.
    assert errors == b"\nqueuekeeper: interrupted\n"
    assert queue.files() == files


def test_without_the_libraries_it_says_what_to_install(own: Package, tmp_path: Path) -> None:
    for name in ("click", "rich"):
        # An empty entry in sys.modules is what a missing package looks like.
        program = (
            f"import sys; sys.modules['{name}'] = None; sys.argv = ['queuekeeper', 'stats']; "
            "import runpy; runpy.run_module('queuekeeper', run_name='__main__')"
        )
        done = subprocess.run(
            [str(own.python), "-c", program],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 3, done.stderr
        assert "pip install 'queuekeeper[cli]'" in done.stderr
        assert done.stderr.count("\n") == 1


def test_what_is_in_the_queue_does_nothing_to_the_terminal(own: Package, queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute("UPDATE task_queue SET locked_by = ?", ("\033[2Jł[bold]\r\n\u202e",))
    poor = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    for environment, shown in ((None, "ł"), (poor, "\\u0142")):
        done = own.cli("leases", "--stale", "--db", queue.path, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"\\x1b[2J{shown}[bold]\\r\\n\\u202e" in done.stdout
        assert done.stdout.count("leased") == 7 - 2


@pytest.mark.parametrize("command", ["depth", "leases"])
def test_a_text_in_the_queue_that_is_not_utf8_is_shown(
    command: str, own: Package, queue: Queue
) -> None:
    odd = "CAST(x'61ff1b62' AS TEXT)"
    column = "status" if command == "depth" else "locked_by"
    with queue.connect() as connection:
        connection.execute("PRAGMA ignore_check_constraints=1")
        connection.execute(f"UPDATE task_queue SET {column} = {odd} WHERE locked_by IS NOT NULL")
    done = own.cli(command, "--db", queue.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a\ufffd\\x1bb" in done.stdout
    as_json = own.cli(command, "--db", queue.path, "--json")
    found = {row[column] for row in json.loads(as_json.stdout)}
    assert "a\ufffd\x1bb" in found


@pytest.mark.parametrize(
    "odd", ["\x7f", "\x9b2J", "a\u202eb", "\u2028", "\U000e0001", "\n\t", "ł😀"]
)
def test_json_is_escaped_and_says_the_same(odd: str, own: Package, queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute("UPDATE task_queue SET locked_by = ?", (odd,))
    done = own.cli("leases", "--json", "--db", queue.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["locked_by"] for row in json.loads(done.stdout)} == {odd}
    assert all(each.isprintable() or each == "\n" for each in done.stdout)
    assert ("ł😀" in done.stdout) == (odd == "ł😀")


def test_what_reads_the_output_may_leave(own: Package, queue: Queue) -> None:
    process = subprocess.Popen(
        [str(own.command), "settings", "--db", str(queue.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert errors == b""


def test_json_is_all_of_it(own: Package, queue: Queue) -> None:
    done = own.cli("stats", "--json", "--db", queue.path)
    shown = json.loads(done.stdout)
    assert done.returncode == 0
    assert shown["path"] == str(queue.path)
    assert len(shown) == 13


@pytest.mark.skipif(os.name == "nt", reason="no sh")
def test_closed_streams_end_in_no_traceback(own: Package, queue: Queue) -> None:
    assert own.cli("backup", queue.path).returncode == 0
    for closing, words, status in (
        ("<&-", ["delete", queue.path, "latest"], 0),
        ("2>&-", ["depth", queue.directory / "none.db"], 3),
        (">&- 2>&- <&-", ["depth", queue.path], 0),
    ):
        script = f'exec "$0" "$@" {closing}'
        command = ["sh", "-c", script, str(own.command), *map(str, words)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), done


@pytest.mark.skipif(not HAS_TERMINALS, reason="Windows has no pseudo-terminals like these")
@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_terminal_of_no_width_shows_tables_and_errors(
    columns: str, own: Package, queue: Queue
) -> None:
    env = {"COLUMNS": columns, "PRISMQ_QUEUE_DB_PATH": str(queue.path)}
    assert "queued" in on_a_terminal(own.command, "depth", env=env).sent
    failed = on_a_terminal(own.command, "get", "nothing", env=env)
    assert (failed.status, "Traceback" in failed.sent) == (3, False), failed
