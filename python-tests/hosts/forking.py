"""Runs each request in a child of its own: python forking.py MODULE CONTROL LIBRARY...

A request is a JSON line {"path", "library", "steps", "close"}; its answer is the line
{"answers": [...], "status": how the child ended}. Forking takes some milliseconds where starting
another Python takes a hundred, so a host may die a thousand times in a test. No connection is open
when the process forks.

A step is one of
    {"sql", "params"}            a statement; with "armed", faults count while it runs
    {"files": DIRECTORY}         the names of all that lies below
    {"limit": [NAME, VALUE]}     "as": address space beyond what is used; "data": what can be
                                 written of it; "heap": SQLite's memory
    {"calls": [[NAME, ...], ...]}
                                 functions of the C library, armed; "$" is what the last open gave
Each answer is {"ok": ...}, or {"error": ...} as driver.py has it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import mmap
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
driver = importlib.import_module("driver")

#: Where the system says how much is in use, and what limits it.
KINDS = {"as": (0, resource.RLIMIT_AS), "data": (5, resource.RLIMIT_DATA)}
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
# Longer than any request may take; a child that hangs is killed and counts as dead.
LIMIT_SECONDS = 60


class Child:
    """What a request needs."""

    def __init__(self, module: str, control: mmap.mmap, request: dict[str, Any]) -> None:
        self.module = module
        self.control = control
        self.connection: Any = driver.connect(module, request["path"], False)
        if request["library"]:
            enable = self.attribute("enable_load_extension", "enableloadextension")
            enable(True)
            self.attribute("load_extension", "loadextension")(request["library"])
            enable(False)

    def attribute(self, *names: str) -> Any:
        """A method by the name that this module has for it."""
        return next(
            getattr(self.connection, name) for name in names if hasattr(self.connection, name)
        )

    def arm(self, armed: bool) -> None:
        """Faults count from here on, or no more. The first word of the control file says so."""
        begin = getattr(ctypes.CDLL(None), "faults_begin", None)
        if armed and begin is not None:
            begin()
        self.control[:4] = int(armed).to_bytes(4, sys.byteorder)

    def execute(self, step: dict[str, Any]) -> Any:
        values = [driver.decode(value) for value in step.get("params", ())]
        cursor = self.connection.cursor()
        if step.get("armed"):
            self.arm(True)
        try:
            cursor.execute(step["sql"], values)
            return [[driver.encode(value) for value in row] for row in cursor]
        finally:
            if step.get("armed"):
                self.arm(False)

    def limit(self, name: str, value: int) -> Any:
        if name == "heap":
            used = self.connection.cursor().execute("PRAGMA hard_heap_limit=0").fetchone()
            library = importlib.import_module(self.module)
            current = library.memory_used()
            library.hard_heap_limit(current + value if value >= 0 else 0)
            return [current, used]
        column, kind = KINDS[name]
        if value < 0:
            # To look what is in use could take memory.
            resource.setrlimit(kind, UNLIMITED)
            return 0
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[column])
        used = pages * mmap.PAGESIZE
        resource.setrlimit(kind, (used + value, resource.RLIM_INFINITY))
        return used

    def calls(self, calls: list[list[Any]]) -> Any:
        """The result and errno of each."""
        library = ctypes.CDLL(None, use_errno=True)
        opened, found = -1, []
        for name, *arguments in calls:
            values = [opened if value == "$" else value for value in arguments]
            values = [value.encode() if isinstance(value, str) else value for value in values]
            ctypes.set_errno(0)
            self.arm(True)
            result = getattr(library, name)(*values)
            code = ctypes.get_errno()
            self.arm(False)
            if name.startswith(("open", "creat")):
                opened = result
            found.append([result, code])
        return found

    def step(self, step: dict[str, Any]) -> Any:
        if "files" in step:
            top = Path(step["files"])
            return sorted(path.relative_to(top).as_posix() for path in top.rglob("*"))
        if "calls" in step:
            return self.calls(step["calls"])
        if "limit" in step:
            return self.limit(*step["limit"])
        return self.execute(step)


def answers(child: Child, request: dict[str, Any]) -> list[Any]:
    """The answers to all steps of a request."""
    found = []
    for step in request["steps"]:
        try:
            found.append({"ok": child.step(step)})
        except Exception as error:
            found.append({"error": driver.describe(error)})
    if request["close"]:
        child.connection.close()
    return found


def serve(module: str, control: mmap.mmap, request: dict[str, Any]) -> dict[str, Any]:
    """The same in a child, whatever becomes of it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(LIMIT_SECONDS)
        status = 0
        try:
            child = Child(module, control, request)
            text = json.dumps(answers(child, request))
        except BaseException as error:
            text, status = json.dumps([{"error": driver.describe(error)}]), 98
        with os.fdopen(writer, "w") as pipe:
            pipe.write(text)
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"answers": json.loads(text) if text else [], "status": status}


def main() -> None:
    module, control_name, *libraries = sys.argv[1:]
    importlib.import_module(module)
    with open(control_name, "r+b") as file:  # noqa: PTH123
        control = mmap.mmap(file.fileno(), 0)
    # Loaded once here, they need not be relocated in every child.
    kept = [ctypes.CDLL(library) for library in libraries]
    # What the children do not touch, they need not copy.
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        print(json.dumps(serve(module, control, json.loads(line))), flush=True)
    assert len(kept) == len(libraries)


if __name__ == "__main__":
    main()
