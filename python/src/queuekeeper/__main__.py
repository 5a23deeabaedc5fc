"""The command line: `queuekeeper`, or `python -m queuekeeper`."""

from __future__ import annotations

import io
import os
import sys


def main() -> int:
    """Runs a command; the exit status."""
    try:
        from queuekeeper.cli import run
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("click", "rich"):
            raise
        message = "the command line needs two more packages: pip install 'queuekeeper[cli]'"
        print(f"queuekeeper: error: {message} ({error})", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It was closed. What is opened next must not be taken for it.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding lacks is shown all the same.
            stream.reconfigure(errors="backslashreplace")
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
