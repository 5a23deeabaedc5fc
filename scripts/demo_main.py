"""The demo: builds the library, makes a queue that is in use, and runs a tour in it.

The tour is sql/story.sql, or with --all sql/demo.sql, which shows every function and table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from demo_checks import Span, Tasks, check, check_backup, check_writer, read_catalog
from demo_children import Session, Writer, build, make_queue, open_session, running
from demo_hosts import KINDS, ROOT, DemoError, Host, find_helper, find_host
from demo_tour import echo, render, statements

STORY, ALL = ROOT / "sql" / "story.sql", ROOT / "sql" / "demo.sql"
LIBRARIES = {"darwin": "libqueuekeeper.dylib", "win32": "queuekeeper.dll"}


def library_path() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return (ROOT / target / "release" / LIBRARIES.get(sys.platform, "libqueuekeeper.so")).resolve()


def say(text: str) -> None:
    # At once, so that it keeps its place among the output of child processes.
    print(text, flush=True)


def run_tour(session: Session, tour: Path) -> list[Span]:
    """Shows every statement and its result; returns when the backups ran."""
    backups: list[Span] = []
    for statement in statements(tour.read_text(encoding="utf-8")):
        say(echo(statement))
        start = time.time()
        try:
            result = session.run(statement.sql)
        except DemoError as error:
            say(f"Error: {error}")
            raise DemoError(f"a statement of {tour.name} failed: {error}") from None
        end = time.time()
        shown = render(result)
        say(f"{shown}\n" * bool(shown) + f"Run Time: real {end - start:.3f}")
        if "queue_backup(" in statement.sql:
            backups.append((start, end))
    return backups


def show(host: Host, library: Path, directory: Path, tour: Path) -> None:
    database = directory / "queue.db"
    helper = find_helper(host)
    start = time.time()
    make_queue(helper, database)
    with open_session(helper, database) as before:
        first = before.number("SELECT count(*) FROM task_queue")
    megabytes = database.stat().st_size / 1e6
    say(f"Queue: {database}, {first:,} tasks, {megabytes:.0f} MB, in {time.time() - start:.1f} s")

    with running(Writer(helper, database)) as writer:
        writer.wait_for_first_commit()
        say("Writer: commits about 100 times a second, from now on")
        with open_session(host, database) as session:
            # Without its ending, which SQLite adds: with it, a library that cannot be loaded is
            # reported as a missing "libqueuekeeper.so.so".
            session.load(library.with_suffix(""))
            # Then only the writer checkpoints, and no two checkpoints can ever overlap: before
            # SQLite 3.51.3 that could lose a commit (see "WAL-reset bug" on sqlite.org).
            session.run("PRAGMA wal_autocheckpoint = 0")
            backups = run_tour(session, tour)
            commits = writer.stop()
            last = session.number("SELECT count(*) FROM task_queue")
            stale = session.number("SELECT count(*) FROM queue_stale(300)")

    say("\n-- Checked afterwards")
    say("ok   " + check_writer(commits, backups))
    check(stale == 0, f"{stale} stale leases are left")
    say("ok   no stale lease is left")
    catalog = directory / "backups"
    # What is compressed or builds on another one, queue_verify() has rebuilt.
    plain = ("full", "none")
    for entry in read_catalog(catalog):
        if (entry["backup_type"], entry["compression"]) != plain:
            continue
        say("ok   " + check_backup(host, catalog, entry, Tasks(first, last)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Builds queuekeeper, makes a demo queue with a background writer, and runs"
        " sql/story.sql in it. Needs Rust and Python 3.9 or later.",
    )
    parser.add_argument(
        "--all", action="store_true", help="run sql/demo.sql: every function and table"
    )
    parser.add_argument("--host", choices=KINDS, help="which SQLite to use, if not the first found")
    parser.add_argument("--keep", action="store_true", help="keep the demo queue and its backups")
    parser.add_argument("--no-build", action="store_true", help="use the library as it is")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    if not options.no_build:
        build()
    library = library_path()
    check(library.is_file(), f"there is no {library}: build it first")
    host = find_host(options.host)
    say(f"Host: {host}")
    directory = Path(tempfile.mkdtemp(prefix="queuekeeper-demo-")).resolve()
    try:
        show(host, library, directory, ALL if options.all else STORY)
    finally:
        # A second Ctrl-C must not leave half of the directory behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if options.keep:
            say(f"Kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    options = arguments()
    try:
        run(options)
    except DemoError as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Nobody reads on, as with "| head". The exit would try to flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
