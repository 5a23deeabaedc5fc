"""Runs in a Python of its own, and calls the C ABI through ctypes as JSON lines ask for it.

Usage: python -I c_driver.py LIBRARY. Knows nothing of the tests; each request is one call, and
each answer its result code, its result and the message.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

Text = ctypes.c_char_p
Pointer = ctypes.c_void_p
Number = ctypes.c_int64
Progress = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, ctypes.c_uint64, ctypes.c_uint64)
DEFAULT = -(2**63)

DECLARED = Path(__file__).parents[2] / "src/calls/operations.toml"


def declared() -> dict[str, tuple[str, str]]:
    """Of each C function the arguments between the handle and the out-parameter, t(ext), n(umber)
    and p(rogress and context), and what that is."""
    found = {}
    for each in tomllib.loads(DECLARED.read_text("utf-8"))["operation"]:
        if "c" in each.get("doors", ["c"]):
            kinds = "".join("tn"[one.endswith(": number")] for one in each["arguments"])
            kinds += "p" if each.get("progress") else ""
            found[each["name"]] = kinds, "number" if "count" in each else "text"
    return found


CALLS = declared()
TYPES: dict[str, list[Any]] = {"t": [Text], "n": [Number], "p": [Progress, Pointer]}


class Driver:
    """What the process holds between two requests."""

    def __init__(self, library: str) -> None:
        # ctypes.CDLL lets go of the GIL during calls.
        self.lib = ctypes.CDLL(library)
        self.lib.qk_errmsg.restype = Text
        self.lib.qk_errmsg.argtypes = [Pointer]
        self.lib.qk_open.argtypes = [Text, ctypes.POINTER(Pointer)]
        self.lib.qk_wrap.argtypes = [Pointer, ctypes.POINTER(Pointer)]
        self.lib.qk_bind.argtypes = [Pointer]
        self.lib.qk_close.argtypes = [Pointer]
        self.lib.qk_free.argtypes = [Pointer]
        for name, (kinds, result) in CALLS.items():
            out = Pointer if result == "text" else Number
            types = [kind for letter in kinds for kind in TYPES[letter]]
            getattr(self.lib, f"qk_{name}").argtypes = [Pointer, *types, ctypes.POINTER(out)]
        self.handles: dict[str, Pointer] = {}
        self.connections: dict[str, Any] = {}
        self.apis: list[int] = []

    def answer(self, code: int, handle: Pointer | None, result: Any = None) -> dict[str, Any]:
        message = self.lib.qk_errmsg(handle).decode() if code else ""
        return {"code": code, "message": message, "result": result}

    def open(self, path: str, handle: str = "queue") -> dict[str, Any]:
        place = Pointer()
        code = self.lib.qk_open(os.fsencode(path), ctypes.byref(place))
        if code == 0:
            self.handles[handle] = place
        assert (code == 0) == (place.value is not None)
        return self.answer(code, None)

    def close(self, handle: str = "queue") -> dict[str, Any]:
        return self.answer(self.lib.qk_close(self.handles.pop(handle)), None)

    def call_and_cancel(self, seconds: float, **call: Any) -> dict[str, Any]:
        """A call that is interrupted if it is not back by then, as often as that takes."""
        back = threading.Event()

        def cancel() -> None:
            while not back.wait(seconds):
                self.lib.qk_interrupt(self.handles["queue"])

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            return self.call(**call)
        finally:
            back.set()
            thread.join()

    def call(self, name: str, arguments: list[Any], handle: str = "queue") -> dict[str, Any]:
        kinds, kind = CALLS[name]
        values: list[Any] = []
        for letter, given in zip(kinds, arguments + [None] * len(kinds)):
            if letter == "p":
                values += [Progress(lambda _context, _done, _total: 0), None]
            elif letter == "n":
                values.append(DEFAULT if given is None else given)
            else:
                values.append(None if given is None else given.encode())
        out = Pointer() if kind == "text" else Number()
        queue = self.handles[handle]
        code = getattr(self.lib, f"qk_{name}")(queue, *values, ctypes.byref(out))
        result = None
        if code == 0 and isinstance(out, Pointer):
            result = json.loads(ctypes.string_at(out.value or 0).decode())
            self.lib.qk_free(out)
        elif code == 0:
            result = out.value
        return self.answer(code, queue, result)

    def import_(self, module: str, search: str | None = None) -> dict[str, Any]:
        if search is not None:
            sys.path.append(search)
        importlib.import_module(module)
        return {"version": version_of(sys.modules[module])}

    def connect(self, module: str, path: str, connection: str = "own") -> None:
        made = importlib.import_module(module)
        if module == "apsw":
            self.connections[connection] = made.Connection(path)
        else:
            self.connections[connection] = made.connect(path, isolation_level=None)

    def disconnect(self, connection: str = "own") -> None:
        self.connections.pop(connection).close()

    def sql(self, sql: str, connection: str = "own") -> list[Any]:
        return list(self.connections[connection].execute(sql))

    def load_extension(self, path: str, connection: str = "own") -> None:
        own = self.connections[connection]
        own.enable_load_extension(True)
        own.load_extension(path)
        own.enable_load_extension(False)

    def catch_api(self, sqlite: str) -> None:
        """The API table of a SQLite, as an embedder gets it that links SQLite."""
        host = ctypes.CDLL(sqlite)
        entry_type = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, Pointer, Pointer)

        def catch(_db: int, _message: int, api: int) -> int:
            self.apis.append(api)
            return 0

        entry = entry_type(catch)
        host.sqlite3_auto_extension(entry)
        db = Pointer()
        host.sqlite3_open(b":memory:", ctypes.byref(db))
        host.sqlite3_cancel_auto_extension(entry)
        host.sqlite3_close(db)

    def bind(self) -> dict[str, Any]:
        return self.answer(self.lib.qk_bind(self.apis[-1]), None)

    def wrap(self, sqlite: str, path: str, sql: str) -> dict[str, Any]:
        """Opens a connection by SQLite's own functions, runs SQL on it, and wraps it."""
        host = ctypes.CDLL(sqlite)
        db, place = Pointer(), Pointer()
        assert host.sqlite3_open(os.fsencode(path), ctypes.byref(db)) == 0
        assert host.sqlite3_exec(db, sql.encode(), None, None, None) == 0
        code = self.lib.qk_wrap(db, ctypes.byref(place))
        if code == 0:
            self.handles["wrapped"] = place
        self.connections["raw"] = (host, db)
        return self.answer(code, None)

    def raw(self, sql: str) -> int:
        """Runs SQL on the connection that was wrapped."""
        host, db = self.connections["raw"]
        return int(host.sqlite3_exec(db, sql.encode(), None, None, None))

    def interrupt_soon(self, sqlite_too: bool) -> dict[str, Any]:
        """A verification that is interrupted, by qk_interrupt or by SQLite's own function."""
        handle = self.handles["wrapped" if sqlite_too else "queue"]
        begun, asked = threading.Event(), threading.Event()

        def interrupt() -> None:
            begun.wait(10)
            if sqlite_too:
                host, db = self.connections["raw"]
                host.sqlite3_interrupt(db)
            else:
                self.lib.qk_interrupt(handle)
            asked.set()

        def progress(_context: int, _done: int, _total: int) -> int:
            begun.set()
            return 0 if asked.wait(10) else 1

        thread = threading.Thread(target=interrupt)
        thread.start()
        out = Pointer()
        callback = Progress(progress)
        code = self.lib.qk_backup(handle, None, None, callback, None, ctypes.byref(out))
        thread.join()
        return self.answer(code, handle)

    def locks_in_a_child(self, path: str) -> list[str]:
        """The locks on a file that a forked child holds while a handle of its own backs it up."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            inode = Path(path).stat().st_ino
            held: set[str] = set()

            def progress(_context: int, _done: int, _total: int) -> int:
                for line in Path("/proc/locks").read_text("utf-8").splitlines():
                    words = line.split()
                    if words[4] == str(os.getpid()) and words[5].endswith(f":{inode}"):
                        held.add(" ".join(words[1:4]))
                return 0

            self.open(path, "child's")
            handle, callback = self.handles["child's"], Progress(progress)
            code = self.lib.qk_backup(handle, None, None, callback, None, None)
            os.write(writer, json.dumps(sorted(held) if code == 0 else str(code)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            held_in_child = json.loads(answer.read())
        os.waitpid(child, 0)
        return list(held_in_child)

    def maps(self) -> list[str]:
        lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
        return sorted({line.split()[-1] for line in lines if ".so" in line})


def version_of(module: Any) -> str:
    """The version of the SQLite inside a module."""
    if hasattr(module, "sqlite_lib_version"):
        return str(module.sqlite_lib_version())
    return str(getattr(module, "sqlite_version", ""))


def main() -> None:
    driver = Driver(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        op = request.pop("op")
        try:
            answer = {"ok": getattr(driver, op)(**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
