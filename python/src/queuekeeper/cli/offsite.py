"""offsite push, pull, list, check, rotate, link."""

from __future__ import annotations

import functools
from typing import Any, Callable

import click

from queuekeeper._pushes import by_hand
from queuekeeper.cli import show
from queuekeeper.cli.grammar import VARIABLE, Command, Group, asked, command
from queuekeeper.cli.progress import progress
from queuekeeper.cli.shared import FOUND, Finding, agreed, database, policy, warn
from queuekeeper.configuration import Configuration, database_path
from queuekeeper.offsite import Offsite, Pushed
from queuekeeper.offsite.local import DEFAULT_DIRECTORY
from queuekeeper.results import Restoration


@click.group(cls=Group)
def offsite() -> None:
    """Keep copies of the backups elsewhere.

    They are copied by rclone: to Google Drive, S3, WebDAV, SFTP and more. The remote is written as
    for rclone, such as 'gdrive:AI Assistant Backups'. It is named by --remote, else by the
    environment variable QUEUEKEEPER_REMOTE, else by the setting remote.
    """


def on_copies(name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Makes a command of a function that is called with the remote's copies."""

    def made(function: Callable[..., Any]) -> Command:
        @functools.wraps(function)
        def opened(**others: Any) -> Any:
            with copies_of() as copies:
                return function(copies, **others)

        found = command(name, directory=True, remote=True, aside=True)(opened)
        offsite.add_command(found)
        return found

    return made


def copies_of() -> Offsite:
    """The off-site copies of a queue, or an error of usage."""
    named = asked().db or Configuration().text("database")
    if not named and not (asked().directory or asked().remote):
        raise click.UsageError(
            f"no database: name it first, with --db FILE, or set {VARIABLE}; or name the backup "
            "directory with --dir DIR"
        )
    directory = asked().directory or (None if named else DEFAULT_DIRECTORY)
    return Offsite(named and database_path(named), asked().remote, directory=directory)


def restore_from(backup: str) -> str:
    """Pulls a backup that is to be restored; its path."""
    with copies_of() as copies, progress("Pulling") as bar:
        return str(copies.pull(backup, progress=bar).path)


def planned_from(backup: str, target: str | None) -> Restoration:
    """What would be pulled and restored; nothing is pulled for that."""
    with copies_of() as copies:
        found = copies.find(backup)
        return Restoration.of(
            {
                "id": found.id,
                "backup_path": found.backup_path,
                "created_at": found.created_at,
                "target_path": target or database(),
                "dry_run": True,
                "note": f"it would be pulled from {copies.remote} first, and checked here",
            }
        )


@on_copies()
def push(copies: Offsite) -> None:
    """Copy what the catalog lists and the remote lacks.

    Each file is checked after it arrived. What an interrupted push left is finished by the next.
    With a setting remote_keep, backups that it would delete there are left out. The exit status
    is 1 if a backup could not be pushed because it is damaged here.
    """
    with progress("Pushing") as bar:
        done = by_hand(copies, bar)
    show.result(done.as_dict(), *told_of(done))
    for each in done.skipped:
        warn(f"{each.backup_path} left out: {each.reason}")
    if not done.ok:
        raise Finding(FOUND)


def told_of(done: Pushed) -> list[str]:
    """What a push did, in words."""
    lines = [f"pushed {show.cell(name)}" for name in done.pushed]
    lines.append(
        f"{show.counted(len(done.pushed))} ({show.mebibytes(done.bytes)}) pushed to "
        f"{show.cell(done.remote)}, {done.present:,} there already"
    )
    if done.unwanted:
        lines.append(f"{show.counted(len(done.unwanted))} left out: remote_keep does not keep them")
    return lines


@on_copies()
@click.argument("backup", default="latest")
def pull(copies: Offsite, backup: str) -> None:
    """Bring a backup back, with all that it builds on.

    BACKUP is an id or a name that list shows, latest (the default), or all. It is verified when it
    is here. Neither the database nor its backup directory need exist any more.
    """
    with progress("Pulling") as bar:
        done = copies.pull(backup, progress=bar)
    show.result(
        done.as_dict(),
        *(f"pulled {show.cell(name)}" for name in done.fetched),
        pairs={
            "backup": str(done.path),
            "fetched": f"{len(done.fetched):,} files, {show.mebibytes(done.bytes)}",
            "verified": next(each.level for each in done.verified),
        },
    )


@on_copies("list")
def list_(copies: Offsite) -> None:
    """List what the remote has, the newest first."""
    _list(copies)


def list_copies() -> None:
    """The same for another command."""
    with copies_of() as copies:
        _list(copies)


def _list(copies: Offsite) -> None:
    found = copies.list()
    ids = show.short_ids(found)
    columns: list[show.Column] = [
        ("id", lambda each: show.plain(ids[each.id])),
        ("created (UTC)", lambda each: f"{each.created:%Y-%m-%d %H:%M:%S}"),
        ("type", lambda each: each.backup_type),
        ("MiB", lambda each: show.mib(each.size_bytes)),
        ("verified", lambda each: each.verified_level),
        ("name", lambda each: each.name),
        ("file", lambda each: each.backup_path),
    ]
    show.listing(list(found), columns, "no backups", spare=["file"])
    if found and not asked().as_json:
        total = show.mebibytes(sum(each.size_bytes for each in found))
        show.say(f"{show.counted(len(found))}, {total} in all, on {show.cell(copies.remote)}")


@on_copies()
@click.option(
    "--download", is_flag=True, help="Read everything back; else the remote's own hashes count."
)
def check(copies: Offsite, download: bool) -> None:
    """Compare the remote with its catalog, and with the local one.

    The exit status is 1 if anything is missing, damaged, unlisted or not pushed.
    """
    with progress("Checking") as bar:
        found = copies.check(download=download, progress=bar)
    text = f"{show.counted(found.backups)} on {show.cell(found.remote)}: {found.compared:,} files "
    text += f"compared by content, {found.by_size_only:,} by length only"
    show.result(
        found.as_dict(),
        *(f"{each.kind}: {show.cell(each.message)}" for each in found.findings),
        text + (" (--download reads them)" if found.by_size_only else ""),
        *(["all is well"] if found.ok else []),
    )
    if not found.ok:
        raise Finding(FOUND)


@on_copies()
@click.argument("keep", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be done and why; delete nothing.")
def rotate(copies: Offsite, keep: str | None, dry_run: bool) -> None:
    """Delete on the remote what a policy does not keep.

    KEEP is a policy as for the command rotate; by default what the setting remote_keep says.
    """
    given = None if keep is None else policy(keep)
    if not (dry_run or asked().yes):
        gone = len(copies.rotate(given, dry_run=True).deleted)
        if gone:
            agreed(f"{show.counted(gone)} on {copies.remote} will be deleted for good.")
    done = copies.rotate(given, dry_run=dry_run)
    if dry_run and not asked().as_json:
        show.decisions(done.decisions, list(copies.list()))
    tense = "would be deleted" if dry_run else "deleted"
    count = show.counted(len(done.deleted))
    show.result(done.as_dict(), f"{count} {tense}, {done.kept:,} kept")


@on_copies()
@click.argument("backup", default="latest")
@click.option("--public", is_flag=True, help="One with which anybody can read the backup.")
def link(copies: Offsite, backup: str, public: bool) -> None:
    """Show a link to a backup for a browser, where the remote has links.

    BACKUP is an id or a name that list shows, or latest (the default). The link is for those who
    may see the backup anyway; with --public, it is for anybody.
    """
    found = copies.link(backup, public=public)
    show.whole({"link": found}, "the remote has no links" if found is None else show.cell(found))


COMMANDS = (offsite,)
