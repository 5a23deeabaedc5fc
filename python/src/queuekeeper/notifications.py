"""Telling the operator, by apprise, which knows ntfy and a hundred other services.

# Promise

- What is told, and that it is told once, is judged by the log (`_news`). A failure has the
  service's high priority, if the service knows such a thing and the URL chooses none.
- A notification that cannot be delivered never fails what it was about. It is recorded under the
  job `notify` with the reason, and tried again by later calls. What a call was sending when it was
  killed is sent again, since nobody knows whether it went out.
- No secret gets out: addresses are recorded as `ntfy`, `ntfy 2` and so on, never by their URLs, and
  texts are freed of whatever the configuration knows to be secret.

# How

The caller holds the lock of `run_due`, so nobody else tells the same at the same time.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from queuekeeper import _news as news
from queuekeeper._arguments import Now
from queuekeeper._log import RUNNING, record
from queuekeeper._queue import Queue
from queuekeeper.configuration import Configuration, redacted
from queuekeeper.errors import Error
from queuekeeper.results import HistoryEntry

HEARTBEAT_SECONDS = 20
UNKNOWN_SERVICE = (
    "the URL cannot be used: apprise knows no such service, or something is missing in it; see "
    "https://appriseit.com/services/"
)


@dataclass(frozen=True)
class Delivery:
    """What became of a message, or of the heartbeat."""

    address: str
    kind: str
    #: Why it did not arrive; None if it did.
    failure: str | None


@dataclass(frozen=True)
class Address:
    """Where messages go."""

    #: What the log calls it: the service, and a number from the second of that service on.
    name: str
    _url: str

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def check(self) -> str | None:
        """Why nothing could ever be sent there, or None."""
        with _complaints():
            try:
                service = _apprise()
            except Error as error:
                return str(error)
            known = service.Apprise.instantiate(self._url, suppress_exceptions=True)
        return None if known is not None else UNKNOWN_SERVICE

    def send(self, kind: str, title: str, body: str) -> str | None:
        """Sends a message; why it did not arrive, or None."""
        wrong = self.check()
        if wrong is not None:
            return wrong
        with _complaints() as complaints:
            service = _apprise()
            sent = service.Apprise()
            sent.add(_with_priority(service, self._url) if kind == news.FAILURE else self._url)
            types = service.NotifyType
            try:
                arrived = sent.notify(
                    title=title,
                    body=body,
                    notify_type=types.FAILURE if kind == news.FAILURE else types.SUCCESS,
                    body_format=service.NotifyFormat.TEXT,
                )
            # Whatever a service's plugin raises, the backup must not fail by it.
            except Exception as error:
                complaints.append(f"{type(error).__name__}: {error}")
                arrived = False
        if arrived:
            return None
        reason = "; ".join(complaints) or "the service accepted no message"
        return news.plain(redacted(reason, [self._url], every_part=True))


def addresses(configuration: Configuration) -> list[Address]:
    """The addresses that are configured."""
    found: list[Address] = []
    counts: dict[str, int] = {}
    for url in configuration.texts("notify"):
        # What is no URL may be a secret as a whole.
        service = re.match(r"([a-z][a-z0-9]{0,19})://", url.lower())
        kind = service[1] if service else "unknown"
        counts[kind] = counts.get(kind, 0) + 1
        found.append(Address(kind if counts[kind] == 1 else f"{kind} {counts[kind]}", url))
    return found


def greet(
    queue: Queue, history: Sequence[HistoryEntry], places: Sequence[Address], now: Now | None
) -> list[Delivery]:
    """From now on, what happens is news to these; what happened before is not."""
    found = []
    for address in places:
        if not any(news.is_about(row, news.JOB, address.name) for row in history):
            record(queue, news.JOB, address.name, "ok", {"kind": "first", "failing": []}, now)
            wrong = address.check()
            found += [Delivery(address.name, "first", wrong)] if wrong else []
    return found


def tell(
    queue: Queue,
    file: Path,
    places: Sequence[Address],
    configuration: Configuration,
    present: datetime,
    now: Now | None,
    *,
    quiet: bool = False,
    failures_only: bool = False,
) -> list[Delivery]:
    """Tells each address what it does not know yet."""
    where = place(file)
    found: list[Delivery] = []
    for address in places:
        history = queue.history()
        if not news.due(history, address.name, present):
            continue
        pending = news.message(history, address.name, where=where, quiet=quiet)
        if pending is None or (failures_only and pending.kind != news.FAILURE):
            continue
        # What others record meanwhile comes after this row, and is told next time.
        record(queue, news.JOB, address.name, RUNNING, None, now)
        rows = queue.history()
        mine = next(
            place for place, row in enumerate(rows) if news.is_about(row, news.JOB, address.name)
        )
        before = news.told(rows[mine + 1 :], address.name)
        final = news.message(rows[mine + 1 :], address.name, where=where, quiet=quiet) or pending
        title, body = configuration.redacted(final.title), configuration.redacted(final.body)
        failure = address.send(final.kind, title, body)
        failing = final.failing if failure is None else sorted(before.failing)
        detail: dict[str, Any] = {"kind": final.kind, "title": title, "failing": failing}
        if failure is not None:
            detail["error"] = failure
        status = "ok" if failure is None else "failed"
        record(queue, news.JOB, address.name, status, detail, now)
        found.append(Delivery(address.name, final.kind, failure))
    return found


def beat(queue: Queue, configuration: Configuration, now: Now | None) -> Delivery | None:
    """Fetches the heartbeat URL, which is recorded only when it fails, or works again."""
    url = configuration.text("heartbeat")
    if url is None:
        return None
    failure = fetch(url)
    rows = [row for row in queue.history() if news.is_about(row, news.JOB, news.HEARTBEAT)]
    if failure is not None:
        record(queue, news.JOB, news.HEARTBEAT, "failed", failure, now)
    elif rows and rows[0].status == "failed":
        record(queue, news.JOB, news.HEARTBEAT, "ok", None, now)
    return Delivery(news.HEARTBEAT, news.HEARTBEAT, failure)


def fetch(url: str) -> str | None:
    """Fetches a URL; why that failed, or None."""
    from urllib.request import Request, urlopen

    if urlsplit(url).scheme not in ("http", "https"):
        return "the heartbeat URL cannot be used: it must begin with https:// or http://"
    try:
        asked = Request(url, headers={"User-Agent": "queuekeeper"})
        with urlopen(asked, timeout=HEARTBEAT_SECONDS) as answer:
            answer.read(1024)
    # Besides OSError there are the exceptions of http.client, and UnicodeError for some hosts.
    except Exception as error:
        return news.plain(redacted(f"{type(error).__name__}: {error}", [url], every_part=True))
    return None


def place(database: Path) -> str:
    """Which queue, on which machine: an operator has several."""
    return news.plain(f"{database.name} on {platform.node() or 'this machine'}")


def _with_priority(service: Any, url: str) -> str:
    """The URL with a high priority, if its service has priorities and it names none."""
    plugin = service.Apprise.instantiate(url, suppress_exceptions=True)
    known = "priority" in getattr(plugin, "template_args", {})
    if not known or "priority" in parse_qs(urlsplit(url).query):
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}priority=high"


def _apprise() -> Any:
    try:
        import apprise
    except ImportError as error:
        message = "notifications need one more package: pip install 'queuekeeper[notify]'"
        raise Error(f"{message} ({error})") from error
    return apprise


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """What apprise logs as wrong, which it says in no other way."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            found.append(entry.getMessage())

    logger = logging.getLogger("apprise")
    listener = Listener(logging.WARNING)
    propagate = logger.propagate
    logger.addHandler(listener)
    # Its words may hold the URL's secrets, so they go nowhere else.
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagate
