"""Part "corruption": whatever befalls a file of a backup, or the live database, is found.

A round damages one file in one way, and undoes it:

- an artifact of each type and compression, or one that it builds on: queue_verify says that it is
  corrupted, at whatever level, and queue_restore refuses it before the target is touched;
- a hash file: queue_verify says so; the artifact is sound and restores to what it was;
- the manifest: queue_verify says so of each backup that it lists otherwise than before, or that was
  mended; no restore gives another content;
- some pages of the live database, in every hundredth round: where SQLite's own check finds that,
  queue_integrity lists it, a backup that verifies is refused, and a restore replaces the database.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from hosts import SqlError
from hosts.python_host import PythonSession
from proof.workloads import broken, rounds
from proof.workloads.harm import KINDS, harmed
from proof.workloads.place import open_session
from proof.workloads.record import Job, Record
from support.artifacts import CATALOG, catalog
from support.artifacts.kinds import ALL, hashes_of, make_chain, make_one, state, status_of
from support.queues import Queue, Shape, make_queue
from support.queues.content import Content, content_of_file

ROUNDS_OF_A_SCENE = 1000
ROUNDS_A_LIVE_ONE = 100
LEVELS = ("checksum", "checksum", "quick", "full")
MANIFEST, HASH_FILE, CHAIN = "manifest", "hash file", "a chain's member"


@dataclass(frozen=True)
class Victim:
    """An artifact, and the file whose damage it suffers from."""

    kind: str
    artifact: Path
    file: Path


@dataclass
class Scene:
    """A queue with backups of every kind."""

    queue: Queue
    session: PythonSession
    victims: list[Victim]
    contents: dict[Path, Content]

    @property
    def target(self) -> Path:
        """Where restores go that must succeed."""
        return self.queue.directory / "restored.db"


def build(place: Path, session: PythonSession, queue: Queue) -> Scene:
    """All kinds of artifacts, each with what it holds; most rounds are for these themselves."""
    victims = []
    for number, (kind, compression) in enumerate(ALL):
        artifact = make_one(session, queue, kind, compression)
        victims += [Victim(f"{kind}, {compression}", artifact, artifact)] * 2
        if number % 4 == 0:
            victims.append(Victim(HASH_FILE, artifact, hashes_of(artifact)))
        if number % 8 == 0:
            victims.append(Victim(MANIFEST, artifact, queue.backups / CATALOG))
    chain = make_chain(session, queue, "zstd", 4)
    victims += [Victim(CHAIN, chain[-1], link) for link in chain[:-1]]
    scene = Scene(queue, session, victims, {})
    for artifact in {victim.artifact for victim in victims}:
        session.rows("SELECT queue_restore(?, ?)", str(artifact), str(scene.target))
        scene.contents[artifact] = content_of_file(scene.target)
        scene.target.unlink()
    return scene


def check_refused(scene: Scene, victim: Victim, level: str) -> None:
    """It is found, and a restore into the live database changes nothing at all."""
    found = status_of(scene.session, victim.artifact, level)
    assert found == "corrupted", f"queue_verify at level {level}: {found}"
    before = state(scene.queue.directory)
    scene.session.error("SELECT queue_restore(?)", str(victim.artifact))
    changed = set(before.items()) ^ set(state(scene.queue.directory).items())
    assert not changed, f"a refused restore changed {sorted(changed)}"


def check_restore(scene: Scene, victim: Victim, must: bool) -> None:
    """A restore gives what was backed up, or, unless it must succeed, nothing."""
    before = state(scene.queue.directory)
    try:
        scene.session.rows("SELECT queue_restore(?, ?)", str(victim.artifact), str(scene.target))
    except SqlError as error:
        assert not must, f"the artifact is sound: {error}"
        assert state(scene.queue.directory) == before, "a refused restore changed something"
        return
    assert content_of_file(scene.target) == scene.contents[victim.artifact], "another content"
    scene.target.unlink()


def listed(queue: Queue) -> list[dict[str, object]]:
    """What the catalog lists, without what was found since."""
    since = ("verified_at", "verified_level", "object_digest", "damaged_at")
    entries = catalog(queue.backups)
    return [{key: entry[key] for key in entry if key not in since} for entry in entries]


def check_manifest(scene: Scene, victim: Victim, before: list[dict[str, object]]) -> None:
    """All that a damaged manifest lists otherwise than before is called corrupted, or unknown."""
    check_restore(scene, victim, must=False)
    names = [Path(str(entry["backup_path"])) for entry in before]
    found = {str(name): status_of(scene.session, scene.queue.backups / name) for name in names}
    # Verifying has mended what could be mended.
    after = listed(scene.queue)
    for entry in before:
        if entry not in after and found[str(entry["backup_path"])] == "ok":
            # Where its file has another name now, the file by itself is sound.
            by_id = status_of(scene.session, Path(str(entry["id"])))
            assert by_id != "ok", f"neither noticed nor mended: {entry}"


def damage(scene: Scene, victim: Victim, kind: str, chance: random.Random) -> None:
    """One damage, and all that is to follow from it."""
    manifest = scene.queue.backups / CATALOG
    before, catalogued = manifest.read_bytes(), listed(scene.queue)
    content = victim.file.read_bytes()
    changed, where = harmed(content, kind, chance)
    victim.file.write_bytes(changed)
    try:
        if victim.kind == MANIFEST:
            check_manifest(scene, victim, catalogued)
        elif victim.kind == HASH_FILE:
            assert status_of(scene.session, victim.artifact) == "corrupted", "not found"
            check_restore(scene, victim, must=True)
        else:
            check_refused(scene, victim, chance.choice(LEVELS))
    except AssertionError as error:
        raise AssertionError(f"{victim.file.name}, {where}: {error}") from error
    finally:
        # As it was, for the next round: a backup that was found damaged is marked in the manifest.
        victim.file.write_bytes(content)
        manifest.write_bytes(before)
        for aside in scene.queue.backups.glob("*.corrupt-*"):
            aside.unlink()


def one_scene(job: Job, record: Record, place: Path, first: int) -> int:
    """Rounds on one set of backups, until one fails; the number of the last."""
    shape = Shape(page_size=record.chance(first).choice((512, 1024)))
    queue = make_queue(place / "queue.db", shape)
    with open_session(job.library, queue.path) as session:
        scene = build(place, session, queue)
        for number in range(first, first + ROUNDS_OF_A_SCENE):
            chance = record.chance(number)
            live = number % ROUNDS_A_LIVE_ONE == 1
            victim, kind = chance.choice(scene.victims), chance.choice(KINDS)
            try:
                if live:
                    broken.one_round(job.library, record, chance)
                else:
                    damage(scene, victim, kind, chance)
                    record.count(f"{victim.kind}: {kind}")
            except Exception as error:
                where = "live database" if live else f"{victim.kind}, {kind}"
                record.fail(number, where, error)
                return number
            record.count("cases")
            if job.limit.over(number):
                break
        for artifact in scene.contents:
            assert status_of(session, artifact, "full") == "ok", "a backup is not as it was"
    return number


def run(job: Job) -> Record:
    """The part; a round is one damage."""
    return rounds.run("corruption", job, one_scene, "cases")
