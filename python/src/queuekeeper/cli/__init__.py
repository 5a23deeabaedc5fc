"""The command line, with click and rich.

# Promise

What a command has to say goes to standard output, as a table or, with `--json`, as JSON; errors,
questions and progress go to standard error. An error is one line, in the words of the command line.
The exit statuses are those of `EPILOG`.

| module | what lives there |
| --- | --- |
| `grammar` | the queue, the options of every command, old spellings |
| `shared` | the open queue, questions, errors |
| `naming`, `lost` | what an argument names; backups whose database is gone |
| `show`, `progress`, `words` | results, bars, the library's messages in the words of commands |
| `manual` | help, the man page, completion, all from the commands' own definitions |
| the others | the commands |
"""

from __future__ import annotations

import time

import click

from queuekeeper.cli import (
    backups,
    config,
    due,
    history,
    look,
    manual,
    offsite,
    restore,
    tasks,
    upkeep,
)
from queuekeeper.cli.grammar import SETTINGS, Asked, Group
from queuekeeper.cli.shared import (
    BUSY,
    FAILED,
    INTERRUPTED,
    USAGE,
    Finding,
    complain,
    warn,
)
from queuekeeper.errors import BusyError, Error, InterruptError

EPILOG = """\b
Exit status:
  0    well
  1    done, but something is wrong: a warning, a corrupted backup or
       database, a step that failed
  2    something is critical
  3    it failed; the error is on standard error
  4    somebody else holds a lock; trying again may help
  64   wrong usage
  130  interrupted by Ctrl-C, or the answer to a question was no

The queue is the database that --db names, else the environment variable
PRISMQ_QUEUE_DB_PATH or DATABASE_URL (sqlite:///queue.db), or either of them in the
file .env. Where none of these names one, the first argument does: queuekeeper
health queue.db

BACKUP is a path, an id or its beginning (four characters or more), or latest.
Sizes are in MiB (2^20 bytes), times in UTC.
"""


#: The commands by what they are for, as the help lists them.
SECTIONS = {
    "Look": (*look.COMMANDS, *history.COMMANDS, config.schedule),
    "Tasks": tasks.COMMANDS,
    "Backups": (*backups.COMMANDS, *restore.COMMANDS),
    "Upkeep": upkeep.COMMANDS,
    "Elsewhere": offsite.COMMANDS,
    "Set up": (*due.COMMANDS, *config.COMMANDS, *manual.COMMANDS),
}


@click.group(
    cls=Group,
    sections={title: [str(each.name) for each in found] for title, found in SECTIONS.items()},
    commands={str(each.name): each for found in SECTIONS.values() for each in found},
    epilog=EPILOG,
    context_settings=SETTINGS,
    invoke_without_command=True,
)
@click.version_option(
    None, "-V", "--version", package_name="queuekeeper", message="%(prog)s %(version)s"
)
@click.pass_context
def main(context: click.Context) -> None:
    """Keeps a SQLite-backed task queue healthy: backs it up while workers keep writing, verifies,
    restores and rotates the backups, rescues the tasks of dead workers, and measures."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        raise Finding(USAGE)


def run(arguments: list[str]) -> int:
    """Runs a command; the exit status."""
    asked = Asked()
    started = time.monotonic()
    status = _status(arguments, asked)
    if asked.verbose:
        warn(f"status {status} after {time.monotonic() - started:.2f} s", "done")
    if status not in (FAILED, USAGE) and not asked.quiet:
        for hint in asked.hints:
            warn(hint, "hint")
    return status


def _status(arguments: list[str], asked: Asked) -> int:
    try:
        main.main(arguments, prog_name="queuekeeper", standalone_mode=False, obj=asked)
    except Finding as finding:
        return finding.status
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "queuekeeper"
        return complain(f"{error.format_message().rstrip('.')} (see '{where} --help')", USAGE)
    except click.ClickException as error:
        return complain(error.format_message(), FAILED, asked.queue())
    except (KeyboardInterrupt, click.Abort, InterruptError):
        return complain("interrupted", INTERRUPTED)
    except BusyError as error:
        return complain(str(error), BUSY, asked.queue())
    except (Error, OSError) as error:
        return complain(str(error), FAILED, asked.queue())
    return 0
