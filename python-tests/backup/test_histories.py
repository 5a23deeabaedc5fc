"""Every backup of every random history restores to what was there when it was taken.

QUEUEKEEPER_HISTORIES says how many histories, QUEUEKEEPER_SEED which is the first. A failure names
the seed of its history; with QUEUEKEEPER_HISTORIES=1 that one runs alone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPython

from hosts.python_host import PythonSession
from support.queues.changes import Changes
from support.queues.content import Content, content_of_file, content_of_live, difference

HISTORIES = int(os.environ.get("QUEUEKEEPER_HISTORIES", "80"))
SEED = int(os.environ.get("QUEUEKEEPER_SEED", random.SystemRandom().randrange(10**9)))

KINDS = ("full", "incremental", "incremental", "incremental", "snapshot")
COMPRESSIONS = ("none", "gzip", "zstd")
SERIES = (None, None, None, "daily")
VERIFY = ("none", "none", "checksum", "quick", "full")


class History:
    """One database, its changes and its backups, and what each backup must restore to."""

    def __init__(self, directory: Path, seed: int, session: PythonSession, library: Path) -> None:
        self.directory = directory
        self.session = session
        self.library = library
        self.is_open = False
        self.chance = random.Random(seed)
        #: Whether one connection with the library stays open through all changes.
        self.stays_open = self.chance.random() < 0.4
        self.path = directory / "queue.db"
        self.changes = Changes(self.path, self.chance)
        self.story: list[str] = []
        self.expected: dict[str, Content] = {}
        self.kinds: dict[str, str] = {}

    def run(self) -> None:
        """Lives through the history, then restores everything that the catalog lists."""
        self.changes.create()
        for _ in range(self.chance.randint(6, 12)):
            for _ in range(self.chance.choice((0, 1, 1, 2, 4))):
                self.story.append(self.changes.change())
            self.back_up()
            if self.chance.random() < 0.06:
                self.restore_live()
            if self.chance.random() < 0.04:
                self.delete()
        self.check_all()
        self.close()

    def content(self) -> Content:
        return content_of_live(self.path, self.directory / "copy.db")

    def query(self, sql: str, *params: Any) -> Any:
        """The rows of one statement, by a connection with the library."""
        if not self.is_open:
            self.session.call("open", path=str(self.path), connection="history")
            self.session.call("load", path=str(self.library), connection="history")
            self.is_open = True
        try:
            answer = self.session.call(
                "execute", sql=sql, params=list(params), connection="history"
            )
        finally:
            if not self.stays_open:
                self.close()
        return answer["rows"]

    def close(self) -> None:
        if self.is_open:
            self.session.call("close", connection="history")
            self.is_open = False

    def object(self, sql: str, *params: Any) -> dict[str, Any]:
        """The JSON object that a statement returns."""
        ((text,),) = self.query(sql, *params)
        found = json.loads(text)
        assert isinstance(found, dict)
        return found

    def back_up(self) -> None:
        """Any kind of backup, and what it has to hold."""
        options = {
            "type": self.chance.choice(KINDS),
            "compression": self.chance.choice(COMPRESSIONS),
            "name": self.chance.choice(SERIES),
            "verify": self.chance.choice(VERIFY),
        }
        before = self.content()
        made = self.object("SELECT queue_backup(NULL, ?)", json.dumps(options))
        self.story.append(f"{options['type']}→{made['backup_type']} {options['compression']}")
        assert made["backup_type"] == options["type"] or made["note"], made
        assert self.content() == before, "a backup changed its source"
        self.expected[made["id"]] = before
        self.kinds[made["id"]] = made["backup_type"]

    def restore_live(self) -> None:
        """Makes an earlier backup the present content; what was there is a backup then."""
        backup_id = self.chance.choice(sorted(self.expected))
        before = self.content()
        found = self.object("SELECT queue_restore(?)", backup_id)
        self.story.append(f"restore {self.kinds[backup_id]}: {found}")
        exact = self.kinds[backup_id] != "snapshot"
        expected, now = self.expected[backup_id], self.content()
        if "note" in found:
            # It got the target's page size, which the first line tells.
            assert now.plain[0] != expected.plain[0], found
            assert now.plain[1:] == expected.plain[1:], found
        else:
            assert not (fault := difference(now, expected, exact, exact)), fault
        for entry in self.listed():
            if entry["backup_path"] == found["safety_backup"]:
                self.expected[entry["id"]] = before
                self.kinds[entry["id"]] = "full"

    def delete(self) -> None:
        """Deletes any backup, with what builds on it."""
        backup_id = self.chance.choice(sorted(self.expected))
        gone = self.object(
            "SELECT queue_delete_backup(?, ?)", backup_id, json.dumps({"dependants": True})
        )
        self.story.append(f"delete {gone['deleted']}")
        for each in gone["ids"]:
            del self.expected[each]

    def listed(self) -> list[dict[str, Any]]:
        rows = self.query("SELECT id, backup_path, created_at FROM queue_backups()")
        return [dict(zip(("id", "backup_path", "created_at"), row)) for row in rows]

    def check_all(self) -> None:
        """Every backup in the catalog verifies, and restores to what it has to."""
        entries = self.listed()
        assert {entry["id"] for entry in entries} == set(self.expected)
        for entry in entries:
            verified = self.object("SELECT queue_verify(?, 'full')", entry["id"])
            assert verified["status"] == "ok", verified
            target = self.directory / "restored.db"
            self.object("SELECT queue_restore(?, ?)", entry["id"], str(target))
            exact = self.kinds[entry["id"]] != "snapshot"
            found = content_of_file(target)
            fault = difference(found, self.expected[entry["id"]], exact, exact)
            assert not fault, f"{entry['backup_path']}: {fault}"
            target.unlink()


@pytest.mark.slow(80)
def test_every_backup_of_every_history_restores_to_what_was_there(
    tmp_path: Path, library: Path, open_python: OpenPython, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f" [{HISTORIES} histories, QUEUEKEEPER_SEED={SEED}]", end=" ", flush=True)
    session = open_python(":memory:")
    for seed in range(SEED, SEED + HISTORIES):
        directory = tmp_path / f"{seed}"
        directory.mkdir()
        history = History(directory, seed, session, library)
        try:
            history.run()
        except Exception as error:
            raise AssertionError(
                f"QUEUEKEEPER_SEED={seed} QUEUEKEEPER_HISTORIES=1 fails: {error!r} after "
                f"{', '.join(history.story)}"
            ) from error
        shutil.rmtree(directory)
