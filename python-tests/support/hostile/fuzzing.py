"""Cases for the fuzzer: what it feeds to the library, and the ground on which it does.

A ground is a directory with a small queue and backups of all kinds, put back before each case. Each
case runs in a child of a host, so that a crash is a finding like any other.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hosts.protocol import SQLITE_INTERNAL
from support.compiling import SANITIZER
from support.faults import Answer, Faults
from support.faults.actions import steps
from support.hostile import BACKUPS
from support.queues import Queue, Shape, make_queue

#: Beyond what the host has already; enough for anything on so small a queue.
MEMORY = 256 << 20
NOMEM = 7


@dataclass
class Ground:
    """A queue with backups, as often as needed."""

    faults: Faults
    place: Path
    cases: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        """Makes it once; it has the same place ever after."""
        queue = make_queue(self.queue.path, Shape(tasks=8, stale_leased=2, page_size=512))
        queue.backups.mkdir()
        made = [sql.format(dir=queue.directory) for sql in BACKUPS]
        answer = self.faults.ask(queue.path, steps(*made))
        assert not [one for one in answer.answers if "error" in one], answer.answers
        shutil.copytree(queue.directory, self.kept)

    @property
    def kept(self) -> Path:
        return self.place / "kept"

    @property
    def queue(self) -> Queue:
        return Queue(self.place / "ground" / "queue.db")

    def put_back(self) -> Queue:
        """As if nothing had happened."""
        shutil.rmtree(self.queue.directory)
        shutil.copytree(self.kept, self.queue.directory)
        return self.queue

    def find(self, ending: str) -> Path:
        """The backup whose name ends like this."""
        return min(path for path in self.queue.backups.iterdir() if path.name.endswith(ending))

    def try_out(self, *calls: tuple[str, list[Any]]) -> Answer:
        """Whatever they answer, the host lives, and no call panics or takes all memory."""
        # A sanitizer takes addresses by the terabyte.
        limit: dict[str, Any] = {"limit": ["as", -1 if SANITIZER else MEMORY]}
        statements: list[dict[str, Any]] = [
            {"sql": sql, "params": [encoded(value) for value in values]} for sql, values in calls
        ]
        answer = self.faults.ask(self.queue.path, [limit, *statements])
        self.cases += 1
        self.calls += len(calls)
        assert answer.status == 0, f"the host ended with {answer.status}: {calls}"
        for call, one in zip(calls, answer.answers[1:]):
            error = one.get("error", {"message": "", "code": 0})
            # What a panic becomes, also one on another thread.
            assert (error["code"] or 0) & 0xFF != SQLITE_INTERNAL, (call, error)
            assert error["code"] != NOMEM, (call, error)
        return answer


def encoded(value: Any) -> Any:
    """A value as the driver of the host takes it."""
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def tame(text: str) -> str:
    """A text that as a path stays on the ground."""
    return text.replace("..", ".").lstrip("/\\")


# What each kind of argument can be, with a liking for the edges.
integers = st.sampled_from(
    [0, 1, -1, 7, 300, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63), 253402300800]
) | st.integers(-(2**63), 2**63 - 1)
reals = st.sampled_from([0.0, -0.0, 0.5, 1e300, -1e300, math.inf, -math.inf, 5e-324]) | st.floats(
    allow_nan=False
)
WORDS = [
    "latest",
    "full",
    "quick",
    "checksum",
    "PASSIVE",
    "TRUNCATE",
    "task_queue",
    "queue_set",
    "none",
    "zstd",
    "gzip",
    "UTC",
    "local",
    "off",
    "7/4/12",
    "0/0/0",
    "1/1",
    "one.db",
    "backups",
    "backups/",
    "queue.db",
    "new.db",
    "new.db.gz",
    "text",
    "unix_ns",
    "count",
    "prismq",
    "keep",
    "preset",
    "task_table",
    "2026-01-01",
    "9999-12-31T23:59:59Z",
    "{}",
    "[]",
    "null",
    "true",
    '{"keep_last":1}',
    "*",
]
texts = st.sampled_from(["", " ", "\0", "%s%n", "x" * 300, *WORDS]) | st.text(max_size=40)
tame_texts = texts.map(tame)
blobs = st.binary(max_size=40)
values = st.none() | integers | reals | tame_texts | blobs
scalars = st.none() | st.booleans() | integers | reals | tame_texts
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tame_texts, inner, max_size=4),
    max_leaves=8,
)


def objects(keys: list[str]) -> st.SearchStrategy[str]:
    """JSON objects with these keys, and JSON that is none, and what is no JSON."""
    known = st.dictionaries(st.sampled_from(keys), scalars, max_size=4)
    wild = st.dictionaries(st.sampled_from(keys) | tame_texts, documents, max_size=4)
    written = (known | wild | documents).map(json.dumps)
    return st.one_of(
        written, written, deep, st.builds(cut, written, st.integers(0, 60)), tame_texts
    )


def cut(text: str, length: int) -> str:
    """The beginning of a text."""
    return text[:length]


deep = st.builds(
    lambda opening, depth: opening * depth,
    st.sampled_from(["[", '{"a":', "[[", '"\\']),
    st.integers(1, 3000),
)


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Some changes of a file: bytes changed, put in, cut out, the end cut off, numbers replaced."""
    changes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["change", "insert", "remove", "truncate", "number", "double"]),
                st.integers(0, 2**16) | st.integers(0, 120),
                st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 4, bytes(8)]),
            ),
            min_size=1,
            max_size=5,
        )
    )

    def change(content: bytes) -> bytes:
        for what, at, more in changes:
            place = at % (len(content) + 1)
            before, after = content[:place], content[place:]
            if what == "change":
                content = before + more + after[len(more) :]
            elif what == "insert":
                content = before + more + after
            elif what == "remove":
                content = before + after[len(more) :]
            elif what == "truncate":
                content = before
            elif what == "number":
                content = before + bytes([more[0]]) * 4 + after[4:]
            else:
                content = content + after
        return content

    return change


def sealed_hashes(content: bytes) -> bytes:
    """A hash file whose own checksum is right."""
    return content[:-32] + hashlib.sha256(content[:-32]).digest()
