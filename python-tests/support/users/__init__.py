"""Other users of the machine: children that load the library as root and then work as somebody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHILD = Path(__file__).parent / "user_child.py"


@dataclass(frozen=True)
class User:
    """Somebody, by number; nobody has to know the name."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    umask: int = 0o022


ROOT = User(0, 0)
WORKERS = 54300
ALICE, BOB = User(54321, 54322), User(54331, 54332)


@dataclass(frozen=True)
class Place:
    """A directory that every user can reach, with a copy of the library."""

    path: Path
    library: Path

    def make_queue(self, script: str, user: User, mode: int, name: str = "q") -> Path:
        """A queue of that user's, in a directory of that user's."""
        path = self.path / name / "queue.db"
        path.parent.mkdir()
        os.chown(path.parent, user.uid, user.gid)
        lines = [
            f"connection = apsw.Connection({str(path)!r})",
            f"connection.execute({script!r}).fetchall()",
            "connection.execute('PRAGMA journal_mode=WAL').fetchall()",
            "connection.close()",
        ]
        run(self, path, user, [], "; ".join(lines))
        path.chmod(mode)
        return path

    def run(self, path: Path | str, user: User, *statements: str) -> list[Any]:
        """What statements come to, each of which must succeed."""
        answers = run(self, path, user, list(statements))
        errors = {sql: each for sql, each in zip(statements, answers) if isinstance(each, str)}
        assert not errors, errors
        return answers

    def refused(self, path: Path | str, user: User, statement: str) -> str:
        """The error of a statement, which must fail."""
        (answer,) = run(self, path, user, [statement])
        assert isinstance(answer, str), answer
        return answer


def run(
    place: Place,
    path: Path | str,
    user: User,
    statements: list[str],
    code: str = "",
    modules: tuple[str, ...] = (),
) -> list[Any]:
    """What statements, or lines of Python, come to in a process of that user's."""
    order = {
        "path": str(path),
        "library": str(place.library),
        "statements": statements,
        "code": code,
        "modules": modules,
        "uid": user.uid,
        "gid": user.gid,
        "groups": user.groups,
        "umask": user.umask,
    }
    done = subprocess.run(
        [sys.executable, "-I", str(CHILD)],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "QUEUEKEEPER_LIBRARY": str(place.library)},
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def make_place(library: Path) -> Iterator[Place]:
    """Such a directory; without other users, a skip."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can be several users")
    with tempfile.TemporaryDirectory(prefix="queuekeeper-users-") as name:
        path = Path(name)
        path.chmod(0o755)
        copy = Path(shutil.copy(library, path))
        copy.chmod(0o755)
        yield Place(path, copy)


def owners(top: Path) -> dict[str, tuple[int, int, int]]:
    """User, group and mode of all that lies there, but for SQLite's own files."""
    paths = [path for path in top.rglob("*") if not path.name.endswith(("-wal", "-shm"))]
    found = {path.relative_to(top).as_posix(): path.lstat() for path in paths}
    return {name: (each.st_uid, each.st_gid, each.st_mode & 0o7777) for name, each in found.items()}
