"""Ending a call that is under way."""

from __future__ import annotations

import time

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
