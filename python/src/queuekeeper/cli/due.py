"""run-due: everything that is due, by one line for cron."""

from __future__ import annotations

from typing import Any

import click

from queuekeeper import due
from queuekeeper.cli import show
from queuekeeper.cli.shared import FOUND, Finding, common, complain, database_of, named_once
from queuekeeper.configuration import Configuration
from queuekeeper.errors import Error, InterruptError
from queuekeeper.notifications import Delivery
from queuekeeper.results import JobRun

#: Of run-due, which knows only 0, 1, this, and 130.
NOT_RUN = 2

EPILOG = """\b
Exit status:
  0    all that was due is done, or nothing was
  1    something failed: a job, an upload, a notification; it is tried again
  2    it could not run, or not all of it: wrong usage, a setting, no database
  130  interrupted by Ctrl-C

Each option may also be an environment variable, in the file .env, too: QUEUEKEEPER_NOTIFY,
QUEUEKEEPER_QUIET, QUEUEKEEPER_HEARTBEAT, QUEUEKEEPER_REMOTE, QUEUEKEEPER_REMOTE_KEEP. Those about
remotes may be settings of the database. rclone's own variables, such as RCLONE_CONFIG, count in the
file, too.
"""


@click.command("run-due", epilog=EPILOG)
@click.argument("database", required=False, metavar="[FILE]")
@click.option("--now", metavar="TIME", help="Another time than the present, in UTC.")
@click.option("--notify", multiple=True, metavar="URL", help="Where to tell, such as ntfy://TOPIC.")
@click.option("--quiet", is_flag=True, help="Tell only failures, and that they are over.")
@click.option("--heartbeat", metavar="URL", help="Fetched when all that was due has succeeded.")
@click.option("--remote", metavar="REMOTE", help="Where the backups are copied to, by rclone.")
@click.option("--remote-keep", metavar="KEEP", help="By which policy the remote is rotated.")
@click.option("--no-offsite", is_flag=True, help="Copy nothing, whatever is configured.")
@click.option("--env-file", metavar="FILE", help="Read this file, and no .env.")
@common
def run_due(
    database: str | None,
    db: str | None,
    now: str | None,
    env_file: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Run what is due, and tell the operator.

    That is the jobs, and copying the backups elsewhere. For cron and the like, as often as once a
    minute. The exit status is 1 if anything failed or warns.
    """
    named = named_once(database, db)
    flags["quiet"] = flags["quiet"] or None
    if flags.pop("no_offsite"):
        flags["remote"] = ""
    try:
        configuration = Configuration(flags, env_file=env_file)
        path = database_of(named, configuration)
        outcome = due.run_due(path, configuration, now)
    except InterruptError:
        raise
    except (Error, OSError) as error:
        raise Finding(complain(str(error), NOT_RUN)) from error
    told(outcome, as_json)


def told(outcome: due.Outcome, as_json: bool) -> None:
    """Shows what a call came to, and ends with its status."""
    ran = [*outcome.jobs, *delivered(outcome.deliveries)]
    if as_json:
        show.as_json(ran)
    else:
        columns: list[show.Column] = [
            ("job", lambda each: each.job),
            ("due (UTC)", lambda each: each.due_utc),
            ("status", lambda each: each.status),
            ("steps", lambda each: [f"{step.step} {step.status}" for step in each.steps]),
        ]
        show.rows(ran, columns, "nothing is due")
    for step in (step for each in ran for step in each.steps if step.status == "failed"):
        click.echo(f"{step.step} failed: {show.cell(step.detail)}", err=True)
    for warning in outcome.warnings:
        click.echo(f"warning: {show.cell(warning)}", err=True)
    if outcome.error is not None:
        raise Finding(complain(str(outcome.error), NOT_RUN))
    if outcome.failed:
        raise Finding(FOUND)


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
