"""Backups that are copied into a directory in any order, while others write there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from hosts import Session
from support import artifacts
from support.artifacts.kinds import back_up, hashes_of
from support.queues import Queue
from support.schedules import NOON, detail, only, run_due

pytestmark = pytest.mark.rule(5)

#: What writes to the catalog.
WRITERS = (
    "SELECT queue_backup()",
    "SELECT queue_rotate(9)",
    "SELECT queue_verify('latest')",
    "SELECT queue_delete_backup('latest', json_object('dir', '{dir}'))",
)


def made_elsewhere(session: Session, queue: Queue) -> list[Path]:
    """A chain in another directory."""
    there = queue.directory / "there"
    there.mkdir()
    names = ("a.db", "b.delta.db", "c.delta.db")
    for name in names:
        options = json.dumps({"type": "incremental" if "delta" in name else "full"})
        session.object("SELECT queue_backup(?, ?)", str(there / name), options)
    return [there / name for name in names]


def copy_with_times(source: Path, target: Path) -> None:
    """As `cp -p`, rsync and rclone do."""
    shutil.copy2(source, target)
    os.utime(target, (0, 0))


def ids(session: Session) -> set[Any]:
    return {row[0] for row in session.rows("SELECT id FROM queue_backups()")}


@pytest.mark.parametrize("copied", [shutil.copy, copy_with_times], ids=["new times", "old times"])
@pytest.mark.parametrize("writer", WRITERS)
def test_hash_files_that_arrive_first_wait_for_their_artifacts(
    writer: str,
    copied: Callable[[Path, Path], object],
    queue: Queue,
    open_python: OpenPython,
) -> None:
    session = open_python(queue.path)
    back_up(session)
    chain = made_elsewhere(session, queue)
    for path in chain:
        copied(hashes_of(path), queue.backups / hashes_of(path).name)
    session.rows(writer.format(dir=queue.backups))
    # The first half of each artifact.
    for path in chain:
        (queue.backups / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    session.rows("SELECT queue_backup()")
    session.rows(writer.format(dir=queue.backups))
    for path in chain:
        copied(path, queue.backups / path.name)
    session.rows("SELECT queue_backup()")
    assert {entry["id"] for entry in artifacts.catalog(chain[0].parent)} <= ids(session)
    last = str(queue.backups / chain[-1].name)
    assert session.object("SELECT queue_verify(?, 'full')", last)["status"] == "ok"


def test_a_hash_file_that_waited_in_vain_is_set_aside_and_told(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    only(session, "daily")
    chain = made_elsewhere(session, queue)
    queue.backups.mkdir()
    waiting = [queue.backups / hashes_of(path).name for path in chain[:2]]
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    for round_number in (1, 2):
        for path in waiting:
            copy_with_times(chain[0].parent / path.name, path)
        (ran,) = run_due(session, now + timedelta(days=10 * round_number))
        note = detail(ran, "backup")["note"]
        for path in waiting:
            assert not path.exists()
            aside = sorted(queue.backups.glob(f"{path.name}.orphan-*"))
            assert len(aside) == round_number, "nothing is replaced"
            assert all(each.read_bytes() == chain_hashes(chain, path) for each in aside)
            assert sum(f"'{each}'" in note for each in aside) == 1
    # What was set aside is nothing any more, to nobody.
    assert len(session.rows("SELECT * FROM queue_backups()")) == 2
    assert "note" not in back_up(session)
    # It can be given its name again.
    aside[0].rename(waiting[-1])
    for path in chain[:2]:
        shutil.copy(path, queue.backups / path.name)
    shutil.copy(hashes_of(chain[0]), queue.backups)
    session.rows("SELECT queue_rotate(9)")
    assert {entry["id"] for entry in artifacts.catalog(chain[0].parent)[:2]} <= ids(session)


def chain_hashes(chain: list[Path], path: Path) -> bytes:
    return (chain[0].parent / path.name).read_bytes()


def test_a_backup_of_a_name_that_a_hash_file_waits_for_does_not_replace_it(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = made_elsewhere(session, queue)
    queue.backups.mkdir()
    content = hashes_of(chain[0]).read_bytes()
    for number in (1, 2):
        target = queue.backups / chain[0].name
        shutil.copy(hashes_of(chain[0]), queue.backups)
        made = session.object("SELECT queue_backup(?)", str(target))
        aside = sorted(queue.backups.glob("*.orphan-*"))
        assert len(aside) == number
        assert all(each.read_bytes() == content for each in aside)
        assert sum(f"'{each}'" in made["note"] for each in aside) == 1
        assert session.object("SELECT queue_verify(?)", str(target))["status"] == "ok"
        session.object("SELECT queue_delete_backup(?)", str(target))
    # Of names that are made up, another one is taken.
    only(session, "daily")
    taken = [
        queue.backups / f"queue_backup_daily_{NOON + timedelta(seconds=second):%Y%m%d_%H%M%S}.db"
        for second in range(60)
    ]
    for path in taken:
        hashes_of(path).write_bytes(content)
    (ran,) = run_due(session, NOON)
    named = Path(detail(ran, "backup")["backup_path"])
    assert named.name.endswith("_2.db")
    assert named not in taken
    assert all(hashes_of(path).read_bytes() == content for path in taken)
