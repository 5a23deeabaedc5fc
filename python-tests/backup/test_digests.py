"""The page hashes and the content digest are what they are said to be, by other implementations.

An incremental builds on the hashes that an older version has written, and a restore is proved with
the digest. So both have to stay the same whatever the library computes them with.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
import xxhash
from conftest import MakeQueue, OpenPython

from support.artifacts import masked
from support.artifacts.kinds import back_up, hashes_of
from support.queues import Shape


def page_hashes(database: bytes, page_size: int) -> list[bytes]:
    """Of every page, little-endian; what a copy may change in page 1 counts as zero."""
    database = masked(database)
    pages = (database[start : start + page_size] for start in range(0, len(database), page_size))
    return [xxhash.xxh3_128_digest(page)[::-1] for page in pages]


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_hashes_and_digest_are_those_of_the_reference_implementations(
    page_size: int, make: MakeQueue, open_python: OpenPython
) -> None:
    queue = make(Shape(tasks=400, page_size=page_size))
    session = open_python(queue.path)
    made = back_up(session)
    artifact = Path(made["backup_path"])
    hashes = page_hashes(artifact.read_bytes(), page_size)
    assert len(hashes) == made["page_count"] > 3
    head = b"queuekeeper content 1" + struct.pack("<II", page_size, len(hashes))
    assert made["content_digest"] == hashlib.sha256(head + b"".join(hashes)).hexdigest()
    # The SHA-256 of the file itself stands behind the hashes.
    assert hashes_of(artifact).read_bytes()[:-32].endswith(b"".join(hashes))
