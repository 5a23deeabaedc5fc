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

Apprise runs in a process of its own (`_delivery`). The caller holds the lock of `run_due`, so
nobody else tells the same at the same time.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from queuekeeper import _delivery
from queuekeeper import _news as news
from queuekeeper._arguments import Now
from queuekeeper._data import plain
from queuekeeper._failing import BAD, OK
from queuekeeper._log import RUNNING, is_about, record
from queuekeeper._queue import Queue
from queuekeeper.configuration import Configuration, redacted
from queuekeeper.results import HistoryEntry

HEARTBEAT_SECONDS = 20


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
        return self._ask(None)

    def send(self, kind: str, title: str, body: str) -> str | None:
        """Sends a message; why it did not arrive, or None."""
        return self._ask({"failure": kind == news.FAILURE, "title": title, "body": body})

    def _ask(self, message: dict[str, Any] | None) -> str | None:
        answer = _delivery.ask(self._url, message)
        if "wrong" in answer:
            return str(answer["wrong"])
        if "failure" in answer:
            return plain(redacted(str(answer["failure"]), [self._url], every_part=True))
        return None


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
        if not any(is_about(row, news.JOB, address.name) for row in history):
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
    off: Container[str] = (),
    at_once: bool = False,
) -> list[Delivery]:
    """Tells each address what it does not know yet; `at_once` ignores the pauses."""
    found: list[Delivery] = []

    def message(history: Sequence[HistoryEntry], address: Address) -> news.Message | None:
        return news.message(
            history, address.name, where=place(file), quiet=quiet, now=present, off=off
        )

    for address in places:
        history = queue.history()
        if not at_once and not news.due(history, address.name, present):
            continue
        pending = message(history, address)
        if pending is None or (failures_only and pending.kind != news.FAILURE):
            continue
        # What others record meanwhile comes after this row, and is told next time.
        record(queue, news.JOB, address.name, RUNNING, None, now)
        rows = queue.history()
        mine = next(
            place for place, row in enumerate(rows) if is_about(row, news.JOB, address.name)
        )
        before = news.told(rows[mine + 1 :], address.name)
        final = message(rows[mine + 1 :], address) or pending
        title, body = configuration.redacted(final.title), configuration.redacted(final.body)
        failure = address.send(final.kind, title, body)
        known = final.failing if failure is None else sorted(before.failing)
        detail: dict[str, Any] = {"kind": final.kind, "title": title, "failing": known}
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
    if failure is not None:
        record(queue, news.JOB, news.HEARTBEAT, "failed", failure, now)
    elif failed_beats(queue.history()):
        record(queue, news.JOB, news.HEARTBEAT, "ok", None, now)
    return Delivery(news.HEARTBEAT, news.HEARTBEAT, failure)


def failed_beats(history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """The heartbeat's failures since it last worked."""
    beats = (row for row in history if is_about(row, news.JOB, news.HEARTBEAT))
    since = takewhile(lambda row: row.status != OK, beats)
    return [row for row in since if row.status in BAD]


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
        return plain(redacted(f"{type(error).__name__}: {error}", [url], every_part=True))
    return None


def place(database: Path) -> str:
    """Which queue, on which machine: an operator has several."""
    return plain(f"{database.name} on {platform.node() or 'this machine'}")
