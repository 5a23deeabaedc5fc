"""The fault injector itself: it catches every call, whoever makes it, and does what it was told."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from support import faults as f
from support.faults import Answer, Fault, Faults
from support.queues import Queue

AT_FDCWD = -100
CREATE, WRITE_ONLY = os.O_CREAT | os.O_WRONLY, os.O_WRONLY
RENAMEAT2 = 316

#: What each call is counted as: by all names that the C library has for it, and without them.
CALLS: list[tuple[int, list[Any]]] = [
    (f.CREATE, ["open", "{}/a", CREATE, 0o600]),
    (f.WRITE, ["write", "$", "hello", 5]),
    (f.WRITE, ["pwrite", "$", "world", 5, 5]),
    (f.WRITE, ["pwrite64", "$", "!", 1, 10]),
    (f.SYNC, ["fsync", "$"]),
    (f.SYNC, ["fdatasync", "$"]),
    (f.TRUNCATE, ["ftruncate", "$", 8]),
    (f.TRUNCATE, ["ftruncate64", "$", 9]),
    (f.ALLOCATE, ["posix_fallocate", "$", 0, 20]),
    (f.ALLOCATE, ["fallocate64", "$", 0, 0, 30]),
    (f.PERMIT, ["fchmod", "$", 0o644]),
    (f.CREATE, ["open64", "{}/b", CREATE, 0o600]),
    (f.CREATE, ["openat", AT_FDCWD, "{}/c", CREATE, 0o600]),
    (f.CREATE, ["openat64", AT_FDCWD, "{}/d", CREATE, 0o600]),
    (f.CREATE, ["creat64", "{}/e", 0o600]),
    (f.OTHER, ["copy_file_range", "$", None, "$", None, 1, 0]),
    (f.RENAME, ["rename", "{}/b", "{}/b2"]),
    (f.RENAME, ["renameat", AT_FDCWD, "{}/c", AT_FDCWD, "{}/c2"]),
    (f.RENAME, ["renameat2", AT_FDCWD, "{}/d", AT_FDCWD, "{}/d2", 1]),
    (f.RENAME, ["syscall", RENAMEAT2, AT_FDCWD, "{}/e", AT_FDCWD, "{}/e2", 1]),
    (f.LINK, ["link", "{}/a", "{}/a2"]),
    (f.LINK, ["linkat", AT_FDCWD, "{}/a", AT_FDCWD, "{}/a3", 0]),
    (f.OTHER, ["symlink", "a", "{}/s"]),
    (f.UNLINK, ["unlink", "{}/a2"]),
    (f.UNLINK, ["unlinkat", AT_FDCWD, "{}/a3", 0]),
    (f.UNLINK, ["remove", "{}/s"]),
    (f.MKDIR, ["mkdir", "{}/m", 0o700]),
    (f.MKDIR, ["mkdirat", AT_FDCWD, "{}/n", 0o700]),
    (f.RMDIR, ["rmdir", "{}/m"]),
    (f.RMDIR, ["unlinkat", AT_FDCWD, "{}/n", 0x200]),
    (f.PERMIT, ["chmod", "{}/a", 0o600]),
    (f.OPEN, ["open", "{}/a", os.O_RDWR]),
    (f.READ, ["pread64", "$", "12345678", 4, 0]),
    (f.READ, ["read", "$", "12345678", 4]),
    (f.LOOK, ["access", "{}/a", 0]),
]
REFUSED = {"copy_file_range"}


def calls(directory: Path, which: list[list[Any]]) -> dict[str, Any]:
    """These calls, in this directory, as a step."""
    fill = str(directory)
    return {
        "calls": [
            [word.replace("{}", fill) if isinstance(word, str) else word for word in call]
            for call in which
        ]
    }


def ask(faults: Faults, queue: Queue, place: Path, fault: Fault, count: int = len(CALLS)) -> Answer:
    """The first calls under a fault."""
    place.mkdir(exist_ok=True)
    step = calls(place, [call for _, call in CALLS[:count]])
    return faults.ask(queue.path, [step], fault, place, load=False)


def test_every_call_is_caught_under_every_name(
    faults: Faults, queue: Queue, tmp_path: Path
) -> None:
    answer = ask(faults, queue, tmp_path / "here", Fault(kinds=f.CHANGES | f.READS))
    for (_, call), (result, code) in zip(CALLS, answer.answers[0]["ok"]):
        assert (result >= 0) == (call[0] not in REFUSED), (call, os.strerror(code))
    logged = [operation.kind for operation in faults.operations()]
    expected = [kind for kind, call in CALLS if kind & f.CHANGES and call[0] not in REFUSED]
    assert logged == expected
    # remove() tries unlink first; nothing else needs more than one call.
    assert answer.seen == len(CALLS)
    content = b"".join(one.data for one in faults.operations() if one.kind == f.WRITE)
    assert content == b"helloworld!"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_the_call_that_is_meant_fails_and_does_nothing(
    code: int, faults: Faults, queue: Queue, tmp_path: Path
) -> None:
    for number, (_, call) in enumerate(CALLS, 1):
        place = tmp_path / f"{code}-{number}"
        fault = Fault(code, number, kinds=f.CHANGES | f.READS)
        answer = ask(faults, queue, place, fault, count=number)
        result, found = answer.answers[0]["ok"][-1]
        # posix_fallocate() returns the error instead.
        assert (result, found) == ((code, 0) if call[0] == "posix_fallocate" else (-1, code)), call
        assert answer.struck == 1
    assert (tmp_path / f"{code}-2" / "a").read_bytes() == b""
    assert not (tmp_path / f"{code}-1" / "a").exists()


def test_a_lasting_fault_lasts_and_only_for_its_kinds(
    faults: Faults, queue: Queue, tmp_path: Path
) -> None:
    place = tmp_path / "here"
    answer = ask(faults, queue, place, Fault(errno.ENOSPC, 2, f.TAKES_SPACE, lasting=True), 11)
    codes = [code for _, code in answer.answers[0]["ok"]]
    full = errno.ENOSPC
    assert codes == [0, full, full, full, 0, 0, full, full, 0, full, 0]
    assert (place / "a").read_bytes() == b""


def test_what_lies_elsewhere_does_not_count(faults: Faults, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here-too").mkdir()
    step = calls(tmp_path / "here-too", [call for _, call in CALLS])
    fault = Fault(errno.EIO, 1, f.CHANGES | f.READS, lasting=True)
    answer = faults.ask(queue.path, [step], fault, tmp_path / "here", load=False)
    assert (answer.seen, answer.struck) == (0, 0)
    assert faults.operations() == []


def test_death_comes_before_the_operation_or_in_the_middle_of_a_write(
    faults: Faults, queue: Queue, tmp_path: Path
) -> None:
    for torn, content in ((False, b"hello"), (True, b"hellowo")):
        place = tmp_path / str(torn)
        answer = ask(faults, queue, place, Fault(f.KILL, 3, torn=torn))
        assert answer.status == -9
        assert (place / "a").read_bytes() == content
