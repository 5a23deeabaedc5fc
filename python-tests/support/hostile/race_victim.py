"""Root's work in a directory of somebody else's: round after round, for so many seconds.

It is run by a path. Its order, an argument, is JSON. Each line of its output is the outcome of a
round: the result, or the error. What must not change is looked at after each.
"""

import contextlib
import hashlib
import json
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

order = json.loads(sys.argv[1])
sys.path[:0] = order["modules"]
sys.dont_write_bytecode = True

import apsw  # noqa: E402

from support.artifacts import CATALOG  # noqa: E402
from support.hostile.races import look  # noqa: E402

directory, sentinel = Path(order["directory"]), Path(order["sentinel"])
rng = random.Random(order["seed"])
# The package runs on another SQLite.
connection = apsw.Connection(order["queue"] if order["work"] != "archive" else ":memory:")
if order["work"] != "archive":
    connection.enableloadextension(True)
    connection.loadextension(order["library"])


def ask(sql: str, *arguments: str) -> Any:
    """What a function answers."""
    ((answer,),) = connection.execute(sql, arguments).fetchall()
    return json.loads(str(answer))


def backup(name: str, **options: Any) -> Any:
    return ask("SELECT queue_backup(?, ?)", str(directory / name), json.dumps(options))


def change() -> None:
    connection.execute("UPDATE task_queue SET priority = priority + 1").fetchall()


def snapshot(number: int) -> Any:
    compression = rng.choice(["none", "zstd"])
    ending = ".db.zst" if compression == "zstd" else ".db"
    return backup(f"s{number}{ending}", type="snapshot", compression=compression)


def incremental(number: int) -> Any:
    change()
    compression = rng.choice(["none", "gzip"])
    ending = ".db.gz" if compression == "gzip" else ".db"
    verify = rng.choice(["none", "quick"])
    return backup(f"i{number}{ending}", type="incremental", compression=compression, verify=verify)


def restore(number: int) -> Any:
    if number % 3 == 2:
        return ask("SELECT queue_verify(?, 'full')", order["chain"])
    target = directory / f"r{number}.db"
    options = {"requeue_leases": bool(number % 2)}
    sql = "SELECT queue_restore(?, ?, ?)"
    return ask(sql, order["source"], str(target), json.dumps(options))


def archive(number: int) -> Any:
    """Pushes the chain, loses a backup of it, and pulls that."""
    from queuekeeper.errors import Error
    from queuekeeper.offsite import Offsite

    remote, chain = Path(order["remote"], str(number)), Path(order["chain"])
    files = (chain, Path(f"{chain}.hashes"))
    try:
        with Offsite(order["queue"], str(remote), directory=directory) as offsite:
            pushed = offsite.push()
            for each in files:
                each.unlink()
            pulled = offsite.pull(chain.name)
            checksum = hashlib.sha256((kept / chain.name).read_bytes()).hexdigest()
            result = {"backup_path": str(pulled.path), "checksum": checksum}
            return {**result, "pushed": pushed.pushed}
    except (Error, OSError) as error:
        raise apsw.Error(str(error)) from None
    finally:
        shutil.rmtree(remote, ignore_errors=True)
        for each in files:
            if not each.exists():
                shutil.copy(kept / each.name, each)


WORK = {"snapshot": snapshot, "incremental": incremental, "restore": restore, "archive": archive}


def tidy() -> None:
    """Keeps the directory small; what resists stays."""
    with contextlib.suppress(apsw.Error):
        connection.execute("SELECT queue_rotate(4, ?)", (str(directory),)).fetchall()
    for path in [*directory.glob("evil-kept-*"), *directory.glob("r*.db")]:
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


kept = Path(order["copy"]).with_name("kept")
kept.mkdir()
for each in (*directory.glob("z*"), directory / CATALOG):
    shutil.copy(each, kept)
before = look(sentinel)
end = time.monotonic() + order["seconds"]
number = 0
while time.monotonic() < end or number < order["least"]:
    number += 1
    outcome: dict[str, Any] = {"round": number}
    try:
        outcome["result"] = WORK[order["work"]](number)
        path = outcome["result"].get("target_path") or outcome["result"].get("backup_path")
        if path and "status" not in outcome["result"]:
            with contextlib.suppress(OSError):
                outcome["is_file"] = Path(path).is_file() and not Path(path).is_symlink()
                outcome["content"] = shutil.copyfile(path, order["copy"], follow_symlinks=False)
    except apsw.Error as error:
        outcome["error"] = str(error)
        if (directory / CATALOG).is_symlink():
            # It was put there in place of the one that was made.
            (directory / CATALOG).unlink()
            shutil.copy(kept / CATALOG, directory)
    after = look(sentinel)
    if after != before:
        outcome["changed"] = sorted(str(each) for each in set(after.items()) ^ set(before.items()))
        before = after
    print(json.dumps(outcome), flush=True)
    if not sys.stdin.readline():
        break
    if number % 10 == 0:
        tidy()
