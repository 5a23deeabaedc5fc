"""A child process to which file permissions apply, also when the tests run as root."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import pytest

# From linux/prctl.h and linux/capability.h.
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def drop_override() -> Callable[[], None] | None:
    """What to run in a child before exec, so that it may do only what permission bits allow.

    It stays root, and so the owner of what the tests made, but loses root's right to pass over
    permissions: a child as another user could not reach the library or the test's directory.
    """
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions work in another way here")
    if os.geteuid() != 0:
        return None
    if not sys.platform.startswith("linux"):
        pytest.skip("run the tests as an ordinary user: to root, permissions don't apply")
    libc = ctypes.CDLL(None, use_errno=True)

    def drop() -> None:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")

    return drop
