"""The catalog: rebuilt when lost, whole after every crash, one for all processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from hosts.python_host import PythonSession
from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import (
    back_up,
    hashes_of,
    make_chain,
    make_one,
    state,
    status_of,
)
from support.queues import Queue

pytestmark = pytest.mark.rule(4)


def unlink(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path: Path) -> None:
    path.write_text('{"backups": "of another program"}', "utf-8")


def binary(path: Path) -> None:
    path.write_bytes(b"\xff\x00\xfe" * 100)


LOSSES = [unlink, empty, truncate, half, foreign, binary]

ACTIONS = {
    "queue_backup": "SELECT queue_backup()",
    "queue_verify": "SELECT queue_verify('{id}')",
    "queue_rotate": "SELECT queue_rotate(100)",
    "queue_restore": "SELECT queue_restore('{id}')",
}


def listed(session: PythonSession) -> list[dict[str, Any]]:
    """The catalog, without what is forgotten when it is rebuilt."""
    forgotten = ("verified_at", "verified_level", "object_digest")
    rows = session.dicts("SELECT * FROM queue_backups()")
    return [{key: row[key] for key in row if key not in forgotten} for row in rows]


@pytest.mark.parametrize("lose", LOSSES)
def test_the_table_shows_what_a_lost_catalog_listed_and_writes_nothing(
    lose: Callable[[Path], None], queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    make_chain(session, queue, "zstd", 3)
    make_one(session, queue, "snapshot", "gzip")
    before = listed(session)
    lose(queue.backups / CATALOG)
    lying = state(queue.directory)
    assert listed(session) == before
    assert len(before) == 4
    assert state(queue.directory) == lying


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("lose", LOSSES)
def test_the_next_action_rebuilds_a_lost_catalog_and_keeps_the_old_one(
    lose: Callable[[Path], None], action: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "zstd", 3)
    before = listed(session)
    manifest = queue.backups / CATALOG
    lose(manifest)
    lost = manifest.read_bytes() if manifest.exists() else None
    session.rows(ACTIONS[action].format(id=before[0]["id"]))
    aside = list(queue.backups.glob(f"{CATALOG}.corrupt-*"))
    assert [path.read_bytes() for path in aside] == ([] if lost is None else [lost])
    ids = {entry["id"] for entry in catalog(queue.backups)}
    assert ids >= {entry["id"] for entry in before}
    assert listed(session)[-3:] == before
    assert [status_of(session, artifact, "full") for artifact in chain] == ["ok"] * 3


def test_what_is_beside_the_backups_does_not_disturb_the_rebuilding(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "none", 3)
    before = listed(session)
    (queue.backups / CATALOG).unlink()
    (queue.backups / "notes.hashes").write_text("somebody's own")
    (queue.backups / "copy.db.hashes").write_bytes(hashes_of(chain[0]).read_bytes())
    (queue.backups / "directory.hashes").mkdir()
    (queue.backups / "link.hashes").symlink_to(chain[0])
    strangers = ("notes.hashes", "copy.db.hashes", "directory.hashes", "link.hashes")
    made = back_up(session)
    assert [entry["id"] for entry in listed(session)] == [
        made["id"],
        *(entry["id"] for entry in before),
    ]
    for name in strangers:
        assert (queue.backups / name).is_symlink() or (queue.backups / name).exists()


def test_damaged_artifacts_and_hash_files_do_not_stop_the_rebuilding(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = [Path(back_up(session)["backup_path"]) for _ in range(4)]
    (queue.backups / CATALOG).unlink()
    made[0].unlink()
    made[1].write_bytes(made[1].read_bytes()[:-5])
    hashes_of(made[2]).write_bytes(b"x")
    back_up(session)
    assert status_of(session, made[3], "full") == "ok"
    for path in made[1:]:
        assert path.exists(), "no artifact is deleted for being damaged"


def test_unknown_fields_survive_and_keep_their_meaning(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    back_up(session)
    entries = catalog(queue.backups)
    entries[0]["of_a_newer_version"] = {"kept": [1, None, "é"]}
    (queue.backups / CATALOG).write_text(json.dumps(entries), "utf-8")
    back_up(session)
    assert catalog(queue.backups)[0] == entries[0]


def test_an_orphaned_hash_file_is_left_alone_and_a_completed_backup_is_listed(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    made = [back_up(session, name=name)["backup_path"] for name in ("orphan", "complete")]
    orphan, complete = map(Path, made)
    entries = catalog(queue.backups)
    # As after a crash before, and one after, an artifact got its name.
    orphan.unlink()
    (queue.backups / CATALOG).write_text("[]", "utf-8")
    assert hashes_of(orphan).exists()
    back_up(session)
    assert hashes_of(orphan).exists()
    ids = [entry["id"] for entry in catalog(queue.backups)]
    assert entries[1]["id"] in ids
    assert entries[0]["id"] not in ids
    assert status_of(session, complete, "full") == "ok"


def test_deleting_does_not_orphan_a_chain_unless_told_to(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    chain = make_chain(session, queue, "zstd", 4)
    alone = Path(back_up(session)["backup_path"])
    before = state(queue.directory)
    error = session.error("SELECT queue_delete_backup(?)", str(chain[1]))
    assert chain[2].name in error.message
    assert chain[3].name in error.message
    assert "dependants" in error.message
    assert chain[0].name not in error.message
    assert state(queue.directory) == before
    options = '{"dependants": true}'
    gone = session.object("SELECT queue_delete_backup(?, ?)", str(chain[1]), options)
    assert gone["deleted"] == 3
    assert gone["backup_paths"][0] == str(chain[1])
    assert sorted(gone["backup_paths"]) == [str(path) for path in chain[1:]]
    for path in chain[1:]:
        assert not path.exists()
        assert not hashes_of(path).exists()
    assert session.object("SELECT queue_delete_backup(?)", str(alone))["deleted"] == 1
    assert [entry["backup_path"] for entry in listed(session)] == [str(chain[0])]
    assert session.object("SELECT queue_delete_backup('latest')")["deleted"] == 1
    assert listed(session) == []


def test_rotation_keeps_what_a_kept_incremental_builds_on(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    old = make_chain(session, queue, "none", 2)
    chain = make_chain(session, queue, "zstd", 3)
    assert session.value("SELECT queue_rotate(1)") == 2
    assert [path.exists() for path in old + chain] == [False] * 2 + [True] * 3
    assert status_of(session, chain[2], "full") == "ok"
