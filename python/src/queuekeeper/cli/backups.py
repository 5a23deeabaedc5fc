"""backup, verify, restore, backups, rotate, delete."""

from __future__ import annotations

from typing import Any

import click

from queuekeeper import Backup, Queue
from queuekeeper.cli import show
from queuekeeper.cli.lost import looking
from queuekeeper.cli.offsite import REMOTE, restore_from
from queuekeeper.cli.shared import (
    FOUND,
    MEMORY,
    Finding,
    common,
    open_queue,
    policy,
    progress,
    with_queue,
)
from queuekeeper.cli.steps import Steps

LEVELS = click.Choice(["checksum", "quick", "full"])
DIRECTORY = click.option(
    "--dir",
    "directory",
    metavar="DIR",
    help="Whose catalog; by default the queue's own backup directory.",
)


def names_file(backup: str) -> bool:
    """Whether a backup is named by its path, so that no database is needed to find it."""
    return "/" in backup or "\\" in backup or backup.endswith((".db", ".gz", ".zst"))


@click.command()
@click.argument("path", required=False)
@click.option("--name", help="The series that the backup belongs to, such as daily.")
@click.option("--type", "kind", type=click.Choice(["full", "incremental", "snapshot"]))
@click.option("--compression", type=click.Choice(["none", "gzip", "zstd"]))
@click.option("--level", type=int, help="Of the compression: 1 to 9 for gzip, 1 to 19 for zstd.")
@click.option("--verify", type=click.Choice(["none", "checksum", "quick", "full"]))
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@click.option("--vacuum/--no-vacuum", help="Compact the queue first; nobody can write meanwhile.")
@click.option(
    "--offsite/--no-offsite",
    default=None,
    help="Push afterwards; by default if there is a remote, and no PATH.",
)
@click.option("--rotate/--no-rotate", help="Rotate afterwards, by the settings keep, remote_keep.")
@REMOTE
@with_queue
def backup(
    queue: Queue,
    path: str | None,
    kind: str | None,
    overwrite: bool,
    vacuum: bool,
    offsite: bool | None,
    rotate: bool,
    remote: str | None,
    as_json: bool,
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
    with progress("Backing up") as bar:
        made = queue.backup(path, progress=bar, type=kind, overwrite=overwrite or None, **options)
    wanted = path is None if offsite is None else offsite
    if wanted:
        steps.push(made, remote, asked=bool(offsite or remote), rotate=rotate)
    if rotate:
        steps.rotate(made)
    if as_json:
        show.as_json({**made.raw, **steps.results})
    else:
        show.pairs(
            {
                "backup": made.backup_path,
                "size": show.megabytes(made.size_bytes),
                "type": made.backup_type,
                "verified": made.verified_level,
                "tasks": made.task_counts,
                "took": f"{(made.duration_ms or 0) / 1000:.2f} s",
                "id": made.id,
                "note": made.note,
                **steps.told,
            }
        )
    if not steps.complain():
        raise Finding(FOUND)


@click.command()
@click.argument("backup", default="latest")
@click.option("--level", type=LEVELS, help="How thoroughly; quick by default.")
@DIRECTORY
@common
def verify(
    db: str | None, backup: str, level: str | None, directory: str | None, as_json: bool
) -> None:
    """Check that a backup is sound.

    BACKUP is a path, an id, or latest (the default). The exit status is 1 if it is not sound.
    """
    aside = MEMORY if names_file(backup) else None
    with (
        looking(db or aside, directory, needed=not directory) as look,
        progress("Verifying") as bar,
    ):
        found = look.queue.verify(look.named(backup), level, progress=bar, dir=look.directory)
    if as_json:
        show.as_json(found)
    else:
        show.pairs({"backup": found.backup_path, "level": found.level, "status": found.status})
        for detail in found.details:
            click.echo(f"  {show.cell(detail)}")
    if not found.ok:
        raise Finding(FOUND)


@click.command()
@click.argument("backup")
@click.option("--target", metavar="FILE", help="Restore into this file instead of the queue.")
@click.option("--overwrite", is_flag=True, help="Replace the --target if it is there already.")
@click.option("--requeue-leases", is_flag=True, help="Put the leased tasks back into the queue.")
@click.option("--from-remote", is_flag=True, help="Pull it from the remote first.")
@REMOTE
@DIRECTORY
@common
def restore(
    db: str | None,
    backup: str,
    target: str | None,
    overwrite: bool,
    requeue_leases: bool,
    from_remote: bool,
    remote: str | None,
    directory: str | None,
    as_json: bool,
) -> None:
    """Restore a backup, live or into a file.

    BACKUP is a path, an id, or latest: the newest of this queue. It is checked first. What the
    queue holds now is saved as a backup named before_restore. A database that is gone is made. With
    --from-remote the backup comes from the remote, with all that it builds on; then its backup
    directory need not exist any more, either.
    """
    if from_remote or remote:
        backup = restore_from(db, remote, directory, backup)
    aside = MEMORY if target and names_file(backup) else None
    needed = not (target and directory)
    with looking(db or aside, directory, needed=needed) as look, progress("Restoring") as bar:
        done = look.queue.restore(
            look.named(backup),
            target or look.made,
            progress=bar,
            overwrite=overwrite or None,
            requeue_leases=requeue_leases or None,
            dir=look.directory,
        )
    if as_json:
        show.as_json(done)
        return
    show.pairs(
        {
            "restored": done.backup_path,
            "of": show.aged(done.created_at, done.age_seconds),
            "into": done.target_path,
            "saved before": done.safety_backup,
            "moved aside": done.moved_aside,
            "tasks requeued": done.requeued,
            "note": done.note,
        }
    )


@click.command()
@click.argument("directory", required=False)
@common
def backups(db: str | None, directory: str | None, as_json: bool) -> None:
    """List the backups, the newest first.

    DIRECTORY is by default the queue's own backup directory. The database itself may be gone.
    """
    with looking(db, directory, needed=not directory) as look:
        found = look.queue.backups(look.directory)
    if as_json:
        show.as_json(found)
        return
    columns: list[show.Column] = [
        ("created (UTC)", lambda each: f"{each.created:%Y-%m-%d %H:%M:%S}"),
        ("type", lambda each: each.backup_type),
        ("size", lambda each: show.size(each.size_bytes)),
        ("verified", lambda each: each.verified_level if each.is_kept else "deletion failed"),
        ("file", lambda each: each.path.name),
    ]
    show.rows(found, columns, "no backups")
    if found:
        click.echo(summary(found))


def summary(found: list[Backup]) -> str:
    """How many there are, how large they are together, and where."""
    total = show.size(sum(each.size_bytes for each in found))
    return f"{show.counted(len(found))}, {total} in all, in {show.cell(str(found[0].path.parent))}"


@click.command()
@click.argument("keep")
@click.argument("directory", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be done and why; delete nothing.")
@common
def rotate(db: str | None, keep: str, directory: str | None, dry_run: bool, as_json: bool) -> None:
    """Delete what a policy does not keep.

    KEEP is a count such as 7, daily/weekly/monthly such as 7/4/12, or a JSON object such as
    '{"keep_daily": 14, "max_age_days": 90}'. DIRECTORY is by default the queue's own.
    """
    if not dry_run:
        with open_queue(db) as queue:
            deleted = queue.rotate(policy(keep), directory)
        if as_json:
            show.as_json({"deleted": deleted})
        else:
            click.echo(f"{show.counted(deleted)} deleted")
        return
    with looking(db, directory) as look:
        plan = look.queue.rotation(policy(keep), look.directory)
        if look.lost is not None:
            own = {each["backup_path"] for each in look.lost.own()}
            plan = [each for each in plan if each.backup_path in own]
    if as_json:
        show.as_json(plan)
        return
    show.decisions(plan)
    if plan:
        gone = sum(each.decision == "delete" for each in plan)
        click.echo(f"{show.counted(gone)} of {len(plan):,} would be deleted")


@click.command()
@click.argument("backup")
@click.option("--dependants", is_flag=True, help="And the backups that build on it.")
@DIRECTORY
@with_queue
def delete(
    queue: Queue, backup: str, dependants: bool, directory: str | None, as_json: bool
) -> None:
    """Delete one backup.

    BACKUP is a path, an id, or latest.
    """
    done = queue.delete_backup(backup, dependants=dependants or None, dir=directory)
    if as_json:
        show.as_json(done)
        return
    for path in done.backup_paths:
        click.echo(f"deleted {show.cell(path)}")


COMMANDS = (backup, verify, restore, backups, rotate, delete)
