"""Loading adds the documented functions and tables, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import OpenPython, OpenSession

from hosts import Host
from support.documents.declared import FUNCTIONS, OPERATIONS, TABLES, functions_of, modules_of
from support.documents.pages import page
from support.queues import Queue

DIRECTONLY = 0x80000
LARGEST_BYTES = 3_100_000


@pytest.mark.rule(8)
def test_loading_adds_exactly_the_documented_functions_and_modules(
    host: Host, queue: Queue, open_session: OpenSession, library: Path
) -> None:
    session = open_session(host, queue.path, load=False)
    functions, modules = functions_of(session), modules_of(session)
    session.load(library)
    added = functions_of(session) - functions
    assert added == {
        (name, count, DIRECTONLY) for name, counts in FUNCTIONS.items() for count in counts
    }
    assert modules_of(session) - modules == {(name,) for name in TABLES}
    assert functions <= functions_of(session)


def documented_rows() -> list[tuple[str, str]]:
    """The names in the reference's tables of functions and of tables, each with its example."""
    cell = r"(?:\\\||[^|])*"
    row = rf"^\| `(queue_\w+)\({cell}\|{cell}\| `(SELECT [^|]*);` \|$"
    return re.findall(row, page("reference"), re.M)


def test_the_reference_explains_each_column_in_the_section_of_its_table() -> None:
    sections = re.split(r"^## ", page("reference"), flags=re.MULTILINE)
    for table in (each for each in OPERATIONS if each["kind"] == "table"):
        heading = re.compile(rf"\bqueue_{table['name']}\(")
        (own,) = [each for each in sections[1:] if heading.search(each.splitlines()[0])]
        for column in table["columns"]:
            name = re.split("[ :]", column)[0]
            assert f"`{name}`" in own, f"{table['name']}: {name}"


def test_the_reference_documents_what_loading_adds() -> None:
    names = [name for name, _ in documented_rows()]
    assert sorted(names) == sorted([*FUNCTIONS, *TABLES])


def test_the_references_examples_work(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    examples = [example for _, example in documented_rows()]
    for example in examples:
        # Nothing of a test goes outside its own directory.
        session.rows(example.replace("'/backups/'", f"'{queue.backups}/'"))
    assert any("queue_backup(" in example for example in examples)


@pytest.mark.parametrize("table", TABLES)
def test_tables_have_the_documented_columns(
    table: str, queue: Queue, open_python: OpenPython
) -> None:
    columns, arguments = TABLES[table]
    rows = open_python(queue.path).rows(f"SELECT name, hidden FROM pragma_table_xinfo('{table}')")
    assert rows == [(name, 0) for name in columns] + [(name, 1) for name in arguments]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_numbers_of_arguments_are_refused(
    name: str, queue: Queue, open_python: OpenPython
) -> None:
    session = open_python(queue.path)
    for count in set(range(4)) - set(FUNCTIONS[name]):
        call = f"{name}({', '.join(['1'] * count)})"
        assert (
            f"wrong number of arguments to function {name}()"
            in session.error(f"SELECT {call}").message.lower()
        )


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) | set(TABLES)))
def test_each_function_and_table_is_tested(name: str) -> None:
    tests = [
        path for path in Path(__file__).parents[1].rglob("test_*.py") if path != Path(__file__)
    ]
    assert any(f"{name}(" in path.read_text("utf-8") for path in tests)


@pytest.mark.rule(8)
def test_tables_cannot_be_written_or_created(queue: Queue, open_python: OpenPython) -> None:
    session = open_python(queue.path)
    for table in TABLES:
        assert "may not be modified" in session.error(f"DELETE FROM {table}").message
        error = session.error(f"CREATE VIRTUAL TABLE copy USING {table}")
        assert f"no such module: {table}" in error.message


@pytest.mark.rule(8)
def test_no_table_or_view_of_the_schema_hides_a_table_valued_function(queue: Queue) -> None:
    names = {row[0] for row in queue.query("SELECT name FROM sqlite_schema")}
    assert not names & set(TABLES)
    assert not [name for name in names if name.startswith("queue_")]


@pytest.mark.rule(1)
def test_the_library_contains_no_sqlite_of_its_own(library: Path) -> None:
    content = library.read_bytes()
    # Messages of SQLite's core that nobody else has a reason to carry.
    for message in (b"no such savepoint: %s", b"database schema is locked: %s"):
        assert message not in content


def test_the_library_is_small(library: Path) -> None:
    assert library.stat().st_size < LARGEST_BYTES
