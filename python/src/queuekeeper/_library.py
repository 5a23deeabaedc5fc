"""Where the library is, and on which SQLite it runs.

# Promise

The library runs on the SQLite of the interpreter's own `sqlite3` module, whether that is shared or
a static copy, so that this process never has two SQLites on one file: they would cancel each
other's locks. Where that cannot be brought about, opening is refused in words. Only a Python that
has no `sqlite3` at all leaves the choice to the library's own search.

# How

Where the module can load extensions, the library is loaded into a connection to `:memory:`. Many
Pythons are built without that; there the library's entry point is registered as an automatic
extension of the SQLite that `_sqlite3` is linked with, found through that very module, and
cancelled when one connection has been opened. That connection knowing `queue_version()` is the
proof.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from queuekeeper._abi import Abi
from queuekeeper.errors import BindingError, UnavailableError

VARIABLE = "QUEUEKEEPER_LIBRARY"
NAMES = {"win32": "queuekeeper.dll", "darwin": "libqueuekeeper.dylib"}

_lock = threading.Lock()
_bound: Abi | None = None


def loadable_path() -> str:
    """The path of the library, as `load_extension()` and SQLite's `.load` take it.

    It is the one inside this package, or the one that the environment variable QUEUEKEEPER_LIBRARY
    names.
    """
    named = os.environ.get(VARIABLE)
    name = NAMES.get(sys.platform, "libqueuekeeper.so")
    path = Path(named) if named else Path(__file__).with_name(name)
    if not path.is_file():
        how = f"which {VARIABLE} names" if named else "where the installed package has it"
        raise UnavailableError(f"there is no library {path}, {how}; run: pip install ./python")
    return str(path.resolve())


def load(connection: Any) -> None:
    """Loads the extension into a connection of `sqlite3`, `apsw`, `pysqlite3` or their like.

    Extension loading is off again afterwards, also after an error. The first connection of a
    process decides which SQLite the library runs on; another SQLite is refused from then on.
    """
    global _bound
    path = loadable_path()
    with _lock:
        _load(connection, path)
        if _bound is None:
            _bound = Abi(path)


def _load(connection: Any, path: str) -> None:
    enable, load_it = _methods(connection)
    enable(True)
    try:
        load_it(path)
    except Exception as error:
        # Each of the modules has exceptions of its own.
        raise BindingError(f"cannot load {path}: {error}") from error
    finally:
        enable(False)


def _methods(connection: Any) -> tuple[Any, Any]:
    for enable, load_it in (
        ("enable_load_extension", "load_extension"),
        ("enableloadextension", "loadextension"),
    ):
        if hasattr(connection, enable):
            return getattr(connection, enable), getattr(connection, load_it)
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise BindingError(
        f"a {kind} of this Python cannot load extensions; use queuekeeper.open(path), which needs "
        "none, or a Python whose sqlite3 has enable_load_extension()"
    )


def bound() -> Abi:
    """The library, bound to the SQLite of this interpreter."""
    global _bound
    with _lock:
        if _bound is None:
            path = loadable_path()
            abi = Abi(path)
            _bind(abi)
            _bound = abi
        return _bound


def _bind(abi: Abi) -> None:
    try:
        import sqlite3
    except ImportError:
        # The library searches by itself when the first database is opened.
        return
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        if hasattr(connection, "enable_load_extension"):
            _load(connection, abi.path)
            return
    try:
        with _automatic(abi), contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("SELECT queue_version()").fetchone()
    except sqlite3.Error as error:
        raise BindingError(_refusal(str(error))) from error


@contextlib.contextmanager
def _automatic(abi: Abi) -> Iterator[None]:
    """The library as an automatic extension of the SQLite behind `_sqlite3`."""
    import _sqlite3

    entry = ctypes.c_void_p(abi.entry_point())
    try:
        # Looked up through the module, so in itself or in what it is linked with.
        module = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        register, cancel = module.sqlite3_auto_extension, module.sqlite3_cancel_auto_extension
    except (OSError, AttributeError) as error:
        raise BindingError(_refusal(str(error))) from error
    register(entry)
    try:
        yield
    finally:
        cancel(entry)


def _refusal(reason: str) -> str:
    return (
        "this Python's sqlite3 module cannot load extensions, and queuekeeper cannot get at its "
        f"SQLite otherwise ({reason}); a second SQLite beside it would destroy its locks. Use a "
        "Python whose sqlite3 has enable_load_extension()"
    )
