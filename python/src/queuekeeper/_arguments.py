"""Python's values as what C takes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Literal, Union

from queuekeeper._abi import DEFAULT
from queuekeeper.errors import Error

PathLike = Union[str, "os.PathLike[str]"]
Keep = Union[int, str, Mapping[str, Any]]
Now = Union[str, int, float, datetime]
BackupType = Literal["full", "incremental", "snapshot"]
Compression = Literal["none", "gzip", "zstd"]
#: How thoroughly a backup that there is can be verified; a new one also not at all.
VerifyLevel = Literal["checksum", "quick", "full"]
VerifyOption = Literal["none", "checksum", "quick", "full"]
IntegrityLevel = Literal["quick", "full"]
CheckpointMode = Literal["PASSIVE", "FULL", "RESTART", "TRUNCATE"]


def text(value: PathLike | None, name: str) -> bytes | None:
    """A text or a path; None is left out."""
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise Error(f"{name} must be a str or a path, not {type(value).__name__}")
    # What is not UTF-8 is refused by the library, in words.
    encoded = os.fspath(value).encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise Error(f"{name} has a NUL in it, which no path or text may have")
    return encoded


def options(**given: Any) -> bytes | None:
    """Options as a JSON object; those that are None are left out."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return to_json(chosen, "an option") if chosen else None


def number(value: int | None, name: str) -> int:
    """A number; None is left out."""
    if value is None:
        return DEFAULT
    if isinstance(value, bool) or not isinstance(value, int):
        raise Error(f"{name} must be an int, not {type(value).__name__}")
    if not DEFAULT < value < 2**63:
        raise Error(f"{name} is {value}, which is out of range")
    return value


def keep(value: Keep) -> bytes:
    """A retention policy: a count, a text, or an object."""
    if isinstance(value, Mapping):
        return to_json(dict(value), "the policy")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    if isinstance(value, str):
        return text(value, "keep") or b""
    raise Error(f"keep must be an int, a str or a mapping, not {type(value).__name__}")


def setting(value: object) -> bytes | None:
    """The value of a setting; None resets it."""
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, (int, float)):
        return str(value).encode()
    if value is None or isinstance(value, (str, os.PathLike)):
        return text(value, "value")
    return to_json(value, "value")


def moment(value: Now | None) -> bytes | None:
    """A time; a datetime without a time zone is one of this machine's."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S").encode()
    if isinstance(value, (int, float)):
        return str(value).encode()
    return text(value, "now")


def present(now: Now | None) -> datetime:
    """The time that a call takes for the present."""
    if now is None:
        return datetime.now(timezone.utc)
    if isinstance(now, datetime):
        return now.astimezone(timezone.utc)
    if isinstance(now, (int, float)) or now.strip().isdigit():
        return datetime.fromtimestamp(float(now), timezone.utc)
    try:
        found = datetime.fromisoformat(now.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise Error(f"now is '{now}', but must be a time such as 2026-11-05 02:00:00") from error
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def to_json(value: object, name: str) -> bytes:
    """Anything that JSON has."""
    try:
        return json.dumps(value, default=_path).encode()
    except TypeError as error:
        raise Error(f"{name} is no value that JSON has: {error}") from error


def _path(value: object) -> str:
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    raise TypeError(f"{type(value).__name__} {value!r}")
