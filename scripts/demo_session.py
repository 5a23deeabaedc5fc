"""A SQLite host for the demo: runs the statements that it is sent, one a line.

    demo_session.py MODULE DATABASE

A request is a line of JSON, {"sql": ...} or {"load": ...}; so is the answer,
{"columns": ..., "rows": ...} or {"error": ...}.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from demo_sqlite import Database


def plain(value: Any) -> Any:
    return "x'" + value.hex() + "'" if isinstance(value, bytes) else value


def answer(database: Database, request: dict[str, str]) -> dict[str, Any]:
    try:
        if "load" in request:
            database.load(request["load"])
            return {"columns": [], "rows": []}
        columns, rows = database.run(request["sql"])
    except database.Error as error:
        return {"error": str(error)}
    return {"columns": columns, "rows": [[plain(value) for value in row] for row in rows]}


def main() -> None:
    # Ctrl-C is the demo's to handle; it ends this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, path = sys.argv[1:]
    database = Database(path, module)
    for line in sys.stdin:
        print(json.dumps(answer(database, json.loads(line))), flush=True)
    database.close()


if __name__ == "__main__":
    main()
