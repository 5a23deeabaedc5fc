"""The library's messages in the words of the command line.

The library's messages name its functions, as SQL calls them: `SELECT queue_rotate('7/4/12')`, or
`pass {"overwrite": true}`. On the command line that is `queuekeeper rotate 7/4/12`, or
`--overwrite`. What is in the quotation marks of such a call is taken over as it is.

# How

`COMMANDS` says which command a function is, and where its arguments go; the options of a function
are those of the command by their names. A test goes through all functions, and through all messages
in the library's source.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

#: The command of each function, and for each argument its option; an empty one is an argument.
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "analyze": ("analyze", ("",)),
    "backup": ("backup", ("",)),
    "backups": ("backups", ("--dir",)),
    "checkpoint": ("checkpoint", ("",)),
    "delete_backup": ("delete", ("",)),
    "depth": ("depth", ()),
    "health": ("health", ()),
    "history": ("history", ()),
    "integrity": ("integrity", ("--level", "--max-errors")),
    "leases": ("leases", ()),
    "optimize": ("optimize", ("--full",)),
    "requeue": ("requeue", ()),
    "requeue_stale": ("requeue", ("",)),
    "restore": ("restore", ("", "--to")),
    "rotate": ("rotate", ("", "--dir")),
    "rotation": ("rotate --dry-run", ("", "--dir")),
    "run_due": ("run-due", ("--now",)),
    "schedule": ("schedule", ()),
    "set": ("set", ("", "")),
    "settings": ("settings", ()),
    "stale": ("leases --stale", ("",)),
    "stats": ("stats", ()),
    "vacuum": ("vacuum", ()),
    "verify": ("verify", ("", "--level")),
    "version": ("--version", ()),
}
#: Options whose name is another one on the command line.
RENAMED = {"ids": "--id", "types": "--type", "workers": "--worker"}

TEXT = r"'(?:[^']|'')*'"
ARGUMENTS = rf"\(((?:{TEXT}|[^()'])*)\)"
CALL = re.compile(
    rf"(?:SELECT (?:(?:[\w*, ]|count\(\*\))+ FROM )?)?\bqueue_({'|'.join(COMMANDS)}){ARGUMENTS}"
    r"(?: GROUP BY 1| WHERE \w+ NOTNULL)?"
)
OPTIONS = re.compile(r"(?<!')\{\"[^{}]*\}(?!')")
#: What has no function, and its words here.
STATEMENTS: tuple[tuple[str, str], ...] = (
    (r", or raise PRAGMA busy_timeout", ""),
    (r"PRAGMA integrity_check tells", "'queuekeeper integrity' tells"),
    (r"with PRAGMA integrity_check", "with 'queuekeeper integrity'"),
    (r"PRAGMA (journal_mode=WAL|busy_timeout=5000)", r"sqlite3 QUEUE 'PRAGMA \1'"),
)


def of_command_line(message: str, queue: str | None = None) -> str:
    """A message of the library as the command line says it; in commands `queue` names the queue."""
    for pattern, words in STATEMENTS:
        message = re.sub(pattern, words, message)
    message = CALL.sub(lambda found: _command(found, queue), message)
    return OPTIONS.sub(lambda found: _options(found[0]) or found[0], message)


def _command(found: re.Match[str], queue: str | None) -> str:
    name, places = COMMANDS[found[1]]
    if found[1] == "set" and _split(found[2])[1:] == ["NULL"]:
        name = "unset"
    words, *options = name.split(" ", 1)
    parts = ["queuekeeper", words, *([queue] if queue else []), *options]
    for place, argument in zip((*places, *[""] * 3), _split(found[2])):
        if argument.startswith("'{"):
            parts.append(_options(_unquoted(argument)) or argument)
        elif place == "--full":
            parts += ["--full"] if argument == "1" else []
        elif argument != "NULL":
            parts += [*([place] if place else []), _shown(_unquoted(argument))]
    return f"'{' '.join(parts)}'"


def _split(arguments: str) -> list[str]:
    return [each.strip() for each in re.findall(rf"(?:{TEXT}|[^,'])+", arguments) if each.strip()]


def _unquoted(argument: str) -> str:
    is_text = len(argument) > 1 and argument[0] == argument[-1] == "'"
    return argument[1:-1].replace("''", "'") if is_text else argument


def _shown(word: str) -> str:
    """A word as a shell wants it, though not what only stands for one."""
    return word if "…" in word else shlex.quote(word)


def _options(text: str) -> str | None:
    """A JSON object of options; None of any other."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    shown = [_option(name, value) for name, value in found.items()]
    return " ".join(each for each in shown if each)


def _option(name: str, value: Any) -> str:
    option = RENAMED.get(name, f"--{name.replace('_', '-')}")
    if value is False:
        return ""
    if value is True:
        return option
    values = value if isinstance(value, list) else [value]
    return " ".join(f"{option} {_shown(str(each))}" for each in values)
