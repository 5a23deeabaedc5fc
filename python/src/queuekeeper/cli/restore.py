"""verify and restore: what is done with a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from queuekeeper import Backup, Verification, VerifyLevel
from queuekeeper.cli import show
from queuekeeper.cli.grammar import asked, command
from queuekeeper.cli.lost import Look, looking
from queuekeeper.cli.naming import ALL, LATEST, Name, names_file
from queuekeeper.cli.offsite import planned_from, restore_from
from queuekeeper.cli.progress import progress
from queuekeeper.cli.shared import FOUND, MEMORY, Finding, agreed
from queuekeeper.errors import BusyError, Error, InterruptError
from queuekeeper.results import Restoration

PATH = Name()
LEVELS = click.Choice(get_args(VerifyLevel))


@command(directory=True, aside=True)
@click.argument("backup", default=LATEST)
@click.option("--level", type=LEVELS, help="How thoroughly; quick by default.")
def verify(backup: str, level: VerifyLevel | None) -> None:
    """Check that a backup is sound, or that all are.

    BACKUP is a path, an id or its beginning, latest (the default), or all. The exit status is 1 if
    one is not sound.
    """
    aside = MEMORY if names_file(backup) else None
    with looking(aside, needed=not asked().directory) as look:
        if backup == ALL:
            found = verify_all(look, level)
        else:
            found = [verified(look, look.named(backup), level)]
            show.result(found[0], pairs=_told(found[0]))
            for detail in [] if asked().as_json else found[0].details:
                show.say(f"  {show.cell(detail)}")
    if not all(each.ok for each in found):
        raise Finding(FOUND)


def verified(look: Look, backup: str, level: VerifyLevel | None) -> Verification:
    """One backup, verified."""
    with progress("Verifying", look.queue, page_size(look, backup)) as bar:
        return look.queue.verify(backup, level, progress=bar, dir=look.directory)


def page_size(look: Look, backup: str) -> int | None:
    """The page size by which progress is counted; None unless all backups there have the same."""
    directory = str(Path(backup).parent) if names_file(backup) else look.directory
    try:
        sizes = {each.page_size for each in look.queue.backups(directory)}
    except Error:
        return None
    return sizes.pop() if len(sizes) == 1 else None


def verify_all(look: Look, level: VerifyLevel | None) -> list[Verification]:
    """Verifies and lists all backups there are, the newest first."""
    kept = [each for each in look.queue.backups(look.directory) if each.is_kept]
    found = [_verified_if_there(look, each, level) for each in kept]
    ids = show.short_ids(kept)
    made: dict[str, Backup] = {each.backup_path: each for each in kept}

    def created(each: Verification) -> Any:
        return f"{made[each.backup_path].created:%Y-%m-%d %H:%M:%S}"

    columns: list[show.Column] = [
        ("id", lambda each: show.plain(ids.get(each.id))),
        ("created (UTC)", created),
        ("level", lambda each: each.level),
        ("status", lambda each: each.status),
        ("details", lambda each: each.details),
    ]
    show.listing(found, columns, "no backups")
    return found


def _verified_if_there(look: Look, backup: Backup, level: VerifyLevel | None) -> Verification:
    """One of all: that it cannot be verified is known of it, and keeps no other from being so."""
    try:
        return verified(look, backup.backup_path, level)
    except (BusyError, InterruptError):
        raise
    except Error as error:
        said = {"status": "failed", "level": level or "quick", "details": [str(error)]}
        return Verification.of({**said, "id": backup.id, "backup_path": backup.backup_path})


def _told(found: Verification) -> dict[str, Any]:
    return {"backup": found.backup_path, "level": found.level, "status": found.status}


@command(directory=True, remote=True, aside=True)
@click.argument("backup")
@click.option(
    "--to", "target", metavar="FILE", type=PATH, help="Restore into this file, not the queue."
)
@click.option("--target", "old_target", metavar="FILE", type=PATH, hidden=True)
@click.option("--overwrite", is_flag=True, help="Replace the file --to if it is there already.")
@click.option("--requeue-leases", is_flag=True, help="Put the leased tasks back into the queue.")
@click.option("--from-remote", is_flag=True, help="Pull it from the remote first.")
@click.option("--dry-run", is_flag=True, help="Show what would be restored; change nothing.")
def restore(
    backup: str,
    target: str | None,
    old_target: str | None,
    overwrite: bool,
    requeue_leases: bool,
    from_remote: bool,
    dry_run: bool,
) -> None:
    """Restore a backup, live or into a file.

    BACKUP is a path, an id or its beginning, or latest: the newest of this queue. It is checked
    first. What the queue holds now is saved as a backup named before_restore. A database that is
    gone is made. With --from-remote the backup comes from the remote, with all that it builds on;
    then its backup directory need not exist any more, either.
    """
    if old_target is not None:
        asked().hint("restore --target", "restore --to")
        target = target or old_target
    if from_remote or asked().remote:
        if dry_run:
            _show(planned_from(backup, target))
            return
        backup = restore_from(backup)
    aside = MEMORY if target and names_file(backup) else None
    with looking(aside, needed=not (target and asked().directory)) as look:
        given: dict[str, Any] = {
            "overwrite": overwrite or None,
            "requeue_leases": requeue_leases or None,
            "dir": look.directory,
        }
        named, into = look.named(backup), target or look.made
        planned = look.queue.restore(named, into, dry_run=True, **given)
        if dry_run:
            _show(planned)
            return
        if into is None or overwrite:
            agreed(replacement(planned))
            # Another may have become the latest until the answer came.
            named = (named == LATEST and planned.id) or named
        with progress("Restoring", look.queue, planned.page_size) as bar:
            done = look.queue.restore(named, into, progress=bar, **given)
    _show(done)


def replacement(planned: Restoration) -> str:
    """What a restore replaces, and by what."""
    made = show.aged(planned.created_at, planned.age_seconds)
    return f"'{planned.target_path}' will become the backup '{planned.backup_path}' of {made}."


def _show(done: Restoration) -> None:
    show.result(
        done,
        pairs={
            "would restore" if done.dry_run else "restored": done.backup_path,
            "of": show.aged(done.created_at, done.age_seconds),
            "into": done.target_path,
            "saved before": done.safety_backup,
            "moved aside": done.moved_aside,
            "tasks requeued": done.requeued,
            "note": done.note,
        },
    )


COMMANDS = (verify, restore)
