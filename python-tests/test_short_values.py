"""A connection that could not be told a result is refused before anything is done."""

from __future__ import annotations

import pytest
from conftest import OpenPython

from hosts.protocol import SQLITE_TOOBIG
from support.documented import FUNCTIONS
from support.queues import Queue

LIMIT_LENGTH = 0
ARGUMENTS = {
    "queue_delete_backup": "'latest'",
    "queue_requeue_stale": "60",
    "queue_restore": "'latest'",
    "queue_rotate": "1",
    "queue_set": "'keep', '3'",
    "queue_verify": "'latest'",
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("longest", [300, 99_999])
def test_nothing_is_done_that_could_not_be_told(
    name: str, longest: int, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_backup(), queue_backup()")
    files, content = queue.files(), queue.snapshot()
    session.call("limit", category=LIMIT_LENGTH, value=longest)
    error = session.error(f"SELECT {name}({ARGUMENTS.get(name, '')})")
    assert error.primary_code == SQLITE_TOOBIG
    assert f"values of {longest} bytes" in error.message
    assert "nothing was done" in error.message
    assert (queue.files(), queue.snapshot()) == (files, content)
    session.call("limit", category=LIMIT_LENGTH, value=100_000)
    session.rows(f"SELECT {name}({ARGUMENTS.get(name, '')})")
