"""The command line, with click and rich.

# Promise

What a command has to say goes to standard output, as a table or, with `--json`, as JSON; errors and
progress go to standard error. An error is one line. The exit statuses are those of `EPILOG`.
"""

from __future__ import annotations

import click

from queuekeeper.cli import backups, config, due, history, offsite, upkeep
from queuekeeper.cli.shared import FAILED, INTERRUPTED, USAGE, VARIABLE, Finding, complain
from queuekeeper.errors import Error, InterruptError

EPILOG = """\b
Exit status:
  0    done; health: all is well
  1    a finding: a corrupted backup or database; health: a warning; offsite check: anything;
       backup, offsite push: done, but not all of it
  2    health: something is critical
  3    it failed; the error is on standard error
  64   wrong usage
  130  interrupted by Ctrl-C; the work was undone

The statuses of run-due are its own: see 'queuekeeper run-due --help'.

The database is the one that --db or the environment variable PRISMQ_QUEUE_DB_PATH names, or
DATABASE_URL (sqlite:///queue.db), or either of them in the file .env. Commands without an argument
of their own take it as that, too: queuekeeper health queue.db
"""


@click.group(
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--db", "-d", envvar=VARIABLE, metavar="FILE", help="The queue database.")
@click.version_option(package_name="queuekeeper", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context, db: str | None) -> None:
    """Keeps a SQLite-backed task queue healthy: backs it up while workers keep writing, verifies,
    restores and rotates the backups, rescues the tasks of dead workers, and measures."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        raise Finding(USAGE)


GROUPS = (backups, offsite, upkeep, config, history, due)
for command in (command for group in GROUPS for command in group.COMMANDS):
    main.add_command(command)


def run(arguments: list[str]) -> int:
    """Runs a command; the exit status."""
    try:
        main.main(arguments, prog_name="queuekeeper", standalone_mode=False)
    except Finding as finding:
        return finding.status
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "queuekeeper"
        return complain(f"{error.format_message().rstrip('.')} (see '{where} --help')", USAGE)
    except click.ClickException as error:
        return complain(error.format_message(), FAILED)
    except (KeyboardInterrupt, click.Abort, InterruptError):
        return complain("interrupted", INTERRUPTED)
    except (Error, OSError) as error:
        return complain(str(error), FAILED)
    return 0
