"""How much is read of what others may write: catalogs, and what a remote lists.

# Promise

What exceeds a bound is an error that names the file, the bound and the way out, before anything of
it is parsed. The bounds of files and entries are the library's own (`src/bounds.rs`). A text that
exceeds none of them takes some hundred megabytes of memory at most.
"""

from __future__ import annotations

import re
from http.client import HTTPResponse
from pathlib import Path

from queuekeeper import _files as files
from queuekeeper._bounds import (
    ANSWER_BYTES,
    CATALOG_BYTES,
    COMMAS,
    CONTAINERS,
    ENTRY_BYTES,
    NESTING,
)
from queuekeeper.offsite.errors import OffsiteError, damaged, usage

#: A text, a bracket, or the beginning of a text without an end.
TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]|"', re.DOTALL)


def check_size(size: int, shown: str) -> None:
    """Refuses a catalog's file that is longer than any of ours."""
    if size > CATALOG_BYTES:
        raise _refusal(shown, f"is longer than {CATALOG_BYTES} bytes")


def read(path: Path, shown: str, database: Path | None = None) -> bytes:
    """What a catalog's file holds, which is none of a live database's."""
    try:
        content = files.read(path, CATALOG_BYTES + 1, database=database)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(f"{shown} cannot be read: {error.strerror}") from None
    check_size(len(content), shown)
    return content


def answer(found: HTTPResponse, what: str) -> bytes:
    """What rclone answers."""
    content = found.read(ANSWER_BYTES + 1)
    if len(content) > ANSWER_BYTES:
        raise usage(
            f"{what}: the answer is longer than {ANSWER_BYTES} bytes; a remote is a directory for "
            "the backups of queues alone: name another one, or move away what else is in it"
        )
    return content


def check(content: bytes, shown: str) -> None:
    """Refuses a catalog that would take far more memory than any of ours."""
    if content.count(b",") > COMMAS:
        raise _refusal(shown, f"has more than {COMMAS} values")
    depth = containers = begin = 0
    for found in TOKEN.finditer(content):
        token = found.group()
        if token in (b"{", b"["):
            depth += 1
            containers += 1
            begin = found.start() if depth == 2 else begin
        elif token in (b"}", b"]"):
            if depth == 2 and found.end() - begin > ENTRY_BYTES:
                raise _refusal(shown, f"has an entry of more than {ENTRY_BYTES} bytes")
            depth -= 1
        elif token == b'"':
            return
        if depth > NESTING + 1:
            raise _refusal(
                shown, f"has more than {NESTING} objects and lists within each other in an entry"
            )
        if containers > CONTAINERS:
            raise _refusal(shown, f"has more than {CONTAINERS} objects and lists")


def _refusal(shown: str, why: str) -> OffsiteError:
    return damaged(
        f"{shown} {why}; queuekeeper did not write that, so it is not read, and nothing was "
        "changed; move it away, or correct it"
    )
