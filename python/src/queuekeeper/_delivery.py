"""Starting the process that sends a message.

# Promise

Apprise and what it needs (`requests`, `urllib3`) import the standard library's `queue`, by which a
program may find a package of its own that has this name. So they never run in the program's
process. In theirs the standard library comes first, and then what the program has on `sys.path`.

Nothing that happens there is raised here: it is a reason why the message did not arrive.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from queuekeeper._data import loaded

MESSENGER = Path(__file__).with_name("_messenger.py")
#: Apprise gives each connection a few seconds; this is for what never ends.
LIMIT_SECONDS = 120


def ask(url: str, message: dict[str, Any] | None) -> dict[str, Any]:
    """The messenger's answer; without a message, it only says whether the URL can be used."""
    python = interpreter()
    if python is None:
        return {"wrong": "no message can be sent: there is no Python to start at sys.executable"}
    # Entries that are no text are import hooks' own; an empty one is the current directory.
    path = [os.path.abspath(place) for place in sys.path if isinstance(place, str)]  # noqa: PTH100
    asked = {"url": url, "message": message, "path": path}
    try:
        done = subprocess.run(
            [python, "-I", "-X", "utf8", str(MESSENGER)],
            input=json.dumps(asked),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"the service had not answered after {LIMIT_SECONDS} s"}
    except OSError as error:
        return {"failure": f"the process that sends it cannot be started: {error}"}
    try:
        answer = loaded(done.stdout)
    except ValueError:
        last = done.stderr.strip().rpartition("\n")[2]
        return {"failure": f"the process that sends it ended with {done.returncode}: {last}"}
    return answer if isinstance(answer, dict) else {}


def interpreter() -> str | None:
    """The program that runs Python; in a program that embeds it, sys.executable may be another."""
    if _is_python(sys.executable):
        return sys.executable
    named = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    names = ("python.exe",) if sys.platform == "win32" else (f"bin/{named}", "bin/python3")
    places = [Path(sys.exec_prefix, name) for name in names]
    return next((str(place) for place in places if place.is_file()), None)


def _is_python(program: str | None) -> bool:
    name = Path(program).name.lower() if program else ""
    return name.startswith(("python", "pypy")) and Path(program or "").is_file()
