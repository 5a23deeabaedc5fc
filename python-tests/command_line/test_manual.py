"""Help, man page and completion scripts, which the commands' own definitions make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from queuekeeper.cli import main
from support.package import Package


def commands() -> list[list[str]]:
    """The words of all commands that are shown."""
    found = []
    for name, each in main.commands.items():
        if isinstance(each, click.Group):
            found += [[name, below] for below in each.commands]
        elif not each.hidden:
            found.append([name])
    return found


def test_the_man_page_has_every_command_and_option(own: Package) -> None:
    done = own.cli("help", "--man")
    assert (done.returncode, done.stderr) == (0, "")
    plain = done.stdout.replace("\\-", "-").replace("\\(aq", "'")
    for words in commands():
        assert f"\n.SS {' '.join(words)}\n" in plain
        told = own.cli("help", *words).stdout
        for option in re.findall(r"^  (?:-\w, )?(--[\w-]+)", told, re.M):
            assert re.search(rf"^\.B .*{option}\b", plain, re.M), (words, option)
    # No line is a request of roff but those of man(7).
    requests = {line.split()[0] for line in done.stdout.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".nf", ".fi"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_groff_finds_nothing_wrong_with_it(own: Package) -> None:
    page = own.cli("help", "--man").stdout
    command = ["groff", "-man", "-Tutf8", "-ww", "-z"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        (["queuekeeper", "back"], ["backup", "backups"]),
        (["queuekeeper", "offsite", "pu"], ["pull", "push"]),
        (["queuekeeper", "offsite", "nope", "pu"], ["pull", "push"]),
        (["queuekeeper", "verify", "--le"], ["--level"]),
        (["queuekeeper", "verify", "--level", "qu"], ["quick"]),
        (["queuekeeper", "get", "queue.db", "full_e"], ["full_every"]),
        (["queuekeeper", "--db", "queue.db", "get", "full_e"], ["full_every"]),
    ],
    ids=str,
)
def test_bash_completes(line: list[str], completed: list[str], own: Package) -> None:
    script = own.cli("completion", "bash").stdout
    program = f"""{script}
COMP_WORDS=({" ".join(line)}); COMP_CWORD={len(line) - 1}
_queuekeeper_completion queuekeeper
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    path = f"{own.command.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, sorted(done.stdout.split())) == (0, completed), done
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("words", ["health que", "backups --db que", "restore q.db x --to que"])
def test_bash_completes_files(words: str, own: Package, tmp_path: Path) -> None:
    """The script leaves that to the shell, whose own list it is."""
    script = own.cli("completion", "bash").stdout
    line = ["queuekeeper", *words.split()]
    program = f"""{script}
compopt() {{ :; }}
COMP_WORDS=({" ".join(line)}); COMP_CWORD={len(line) - 1}
env COMP_WORDS="${{COMP_WORDS[*]}}" COMP_CWORD=$COMP_CWORD _QUEUEKEEPER_COMPLETE=bash_complete \
  queuekeeper
"""
    path = f"{own.command.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    environment.pop("PRISMQ_QUEUE_DB_PATH", None)
    done = subprocess.run(
        ["bash", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "file"), done


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_it_can_read(shell: str, own: Package) -> None:
    script = own.cli("completion", shell).stdout
    assert "_QUEUEKEEPER_COMPLETE" in script
    if shutil.which(shell) is not None:
        option = "--no-execute" if shell == "fish" else "-n"
        done = subprocess.run(
            [shell, option], input=script, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
