"""A worker of a queue library, run by test_presets.py: LIBRARY DATABASE ACTION.

Actions: put adds a task; hold claims one, and finishes it when a line arrives on stdin; finish
claims one and finishes it. What happened is printed as one line of JSON each: the id of the task
that was added or claimed (null if there was none), then whether the library accepts that it is
done.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The id of what was claimed, and how to say that it is done; or nothing.
Claim = tuple[Any, Callable[[], Any]] | None


class LiteQueue:
    def __init__(self, path: Path) -> None:
        self.queue = importlib.import_module("litequeue").LiteQueue(path)

    def put(self) -> object:
        return self.queue.put("task").message_id

    def claim(self) -> Claim:
        message = self.queue.pop()
        if message is None:
            return None
        # 0.9 has no claims, and so nothing that would refuse a worker that lost its own.
        fence = {"claim_id": message.claim_id} if hasattr(message, "claim_id") else {}

        def done() -> bool:
            self.queue.done(message.message_id, **fence)
            return int(self.queue.get(message.message_id).status) == 2

        return message.message_id, done


class LocalQueue:
    def __init__(self, path: Path) -> None:
        library = importlib.import_module("localqueue")
        retries = int(sys.argv[4]) if len(sys.argv) > 4 else 3
        policy = library.DeliveryPolicy(max_retries=retries)
        self.empty, self.lost = library.Empty, library.LeaseExpired
        self.queue = library.SimpleQueue(str(path.parent), delivery=policy)

    def put(self) -> object:
        return self.queue.put({"task": 1})

    def claim(self) -> Claim:
        try:
            job = self.queue.get(block=False)
        except self.empty:
            return None

        def done() -> bool:
            before = self.queue.stats()["acked"]
            with contextlib.suppress(self.lost):
                self.queue.ack(job)
            return bool(self.queue.stats()["acked"] == before + 1)

        return job.id, done


class Monlite:
    def __init__(self, path: Path) -> None:
        database = importlib.import_module("monlite").create_db(str(path))
        self.queue = importlib.import_module("monlite.queue").create_queue(database)

    def put(self) -> object:
        return self.queue.add("work", {"task": 1}, max_attempts=2)["id"]

    def claim(self) -> Claim:
        job = self.queue.claim("work")
        if job is None:
            return None

        def done() -> bool:
            self.queue.complete(job)
            return bool(self.queue.get(job["id"])["status"] == "done")

        return job["id"], done


class Kartikeya:
    def __init__(self, path: Path) -> None:
        self.queue = importlib.import_module("kartikeya.queue").SqliteTaskQueue(path)

    def put(self) -> object:
        count = sum(vars(self.queue.stats()).values())
        self.queue.submit(f"task-{count}", "true", agent="work")
        return f"task-{count}"

    def claim(self) -> Claim:
        rows = self.queue.claim_pending("work", 1)
        if not rows:
            return None
        task = rows[0].task_id

        def done() -> bool:
            before = self.queue.stats().completed
            self.queue.mark_done(task, status="completed", result="{}")
            return bool(self.queue.stats().completed == before + 1)

        return task, done


class Honker:
    def __init__(self, path: Path) -> None:
        self.queue = importlib.import_module("honker").open(str(path)).queue("work")

    def put(self) -> object:
        return self.queue.enqueue({"task": 1})

    def claim(self) -> Claim:
        job = self.queue.claim_one(f"worker-{os.getpid()}")
        return None if job is None else (job.id, job.ack)


LIBRARIES: dict[str, Any] = {
    "litequeue": LiteQueue,
    "localqueue": LocalQueue,
    "monlite": Monlite,
    "kartikeya": Kartikeya,
    "honker": Honker,
}


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    library, path, action = sys.argv[1:4]
    queue = LIBRARIES[library](Path(path))
    if action == "put":
        say(queue.put())
        return
    claim: Claim = queue.claim()
    say(claim and claim[0])
    if claim is None:
        return
    if action == "hold":
        sys.stdin.readline()
    say(claim[1]())


if __name__ == "__main__":
    main()
