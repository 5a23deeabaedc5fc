"""JSON that others may have written: values of the type that is asked for, or none.

# Promise

Whoever writes the database, a lock file or a catalog writes these texts. So they are data, and no
content of theirs is another error than a ValueError, which says that they cannot be read: neither
one that is nested too deeply, nor a number that is too long.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Callable

#: A notification is read on a phone.
LONGEST_TEXT = 800
#: What is counted fits into SQLite's integers.
LARGEST = 1 << 63


def loaded(text: str | bytes | None) -> Any:
    """The value that a text in UTF-8 has."""
    try:
        # Of bytes, json.loads() would guess the encoding.
        return json.loads(text.decode() if isinstance(text, bytes) else text or "")
    except (RecursionError, TypeError) as error:
        raise ValueError(f"it is no JSON that can be read: {error}") from None


def plain(text: Any, longest: int = LONGEST_TEXT) -> str:
    """One line, without what a terminal would obey, and not too long for a telephone."""
    line = " ".join(str(text).split())
    line = "".join(each if each.isprintable() else "?" for each in line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


class Detail:
    """A JSON object; `faults` names the fields that have another type."""

    def __init__(self, values: Mapping[str, Any] | None) -> None:
        self._values = values or {}
        self.faults: list[str] = ["detail"] if values is None else []

    @classmethod
    def of(cls, text: str | None) -> Detail:
        """What a row of the log says that its step came to."""
        if not text:
            return cls({})
        try:
            found = loaded(text)
        except ValueError:
            return cls(None)
        return cls(found if isinstance(found, dict) else None)

    def text(self, name: str) -> str | None:
        """A text, in one line."""
        found = self._value(name, lambda value: isinstance(value, str))
        return None if found is None else plain(found)

    def word(self, name: str) -> str | None:
        """A text or a number, in one line."""
        found = self._value(name, lambda value: isinstance(value, str) or _is_number(value))
        return None if found is None else plain(found)

    def number(self, name: str) -> float | None:
        """A finite number, at least 0."""
        found = self._value(name, _is_number)
        return None if found is None else float(found)

    def count(self, name: str) -> int | None:
        """A whole number from 0."""
        found: int | None = self._value(
            name, lambda value: isinstance(value, int) and _is_number(value)
        )
        return found

    def texts(self, name: str) -> list[str]:
        """A list of texts, each in one line."""
        return [plain(each) for each in self._list(name, str)]

    def objects(self, name: str) -> list[Detail]:
        """A list of objects."""
        return [Detail(each) for each in self._list(name, dict)]

    def _list(self, name: str, kind: type) -> list[Any]:
        found = self._value(name, lambda value: isinstance(value, list)) or []
        fitting = [each for each in found if isinstance(each, kind)]
        if len(fitting) < len(found):
            self.faults.append(name)
        return fitting

    def _value(self, name: str, fits: Callable[[Any], bool]) -> Any:
        value = self._values.get(name)
        if value is None or fits(value):
            return value
        self.faults.append(name)
        return None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value < LARGEST and math.isfinite(value)
