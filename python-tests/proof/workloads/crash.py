"""Part "crash": kill -9 at random moments of random actions, while two writers commit.

After each kill

- the database passes integrity_check, and every commit that a writer was told had succeeded is in
  it (when a restore was killed that had come to its end: in it or in the backup made before it,
  and there is no mix of two contents);
- every backup that the catalog lists verifies;
- the same action succeeds, in another process, and leaves nothing lying about.

A kill counts when the process had not answered yet. The moment is a random share of the time that
the action took before, so that it lies anywhere in it. Some writers are killed in the same way.
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hosts import HostDiedError, SqlError
from hosts.protocol import SQLITE_BUSY, Value
from proof.workloads import rounds
from proof.workloads import scene as scenes
from proof.workloads.ledger import Token
from proof.workloads.place import open_session, some_host
from proof.workloads.record import Job, Record
from proof.workloads.scene import Scene, tokens_of

ROUNDS_OF_A_SCENE = 40
FIRST_GUESS_SECONDS = 0.01
BEFORE_RESTORE = "before_restore"
TRIES = 4
#: Nearly the busy_timeout of the hosts: who gives up before that has not waited for its turn.
PATIENCE_SECONDS = 4.5

Statement = tuple[str, tuple[Value, ...]]


@dataclass
class Round:
    """One action on a scene; what it needs and what it may change."""

    scene: Scene
    chance: random.Random
    number: int
    #: What the backup that is restored holds.
    backup: set[Token] = field(default_factory=set)
    #: A file that must be sound if it is there, and hold just that backup.
    target: Path | None = None


def backing_up(**options: str) -> Callable[[Round], Statement]:
    """A backup in the default directory."""
    return lambda _: ("SELECT queue_backup(NULL, ?)", (json.dumps(options),))


def overwriting(now: Round) -> Statement:
    # In a series of its own, so that nothing builds on it.
    options = json.dumps({"name": "one", "overwrite": True})
    return "SELECT queue_backup(?, ?)", (str(now.scene.queue.backups / "one.db"), options)


def some_backup(now: Round) -> str:
    listed = now.scene.listed() or [now.scene.back_up()]
    return str(now.chance.choice(listed)["id"])


def verifying(now: Round) -> Statement:
    return "SELECT queue_verify(?, 'full')", (some_backup(now),)


def rotating(now: Round) -> Statement:
    return "SELECT queue_rotate(?)", (now.chance.randint(1, 4),)


def deleting(now: Round) -> Statement:
    now.scene.back_up(type="incremental")
    sql = "SELECT count(queue_delete_backup(id, '{\"dependants\": true}')) FROM (SELECT id FROM "
    return sql + "queue_backups() ORDER BY created_at, id LIMIT 1)", ()


def restoring(now: Round) -> Statement:
    """Into the live database; what the backup holds is seen by restoring it elsewhere first."""
    backup = some_backup(now)
    aside = now.scene.queue.directory / "aside.db"
    now.scene.watcher.rows("SELECT queue_restore(?, ?)", backup, str(aside))
    now.backup = tokens_of(aside)
    aside.unlink()
    return "SELECT queue_restore(?)", (backup,)


def restoring_anew(now: Round) -> Statement:
    _, (backup,) = restoring(now)
    now.target = now.scene.queue.directory / "new.db"
    return "SELECT queue_restore(?, ?)", (backup, str(now.target))


def requeuing(now: Round) -> Statement:
    now.scene.age_leases(now.chance.randint(1, 400))
    return "SELECT queue_requeue_stale(60)", ()


def running_jobs(now: Round) -> Statement:
    """All that are due on a day that comes later than all before it."""
    return "SELECT queue_run_due(?)", (f"{2030 + now.number // 12}-{now.number % 12 + 1:02}-15",)


def plain(sql: str) -> Callable[[Round], Statement]:
    return lambda _: (sql, ())


ACTIONS: dict[str, Callable[[Round], Statement]] = {
    "full": backing_up(),
    "full, verified": backing_up(verify="full"),
    "incremental": backing_up(type="incremental"),
    "gzip": backing_up(compression="gzip"),
    "zstd, incremental": backing_up(compression="zstd", type="incremental"),
    "snapshot": backing_up(type="snapshot"),
    "overwrite": overwriting,
    "verify": verifying,
    "rotate": rotating,
    "delete_backup": deleting,
    "restore": restoring,
    "restore to a new file": restoring_anew,
    "checkpoint": plain("SELECT queue_checkpoint('TRUNCATE')"),
    "vacuum": plain("SELECT queue_vacuum()"),
    "optimize": plain("SELECT queue_optimize(1)"),
    "requeue_stale": requeuing,
    "run_due": running_jobs,
}


class Killer:
    """Kills actions, and knows how long each takes."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    def strike(self, now: Round, name: str, statement: Statement) -> bool:
        """The action in a process that is killed; whether it had succeeded by then."""
        sql, values = statement
        host = some_host(now.chance)
        victim = open_session(now.scene.library, now.scene.queue.path, host)
        share = now.chance.random()
        victim.start(sql, *values)
        time.sleep(share * self.took.get(name, FIRST_GUESS_SECONDS))
        victim.process.kill()
        succeeded = False
        try:
            victim.result()
            succeeded = True
        except HostDiedError:
            now.scene.record.count("kills")
            now.scene.record.count(f"kills: {name}")
        except SqlError as error:
            # It had failed before the kill: only waiting for the writers may do that.
            assert error.primary_code == SQLITE_BUSY, f"{name}: {error}"
        with contextlib.suppress(HostDiedError):
            victim.close()
        return succeeded

    def again(self, now: Round, name: str, statement: Statement) -> None:
        """The same action, in another process, to its end."""
        sql, values = statement
        with open_session(
            now.scene.library, now.scene.queue.path, some_host(now.chance)
        ) as session:
            for left in reversed(range(TRIES)):
                begun = time.monotonic()
                try:
                    rows = session.rows(sql, *values)
                    break
                except SqlError as error:
                    waited = error.seconds > PATIENCE_SECONDS and left > 0
                    waited = waited and error.primary_code == SQLITE_BUSY
                    assert waited, f"the next run: {error}"
                    now.scene.record.count("waits for a lock that were too long")
        seconds = time.monotonic() - begun
        self.took[name] = min(seconds, 1.2 * self.took.get(name, seconds))
        if name == "run_due":
            jobs = json.loads(str(rows[0][0]))
            assert jobs, "no job was due"
            steps = [step for job in jobs for step in job["steps"]]
            failed = [each for each in steps if each["status"] != "ok" and not is_late(each)]
            assert not failed, failed


def is_late(step: dict[str, Any]) -> bool:
    """Whether it is VACUUM's, which is left out but in its hour."""
    return step["status"] == "skipped" and step["step"] in ("optimize", "vacuum")


def safety(scene: Scene, before: set[str]) -> set[Token]:
    """What the backups named before_restore hold that were not there before."""
    found: set[Token] = set()
    for entry in scene.listed():
        if entry["name"] == BEFORE_RESTORE and entry["id"] not in before:
            found |= tokens_of(Path(entry["backup_path"]))
    return found


def check_content(now: Round, restored: bool, before: set[str], done: bool) -> None:
    """Nothing is lost that somebody was told is committed."""
    scene = now.scene
    live = scene.look()
    if not restored:
        scene.ledger.check(live)
    elif scene.ledger.check_restored(live, now.backup, safety(scene, before), done):
        scene.record.count("restores that had come to their end")


def check_target(now: Round) -> None:
    """The new file is not there, or whole; then it is deleted."""
    if now.target is not None and now.target.exists():
        assert tokens_of(now.target) == now.backup, "the new file is not the backup"
        now.target.unlink()


def one_round(killer: Killer, now: Round, name: str) -> None:
    """One action, killed, looked at and done again."""
    scene, restored = now.scene, name == "restore"
    scene.tidy()
    statement = ACTIONS[name](now)
    before = {str(entry["id"]) for entry in scene.listed()}
    done = killer.strike(now, name, statement)
    scene.record.count("temporary files that kills left", len(scene.leftovers()))
    if now.number % 9 == 0:
        scene.replace_writer(now.chance.randrange(len(scene.writers)))
    check_content(now, restored, before, done)
    check_target(now)
    scene.verify_all("quick")
    before = {str(entry["id"]) for entry in scene.listed()}
    if name == "run_due":
        # A job that died is tried again after a pause.
        statement = running_jobs(Round(scene, now.chance, now.number + 5000))
    killer.again(now, name, statement)
    check_content(now, restored, before, done=True)
    check_target(now)
    if name == "requeue_stale":
        assert scene.watcher.value("SELECT count(*) FROM queue_stale(60)") == 0
    scene.check_swept()


def last_look(scene: Scene) -> None:
    """The writers have ended, and everything they were told is there."""
    for writer in scene.writers:
        writer.stop()
    scene.ledger.check(scene.look())
    scene.verify_all("full")


def one_scene(killer: Killer, job: Job, record: Record, place: Path, first: int) -> int:
    """Rounds on one queue, until one fails; the number of the last."""
    shape = scenes.some_shape(record.chance(first))
    record.count("queues")
    with scenes.scene_in(place, job.library, record, shape) as scene:
        for number in range(first, first + ROUNDS_OF_A_SCENE):
            chance = record.chance(number)
            name = chance.choice(list(ACTIONS))
            try:
                one_round(killer, Round(scene, chance, number), name)
            except Exception as error:
                record.fail(number, f"{name}, journal mode {shape.journal_mode}", error)
                return number
            if job.limit.over(number):
                break
        last_look(scene)
    return number


def run(job: Job) -> Record:
    """The part; a round is one action that is killed."""
    return rounds.run("crash", job, functools.partial(one_scene, Killer()), "kills")
