"""A part: python -m proof.workloads PART (--seconds N | --rounds N) [--seed N] [--library L].

Progress goes to standard error, the record to standard output, as one line of JSON. The exit status
is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from commands import steps
from proof.workloads import corruption, crash, leases, snapshot
from proof.workloads.record import Job, Limit

PARTS = {
    "crash": crash.run,
    "corruption": corruption.run,
    "snapshot": snapshot.run,
    "leases": leases.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--library", type=Path, default=steps.library())
    options = parser.parse_args()
    # Started in the background, it and all its children would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limit = Limit(options.rounds, options.seconds)
    record = PARTS[options.part](Job(options.library.resolve(), limit, options.seed))
    print(json.dumps(record.as_json()))
    return 1 if record.failures else 0


if __name__ == "__main__":
    sys.exit(main())
