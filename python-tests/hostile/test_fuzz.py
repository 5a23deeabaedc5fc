"""Rule 6: whatever is fed to the library, the host lives, in time and within its memory.

Files, settings, options, policies and arguments of every documented function and table are made up
by hypothesis, with a liking for what is nearly right. Each case runs in a child of a host with 256
MB to spare; a crash, a panic, a call that does not end or that runs out of memory is a finding, and
hypothesis then looks for the smallest case that shows it.

The cases of a normal run are always the same. QUEUEKEEPER_PROOF_SECONDS=N goes on for that long in
all, QUEUEKEEPER_PROOF_SEED=N makes others of them; -s shows how many there were.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from hosts import find_host
from support.artifacts import catalog
from support.artifacts.kinds import forge, hashes_of, write_catalog
from support.compiling import SANITIZER
from support.documents.declared import FUNCTIONS, TABLES
from support.faults import Faults
from support.hostile.fuzzing import (
    Ground,
    documents,
    mutations,
    objects,
    scalars,
    sealed_hashes,
    tame_texts,
    texts,
    values,
)

pytestmark = [
    pytest.mark.rule(6),
    pytest.mark.skipif(os.name == "nt", reason="forks"),
]

SEED = int(os.environ.get("QUEUEKEEPER_PROOF_SEED", "1"))
SECONDS = float(os.environ.get("QUEUEKEEPER_PROOF_SECONDS", "0"))
#: Cases between two looks at the clock, and of a normal run.
CASES = 60
Call = tuple[str, list[Any]]
Body = Callable[[Ground, Any], object]

CALLS = [(f"SELECT {name}", count) for name, counts in FUNCTIONS.items() for count in counts] + [
    (f"SELECT * FROM {name}", count)
    for name, (_, arguments) in TABLES.items()
    for count in range(len(arguments) + 1)
]
#: What reads a catalog and its files, and what works with them.
READS: list[Call] = [
    ("SELECT * FROM queue_backups()", []),
    ("SELECT * FROM queue_rotation('7/4/12')", []),
    ("SELECT queue_verify('latest', 'full')", []),
]
WORKS: list[Call] = [
    ('SELECT queue_backup(NULL, \'{"type": "incremental"}\')', []),
    ("SELECT queue_restore('latest', 'new.db')", []),
    ("SELECT queue_rotate(1)", []),
]


# --- arguments, options, policies, settings -------------------------------------------------------


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A function or table with arguments of any kind, often of the right one."""
    sql, count = draw(st.sampled_from(CALLS))
    given = [draw(values) for _ in range(count)]
    return f"{sql}({', '.join('?' * count)})", given


def fuzz_arguments(ground: Ground, case: list[Call]) -> None:
    ground.try_out(*case)


OPTIONS = ["name", "type", "compression", "level", "verify", "overwrite", "dir", "dependants"]
OPTIONS += ["requeue_leases"]


def fuzz_options(ground: Ground, text: str) -> None:
    ground.try_out(
        ("SELECT queue_backup(NULL, ?)", [text]),
        ("SELECT queue_verify('latest', 'quick', ?)", [text]),
        ("SELECT queue_restore('latest', 'new.db', ?)", [text]),
        ("SELECT queue_delete_backup('latest', ?)", [text]),
    )


KEEPS = [f"keep_{period}" for period in ("last", "hourly", "daily", "weekly", "monthly", "yearly")]
POLICIES = [*KEEPS, "keep_within", "name", "adopted", "max_age_days", "max_total_bytes"]
numbers = st.integers(0, 10**20).map(str)
policies = st.one_of(
    objects(POLICIES),
    st.lists(numbers, max_size=4).map("/".join),
    st.builds('{{"keep_within": "{}"}}'.format, st.from_regex(r"([0-9]{0,20}[ymdh ]){0,5}")),
)


def fuzz_policies(ground: Ground, text: str) -> None:
    ground.try_out(
        ("SELECT * FROM queue_rotation(?)", [text]),
        ("SELECT queue_set('keep', ?)", [text]),
        ("SELECT queue_rotate(?)", [text]),
    )


SETTINGS = Path(__file__).parents[2] / "src" / "settings" / "registry.rs"


def names_of_settings() -> list[str]:
    """Every setting that there is."""
    words = SETTINGS.read_text("utf-8").split('"')
    return [word for word in words if word.islower() and "_" in word and " " not in word] + ["keep"]


CRON = st.text(alphabet="0123456789*/,-LW#? JANMONoff@", max_size=30)
rows = st.tuples(
    st.sampled_from(names_of_settings()) | tame_texts,
    values | CRON | objects(POLICIES) | documents.map(str),
)


def fuzz_settings(ground: Ground, case: list[tuple[str, Any]]) -> None:
    with ground.queue.connect() as connection:
        connection.execute("CREATE TABLE queuekeeper_settings(name, value)")
        connection.executemany("INSERT INTO queuekeeper_settings VALUES (?, ?)", case)
    ground.try_out(
        *((f"SELECT * FROM {name}()", []) for name in ("queue_settings", "queue_schedule")),
        *((f"SELECT * FROM {name}()", []) for name in ("queue_depth", "queue_stale")),
        ("SELECT * FROM queue_health()", []),
        ("SELECT queue_requeue_stale(60)", []),
        ("SELECT queue_run_due('2036-05-04 12:00:00')", []),
        *(("SELECT queue_set(?, ?)", list(row)) for row in case),
    )


times = st.sampled_from(["2036-05-04 12:00:00", "", "9999-99-99", "x" * 5000]) | values
jobs = st.tuples(
    st.sampled_from(["hourly", "daily", "weekly", "monthly", "offsite"]) | values,
    *(times | CRON for _ in range(7)),
)
steps = st.tuples(st.sampled_from(["hourly", "daily"]), *(times for _ in range(6)))


def fuzz_schedules(ground: Ground, case: list[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> None:
    """Rows of the schedule's tables that nobody of ours wrote."""
    with ground.queue.connect() as connection:
        connection.execute(
            "CREATE TABLE queuekeeper_jobs(job, done_utc, due_utc, attempts, began_behind, "
            "last_run_utc, last_status, done_earlier_utc)"
        )
        connection.execute(
            "CREATE TABLE queuekeeper_log(id INTEGER PRIMARY KEY, job, step, due_utc, started_utc, "
            "finished_utc, status, detail)"
        )
        for job, step in case:
            connection.execute("INSERT INTO queuekeeper_jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", job)
            connection.execute(
                "INSERT INTO queuekeeper_log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", step
            )
    ground.try_out(
        ("SELECT * FROM queue_schedule()", []),
        ("SELECT * FROM queue_history()", []),
        ("SELECT * FROM queue_health()", []),
        ("SELECT queue_run_due('2036-05-04 12:00:00')", []),
        ("SELECT * FROM queue_history()", []),
    )


# --- files ----------------------------------------------------------------------------------------


@st.composite
def manifests(draw: st.DrawFn) -> Callable[[list[Any]], list[Any]]:
    """A catalog whose objects lack fields, have others, or come twice."""
    changes = draw(
        st.lists(
            st.tuples(
                st.integers(0, 4),
                st.sampled_from(["set", "remove", "double", "replace", "share"]),
                st.integers(0, 30),
                documents | scalars | texts,
            ),
            min_size=1,
            max_size=5,
        )
    )

    def change(entries: list[Any]) -> list[Any]:
        for number, what, field, value in changes:
            entry = entries[number % len(entries)]
            if what == "double":
                entries.append(entry)
            elif not isinstance(entry, dict) or not entry:
                continue
            elif what == "replace":
                entries[number % len(entries)] = value
            else:
                key = sorted(entry)[field % len(entry)]
                other = entries[(number + 1) % len(entries)]
                shared = other.get(key) if isinstance(other, dict) else None
                entry[key] = shared if what == "share" else value
                if what == "remove":
                    del entry[key]
        return entries

    return change


def fuzz_manifests(ground: Ground, change: Callable[[list[Any]], list[Any]]) -> None:
    backups = ground.queue.backups
    changed = change(catalog(backups))
    if all(isinstance(entry, dict) for entry in changed):
        write_catalog(backups, changed)
    ground.try_out(*READS, *WORKS)


def fuzz_broken_manifests(ground: Ground, change: Callable[[bytes], bytes]) -> None:
    path = ground.queue.backups / "backup_manifest.json"
    path.write_bytes(change(path.read_bytes()))
    ground.try_out(*READS, *WORKS)


def fuzz_hash_files(ground: Ground, case: tuple[Callable[[bytes], bytes], bool, bool]) -> None:
    change, sealed, listed = case
    path = hashes_of(ground.find(".gz"))
    content = change(path.read_bytes())
    path.write_bytes(sealed_hashes(content) if sealed else content)
    if not listed:
        (path.parent / "backup_manifest.json").unlink()
    ground.try_out(*READS, *WORKS)


metas = st.sampled_from(
    ["format", "page_size", "page_count", "parent_id", "parent_digest", "content_digest"]
)
statements = st.one_of(
    st.tuples(st.just("UPDATE delta_meta SET value = ? WHERE key = ?"), st.tuples(values, metas)),
    st.tuples(
        st.just("INSERT OR REPLACE INTO delta_page VALUES (?, ?)"), st.tuples(values, values)
    ),
    st.tuples(st.just("UPDATE delta_page SET content = ?"), st.tuples(values)),
    st.tuples(
        st.just("UPDATE delta_page SET content = zeroblob(?)"), st.tuples(st.integers(0, 9000))
    ),
    st.tuples(st.just("UPDATE delta_page SET pgno = pgno + ?"), st.tuples(st.integers(-9, 10**10))),
    st.tuples(st.just("DELETE FROM delta_meta WHERE key = ?"), st.tuples(metas)),
    st.tuples(st.just("INSERT INTO delta_meta VALUES (?, ?)"), st.tuples(metas, values)),
)


def fuzz_deltas(ground: Ground, case: list[tuple[str, tuple[Any, ...]]]) -> None:
    artifact = ground.find(".delta.db")
    changed = ground.queue.directory / "changed.db"
    changed.write_bytes(artifact.read_bytes())
    with closing(sqlite3.connect(changed, isolation_level=None)) as connection:
        for sql, given in case:
            with contextlib.suppress(sqlite3.Error):
                connection.execute(sql, given)
    forge(artifact, changed.read_bytes())
    use(ground, artifact)


def fuzz_artifacts(ground: Ground, case: tuple[str, Callable[[bytes], bytes], bool]) -> None:
    """A changed artifact of any kind, which its catalog believes in, or which has none."""
    ending, change, listed = case
    artifact = ground.find(ending)
    content = change(artifact.read_bytes())
    if listed:
        forge(artifact, content)
    else:
        artifact = ground.queue.directory / ("foreign" + ending)
        artifact.write_bytes(content)
    use(ground, artifact)


def use(ground: Ground, artifact: Path) -> None:
    """Everything that can be done with one artifact."""
    path = str(artifact)
    ground.try_out(
        *((f"SELECT queue_verify(?, '{level}')", [path]) for level in ("checksum", "full")),
        ("SELECT queue_restore(?, 'new.db')", [path]),
        ('SELECT queue_backup(NULL, \'{"type": "incremental"}\')', []),
        ("SELECT queue_restore(?)", [path]),
    )


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A few of them."""
    return st.lists(strategy, min_size=1, max_size=4)


TARGETS: dict[str, tuple[Body, st.SearchStrategy[Any]]] = {
    "arguments": (fuzz_arguments, some(calls())),
    "options": (fuzz_options, objects(OPTIONS)),
    "policies": (fuzz_policies, policies),
    "settings": (fuzz_settings, some(rows)),
    "schedules": (fuzz_schedules, some(st.tuples(jobs, steps))),
    "manifests": (fuzz_manifests, manifests()),
    "broken manifests": (fuzz_broken_manifests, mutations()),
    "hash files": (fuzz_hash_files, st.tuples(mutations(), st.booleans(), st.booleans())),
    "deltas": (fuzz_deltas, some(statements)),
    "artifacts": (
        fuzz_artifacts,
        st.tuples(
            st.sampled_from(["other.db", ".delta.db", ".db.gz", ".delta.db.zst"]),
            mutations(),
            st.booleans(),
        ),
    ),
}


@pytest.fixture(scope="module")
def ground(library: Path, module_memory: Path) -> Iterator[Ground]:
    faults = Faults(find_host("apsw"), library, None, module_memory)
    yield Ground(faults, module_memory)
    faults.close()


def test_every_function_and_table_is_called() -> None:
    called = {sql.split()[-1] for sql, _ in CALLS}
    assert called == {*FUNCTIONS, *TABLES}
    assert len(names_of_settings()) > 40


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer takes addresses by the terabyte")
def test_a_call_that_takes_all_memory_is_noticed(ground: Ground) -> None:
    ground.put_back()
    with pytest.raises(AssertionError, match="randomblob"):
        ground.try_out(("SELECT length(randomblob(?))", [900_000_000]))


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_makes_the_host_suffer(target: str, ground: Ground) -> None:
    body, strategy = TARGETS[target]
    begun, rounds = time.monotonic(), 0
    ground.cases = ground.calls = 0
    while rounds == 0 or time.monotonic() - begun < SECONDS / len(TARGETS):

        @hypothesis.seed(SEED * 1_000_000 + rounds)
        @hypothesis.settings(
            max_examples=CASES,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            print_blob=False,
        )
        @hypothesis.given(strategy)
        def one(case: Any) -> None:
            ground.put_back()
            body(ground, case)

        one()
        rounds += 1
    seconds = time.monotonic() - begun
    print(
        f"\nfuzz {target}: {ground.cases} cases, {ground.calls} calls, "
        f"seed {SEED}, {seconds:.0f} s, no finding"
    )
    assert ground.cases >= CASES


def test_a_message_that_quotes_an_odd_word_is_no_panic(ground: Ground) -> None:
    """Hypothesis found the word in these tests, and the message quotes what it was given."""
    ground.put_back()
    fuzz_policies(ground, '{"keep_last": {"panicked": null}}')
