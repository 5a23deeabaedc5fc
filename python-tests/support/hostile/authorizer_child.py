"""Runs statements under an authorizer, and says what each came to and what SQLite asked for it."""

import importlib
import json
import sys
from typing import Any

order = json.load(sys.stdin)
sys.path[:0] = [order["directory"]] if order["directory"] else []
module: Any = importlib.import_module(order["module"])
scope: dict[str, Any] = {}
exec(order["code"], scope)
asked: list[tuple[Any, ...]] = []


def authorizer(*question: Any) -> int:
    asked.append(question)
    return int(scope["authorizer"](*question))


if order["module"] == "apsw":
    connection = module.Connection(order["path"])
    connection.enableloadextension(True)
    connection.loadextension(order["library"])
else:
    connection = module.connect(order["path"], isolation_level=None)
    connection.enable_load_extension(True)
    connection.execute("SELECT load_extension(?)", (order["library"],))
connection.set_authorizer(authorizer)
answers: list[dict[str, Any]] = []
for sql in order["statements"]:
    asked.clear()
    try:
        connection.execute(sql).fetchall()
        error = None
    except Exception as raised:
        error = str(raised)
    answers.append({"error": error, "asked": list(asked)})
json.dump(answers, sys.stdout)
