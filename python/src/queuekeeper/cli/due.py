"""run-due: everything that is due, by one line for cron."""

from __future__ import annotations

from typing import Any

import click

from queuekeeper import due
from queuekeeper._arguments import present
from queuekeeper.cli import show, words
from queuekeeper.cli.grammar import asked, command
from queuekeeper.cli.naming import Name
from queuekeeper.cli.shared import CRITICAL, FAILED, FOUND, Finding, complain, database, say_beside
from queuekeeper.configuration import Configuration
from queuekeeper.errors import Error
from queuekeeper.notifications import Delivery
from queuekeeper.results import JobRun

EPILOG = """\b
Exit status:
  0    all that was due is done, or nothing was, and nothing is broken
  1    something is broken, in every call until it works again: a step of a
       job, an upload, a notification, the heartbeat; the newest backup warns
  2    the check of the database fails: the weekly job's step integrity
  3    it could not run, or not all of it: a setting, no database
  4    others hold a lock on the database
  64   wrong usage
  130  interrupted by Ctrl-C

Each option may also be an environment variable, in the file .env, too: QUEUEKEEPER_NOTIFY,
QUEUEKEEPER_QUIET, QUEUEKEEPER_HEARTBEAT, QUEUEKEEPER_REMOTE, QUEUEKEEPER_REMOTE_KEEP. Those about
remotes may be settings of the database. rclone's own variables, such as RCLONE_CONFIG, count in the
file, too.
"""


@command("run-due", remote=True, epilog=EPILOG)
@click.option("--now", metavar="TIME", help="Another time than the present, in UTC.")
@click.option("--notify", multiple=True, metavar="URL", help="Where to tell, such as ntfy://TOPIC.")
@click.option("--heartbeat", metavar="URL", help="Fetched when all that was due has succeeded.")
@click.option("--remote-keep", metavar="KEEP", help="By which policy the remote is rotated.")
@click.option("--no-offsite", is_flag=True, help="Copy nothing, whatever is configured.")
@click.option("--retry-now", is_flag=True, help="Try what failed again now, without a pause.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--env-file", type=Name(), metavar="FILE", help="Read this file, and no .env.")
def run_due(
    now: str | None,
    env_file: str | None,
    retry_now: bool,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Run what is due, and tell the operator.

    That is the jobs, and copying the backups elsewhere. For cron and the like, as often as once a
    minute. The exit status is 1 while anything is broken; each call says what, why, since when, and
    when it is tried again. With --quiet, only failures are told, and that they are over.
    """
    try:
        present(now)
    except (Error, OverflowError, OSError, ValueError) as error:
        raise click.UsageError(f"--now: {error}") from error
    flags["quiet"] = asked().quiet or None
    flags["remote"] = "" if flags.pop("no_offsite") else asked().remote
    configuration = Configuration(flags, env_file=env_file)
    path = database(configuration)
    told(due.run_due(path, configuration, now, retry_now=retry_now, dry_run=dry_run))


def told(outcome: due.Outcome) -> None:
    """Shows what a call came to, and ends with its status."""
    ran = [*outcome.jobs, *delivered(outcome.deliveries)]
    if asked().as_json:
        show.as_json(ran)
    else:
        columns: list[show.Column] = [
            ("job", lambda each: each.job),
            ("due (UTC)", lambda each: each.due_utc),
            ("status", lambda each: each.status),
            ("steps", lambda each: [f"{step.step} {step.status}" for step in each.steps]),
        ]
        waits = "nothing is due; something is still broken" if outcome.broken else ""
        show.rows(ran, columns, waits or "nothing is due")
    for line in complaints(outcome):
        say_beside(show.cell(words.of_command_line(line, asked().queue())))
    if outcome.error is not None:
        raise Finding(complain(str(outcome.error), FAILED))
    if outcome.is_critical:
        raise Finding(CRITICAL)
    if outcome.failed:
        raise Finding(FOUND)


def complaints(outcome: due.Outcome) -> list[str]:
    """What is broken, a line for each, and what else went wrong in this call."""
    known = {(each.job, each.step) for each in outcome.broken}
    lines = [each.line for each in outcome.broken]
    for each in (*outcome.jobs, *delivered(outcome.deliveries)):
        for step in each.steps:
            if (each.job, step.step) in known:
                continue
            if step.status == "failed":
                lines.append(f"{step.step} failed: {step.detail}")
            elif isinstance(step.detail, dict) and "warning" in step.detail:
                lines.append(f"warning: {step.step}: {step.detail['warning']}")
    return lines


def delivered(deliveries: list[Delivery]) -> list[JobRun]:
    """What was told, as if it were a job."""
    if not deliveries:
        return []
    steps = [
        {
            "step": each.address,
            "status": "failed" if each.failure else "ok",
            "detail": each.failure or {"kind": each.kind},
        }
        for each in deliveries
    ]
    status = "failed" if any(each.failure for each in deliveries) else "ok"
    return [JobRun.of({"job": "notify", "status": status, "steps": steps})]


COMMANDS = (run_due,)
