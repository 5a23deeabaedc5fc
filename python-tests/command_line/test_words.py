"""The library's messages in the words of the command line: no SQL, and commands that there are."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from queuekeeper.cli import main
from queuekeeper.cli.words import COMMANDS, of_command_line
from support.documents.declared import OFFERED
from support.documents.pages import page
from support.package import ROOT

#: What speaks of the application's own connections, whose language is SQL.
OF_APPLICATIONS = re.compile(
    r"sqlite3 QUEUE 'PRAGMA \w+=\w+'|in place of PRAGMA wal_checkpoint|"
    r"run VACUUM INTO 'copy.db', VACUUM or PRAGMA wal_checkpoint|"
    r"run PRAGMA integrity_check|set PRAGMA locking_mode=NORMAL"
)
SQL = re.compile(r"\bqueue_\w+\(|\bSELECT\b|PRAGMA|\{\"")


def test_every_function_has_a_command() -> None:
    named = {each["name"] for each in OFFERED}
    assert set(COMMANDS) == named
    for name, (command, _) in COMMANDS.items():
        if not command.startswith("-"):
            assert command.split()[0] in main.commands, name


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "clean up (SELECT queue_rotate('7/4/12')) now",
            "clean up ('queuekeeper rotate 7/4/12') now",
        ),
        (
            'SELECT queue_backup(NULL, \'{"verify": "quick"}\'), and see queue_history()',
            "'queuekeeper backup --verify quick', and see 'queuekeeper history'",
        ),
        ('or pass {"overwrite": true}', "or pass --overwrite"),
        ('say so: {"dir": "…"}', "say so: --dir …"),
        ("such as '{\"keep_daily\": 14}'", "such as '{\"keep_daily\": 14}'"),
        ("queue_set('queue_name', '…')", "'queuekeeper set queue_name …'"),
        ("SELECT queue_set('keep', NULL)", "'queuekeeper unset keep'"),
        ('queue_requeue(\'{"workers": ["a b"]}\')', "'queuekeeper requeue --worker 'a b''"),
        ("SELECT * FROM queue_stale(60)", "'queuekeeper leases --stale 60'"),
        ("queue_optimize(1)", "'queuekeeper optimize --full'"),
        ("queue_optimize(0)", "'queuekeeper optimize'"),
        ("queue_verify('x.db', 'full')", "'queuekeeper verify x.db --level full'"),
        ("the table task_queue (1)", "the table task_queue (1)"),
    ],
)
def test_a_call_becomes_a_command(message: str, said: str) -> None:
    assert of_command_line(message) == said


def test_a_command_names_the_queue_where_it_was_named() -> None:
    said = of_command_line("queue_stale(), then SELECT queue_requeue_stale(300)", "'my queue.db'")
    assert said == (
        "'queuekeeper leases 'my queue.db' --stale', then 'queuekeeper requeue 'my queue.db' 300'"
    )


def test_the_runbooks_table_says_the_same() -> None:
    rows = re.findall(r"^\| `(SELECT .*?)` \| `(queuekeeper .*?)` \|$", page("runbook"), re.M)
    assert len(rows) > 10
    for statement, command in rows:
        assert of_command_line(statement) == f"'{command}'"
        check(command.split(" ", 1)[1])


def messages() -> list[str]:
    """The texts in the library's source that name a function, a statement or an option."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.rs")):
        if path.name in ("tests.rs", "operations.rs"):
            continue
        source = path.read_text().split("#[cfg(test)]")[0]
        source = re.sub(r"^\s*//.*$", "", source, flags=re.M)
        for literal in re.findall(r'"((?:[^"\\]|\\.)*)"', source, re.S):
            text = re.sub(r"\\\n\s*", "", literal).replace('\\"', '"')
            text = text.replace("{{", "{").replace("}}", "}")
            if " " in text and re.search(
                r"\bqueue_\w+\(|[a-z] PRAGMA|SELECT queue_|pass \{\"", text
            ):
                found.append(text)
    return found


def test_no_message_speaks_sql_on_the_command_line() -> None:
    found = messages()
    assert len(found) > 20
    for message in found:
        said = of_command_line(message)
        assert not SQL.search(OF_APPLICATIONS.sub("", said)), said
        for shown in re.findall(r"'queuekeeper (.*?)'(?!\w)", said):
            check(shown)


def check(shown: str) -> None:
    """That a command that is named exists, with its options."""
    words = shlex.split(shown.replace("…", "x"))
    if words[0].startswith("-"):
        return
    command = main.commands[words[0]]
    options = {name for each in command.get_params(click.Context(command)) for name in each.opts}
    assert {each for each in words if each.startswith("--")} <= options, shown
