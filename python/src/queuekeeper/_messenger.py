"""Sends a message by apprise, in a process of its own that `_delivery` starts.

Reads one JSON object from its standard input, so that no secret is in its arguments, and writes
one to its standard output. It imports nothing of queuekeeper, and apprise only after the standard
library has been put first on `sys.path`.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

UNKNOWN_SERVICE = (
    "the URL cannot be used: apprise knows no such service, or something is missing in it; see "
    "https://appriseit.com/services/"
)
MISSING = "notifications need one more package: pip install 'queuekeeper[notify]'"


class Complaints(logging.Handler):
    """What apprise logs as wrong, which it says in no other way."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, entry: logging.LogRecord) -> None:
        self.found.append(entry.getMessage())


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Why it cannot be sent (`wrong`), or has not arrived (`failure`); {} if neither."""
    sys.path += [place for place in asked["path"] if place not in sys.path]
    complaints = Complaints()
    logger = logging.getLogger("apprise")
    logger.addHandler(complaints)
    # Its words may hold the URL's secrets, so they go nowhere else.
    logger.propagate = False
    try:
        import apprise
    except ImportError as error:
        return {"wrong": f"{MISSING} ({error})"}
    plugin = apprise.Apprise.instantiate(asked["url"], suppress_exceptions=True)
    if plugin is None:
        return {"wrong": UNKNOWN_SERVICE}
    if asked["message"] is None:
        return {}
    return send(apprise, plugin, asked["url"], asked["message"], complaints)


def send(
    apprise: Any, plugin: Any, url: str, message: dict[str, Any], complaints: Complaints
) -> dict[str, Any]:
    """Sends it; `failure` says why it did not arrive."""
    sent = apprise.Apprise()
    sent.add(with_priority(plugin, url) if message["failure"] else url)
    types = apprise.NotifyType
    try:
        arrived = sent.notify(
            title=message["title"],
            body=message["body"],
            notify_type=types.FAILURE if message["failure"] else types.SUCCESS,
            body_format=apprise.NotifyFormat.TEXT,
        )
    # Whatever a service's plugin raises, the backup must not fail by it.
    except Exception as error:
        complaints.found.append(f"{type(error).__name__}: {error}")
        arrived = False
    if arrived:
        return {}
    return {"failure": "; ".join(complaints.found) or "the service accepted no message"}


def with_priority(plugin: Any, url: str) -> str:
    """The URL with a high priority, if its service has priorities and it names none."""
    known = "priority" in getattr(plugin, "template_args", {})
    if not known or "priority" in parse_qs(urlsplit(url).query):
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}priority=high"


if __name__ == "__main__":
    given = json.load(sys.stdin)
    # A plugin may print.
    output, sys.stdout = sys.stdout, sys.stderr
    json.dump(answer(given), output)
