"""The command line: every command on a real queue, its tables, its JSON, its exit statuses."""

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

from support.eventually import until_writing
from support.package import LIMIT_SECONDS, Package
from support.queues import Queue, Shape, grow

COMMANDS = {
    *("analyze", "backup", "backups", "checkpoint", "delete", "depth", "health", "history"),
    *("integrity", "optimize", "requeue", "restore", "rotate", "run-due", "schedule", "set"),
    *("settings", "stale", "stats", "vacuum", "verify"),
}

#: Calls the command line within the process, as if by a pipe: far quicker than a process each.
CALL = """
import contextlib, io
from queuekeeper.cli import run
path = sys.argv[1] if len(sys.argv) > 1 else None
def call(*arguments, status=0):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        found = run([str(argument) for argument in arguments])
    assert found == status, (arguments, found, output.getvalue(), errors.getvalue())
    assert "Traceback" not in errors.getvalue() and "\\033" not in output.getvalue()
    if status in (3, 64) and errors.getvalue():
        assert errors.getvalue().startswith("queuekeeper: error: "), errors.getvalue()
        assert errors.getvalue().count("\\n") == 1 and output.getvalue() == "", errors.getvalue()
        return errors.getvalue()
    return output.getvalue()
def told(*arguments, status=0):
    return json.loads(call(*arguments, "--json", status=status))
"""


def test_each_commands_help_says_what_it_does_and_with_which_options(own: Package) -> None:
    helps = own.run(
        CALL
        + """
from queuekeeper.cli import main
helps = {name: call(name, "--help") for name in main.commands}
helps[""] = call("--help")
assert call("-h") == helps[""] == call(status=64)
print(json.dumps(helps))
"""
    )
    assert set(helps) == {"", *COMMANDS}
    overview = helps.pop("")
    for name, text in helps.items():
        usage, _, rest = text.partition("\n")
        assert usage.startswith(f"Usage: queuekeeper {name} [OPTIONS]")
        (summary,) = [line for line in overview.splitlines() if line.startswith(f"  {name} ")]
        assert summary.split(None, 1)[1] in " ".join(rest.split())
        assert "--json" in text
        assert "--db" in text
        assert "PRISMQ_QUEUE_DB_PATH" in text
        assert max(map(len, text.splitlines())) <= 80
        # Whatever stands in the usage line is explained below it.
        for argument in (word.strip("[]") for word in usage.split()[3:]):
            assert argument == "OPTIONS" or argument in rest, f"{name}: {argument}"
    for status in ("0 ", "1 ", "2 ", "3 ", "64 ", "130 "):
        assert f"\n    {status}" in overview


def test_backups_from_making_to_deleting(package: Package, queue: Queue) -> None:
    package.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
text = call("backup", "--name", "daily", "--verify", "quick", "--compression", "zstd")
assert "verified  quick" in text and "leased 7" in text and ".db.zst" in text, text
made = told("backup", "--type", "incremental", "--name", "daily", "--level", 5,
            "--compression", "gzip")
assert made["backup_type"] == "incremental" and made["compression"] == "gzip", made
aside = os.path.join(os.path.dirname(path), "aside.db")
assert told("backup", aside)["backup_path"] == aside
assert "--overwrite" in call("backup", "--help")
assert aside in call("backup", aside, status=3)
assert told("backup", aside, "--overwrite")["backup_path"] == aside

listed = call("backups")
assert "2 backups, " in listed and listed.count("queue_backup_daily_") == 2, listed
rows = told("backups")
assert [row["id"] for row in rows][0] == made["id"] and rows[0]["task_counts"], rows

assert "status  ok" in call("verify") and told("verify", made["id"])["status"] == "ok"
assert told("verify", rows[1]["backup_path"], "--level", "full")["level"] == "full"
assert told("verify", "latest", "--dir", os.path.dirname(made["backup_path"]))["status"] == "ok"

plan = call("rotate", "1", "--dry-run")
assert "keep" in plan and "needed by" in plan, plan
assert "0 backups of 2 would be deleted" in plan, plan
assert {row["decision"] for row in told("rotate", "1", "--dry-run")} == {"keep"}
assert told("rotate", "1") == {"deleted": 0}
assert call("rotate", '{"keep_last": 1}') == "0 backups deleted\\n"
assert "JSON" in call("rotate", '{"keep', status=64)
assert call("rotate", "nonsense", status=3)

done = told("restore", "latest", "--requeue-leases")
assert done["requeued"] == 12 and "before_restore" in done["safety_backup"], done
assert "saved before" in call("restore", made["id"])
target = os.path.join(os.path.dirname(path), "copy.db")
assert told("restore", rows[1]["backup_path"], "--target", target)["target_path"] == target
assert target in call("restore", "latest", "--target", target, status=3)
call("restore", "latest", "--target", target, "--overwrite")

assert "dependants" in call("delete", rows[1]["id"], status=3)
assert call("delete", rows[1]["id"], "--dependants").count("deleted ") == 2
""",
        queue.path,
    )


def test_a_corrupted_backup_is_a_finding(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
made = told("backup", "--db", path)
with open(made["backup_path"], "r+b") as file:
    file.seek(5000)
    file.write(b"damage")
text = call("verify", made["backup_path"], status=1)
assert "status  corrupted" in text, text
found = told("verify", "--db", path, status=1)
assert found["status"] == "corrupted" and found["details"], found
# No database is needed to verify or restore a file.
assert "corrupt" in call("restore", made["backup_path"], "--target", path + "-new", status=3)
assert not os.path.exists(path + "-new")
""",
        queue.path,
    )


def test_the_queue_and_its_upkeep(package: Package, queue: Queue) -> None:
    package.run(
        CALL
        + """
def on(*arguments, **options):
    return call("--db", path, *arguments, **options)
def json_on(*arguments, **options):
    return told("--db", path, *arguments, **options)
assert path in on("stats") and json_on("stats")["page_size"] == 4096
assert "leased" in on("depth")
assert {row["status"]: row["tasks"] for row in json_on("depth")}["leased"] == 7
assert on("stale", 60).count("worker-1") == 8 and len(json_on("stale")) == 8
assert json_on("requeue", 60) == {"requeued": 8}
assert on("requeue", 60) == "0 tasks requeued\\n" and on("stale") == "no stale leases\\n"
assert "secs" in on("requeue", "--", -1, status=3)
assert on("integrity") == "ok\\n" and json_on("integrity", "--level", "quick") == ["ok"]
assert "PASSIVE" in on("checkpoint") and json_on("checkpoint", "truncate")["mode"] == "TRUNCATE"
assert "before" in on("vacuum") and "reclaimed_bytes" in json_on("vacuum")
assert "task_queue" in on("analyze")
assert json_on("analyze", "task_queue")["analyzed"] == ["task_queue"]
assert on("analyze", "no_such_table", status=3)
assert "vacuumed  no" in on("optimize") and json_on("optimize", "--full")["vacuumed"] is True
assert on("set", "keep", "3/2/1") == "keep = 3/2/1\\n" and json_on("set", "full_every", 5) == 5
assert "3/2/1" in on("settings")
assert {row["name"]: row["value"] for row in json_on("settings")}["full_every"] == 5
assert on("set", "keep", "--reset") == "keep is back to its default\\n"
assert "either" in on("set", "keep", status=64)
assert "either" in on("set", "keep", "7", "--reset", status=64)
assert "keep" in on("set", "keep", "nonsense", status=3)
""",
        queue.path,
    )


def test_the_schedule(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
for job in ("daily", "weekly", "monthly"):
    call("set", f"cron_{job}", "off")
assert "0 * * * *" in call("schedule") and len(told("schedule")) == 4
ran = call("run-due", "--now", "2030-01-01 01:30:00")
assert "hourly" in ran and "checkpoint ok, requeue ok" in ran, ran
assert call("run-due", "--now", "2030-01-01 01:40:00") == "nothing is due\\n"
assert told("run-due", "--now", "2030-01-01 01:40:00") == []
history = call("history")
assert "requeue" in history and "ok" in history and len(told("history")) == 2, history
# A job that fails is a finding.
import sqlite3
with contextlib.closing(sqlite3.connect(path)) as connection:
    connection.execute("ALTER TABLE task_queue RENAME COLUMN lease_until_utc TO something_else")
failed = told("run-due", "--now", "2030-01-01 02:30:00", status=1)
assert failed[0]["status"] == "failed", failed
""",
        queue.path,
    )


def test_healths_exit_status_is_the_worst_level(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
def raw(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        return run(list(arguments)), output.getvalue()
assert raw("health")[0] == 2, "there is no backup"
call("backup", "--verify", "quick")
status, text = raw("health")
assert status == (1 if "warning" in text.split("level")[1] else 0), text
for metric, status in (("warning", 1), ("critical", 2)):
    call("set", f"stale_leases_{metric}", 3)
    found, text = raw("health")
    assert found == status and f"stale_leases: " in text, text
    assert any(row["level"] == metric for row in json.loads(raw("health", "--json")[1]))
""",
        queue.path,
    )


def test_a_damaged_database(own: Package, make: MakeQueue) -> None:
    queue = make(Shape(tasks=2000))
    content = bytearray(queue.path.read_bytes())
    for page in range(8, 24):
        content[page * 4096 + 100 : page * 4096 + 200] = bytes(100)
    queue.path.write_bytes(content)
    own.run(
        CALL
        + """
text = call("integrity", "--db", path, "--max-errors", 5, status=1)
assert text != "ok\\n" and 0 < len(text.splitlines()) <= 5, text
assert told("integrity", "--db", path, "--level", "quick", status=1)
""",
        queue.path,
    )


def test_wrong_use_is_one_clear_line_and_no_success(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ.pop("PRISMQ_QUEUE_DB_PATH", None)
assert "PRISMQ_QUEUE_DB_PATH" in call("stats", status=64)
missing = path + "-missing"
assert missing in call("stats", "--db", missing, status=3)
assert missing in call("--db", missing, "backup", status=3)
assert "no-such" in call("no-such", status=64)
assert "--no-such" in call("stats", "--no-such", status=64)
assert "KEEP" in call("rotate", "--db", path, status=64)
assert "abc" in call("requeue", "abc", "--db", path, status=64)
assert "sideways" in call("checkpoint", "sideways", "--db", path, status=64)
assert "no-such" in call("verify", "no-such", "--db", path, status=3)
assert "no-such.db" in call("verify", "/no-such.db", status=3)
assert "no-such" in call("backup", "/no-such/file.db", "--db", path, status=3)
text = os.path.join(os.path.dirname(path), "text.db")
with open(text, "w") as file:
    file.write("no database " * 1000)
assert text in call("backup", "--db", text, status=3)
# The option wins over the environment, and the command's over the program's.
os.environ["PRISMQ_QUEUE_DB_PATH"] = missing
assert path in call("stats", "--db", path) and path in call("--db", path, "stats")
assert path in call("--db", missing, "stats", "--db", path)
""",
        queue.path,
    )


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
    assert " pages" in bar
    assert ("\033[3" in bar) != plain
    table = run("stale", "--db", str(queue.path))
    assert max(map(len, re.sub("\033.*?m", "", table).splitlines())) <= 80
    coloured = run("verify")
    assert ("\033[32mok" in coloured) != plain


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
