"""A user who owns a directory and swaps what root makes in it, as fast as it can.

It is run by a path and imports nothing of the tests: whom it becomes may not read them. Its order,
an argument, is JSON: whom to be, the directory, what links lead to, and a seed. What is made there
under a temporary name is exchanged with a link, or a directory with one to another directory, and
sometimes back a moment later. Until a line comes on its standard input; then it says how often it
has won.
"""

# It must be fast.
# ruff: noqa: PTH104, PTH108, PTH118, PTH208, PTH211

import contextlib
import ctypes
import json
import os
import random
import select
import stat
import sys
import time

AT_FDCWD, RENAME_EXCHANGE = -100, 2
OWN = "evil-"
COMPANIONS = ("-journal", "-wal", "-shm")

order = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
rng = random.Random(order["seed"])
os.setgroups([])
os.setresgid(*[order["gid"]] * 3)
os.setresuid(*[order["uid"]] * 3)
os.chdir(order["directory"])


def exchange(one: str, other: str) -> bool:
    """Whether two names have changed places."""
    done = libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    return bool(done == 0)


def attack(name: str, number: int) -> bool:
    """Whether the name led elsewhere for a moment."""
    directory = stat.S_ISDIR(os.lstat(name).st_mode)
    target = rng.choice(order["directories"] if directory else order["files"])
    link = f"{OWN}{number}"
    os.symlink(target, link)
    beside = [] if directory else [name + companion for companion in COMPANIONS]
    for companion in beside:
        with contextlib.suppress(OSError):
            os.symlink(os.path.join(order["directories"][0], "beside"), companion)
    won = exchange(link, name)
    time.sleep(rng.choice((0, 0, 0.0005, 0.003)))
    if won and rng.random() < 0.5:
        exchange(link, name)
    for left in (link, *beside):
        with contextlib.suppress(OSError):
            os.unlink(left)
    if won and directory:
        with contextlib.suppress(OSError):
            os.rename(link, f"{OWN}kept-{number}")
    return won


won = number = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for name in os.listdir("."):
        if not name.startswith(".queuekeeper-") or name.endswith(COMPANIONS):
            continue
        with contextlib.suppress(OSError):
            if stat.S_ISLNK(os.lstat(name).st_mode):
                # Left there by an exchange.
                if rng.random() < 0.1:
                    os.unlink(name)
                continue
            number += 1
            won += attack(name, number)
            if rng.random() < 0.3:
                time.sleep(rng.random() * 0.1)
print(won, flush=True)
