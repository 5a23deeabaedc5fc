"""Ending a call that is under way."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hosts import Session, SqlError
from hosts.protocol import SQLITE_INTERRUPT


def interrupted(session: Session, within_seconds: float) -> SqlError:
    """Interrupts the statement that the session has started; it ends in time, with that error."""
    begun = time.monotonic()
    session.interrupt()
    with pytest.raises(SqlError) as error:
        session.result()
    assert time.monotonic() - begun < within_seconds
    assert error.value.primary_code == SQLITE_INTERRUPT
    return error.value


def interrupted_amid(
    session: Session, sql: str, within_seconds: float, before: Callable[[], object] = lambda: None
) -> SqlError:
    """Interrupts the statement while it works; each attempt begins with a call of `before`.

    On a busy machine the interrupt may come when the statement has ended, or has not begun; then
    there is another attempt.
    """
    for pause in (0.1, 0.02, 0.05, 0.2, 0.01, 0.1, 0.4):
        before()
        session.start(sql)
        time.sleep(pause)
        begun = time.monotonic()
        session.interrupt()
        try:
            session.result()
        except SqlError as error:
            assert time.monotonic() - begun < within_seconds
            assert error.primary_code == SQLITE_INTERRUPT
            return error
    pytest.fail(f"no interrupt came while this was at work: {sql}")
