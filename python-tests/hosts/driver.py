"""Drives one Python SQLite module by JSON lines: python driver.py MODULE [DIRECTORY].

MODULE is sqlite3, apsw, or any other that is like one of these two; DIRECTORY is where it lies, if
this Python does not find it by itself.

Runs on any Python from 3.9 without packages other than that module, in a process of its own, since
the library binds to one SQLite per process and several sessions must be several processes.

Each line on standard input is a request {"op": …}, each line on standard output its answer, {"ok":
…} or {"error": …}. Only "interrupt" has no answer: it is carried out at once by the thread that
reads the requests, while the statement it is meant for still runs in the other.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import time
import urllib.parse
from typing import Any

BUSY_TIMEOUT_SECONDS = 5.0


def encode(value: Any) -> Any:
    """A SQLite value as JSON."""
    if isinstance(value, (bytes, memoryview)):
        return {"hex": bytes(value).hex()}
    return value


def decode(value: Any) -> Any:
    """A SQLite value from JSON."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def describe(error: BaseException) -> dict[str, Any]:
    """An exception of any of the modules in the same words."""
    code = getattr(error, "extendedresult", None)  # apsw
    if code is None:
        code = getattr(error, "sqlite_errorcode", None)  # sqlite3 from Python 3.11 on
    return {"message": str(error), "code": code, "class": type(error).__name__}


def connect(module: str, path: str, readonly: bool) -> Any:
    """A connection in autocommit with a busy timeout, by any of the modules."""
    # A name that is no UTF-8 can only be written as a URI.
    uri = readonly or not path.isprintable()
    if uri:
        path = "file:" + urllib.parse.quote(os.fsencode(path)) + ("?mode=ro" if readonly else "")
    library: Any = importlib.import_module(module)
    if module == "apsw":
        mode = library.SQLITE_OPEN_READONLY if readonly else library.SQLITE_OPEN_READWRITE
        create = 0 if readonly else library.SQLITE_OPEN_CREATE
        connection = library.Connection(path, flags=mode | create | library.SQLITE_OPEN_URI)
        connection.set_busy_timeout(int(BUSY_TIMEOUT_SECONDS * 1000))
        return connection
    return library.connect(
        path,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=uri,
    )


def columns_of(cursor: Any) -> list[str]:
    """The column names, which apsw no longer knows after the last row."""
    try:
        description = cursor.description
    except Exception:
        return []
    return [column[0] for column in description or ()]


class Driver:
    """The connections and half-read cursors of one process."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.connections: dict[str, Any] = {}
        self.cursors: dict[str, Any] = {}

    def connection(self, request: dict[str, Any]) -> Any:
        return self.connections[request.get("connection", "main")]

    def do_search(self, request: dict[str, Any]) -> Any:
        """Lets this Python find the modules of another one, last of all."""
        sys.path.append(request["directory"])

    def do_open(self, request: dict[str, Any]) -> Any:
        module = request.get("module") or self.module
        name = request.get("connection", "main")
        self.connections[name] = connect(module, request["path"], request.get("readonly", False))
        return None

    def do_load(self, request: dict[str, Any]) -> Any:
        connection = self.connection(request)
        enable = (
            getattr(connection, "enable_load_extension", None) or connection.enableloadextension
        )
        enable(True)
        load = getattr(connection, "load_extension", None) or connection.loadextension
        if not request.get("entry"):
            load(request["path"])
        elif hasattr(connection, "loadextension"):
            load(request["path"], request["entry"])
        else:
            # load_extension() itself takes an entry point from Python 3.12 on.
            words = (request["path"], request["entry"])
            connection.execute("SELECT load_extension(?, ?)", words).fetchall()
        enable(False)
        return None

    def do_execute(self, request: dict[str, Any]) -> Any:
        cursor = self.connection(request).cursor()
        cursor.execute(request["sql"], [decode(value) for value in request["params"]])
        columns = columns_of(cursor)
        rows = [[encode(value) for value in row] for row in cursor]
        return {"columns": columns, "rows": rows}

    def do_fetch(self, request: dict[str, Any]) -> Any:
        """Reads n rows and leaves the statement where it is, until "finish"."""
        cursor = self.connection(request).cursor()
        cursor.execute(request["sql"])
        self.cursors[request["cursor"]] = cursor
        return [[encode(value) for value in next(cursor)] for _ in range(request["n"])]

    def do_finish(self, request: dict[str, Any]) -> Any:
        """Reads the rest of a half-read cursor."""
        cursor = self.cursors.pop(request["cursor"])
        return [[encode(value) for value in row] for row in cursor]

    def do_collate(self, request: dict[str, Any]) -> Any:
        """Gives one connection a collation that no other has."""

        def compare(one: str, other: str) -> int:
            return (one > other) - (one < other)

        connection = self.connection(request)
        create = getattr(connection, "create_collation", None) or connection.createcollation
        create(request["name"], compare)
        return None

    def do_limit(self, request: dict[str, Any]) -> Any:
        """Lowers a limit of the connection (apsw's name for it); the limit before."""
        return self.connection(request).limit(request["category"], request["value"])

    def do_close(self, request: dict[str, Any]) -> Any:
        self.connections.pop(request.get("connection", "main")).close()
        return None

    def interrupt(self) -> None:
        for connection in list(self.connections.values()):
            connection.interrupt()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        begun = time.monotonic()
        try:
            reply: dict[str, Any] = {"ok": getattr(self, "do_" + request["op"])(request)}
        except Exception as error:
            reply = {"error": describe(error)}
        reply["seconds"] = time.monotonic() - begun
        return reply


def read_requests(driver: Driver, requests: queue.Queue[Any]) -> None:
    """Hands the requests over in order, but carries out an interrupt at once."""
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "interrupt":
            driver.interrupt()
        else:
            requests.put(request)
    requests.put(None)


def main() -> None:
    if len(sys.argv) > 2:
        sys.path.insert(0, sys.argv[2])
    driver = Driver(sys.argv[1])
    requests: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=read_requests, args=(driver, requests), daemon=True).start()
    while True:
        request = requests.get()
        if request is None:
            break
        print(json.dumps(driver.answer(request)), flush=True)


if __name__ == "__main__":
    main()
