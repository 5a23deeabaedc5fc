"""A compressed artifact of many frames is the whole snapshot, to us and to stock programs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import OpenPython

from support.artifacts import masked
from support.artifacts.kinds import back_up
from support.queues import Queue, grow
from support.queues.content import content_of_file, content_of_live

pytestmark = pytest.mark.rule(3)

#: A frame holds 2 MB: here are several, and the last one is not full.
MEGABYTES = 9
PROGRAMS = {"gzip": "gzip", "zstd": "zstd"}


@pytest.mark.parametrize("compression", PROGRAMS)
def test_many_frames_are_one_snapshot(
    compression: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    grow(queue, MEGABYTES)
    session = open_python(queue.path)
    plain = Path(back_up(session)["backup_path"])
    packed = back_up(session, compression=compression)
    assert session.object("SELECT queue_verify(?, 'full')", packed["id"])["status"] == "ok"
    target = tmp_path / "restored.db"
    session.object("SELECT queue_restore(?, ?)", packed["id"], str(target))
    assert content_of_file(target) == content_of_live(queue.path, tmp_path / "live.db")
    if sys.platform == "win32":
        return
    unpacked = tmp_path / "unpacked.db"
    with unpacked.open("wb") as out:
        command = [PROGRAMS[compression], "-dc", packed["backup_path"]]
        subprocess.run(command, stdout=out, check=True)
    digests = [hashlib.sha256(masked(path.read_bytes())).digest() for path in (plain, unpacked)]
    assert digests[0] == digests[1]
