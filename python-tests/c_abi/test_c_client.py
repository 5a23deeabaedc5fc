"""The C ABI as C programs use it, and as they should not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from conftest import MakeQueue

from support import artifacts
from support.compiling import C99, CLIENT, CPP, HEADER, ROOT, SANITIZER, build, functions, run, tool
from support.documents.declared import FUNCTIONS, TABLES
from support.documents.pages import blocks, page
from support.queues import Queue, Shape

pytestmark = pytest.mark.rule(6)

# What the header has besides the functions and tables of SQL.
FURTHER = {"bind", "close", "errmsg", "free", "interrupt", "open", "phase", "record", "wrap"}
LEASES = Shape(stale_leased=5, stale_processing=3, live_leases=4)


@pytest.fixture
def arguments(make: MakeQueue, tmp_path: Path) -> tuple[Path, Path]:
    """What the client works on."""
    directory = tmp_path / "backups of the client"
    directory.mkdir()
    return make(LEASES).path, directory


def test_every_function_and_table_of_sql_has_its_twin() -> None:
    in_sql = {name.removeprefix("queue_") for name in (*FUNCTIONS, *TABLES)}
    assert {name.removeprefix("qk_") for name in functions()} == in_sql | FURTHER


def test_the_client_calls_every_function_rightly_and_wrongly() -> None:
    for sources in (CLIENT[:1], CLIENT[1:]):
        text = "".join(source.read_text("utf-8") for source in sources)
        called = {name for name in functions() if f"{name}(" in text}
        once = {"qk_version", "qk_bind", "qk_wrap", "qk_interrupt"}
        assert functions() - called <= once, sources


@pytest.mark.parametrize("compiler", [C99, CPP], ids=["c99", "c++11"])
def test_the_client_finds_everything_as_the_header_says(
    compiler: tuple[str, ...], arguments: tuple[Path, Path], library: Path, tmp_path: Path
) -> None:
    program = build(tmp_path / "client", library, *CLIENT, compiler=compiler)
    assert run(program, *arguments) == "0 failures\n"


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer watches already")
def test_the_client_is_clean_under_valgrind(
    arguments: tuple[Path, Path], library: Path, tmp_path: Path
) -> None:
    valgrind = [tool("valgrind"), "--quiet", "--leak-check=full", "--error-exitcode=9"]
    kinds = ["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
    program = build(tmp_path / "client", library, *CLIENT)
    assert run(*valgrind, *kinds, program, *arguments) == "0 failures\n"


def test_the_client_is_clean_under_address_sanitizer(
    arguments: tuple[Path, Path], library: Path, tmp_path: Path
) -> None:
    more = "-fsanitize=address,undefined -fno-sanitize-recover=all"
    program = build(tmp_path / "client", library, *CLIENT, more=more)
    assert run(program, *arguments) == "0 failures\n"


@pytest.mark.parametrize("compiler", [C99, CPP], ids=["c99", "c++11"])
def test_the_header_stands_alone_and_may_come_twice(
    compiler: tuple[str, ...], library: Path, tmp_path: Path
) -> None:
    source = tmp_path / "alone.c"
    source.write_text(
        '#include "queuekeeper.h"\n#include "queuekeeper.h"\n'
        "int main(void) { return qk_version() == 0 || QK_DEFAULT >= 0; }\n"
    )
    run(build(tmp_path / "alone", library, source, compiler=compiler))


def test_the_header_compiles_beside_sqlites_own(library: Path, tmp_path: Path) -> None:
    source = tmp_path / "beside.c"
    source.write_text(
        "typedef struct sqlite3 sqlite3;\ntypedef struct sqlite3_api_routines "
        'sqlite3_api_routines;\n#include "queuekeeper.h"\n'
        "int main(void) { sqlite3 *db = 0; qk_queue *q = 0; return qk_wrap(db, &q) != 21; }\n"
    )
    run(build(tmp_path / "beside", library, source))


def test_the_version_is_the_crates(library: Path, tmp_path: Path) -> None:
    source = tmp_path / "version.c"
    source.write_text(
        '#include "queuekeeper.h"\n#include <stdio.h>\n'
        "int main(void) { return puts(qk_version()) < 0; }\n"
    )
    manifest = (ROOT / "Cargo.toml").read_text("utf-8")
    version = re.search(r'^version = "(.*)"$', manifest, re.MULTILINE)
    assert version is not None
    assert run(build(tmp_path / "version", library, source)).strip() == version[1]


def test_the_example_of_the_page_on_c(queue: Queue, library: Path, tmp_path: Path) -> None:
    (example,) = blocks(page("c"), "c")
    source = tmp_path / "example.c"
    source.write_text(example, "utf-8")
    program = build(tmp_path / "example", library, source)
    printed = run(program, cwd=queue.directory)
    assert '"backup_type":"full"' in printed
    assert "8 tasks requeued" in printed
    backups = list(queue.backups.glob("*.db"))
    assert len(backups) == 1
    artifacts.assert_sound(backups[0])
    elsewhere = subprocess.run(
        [program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert elsewhere.returncode == 1
    assert "queue.db" in elsewhere.stderr


def test_the_example_of_the_header(queue: Queue, library: Path, tmp_path: Path) -> None:
    head = HEADER.read_text("utf-8")
    example = re.search(r"^( \*     qk_queue \*queue.*?)^ \*\n", head, re.MULTILINE | re.DOTALL)
    assert example is not None
    lines = [line.removeprefix(" * ") for line in example[1].splitlines()]
    body = "\n".join(lines).replace('"/backups/"', f'"{queue.directory}/kept/"')
    source = tmp_path / "example.c"
    source.write_text(
        '#include "queuekeeper.h"\n#include <stdio.h>\nint main(void)\n{\n'
        + body
        + "\n    return 0;\n}\n"
    )
    printed = run(build(tmp_path / "example", library, source), cwd=queue.directory)
    assert '"name":"daily"' in printed
    assert len(list((queue.directory / "kept").glob("queue_backup_daily_*.db"))) == 1
