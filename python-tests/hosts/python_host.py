"""A host session on one of the Python modules, through driver.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hosts.driver_host import DriverSession, to_row
from hosts.protocol import Row

DRIVER = Path(__file__).with_name("driver.py")


class PythonSession(DriverSession):
    """Speaks JSON lines with driver.py."""

    def __init__(
        self,
        python: str,
        module: str,
        path: str,
        readonly: bool = False,
        preexec: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
        directory: str = "",
    ) -> None:
        # -I: neither the user's environment nor the directory decides which module is found.
        command = [python, "-I", "-X", "utf8", str(DRIVER), module]
        command += [directory] if directory else []
        super().__init__(command, path, readonly, preexec, environment)

    def fetch(self, sql: str, n: int, cursor: str = "half-read") -> list[Row]:
        """Reads n rows and leaves the statement half-read, until finish()."""
        return [to_row(row) for row in self.call("fetch", sql=sql, n=n, cursor=cursor)]

    def finish(self, cursor: str = "half-read") -> list[Row]:
        """The remaining rows of a half-read statement."""
        return [to_row(row) for row in self.call("finish", cursor=cursor)]
