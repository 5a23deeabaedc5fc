"""docs/formats.md is right: a second reader, which does what it says, reads what is written."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import LONG, ROOT, MakeQueue, OpenPython

from hosts import Session
from support.artifacts import catalog
from support.artifacts import second_reader as formats
from support.artifacts.kinds import COMPRESSIONS, KINDS, back_up, make_one
from support.artifacts.old_formats import QUEUES, unpack
from support.queues import Queue, Shape

PAGE = (ROOT / "docs" / "formats.md").read_text("utf-8")
ENTRY = (ROOT / "src" / "backup" / "catalog" / "entry.rs").read_text("utf-8")
STEPS = 40 if LONG else 9
#: A path that JSON escapes in part.
NAME = "queue.db" if sys.platform == "win32" else '"\\\t\x1f\x7fé\u2028\U0001f40c.db'
PAGE_SIZES = (512, 1024, 4096, 16384, 65536)
#: Those that only a crash or a wrong clock leaves.
RARE = {"replacing", "wrong_clock"}

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")


def keys_on_the_page(title: str) -> set[str]:
    """What the first column of a section's table has."""
    section = PAGE.split(f"\n### {title}\n")[1].split("\n### ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def change_at_random(chance: random.Random, queue: Queue) -> None:
    """A few commits, by which the database grows, shrinks, or stays as it is."""
    kind = chance.choice(("nothing", "update", "grow", "shrink", "vacuum", "keyed"))
    with queue.connect() as connection:
        if kind == "update":
            connection.execute(
                "UPDATE task_queue SET priority = priority + 1 WHERE id % ? = 0",
                [chance.randint(2, 9)],
            )
        elif kind == "grow":
            connection.execute(
                "INSERT INTO task_queue(type, payload) "
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                "SELECT 'grown', json_quote(hex(randomblob(400))) FROM n",
                [chance.randint(1, 120)],
            )
        elif kind == "shrink":
            connection.execute("DELETE FROM task_queue WHERE id % ? = 1", [chance.randint(2, 5)])
            connection.execute("VACUUM")
        elif kind == "vacuum":
            connection.execute("VACUUM")
        elif kind == "keyed":
            connection.execute(
                "CREATE TABLE IF NOT EXISTS keyed(a TEXT, b INT, c, PRIMARY KEY (a, b)) "
                "WITHOUT ROWID"
            )
            connection.executemany(
                "INSERT OR REPLACE INTO keyed VALUES (?, ?, randomblob(90))",
                [(f"é{chance.random()}", number) for number in range(chance.randint(1, 60))],
            )


def agree(session: Session, directory: Path, scratch: Path) -> formats.Directory:
    """The second reader says of each backup what the library does; the directory as it sees it."""
    read = formats.Directory(directory)
    assert read.entries == catalog(directory)
    for entry in read.entries:
        assert formats.is_intact(entry), entry
        database = read.rebuild(entry)
        if entry["backup_type"] != "incremental":
            assert entry["pages_stored"] == entry["page_count"]
        hashes = read.hashes(entry)
        assert hashes is not None, entry
        assert hashes.checksum == entry["hash_file_checksum"]
        assert (hashes.page_size, hashes.page_count) == (entry["page_size"], entry["page_count"])
        assert hashes.hashes == formats.page_hashes(database, entry["page_size"])
        target = scratch / f"{entry['id']}.db"
        if not target.exists():
            session.object(
                "SELECT queue_restore(?, ?)", str(directory / entry["backup_path"]), str(target)
            )
        if target.read_bytes() != database:
            # A restore makes no job due that had run; nothing else differs.
            other = scratch / "read.db"
            other.write_bytes(database)
            assert without_schedule(target) == without_schedule(other), entry
    return read


def without_schedule(path: Path) -> list[str]:
    """All of a database with a schedule, but what that remembers."""
    with closing(sqlite3.connect(path)) as connection:
        dump = list(connection.iterdump())
    kept = [line for line in dump if "queuekeeper_jobs" not in line and "_log" not in line]
    assert len(kept) < len(dump)
    return kept


@pytest.mark.parametrize("seed", range(15 if LONG else 5))
def test_a_second_reader_gets_what_a_restore_gets(
    seed: int, make: MakeQueue, open_python: OpenPython, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    shape = Shape(
        tasks=chance.choice((0, 3, 300)),
        page_size=PAGE_SIZES[seed % len(PAGE_SIZES)],
        journal_mode=chance.choice(("wal", "delete")),
    )
    queue = make(shape, NAME)
    session = open_python(queue.path)
    if chance.random() < 0.5:
        session.rows("SELECT queue_set('queue_name', 'q.1')")
    for step in range(STEPS):
        change_at_random(chance, queue)
        kind = KINDS[step] if step < len(KINDS) else chance.choice(("incremental", *KINDS))
        back_up(
            session,
            type=kind,
            compression=chance.choice(COMPRESSIONS),
            **chance.choice(({}, {"name": "x"}, {"verify": "quick"})),
        )
    scratch = tmp_path / "restored"
    scratch.mkdir()
    read = agree(session, queue.backups, scratch)
    listed = [row["id"] for row in session.dicts("SELECT id FROM queue_backups()")]
    assert [entry["id"] for entry in formats.newest_first(read.entries)] == listed
    assert {entry["backup_type"] for entry in read.entries} == set(KINDS)
    # What a verification found is in the catalog alone, and here all of it was found before.
    assert read.recovered() == read.entries


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_each_kind_is_read(
    kind: str, compression: str, queue: Queue, open_python: OpenPython, tmp_path: Path
) -> None:
    session = open_python(queue.path)
    artifact = make_one(session, queue, kind, compression)
    read = agree(session, queue.backups, tmp_path)
    entry = next(each for each in read.entries if each["backup_path"] == artifact.name)
    assert (entry["backup_type"], entry["compression"]) == (kind, compression)


@pytest.mark.parametrize("page_size", [512, 65536])
def test_the_first_frame_of_a_full_backup_is_as_long_as_the_page_says(
    page_size: int, make: MakeQueue, open_python: OpenPython
) -> None:
    session = open_python(make(Shape(tasks=90, page_size=page_size)).path)
    for compression, extra in (("gzip", 28 if page_size == 65536 else 23), ("zstd", 12)):
        artifact = Path(back_up(session, compression=compression)["backup_path"])
        first = artifact.read_bytes()[: page_size + extra]
        assert len(formats.expand(first, compression)) == page_size


@pytest.mark.parametrize("name", QUEUES)
def test_what_version_0_1_0_wrote_is_read(
    name: str, tmp_path: Path, open_python: OpenPython
) -> None:
    old = unpack(tmp_path, name)
    scratch = tmp_path / "restored"
    scratch.mkdir()
    read = agree(open_python(":memory:"), old.backups, scratch)
    assert len(read.entries) == 11
    assert {entry["id"] for entry in read.recovered()} == {entry["id"] for entry in read.entries}
    there = formats.Directory(old.remote)
    for entry in there.entries:
        there.rebuild(entry)


def sealed_anew(directory: Path, index: int, change: Any) -> str:
    """Rewrites an object as a second writer may; its id."""
    entries = catalog(directory)
    change(entries[index])
    entries[index]["object_digest"] = formats.object_digest(entries[index])
    manifest = directory / "backup_manifest.json"
    manifest.write_text(json.dumps(entries, ensure_ascii=False))
    return str(entries[index]["id"])


def test_the_library_believes_the_digest_of_a_second_writer(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for _ in range(4):
        back_up(session)

    def without_nulls(entry: dict[str, Any]) -> None:
        for key in [key for key, value in entry.items() if value is None]:
            del entry[key]
        del entry["compression"], entry["sequence"]

    def with_others(entry: dict[str, Any]) -> None:
        entry["later"] = {"é": [1, None, '\x7f\u2028\x1f\t/"\\'], "a": {"b": True, "B": ""}}
        entry["queue_name"] = None

    for number, change in enumerate((without_nulls, with_others, lambda _: None)):
        known = sealed_anew(queue.backups, 0, change)
        deleted = session.object("SELECT queue_delete_backup(?)", known)
        assert deleted["deleted"] == 1, number


def test_pointers_are_read(queue: Queue, open_python: OpenPython, tmp_path: Path) -> None:
    session = open_python(queue.path)
    back_up(session)
    elsewhere = tmp_path / "elsewhere"
    made = [
        session.object("SELECT queue_backup(?)", f"{elsewhere}/{number}/") for number in range(2)
    ]
    pointers = formats.Directory(queue.backups).pointers()
    assert [each["id"] for each in pointers] == [each["id"] for each in made[::-1]]
    section = PAGE.split("\n## Pointers\n")[1].split("\n## ")[0]
    example = json.loads(section.split("```json\n")[1].split("```")[0])
    assert set(pointers[0]) <= set(example[0])


def test_each_key_of_a_catalog_is_on_the_page_and_the_other_way_round(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    session.rows("SELECT queue_set('queue_name', 'q')")
    for kind in KINDS:
        back_up(session, type=kind)
    session.object("SELECT queue_verify('latest', 'full')")
    # A backup that is damaged, and one that cannot be deleted: what lies there is no database.
    damaged, other = (
        Path(back_up(session, name=name)["backup_path"]) for name in ("damaged", "other")
    )
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    session.object("SELECT queue_verify(?)", str(damaged))
    other.write_text("no database")
    session.error("SELECT queue_delete_backup(?)", str(other))
    written = {key for entry in catalog(queue.backups) for key in entry}
    page = keys_on_the_page("Its keys")
    assert written == page - RARE
    known = re.search(r"const KNOWN: \[&str; \d+\] = \[(.*?)\];", ENTRY, re.DOTALL)
    assert known is not None
    marks = re.findall(r'^const [A-Z_]+: &str = "(\w+)";', ENTRY, re.MULTILINE)
    assert page == {*re.findall(r'"(\w+)"', known.group(1)), *marks}
    assert set(formats.REQUIRED) | set(formats.ALWAYS) | set(formats.MARKS) == page - {
        *("compression", "queue_name", "sequence", "object_digest")
    }


def test_the_example_of_a_catalog_is_one(tmp_path: Path) -> None:
    section = PAGE.split("\n## The catalog\n")[1].split("\n### ")[0]
    (tmp_path / "backup_manifest.json").write_text(section.split("```json\n")[1].split("```")[0])
    (entry,) = formats.Directory(tmp_path).entries
    assert formats.is_intact(entry)


def test_each_key_of_a_delta_and_each_table_is_on_the_page(
    queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    artifact = make_one(session, queue, "incremental", "none")
    with formats.opened(artifact) as delta:
        meta = {key for (key,) in delta.execute("SELECT key FROM delta_meta")}
        tables = [sql for (sql,) in delta.execute("SELECT sql FROM sqlite_schema WHERE sql <> ''")]
    assert meta == set(formats.META)
    section = PAGE.split("\n### Deltas\n")[1].split("\n### ")[0]
    assert all(f"`{key}`" in section for key in meta)
    session.rows("SELECT queue_set('keep', '7/4/12')")
    session.rows("SELECT queue_run_due('2026-11-05 02:00:00')")
    sql = "SELECT sql FROM sqlite_schema WHERE name LIKE 'queuekeeper%'"
    tables += [row[0] for row in queue.query(sql)]
    assert len(tables) == 5
    page = " ".join(PAGE.split())
    for table in tables:
        assert f"{' '.join(table.split())};" in page, table
