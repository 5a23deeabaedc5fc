"""offsite push, pull, list, check, rotate, link."""

from __future__ import annotations

import functools
from typing import Any, Callable

import click

from queuekeeper.cli import show
from queuekeeper.cli.shared import (
    FOUND,
    VARIABLE,
    Finding,
    common,
    named_once,
    policy,
    progress,
)
from queuekeeper.configuration import Configuration, database_path
from queuekeeper.offsite import Offsite, Pushed

REMOTE = click.option(
    "--remote",
    metavar="REMOTE",
    help="Where to, as rclone writes it; by default what QUEUEKEEPER_REMOTE or the setting remote "
    "says.",
)
DIRECTORY = click.option(
    "--dir",
    "directory",
    metavar="DIR",
    help="The local backup directory; by default the queue's own.",
)


def with_offsite(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of all these commands; the command is called with the remote's copies."""

    @functools.wraps(function)
    def opened(
        db: str | None,
        remote: str | None,
        directory: str | None,
        database: str | None = None,
        **others: Any,
    ) -> Any:
        with copies_of(named_once(database, db), remote, directory) as copies:
            return function(copies, **others)

    decorated: Callable[..., Any] = common(REMOTE(DIRECTORY(opened)))
    return decorated


def with_named_offsite(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command without an argument of its own, which may so be the database."""

    argument = click.argument("database", required=False, metavar="[FILE]")
    decorated: Callable[..., Any] = argument(with_offsite(function))
    return decorated


def copies_of(db: str | None, remote: str | None, directory: str | None) -> Offsite:
    """The off-site copies of a queue, or an error of usage."""
    named = db or Configuration().text("database")
    if not named and not directory:
        raise click.UsageError(
            f"no database: name it with --db FILE, or set {VARIABLE}, or name the backup "
            "directory with --dir DIR"
        )
    return Offsite(named and database_path(named), remote, directory=directory)


def restore_from(db: str | None, remote: str | None, directory: str | None, backup: str) -> str:
    """Pulls a backup that is to be restored; its path."""
    with copies_of(db, remote, directory) as copies, progress("Pulling", "bytes") as bar:
        return str(copies.pull(backup, progress=bar).path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def offsite() -> None:
    """Keep copies of the backups elsewhere, by rclone: on Google Drive, S3, WebDAV, SFTP and more.

    The remote is written as for rclone, such as 'gdrive:AI Assistant Backups'. It is named by
    --remote, else by the environment variable QUEUEKEEPER_REMOTE, else by the setting remote.
    """


@offsite.command()
@with_named_offsite
def push(copies: Offsite, as_json: bool) -> None:
    """Copy what the catalog lists and the remote lacks.

    Each file is checked after it arrived. What an interrupted push left is finished by the next.
    With a setting remote_keep, backups that it would delete there are left out. The exit status
    is 1 if a backup could not be pushed because it is damaged here.
    """
    with progress("Pushing", "bytes") as bar:
        done = copies.push(progress=bar)
    if as_json:
        show.as_json(done.as_dict())
    else:
        for line in told_of(done):
            click.echo(line)
    for each in done.skipped:
        click.echo(f"{show.cell(each.backup_path)} left out: {show.cell(each.reason)}", err=True)
    if not done.ok:
        raise Finding(FOUND)


def told_of(done: Pushed) -> list[str]:
    """What a push did, in words."""
    lines = [f"pushed {show.cell(name)}" for name in done.pushed]
    lines.append(
        f"{show.counted(len(done.pushed))} ({show.megabytes(done.bytes)}) pushed to "
        f"{show.cell(done.remote)}, {done.present:,} there already"
    )
    if done.unwanted:
        lines.append(f"{show.counted(len(done.unwanted))} left out: remote_keep does not keep them")
    return lines


@offsite.command()
@click.argument("backup", default="latest")
@with_offsite
def pull(copies: Offsite, backup: str, as_json: bool) -> None:
    """Bring a backup back, with all that it builds on.

    BACKUP is an id or a name that list shows, latest (the default), or all. It is verified when it
    is here. Neither the database nor its backup directory need exist any more.
    """
    with progress("Pulling", "bytes") as bar:
        done = copies.pull(backup, progress=bar)
    if as_json:
        show.as_json(done.as_dict())
        return
    for name in done.fetched:
        click.echo(f"pulled {show.cell(name)}")
    show.pairs(
        {
            "backup": str(done.path),
            "fetched": f"{len(done.fetched):,} files, {show.megabytes(done.bytes)}",
            "verified": next(each.level for each in done.verified),
        }
    )


@offsite.command("list")
@with_named_offsite
def list_(copies: Offsite, as_json: bool) -> None:
    """List what the remote has, the newest first."""
    found = copies.list()
    if as_json:
        show.as_json(list(found))
        return
    columns: list[show.Column] = [
        ("created (UTC)", lambda each: f"{each.created:%Y-%m-%d %H:%M:%S}"),
        ("type", lambda each: each.backup_type),
        ("size", lambda each: show.size(each.size_bytes)),
        ("verified", lambda each: each.verified_level),
        ("file", lambda each: each.backup_path),
    ]
    show.rows(found, columns, "no backups")
    if found:
        total = show.size(sum(each.size_bytes for each in found))
        click.echo(f"{show.counted(len(found))}, {total} in all, on {show.cell(copies.remote)}")


@offsite.command()
@click.option(
    "--download", is_flag=True, help="Read everything back; else the remote's own hashes count."
)
@with_named_offsite
def check(copies: Offsite, download: bool, as_json: bool) -> None:
    """Compare the remote with its catalog, and with the local one.

    The exit status is 1 if anything is missing, damaged, unlisted or not pushed.
    """
    with progress("Checking", "bytes") as bar:
        found = copies.check(download=download, progress=bar)
    if as_json:
        show.as_json(found.as_dict())
    else:
        for each in found.findings:
            click.echo(f"{each.kind}: {show.cell(each.message)}")
        text = (
            f"{show.counted(found.backups)} on {show.cell(found.remote)}: {found.compared:,} files "
        )
        text += f"compared by content, {found.by_size_only:,} by length only"
        click.echo(text + (" (--download reads them)" if found.by_size_only else ""))
    if not found.ok:
        raise Finding(FOUND)


@offsite.command()
@click.argument("keep", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be done and why; delete nothing.")
@with_offsite
def rotate(copies: Offsite, keep: str | None, dry_run: bool, as_json: bool) -> None:
    """Delete on the remote what a policy does not keep.

    KEEP is a policy as for the command rotate; by default what the setting remote_keep says.
    """
    done = copies.rotate(None if keep is None else policy(keep), dry_run=dry_run)
    if as_json:
        show.as_json(done.as_dict())
        return
    if dry_run:
        show.decisions(done.decisions)
    tense = "would be deleted" if dry_run else "deleted"
    click.echo(f"{show.counted(len(done.deleted))} {tense}, {done.kept:,} kept")


@offsite.command()
@click.argument("backup", default="latest")
@click.option("--public", is_flag=True, help="One with which anybody can read the backup.")
@with_offsite
def link(copies: Offsite, backup: str, public: bool, as_json: bool) -> None:
    """Show a link to a backup for a browser, where the remote has links.

    BACKUP is an id or a name that list shows, or latest (the default). The link is for those who
    may see the backup anyway; with --public, it is for anybody.
    """
    found = copies.link(backup, public=public)
    if as_json:
        show.as_json({"link": found})
    else:
        click.echo("the remote has no links" if found is None else show.cell(found))


COMMANDS = (offsite,)
