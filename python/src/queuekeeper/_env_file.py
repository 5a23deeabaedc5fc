"""The `.env` file: whose it is, and what it says.

# Promise

A file that another user owns, or may write, is refused: it names the programs' arguments, and the
current directory may be anybody's. root may own it, as root may do anything. A link that another
user made is refused, too: it could lead to a file of ours that others put words into, such as a
mailbox. The file that was looked at is the one that is read. What became a pipe meanwhile is not
waited for, and what is longer than any such file is not read.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from queuekeeper._bounds import ENV_BYTES
from queuekeeper._files import CAREFULLY, NO_FOLLOW
from queuekeeper.errors import SQLITE_CANTOPEN, Error, from_code

SQLITE_PERM = 3
DEFAULT = ".env"


def read(named: str | os.PathLike[str] | None) -> Mapping[str, str]:
    """The values in the file that is named, or in the one in the current directory, if any."""
    path = Path(named or DEFAULT)
    if not path.is_file():
        if named:
            raise from_code(
                SQLITE_CANTOPEN, f"there is no file {path} to read the environment from"
            )
        return {}
    try:
        from dotenv import dotenv_values
    except ImportError as error:
        if not named:
            # It may be another program's.
            return {}
        message = "to read an .env file, one more package is needed: pip install python-dotenv"
        raise Error(f"{message} ({error})") from error
    try:
        with _opened(path) as file:
            _check_owner(path, os.fstat(file.fileno()))
            content = file.read(ENV_BYTES + 1)
        if len(content) > ENV_BYTES:
            raise OSError(errno.EFBIG, f"it is longer than {ENV_BYTES} bytes, and is not read")
        values = dotenv_values(stream=io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise from_code(SQLITE_CANTOPEN, f"cannot read {path}: {error}") from error
    return {name: value for name, value in values.items() if value}


def _opened(path: Path) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | CAREFULLY | NO_FOLLOW)
    except OSError:
        if not path.is_symlink():
            raise
        _check_user(path, path.lstat(), "is a link that ")
        descriptor = os.open(path, os.O_RDONLY | CAREFULLY)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb")  # noqa: PTH123
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no file")


def _check_user(path: Path, found: os.stat_result, what: str) -> None:
    if os.name != "nt" and found.st_uid not in (os.geteuid(), 0):
        raise _refusal(path, f"{what}belongs to another user (uid {found.st_uid})")


def _refusal(path: Path, fault: str) -> Error:
    advice = f"if it is yours, 'chown' it and 'chmod go-w {path}'"
    return from_code(SQLITE_PERM, f"{path} {fault}, and is not believed; {advice}")


def _check_owner(path: Path, found: os.stat_result) -> None:
    if os.name == "nt":
        return
    _check_user(path, found, "")
    if found.st_mode & stat.S_IWOTH:
        raise _refusal(path, "may be written by everybody")
    if found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_gid, found.st_uid):
        raise _refusal(path, f"may be written by a group of other users (gid {found.st_gid})")


def _is_private_group(group: int, user: int) -> bool:
    """Whether a group is that of one user alone, as many systems make one for each."""
    import grp
    import pwd

    try:
        entry, name = grp.getgrgid(group), pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return entry.gr_name == name and not set(entry.gr_mem) - {name}
