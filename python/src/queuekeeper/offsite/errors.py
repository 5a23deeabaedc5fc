"""What can go wrong off-site, in words that an operator can use and that contain no secret.

# Promise

An `OffsiteError` names the remote or the path, the cause and what to do. Neither it nor anything
else of this package shows a password: `Scrubber` takes out of a text what the remote's own words
and the environment have of secrets, and what looks like one.

# How

rclone says what happened in the words of seventy services, so the words decide on the advice: a
list of phrases for each kind of failure, the first that is found counts. What none of them knows
is shown as it is, without advice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from queuekeeper.errors import (
    SQLITE_BUSY,
    SQLITE_CANTOPEN,
    SQLITE_CORRUPT,
    SQLITE_ERROR,
    SQLITE_FULL,
    Error,
)

SQLITE_PERM = 3
SQLITE_IOERR = 10
SQLITE_AUTH = 23

HIDDEN = "***"
#: What the names of options and variables contain whose values are secret.
SECRET_WORDS = ("pass", "secret", "token", "key", "cred", "sas", "cookie", "session", "header")
#: Shorter values are words that stand in ordinary texts, too.
SHORTEST = 4

#: The code, what to do, and the phrases by which each kind of failure is known.
FULL_ADVICE = (
    "the remote is full; make room there, for instance by 'queuekeeper offsite rotate', and push "
    "again"
)
LOCAL_FULL_ADVICE = "the disk here is full; make room, and run this again"
KINDS: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (
        SQLITE_CANTOPEN,
        "rclone has no remote of that name; make it with 'rclone config', and see 'rclone "
        "listremotes'",
        ("didn't find section in config file", "didn't find backend called"),
    ),
    (
        SQLITE_CORRUPT,
        "what arrived is not what was sent, and nothing of it was kept; run this again, and see "
        "'queuekeeper offsite check --download'",
        ("corrupted on transfer",),
    ),
    (
        SQLITE_BUSY,
        "the remote was asked too often; run this again later",
        ("rate limit", "ratelimit", "too many requests", "slowdown", "slow down", "queries per"),
    ),
    (
        SQLITE_FULL,
        FULL_ADVICE,
        (
            "no space left",
            "insufficient storage",
            "quota",
            "disk full",
            "not enough space",
            "remaining disk space",
            "507 ",
            'sftp: "failure"',
        ),
    ),
    (
        SQLITE_AUTH,
        "the remote refuses the credentials; correct them with 'rclone config', or renew them "
        "with 'rclone config reconnect NAME:'",
        (
            "accessdenied",
            "access denied",
            "signaturedoesnotmatch",
            "invalidaccesskeyid",
            "invalid access key",
            "unable to authenticate",
            "unauthorized",
            "forbidden",
            "statuscode: 401",
            "statuscode: 403",
            "error 401",
            "error 403",
            "invalid_grant",
            "empty token found",
            "couldn't fetch token",
            "login incorrect",
        ),
    ),
    (
        SQLITE_PERM,
        "who runs this may not do that there; check whom the remote's directory belongs to",
        ("permission denied", "read-only file system"),
    ),
    (
        SQLITE_CANTOPEN,
        "the remote cannot be reached; check its address and the network, and run this again",
        (
            "connection refused",
            "connection reset",
            "no such host",
            "no route to host",
            "network is unreachable",
            "i/o timeout",
            "deadline exceeded",
            "server misbehaving",
            "handshake failed",
            "unexpected eof",
            ": eof",
        ),
    ),
)


class OffsiteError(Error):
    """Something about off-site copies failed; local backups are as they were.

    `code` is the SQLite result code that fits: SQLITE_CANTOPEN for a remote that is not there,
    SQLITE_AUTH (23) for refused credentials, SQLITE_FULL, SQLITE_CORRUPT, SQLITE_BUSY, or
    SQLITE_IOERR (10).
    """


class HeldError(OffsiteError):
    """Another process is at it."""


def busy(message: str) -> HeldError:
    """Somebody else is at it."""
    return HeldError(message, SQLITE_BUSY)


def damaged(message: str) -> OffsiteError:
    """Something is not what was written."""
    return OffsiteError(message, SQLITE_CORRUPT)


def missing(message: str) -> OffsiteError:
    """Something is not there."""
    return OffsiteError(message, SQLITE_CANTOPEN)


def usage(message: str) -> OffsiteError:
    """The call makes no sense as it is."""
    return OffsiteError(message, SQLITE_ERROR)


def from_rclone(what: str, said: str, configuration: str | None = None) -> OffsiteError:
    """What rclone said, which has no secrets any more, with what to do about it.

    `configuration` is the file that the remote is to be found in; an empty one is none.
    """
    if configuration is not None:
        what += f" (rclone's configuration is {_described(configuration)})"
    lowered = said.lower()
    for code, advice, phrases in KINDS:
        if any(phrase in lowered for phrase in phrases):
            return OffsiteError(f"{what}: {said}; {advice}", code)
    return OffsiteError(f"{what}: {said}; local backups are as they were", SQLITE_IOERR)


def _described(configuration: str) -> str:
    if not configuration:
        return "none: RCLONE_CONFIG is empty"
    there = Path(configuration).exists()
    return f"'{configuration}'" if there else f"'{configuration}', which is not there"


def full(error: OffsiteError) -> OffsiteError:
    """The same failure on a remote that is known to be full, whatever it said."""
    return OffsiteError(f"{error}; {FULL_ADVICE}", SQLITE_FULL)


def full_here(error: OffsiteError) -> OffsiteError:
    """A failure for want of space while something was fetched: it is the disk here that is full."""
    return OffsiteError(str(error).replace(FULL_ADVICE, LOCAL_FULL_ADVICE), SQLITE_FULL)


def is_secret(name: str) -> bool:
    """Whether an option or a variable of that name has a value that nobody must see."""
    lowered = name.lower()
    # A file's name, and the public half of a pair of keys, are no secrets.
    if lowered.endswith(("_file", "_id")):
        return False
    return any(word in lowered for word in SECRET_WORDS)


def is_secret_variable(name: str) -> bool:
    """The same for variables of the environment, many of which have nothing to do with rclone."""
    lowered = name.lower()
    if lowered.startswith("rclone_"):
        return is_secret(lowered)
    return lowered.endswith("_key") or any(word in lowered for word in ("pass", "secret", "token"))


class Scrubber:
    """Takes secrets out of texts."""

    def __init__(self, remote: str, environment: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        secrets = {value for name, value in options_of(remote) if is_secret(name)}
        secrets |= {value for name, value in variables.items() if is_secret_variable(name)}
        # The longest first: one may contain another.
        self._secrets = sorted(
            (each for each in secrets if len(each) >= SHORTEST), key=len, reverse=True
        )

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        # What stands between a name and an @ in an address.
        text = re.sub(r"(://[^/\s:@]*):[^/\s@]+@", rf"\1:{HIDDEN}@", text)
        text = re.sub(r"(?i)(authorization: ?(?:\w+ )?)[^\s,;]+", rf"\1{HIDDEN}", text)
        return re.sub(
            r"(?i)\b([\w-]*(?:pass|secret|token|signature|credential|sig)[\w-]*)(=|%3D)(?!\*\*\*)"
            r"('[^']*'|\"[^\"]*\"|[^\s,&;'\"]+)",
            rf"\1\2{HIDDEN}",
            text,
        )


def options_of(remote: str) -> list[tuple[str, str]]:
    """The options in a connection string such as `:webdav,url=…,pass=…:path`."""
    found = []
    for name, quoted, doubled, plain in re.findall(
        r",([\w-]+)=(?:'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"|([^,:]*))", remote
    ):
        value = quoted.replace("''", "'") or doubled.replace('""', '"') or plain
        found.append((name, value))
    return found
