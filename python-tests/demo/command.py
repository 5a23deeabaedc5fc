"""Makes a queue that is in use, runs a tour in it, and checks what that left.

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

from commands import environment, steps
from demo import queue
from demo.checks import DemoError, Span, check, check_backup, check_writer, plain_backups
from demo.tour import echo, render, statements
from hosts import Host, HostDiedError, Session, SqlError, find_host
from hosts.discover import find_module
from support.workers import WorkerError, working

STORY, ALL = steps.ROOT / "sql" / "story.sql", steps.ROOT / "sql" / "demo.sql"
HOSTS = ("shell", "stdlib", "apsw")
COMMITS_A_SECOND = 100


def say(text: str) -> None:
    # At once, so that it keeps its place among the output of child processes.
    print(text, flush=True)


def choose(wanted: str | None) -> Host:
    """The host that was asked for, or the first that is there."""
    for name in [wanted] if wanted else HOSTS:
        host = find_host(name)
        if host.missing and name == "apsw":
            # Of the environment that the tests run in.
            host = find_module(name, name, [str(environment.ensure())])
        if not host.missing:
            return host
    raise DemoError(host.missing)


def run_tour(session: Session, tour: Path) -> list[Span]:
    """Shows every statement and its result; returns when the backups ran."""
    backups: list[Span] = []
    for statement in statements(tour.read_text(encoding="utf-8")):
        say(echo(statement))
        begun = time.monotonic()
        result = session.execute(statement.sql.rstrip(";"))
        if "queue_backup(" in statement.sql:
            backups.append((begun, time.monotonic()))
        shown = render(result)
        say(f"{shown}\n" * bool(shown) + f"Run Time: real {result.seconds:.3f}")
    return backups


def show(host: Host, library: Path, directory: Path, tour: Path) -> None:
    database = directory / "queue.db"
    begun = time.monotonic()
    first = queue.make(database)
    size, seconds = database.stat().st_size / 1e6, time.monotonic() - begun
    say(f"Queue: {database}, {first:,} tasks, {size:.0f} MB, in {seconds:.1f} s")
    with host.open(str(database)) as session:
        session.load(library)
        # Then only the writer checkpoints, and no two checkpoints can ever overlap: before
        # SQLite 3.51.3 that could lose a commit (see "WAL-reset bug" on sqlite.org).
        session.execute("PRAGMA wal_autocheckpoint = 0")
        with working(database, 1, COMMITS_A_SECOND) as writer:
            say(f"Writer: commits about {COMMITS_A_SECOND} times a second, from now on")
            backups = run_tour(session, tour)
        last = session.value("SELECT count(*) FROM task_queue")
        stale = session.value("SELECT count(*) FROM queue_stale(300)")
    say("\n-- Checked afterwards")
    say("ok   " + check_writer(writer.commits, backups))
    check(stale == 0, f"{stale} stale leases are left")
    say("ok   no stale lease is left")
    for path, entry in plain_backups(directory / "backups"):
        with host.open(str(path)) as session:
            say("ok   " + check_backup(session, path, entry, first, last))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Builds queuekeeper, makes a demo queue with a background writer, and runs"
        " sql/story.sql in it. Needs Rust and Python 3.9 or later.",
    )
    parser.add_argument(
        "--all", action="store_true", help="run sql/demo.sql: every function and table"
    )
    parser.add_argument("--host", choices=HOSTS, help="which SQLite to use, if not the first found")
    parser.add_argument("--keep", action="store_true", help="keep the demo queue and its backups")
    parser.add_argument("--no-build", action="store_true", help="use the library as it is")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    if not options.no_build:
        steps.build()
    library = steps.library()
    check(library.is_file(), f"there is no {library}: build it first")
    host = choose(options.host)
    say(f"Host: {host.name} ({host.program}), SQLite {host.version}")
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
    except (DemoError, HostDiedError, SqlError, WorkerError) as error:
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
