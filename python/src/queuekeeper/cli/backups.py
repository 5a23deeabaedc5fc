"""backup, backups, delete, rotate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from queuekeeper import Backup, BackupType, Compression, Queue, VerifyOption
from queuekeeper.cli import show
from queuekeeper.cli.grammar import asked, command
from queuekeeper.cli.lost import looking
from queuekeeper.cli.naming import LATEST, Name
from queuekeeper.cli.offsite import list_copies
from queuekeeper.cli.progress import progress
from queuekeeper.cli.shared import FOUND, Finding, agreed, on_queue, policy
from queuekeeper.cli.steps import Steps
from queuekeeper.results import Deletion


@on_queue(remote=True)
@click.argument("path", required=False, type=Name())
@click.option("--name", help="The series that the backup belongs to, such as daily.")
@click.option("--type", "kind", type=click.Choice(get_args(BackupType)))
@click.option("--compression", type=click.Choice(get_args(Compression)))
@click.option("--level", type=int, help="Of the compression: 1 to 9 for gzip, 1 to 19 for zstd.")
@click.option("--verify", type=click.Choice(get_args(VerifyOption)))
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@click.option("--vacuum/--no-vacuum", help="Compact the queue first; nobody can write meanwhile.")
@click.option(
    "--offsite/--no-offsite",
    default=None,
    help="Push afterwards; by default if there is a remote, and no PATH.",
)
@click.option("--rotate/--no-rotate", help="Rotate afterwards, by the settings keep, remote_keep.")
def backup(
    queue: Queue,
    path: str | None,
    kind: BackupType | None,
    overwrite: bool,
    vacuum: bool,
    offsite: bool | None,
    rotate: bool,
    **options: Any,
) -> None:
    """Back up the queue, live.

    It is one true snapshot, and workers keep writing meanwhile. PATH is a directory or a file; by
    default it is the queue's backup directory. The exit status is 1 if the backup was made, but
    one of the steps before or after it failed.
    """
    steps = Steps(queue)
    if vacuum:
        steps.vacuum()
    with progress("Backing up", queue, queue.stats().page_size) as bar:
        made = queue.backup(path, progress=bar, type=kind, overwrite=overwrite or None, **options)
    wanted = path is None if offsite is None else offsite
    if wanted:
        steps.push(made, asked().remote, asked=bool(offsite or asked().remote), rotate=rotate)
    if rotate:
        steps.rotate(made)
    show.result(
        {**made.raw, **steps.results},
        pairs={
            "backup": made.backup_path,
            "size": show.mebibytes(made.size_bytes),
            "type": made.backup_type,
            "verified": made.verified_level,
            "tasks": made.task_counts,
            "took": f"{(made.duration_ms or 0) / 1000:.2f} s",
            "id": made.id,
            "note": made.note,
            **steps.told,
        },
    )
    if not steps.complain():
        raise Finding(FOUND)


@command(directory=True, remote=True, aside=True)
@click.option("--id", "chosen", metavar="ID", help="All of one backup; ID may be its beginning.")
def backups(chosen: str | None) -> None:
    """List the backups, the newest first.

    The database itself may be gone. With --remote, the copies there are listed.
    """
    if asked().remote:
        list_copies()
        return
    with looking(needed=not asked().directory) as look:
        found = look.queue.backups(look.directory)
    if chosen is not None:
        one = one_of(found, chosen)
        show.result(one, pairs={name: show.plain(each) for name, each in one.raw.items()})
        return
    ids = show.short_ids(found)
    columns: list[show.Column] = [
        ("id", lambda each: show.plain(ids[each.id])),
        ("created (UTC)", lambda each: f"{each.created:%Y-%m-%d %H:%M:%S}"),
        ("type", lambda each: each.backup_type),
        ("MiB", lambda each: show.mib(each.size_bytes)),
        ("state", state),
        ("name", lambda each: each.name),
        ("file", lambda each: each.path.name),
    ]
    show.listing(found, columns, "no backups", spare=["file"])
    if found and not asked().as_json:
        show.say(summary(found))


def one_of(found: list[Backup], chosen: str) -> Backup:
    """The backup whose id begins so."""
    matching = [each for each in found if each.id.startswith(chosen)]
    if len(matching) != 1:
        raise click.ClickException(
            f"{'no id of a backup begins' if not matching else 'several ids begin'} with '{chosen}'"
        )
    return matching[0]


def state(backup: Backup) -> str | None:
    """What is known of a backup."""
    if not backup.is_kept:
        return "deletion failed"
    if backup.damaged_at is not None:
        return "damaged"
    return f"verified {backup.verified_level}" if backup.verified_level else "not verified"


def summary(found: list[Backup]) -> str:
    """How many there are, how large they are together, and where."""
    total = show.mebibytes(sum(each.size_bytes for each in found))
    return f"{show.counted(len(found))}, {total} in all, in {show.cell(str(found[0].path.parent))}"


@command(directory=True)
@click.argument("keep")
@click.argument("old_directory", required=False, metavar="")
@click.option("--dry-run", is_flag=True, help="Show what would be done and why; delete nothing.")
def rotate(keep: str, old_directory: str | None, dry_run: bool) -> None:
    """Delete what a policy does not keep.

    KEEP is a count such as 7, daily/weekly/monthly such as 7/4/12, or a JSON object such as
    '{"keep_daily": 14, "max_age_days": 90}'.
    """
    if old_directory is not None:
        asked().hint(f"rotate {keep} {old_directory}", f"rotate {keep} --dir {old_directory}")
        asked().directory = old_directory
    with looking(present=not dry_run) as look:
        plan = look.queue.rotation(policy(keep), look.directory)
        if look.lost is not None:
            own = {each["backup_path"] for each in look.lost.own()}
            plan = [each for each in plan if each.backup_path in own]
        gone = sum(each.decision == "delete" for each in plan)
        if not dry_run:
            if gone:
                agreed(f"{show.counted(gone)} of {len(plan):,} will be deleted for good.")
            deleted = look.queue.rotate(policy(keep), look.directory)
            show.result({"deleted": deleted}, f"{show.counted(deleted)} deleted")
            return
        found = look.queue.backups(look.directory)
    if asked().as_json:
        show.as_json(plan)
        return
    show.decisions(plan, found)
    if plan:
        show.say(f"{show.counted(gone)} of {len(plan):,} would be deleted")


@on_queue(directory=True)
@click.argument("backup")
@click.option("--dependants", is_flag=True, help="And the backups that build on it.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; delete nothing.")
def delete(queue: Queue, backup: str, dependants: bool, dry_run: bool) -> None:
    """Delete one backup.

    BACKUP is a path, an id or its beginning, or latest.
    """
    given: dict[str, Any] = {"dependants": dependants or None, "dir": asked().directory}
    if not (dry_run or asked().yes):
        planned = queue.delete_backup(backup, dry_run=True, **given)
        agreed(deletion(planned))
        if backup == LATEST and len(planned.ids) == 1:
            # Another may have been made until the answer came.
            (backup,) = planned.ids
    done = queue.delete_backup(backup, dry_run=dry_run or None, **given)
    tense = "would be deleted" if dry_run else "deleted"
    show.result(done, *(f"{tense} {show.cell(path)}" for path in done.backup_paths))


def deletion(planned: Deletion) -> str:
    """What a deletion takes away."""
    files = ", ".join(Path(path).name for path in planned.backup_paths)
    return f"{show.counted(planned.deleted)} will be deleted for good: {files}."


COMMANDS = (backup, backups, rotate, delete)
