"""Loads all that a user may not be able to read, becomes the user, and answers statements."""

import json
import os
import resource  # noqa: F401 - for the code
import sys

import apsw

order = json.load(sys.stdin)
sys.path[:0] = order["modules"]
if order["modules"]:
    import queuekeeper
    import queuekeeper.due
    import queuekeeper.prismq
    from queuekeeper.offsite import local, place  # noqa: F401 - for the code

    queuekeeper.open(":memory:").close()
os.chdir("/")
os.umask(order["umask"])
os.setgroups(order["groups"])
os.setresgid(*[order["gid"]] * 3)
os.setresuid(*[order["uid"]] * 3)
answers: list[object] = []
if order["code"]:
    exec(order["code"])
else:
    connection = apsw.Connection(order["path"])
    connection.enableloadextension(True)
    connection.loadextension(order["library"])
    for sql in order["statements"]:
        try:
            answers.append(connection.execute(sql).fetchall())
        except apsw.Error as error:
            answers.append(str(error))
    connection.close()
json.dump(answers, sys.stdout)
