"""Whatever is in a backup directory: nothing outside of it is read, written or deleted.

As in test_hostile.py, here with what an attacker puts beside the database: manifests, links, pipes.
Everything is called forwards and backwards, since the first call that writes may tidy up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import write_catalog
from support.faults import Faults
from support.hostile import Prepare, World, call_all

pytestmark = [pytest.mark.rule(5), pytest.mark.rule(8)]


@pytest.fixture(scope="module")
def world(faults: Faults, module_memory: Path) -> World:
    return World(faults, module_memory)


BOTH = (1, -1)


def rewrite(change: Callable[[World, list[dict[str, Any]]], object]) -> Prepare:
    """A manifest whose objects the attacker changed; their digests are right."""

    def prepare(world: World) -> None:
        entries = catalog(world.queue.backups)
        change(world, entries)
        write_catalog(world.queue.backups, entries)

    return prepare


def renamed(name: str) -> Prepare:
    """The newest backup lies elsewhere, says the manifest."""
    return rewrite(
        lambda world, entries: entries[-1].update(
            backup_path=name.format(outside=world.outside), deleting=True
        )
    )


def cyclic(world: World, entries: list[dict[str, Any]]) -> None:
    for entry, parent in zip(entries, entries[1:] + entries[:1]):
        entry.update(parent_id=parent["id"], backup_type="incremental")


MANIFESTS: dict[str, Prepare] = {
    "a name above": renamed("../../outside/secret.txt"),
    "an absolute name": renamed("{outside}/secret.txt"),
    "a name below": renamed("a/../../outside/secret.txt"),
    "the directory above": renamed(".."),
    "a device": renamed("/dev/zero"),
    "the manifest itself": renamed(CATALOG),
    "the lock": renamed(CATALOG + ".lock"),
    "a hash file": renamed("one.db.hashes"),
    "no name": renamed(""),
    "a NUL": renamed("one.db\0../../outside/secret.txt"),
    "one id for all": rewrite(
        lambda _, entries: [entry.update(id=entries[0]["id"]) for entry in entries]
    ),
    "one file for all": rewrite(
        lambda _, entries: [entry.update(backup_path="one.db") for entry in entries]
    ),
    "parents in a circle": rewrite(cyclic),
    "each its own parent": rewrite(
        lambda _, entries: [entry.update(parent_id=entry["id"]) for entry in entries]
    ),
    "an id that is a path": rewrite(
        lambda world, entries: [entry.update(id=f"{world.outside}/secret.txt") for entry in entries]
    ),
    "a source elsewhere": rewrite(
        lambda world, entries: [
            entry.update(source_path=f"{world.outside}/queue.db") for entry in entries
        ]
    ),
    "huge numbers": rewrite(
        lambda _, entries: [
            entry.update(
                size_bytes=2**64 - 1, page_count=2**32 - 1, page_size=2**31, pages_stored=2**32 - 1
            )
            for entry in entries
        ]
    ),
    "sizes that fit": rewrite(
        lambda _, entries: [
            entry.update(page_count=2**32 - 1, page_size=65536) for entry in entries
        ]
    ),
    "numbers that are none": rewrite(
        lambda _, entries: [entry.update(size_bytes=-1, page_count="x") for entry in entries]
    ),
    "all being deleted": rewrite(
        lambda _, entries: [entry.update(deleting=True) for entry in entries]
    ),
    "all being replaced": rewrite(
        lambda _, entries: [entry.update(replacing=True) for entry in entries]
    ),
    "a name for the screen": rewrite(
        lambda _, entries: [entry.update(name="\x1b[2J../..") for entry in entries]
    ),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_leads_nowhere(what: str, world: World) -> None:
    call_all(world, MANIFESTS[what], orders=BOTH)


def to_file(path: Path, world: World) -> None:
    path.symlink_to(world.outside / "queue.db")


def to_relative(path: Path, world: World) -> None:
    path.symlink_to("../../outside/secret.txt")


def to_directory(path: Path, world: World) -> None:
    path.symlink_to(world.outside)


def to_nothing(path: Path, world: World) -> None:
    path.symlink_to(world.outside / "new")


def to_device(path: Path, world: World) -> None:
    path.symlink_to("/dev/zero")


def to_itself(path: Path, world: World) -> None:
    path.symlink_to(path)


def pipe(path: Path, world: World) -> None:
    os.mkfifo(path)


def directory(path: Path, world: World) -> None:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "link").symlink_to(world.outside)


#: Names in a backup directory that mean something, whether there is such a file or not.
PLACES = {
    "the manifest": [CATALOG],
    "the lock": [CATALOG + ".lock"],
    "an artifact": ["one.db", "one.db-wal", "queue_backup_20200101_000000.db"],
    "all else": [
        "one.db.hashes",
        ".queuekeeper-abcdefghijkl.tmp",
        ".queuekeeper-mnopqrstuvwx.tmp-wal",
        "backup_20200101_000000_x.db",
        "other.db-journal",
    ],
}


@pytest.mark.skipif(os.name == "nt", reason="links, pipes and devices of POSIX")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "what",
    [to_file, to_relative, to_directory, to_nothing, to_device, to_itself, pipe, directory],
    ids=lambda what: str(what.__name__),
)
def test_what_is_no_file_is_not_followed(what: Any, place: str, world: World) -> None:
    def prepare(world: World) -> None:
        for name in PLACES[place]:
            path = world.queue.backups / name
            path.unlink(missing_ok=True)
            what(path, world)

    call_all(world, prepare, orders=BOTH)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
@pytest.mark.parametrize("beside", ["queue.db-schedule", "new.db"])
@pytest.mark.parametrize(
    "what", [to_file, to_nothing, to_device, pipe], ids=lambda what: str(what.__name__)
)
def test_what_lies_beside_the_database_is_not_followed(
    what: Any, beside: str, world: World
) -> None:
    call_all(world, lambda world: what(world.queue.directory / beside, world))
