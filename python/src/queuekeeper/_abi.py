"""The library's C functions, as include/queuekeeper.h declares them.

# Promise

Each function is looked up when it is first called, so that a library that lacks one is an error of
that call alone. Calls release the GIL.
"""

from __future__ import annotations

import ctypes
import json
import threading
from typing import Any, Callable, Union

from queuekeeper._operations import ARGUMENTS, COUNTS
from queuekeeper.errors import SQLITE_ERROR, UnavailableError

TEXT = ctypes.c_char_p
NUMBER = ctypes.c_int64
PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
LONG = (PROGRESS, ctypes.c_void_p)

#: Passed for a number: leaves it out.
DEFAULT = -(2**63)

TYPES: dict[str, tuple[Any, ...]] = {"text": (TEXT,), "number": (NUMBER,), "progress": LONG}

Argument = Union[bytes, int, None]
Heard = Callable[[int, int], bool]


class CallError(Exception):
    """A result code other than 0, and the message to it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Abi:
    """The functions of one loaded library."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            message = f"cannot load the library {path}: {error}"
            raise UnavailableError(message, SQLITE_ERROR) from error
        self._functions: dict[str, Any] = {}
        self._adding = threading.Lock()

    def entry_point(self) -> int:
        """The address of the extension's entry point."""
        entry = self._library.sqlite3_queuekeeper_init
        return ctypes.cast(entry, ctypes.c_void_p).value or 0

    def version(self) -> str:
        """The version that the library says it has."""
        return self._text("qk_version", [])

    def open(self, path: bytes) -> int:
        """Opens a handle."""
        place = ctypes.c_void_p()
        function = self._function("qk_open", [TEXT, ctypes.POINTER(ctypes.c_void_p)])
        self._check("qk_open", function(path, ctypes.byref(place)))
        return place.value or 0

    def close(self, handle: int) -> None:
        """Closes a handle."""
        self._check("qk_close", self._function("qk_close", [ctypes.c_void_p])(handle))

    def interrupt(self, handle: int) -> None:
        """Asks the call that runs on a handle in another thread to end."""
        self._function("qk_interrupt", [ctypes.c_void_p])(handle)

    def phase(self, handle: int) -> str | None:
        """What the call that runs on a handle is doing."""
        function = self._function("qk_phase", [ctypes.c_void_p], restype=ctypes.c_char_p)
        word: bytes | None = function(handle)
        return None if word is None else word.decode()

    def has(self, name: str) -> bool:
        """Whether the library has that function."""
        return hasattr(self._library, name)

    def call(self, name: str, handle: int, arguments: list[Argument], heard: Heard) -> Any:
        """Calls a function that has a handle; its result as Python values.

        `heard` is told how far a long call is, and returns whether it is to end; it must not raise.
        """
        types = [each for kind in ARGUMENTS[name] for each in TYPES[kind]]
        values: list[Any] = list(arguments)
        listener = PROGRESS(lambda _context, done, total: int(heard(done, total)))
        if "progress" in ARGUMENTS[name]:
            values += [listener, None]
        place = ctypes.c_int64() if name in COUNTS else ctypes.c_void_p()
        signature = [ctypes.c_void_p, *types, ctypes.POINTER(type(place))]
        function = self._function(name, signature)
        self._check(name, function(handle, *values, ctypes.byref(place)))
        return place.value if name in COUNTS else json.loads(self._take(place))

    def _take(self, place: Any) -> bytes:
        """The text in an out-parameter, which is freed."""
        try:
            return ctypes.string_at(place)
        finally:
            free = self._function("qk_free", [ctypes.c_void_p], restype=None)
            free(place)

    def _check(self, name: str, code: int) -> None:
        """Raises what this thread's last call that failed said."""
        if code != 0:
            message = self._text("qk_errmsg", [ctypes.c_void_p], None)
            # The names of C's functions mean nothing to a reader of Python's errors.
            raise CallError(code, message.removeprefix(f"{name}: "))

    def _text(self, name: str, signature: list[Any], *arguments: Any) -> str:
        function = self._function(name, signature, restype=ctypes.c_char_p)
        text: bytes = function(*arguments)
        return text.decode("utf-8", "replace")

    def _function(self, name: str, signature: list[Any], restype: Any = ctypes.c_int) -> Any:
        with self._adding:
            if name not in self._functions:
                self._functions[name] = self._look_up(name, signature, restype)
            return self._functions[name]

    def _look_up(self, name: str, signature: list[Any], restype: Any) -> Any:
        try:
            # Indexing gives a new object each time, which nobody else sets other types on.
            function = self._library[name]
        except AttributeError:
            message = f"the library {self.path} is another version: it has no {name}()"
            raise UnavailableError(message, SQLITE_ERROR) from None
        function.argtypes = signature
        function.restype = restype
        return function
