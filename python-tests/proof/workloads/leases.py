"""Part "leases": tasks of workers that died are rescued, and those of living workers left alone.

Four processes claim tasks and finish them, renew their leases, dawdle longer than these, or kill
themselves (SIGKILL) while they hold one; dead ones are replaced. Two processes, by two hosts, call
queue_requeue_stale at random, one of them dies now and then, too. A round is one queue: its tasks
are done at random for some seconds, and then until none is left.

Then, by a trigger's notes of each change: every task was completed, and just once; none was changed
after that; each rescue took a lease that was over for as many seconds as it was told (and whose
worker had shown no sign of life for as long, in rounds where that counts); no worker took a task
from another; and what workers were told is done, is done.
"""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from hosts.python_host import PythonSession
from proof.workloads import history, rounds
from proof.workloads.history import Change, Rules
from proof.workloads.place import Worker, open_session, some_host
from proof.workloads.record import Job, Record
from support.eventually import until
from support.queues import Queue, Shape, make_queue

WORKERS = 4
TASKS = 400
DEATHS = 0.03
#: The status of a worker that has killed itself, also where there is no SIGKILL.
KILLED = (-9, 9)
LEASE_SECONDS = 1.0
SPELL_SECONDS = (4.0, 12.0)
UNDONE = "SELECT count(*) FROM task_queue WHERE status <> 'completed'"
LEFT = (
    "SELECT id, status, locked_by, lease_until_utc, heartbeat_utc, datetime('now') FROM task_queue "
    "LEFT JOIN workers ON worker_id = locked_by WHERE status <> 'completed' LIMIT 5"
)
PATIENCE_SECONDS = 60


@dataclass
class Round:
    """One queue, its workers, and its two rescuers."""

    job: Job
    record: Record
    queue: Queue
    rules: Rules
    chance: random.Random
    workers: list[Worker] = field(default_factory=list)
    dead: list[Worker] = field(default_factory=list)
    rescuers: list[PythonSession] = field(default_factory=list)
    rescued: int = 0

    def start_worker(self) -> Worker:
        """One more."""
        name = f"worker-{len(self.workers) + len(self.dead)}"
        seed = f"{self.record.seed} {self.chance.random()} {name}"
        worker = Worker("worker", self.queue.path, name, seed, LEASE_SECONDS, DEATHS)
        worker.until_first()
        return worker

    def start_rescuer(self) -> PythonSession:
        """One more, by some host."""
        return open_session(self.job.library, self.queue.path, some_host(self.chance))

    def rescue(self) -> int:
        """One call by one of the rescuers, who may die of it."""
        which = self.chance.randrange(len(self.rescuers))
        session = self.rescuers[which]
        sql = f"SELECT queue_requeue_stale({self.rules.stale_secs})"
        if self.chance.random() < 0.02:
            session.start(sql)
            time.sleep(self.chance.uniform(0, 0.004))
            session.process.kill()
            self.rescuers[which] = self.start_rescuer()
            self.record.count("rescuers killed")
            return 0
        self.record.count("calls of queue_requeue_stale")
        return int(session.value(sql))

    def replace_dead(self) -> None:
        """A new worker for each that has killed itself."""
        for number, worker in enumerate(self.workers):
            status = worker.process.poll()
            if status is not None:
                assert status in KILLED, f"a worker ended with {status}"
                self.dead.append(worker)
                self.workers[number] = self.start_worker()
                self.record.count("workers killed while they held a task")

    def undone(self) -> int:
        """How many tasks are left."""
        return int(str(self.queue.query(UNDONE)[0][0]))


def make(place: Path, journal: str) -> Queue:
    """A queue of tasks to do, in which each change is noted."""
    queue = make_queue(place / "queue.db", Shape(tasks=0, journal_mode=journal))
    with closing(sqlite3.connect(queue.path)) as connection, connection:
        connection.executescript(history.SCHEMA)
    return queue


def put(queue: Queue, count: int) -> None:
    """More tasks."""
    with queue.connect() as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
            "INSERT INTO task_queue(type, status, max_attempts) "
            "SELECT 'proof', 'queued', 1000000 FROM n",
            (count,),
        )


def do_tasks(now: Round, seconds: float) -> None:
    """Some seconds of everything, and then until nothing is left."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if now.undone() < TASKS // 4:
            put(now.queue, TASKS)
        now.rescued += now.rescue()
        now.replace_dead()
        time.sleep(now.chance.uniform(0, 0.1))
    for worker in now.workers:
        if worker.process.stdin is not None and worker.process.poll() is None:
            worker.process.stdin.write("calm\n")
            worker.process.stdin.flush()

    def all_done() -> bool:
        now.rescued += now.rescue()
        now.replace_dead()
        time.sleep(0.05)
        return now.undone() == 0

    try:
        until(all_done, "an end to all tasks", PATIENCE_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}: {now.queue.query(LEFT)}") from error


def reports(worker: Worker, record: Record) -> list[tuple[int, str]]:
    """The tasks that it was told it has completed."""
    found = []
    for line in worker.said():
        if line == "late":
            record.count("workers that came too late and were told so")
        elif line != "ready":
            task, name = line.split()
            found.append((int(task), name))
    return found


def check(now: Round) -> None:
    """What the trigger has noted is right, and agrees with what everybody was told."""
    changes = [Change(*row) for row in now.queue.query(history.CHANGES)]
    counts = history.check(changes, now.rules)
    told = [one for worker in now.workers + now.dead for one in reports(worker, now.record)]
    history.check_reports(changes, told)
    ((tasks,),) = now.queue.query("SELECT count(*) FROM task_queue")
    assert counts["completions"] == tasks, f"{counts['completions']} of {tasks} tasks completed"
    # A rescuer that was killed may have requeued some, too, but nobody was told.
    assert now.rescued <= counts["rescues"], f"{now.rescued} rescues told, {counts['rescues']} made"
    assert now.queue.query("PRAGMA integrity_check") == [("ok",)]
    now.record.count("tasks", tasks)
    for what, count in counts.items():
        now.record.count(what, count)


def one_scene(job: Job, record: Record, place: Path, number: int) -> int:
    """A round, from the first task to the last."""
    chance = record.chance(number)
    journal = chance.choice(("wal", "wal", "wal", "delete"))
    rules = Rules(chance.choice((0, 1, 2)), chance.random() < 0.4)
    queue = make(place, journal)
    now = Round(job, record, queue, rules, chance)
    try:
        now.rescuers = [now.start_rescuer() for _ in range(2)]
        if rules.needs_dead_worker:
            now.rescuers[0].rows("SELECT queue_set('stale_needs_dead_worker', 1)")
        put(queue, TASKS)
        for _ in range(WORKERS):
            now.workers.append(now.start_worker())
        do_tasks(now, min(chance.uniform(*SPELL_SECONDS), max(2.0, job.limit.left())))
        for worker in now.workers:
            worker.stop()
        for session in now.rescuers:
            session.close()
        check(now)
    except Exception as error:
        record.fail(number, f"journal mode {journal}, {rules}", error)
    finally:
        for worker in now.workers + now.dead:
            worker.kill()
        for session in now.rescuers:
            session.process.kill()
    return number


def run(job: Job) -> Record:
    """The part; a round is one queue."""
    return rounds.run("leases", job, one_scene, "tasks")
