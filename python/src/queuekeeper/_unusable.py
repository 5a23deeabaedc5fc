"""Telling that a database cannot be used, and that it can be again.

# Promise

Each address is told once, and of the return once, although the database can remember nothing: the
file of the lock under which the operator is told, `NAME-run-due` beside the database, does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queuekeeper import _news as news
from queuekeeper._data import plain
from queuekeeper._lock import Held, locked
from queuekeeper._ownership import beside
from queuekeeper.configuration import Configuration
from queuekeeper.errors import Error
from queuekeeper.notifications import Address, Delivery, place

NOT_USABLE = "Nothing is backed up until that is corrected. It is tried again at each call."
USABLE_AGAIN = "The queue's database can be used again, and what is due is done."


def lock(file: Path) -> Path:
    """The lock's file of that database."""
    return Path(f"{file}-run-due")


def tell_of_return(held: Held, places: Sequence[Address], file: Path) -> list[Delivery]:
    """Tells those who were told that the database could not be used."""
    waiting = held.words()
    if not waiting:
        return []
    found = []
    for address in places:
        if address.name in waiting:
            title = f"{place(file)}: works again"
            failure = address.send(news.RECOVERY, title, USABLE_AGAIN)
            found.append(Delivery(address.name, news.RECOVERY, failure))
            if failure is None:
                del waiting[address.name]
    names = {address.name for address in places}
    held.keep({name: told for name, told in waiting.items() if name in names})
    return found


def tell(path: Path, places: Sequence[Address], configuration: Configuration, error: Error) -> None:
    """Tells what keeps the database from being used, once to each address.

    Without a place to remember it, nothing is told: else it would be, at every call.
    """
    if not places:
        return
    text = configuration.redacted(plain(error))
    title = f"{place(path)}: nothing can be done"
    body = f"{text}\n\n{NOT_USABLE}"
    try:
        file = path.resolve()
        with locked(lock(file), beside(file)) as held:
            if held is None:
                return
            words: dict[str, Any] = held.words()
            for address in places:
                if address.name not in words and address.send(news.FAILURE, title, body) is None:
                    words[address.name] = text
            held.keep(words)
    except OSError:
        return
