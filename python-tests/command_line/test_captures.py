"""What every command shows at 80 and at 120 columns, with empty, usual, huge and hostile content.

`captures/CONTENT-COLUMNS.txt` holds the screens one after another. After a change that is wanted:

    QUEUEKEEPER_WRITE_CAPTURES=1 pytest python-tests/command_line/test_captures.py

writes them anew. Then look at what `git diff` shows, as the operator who reads it at 80 columns.
Whatever they hold, no screen may have one of the faults of `support.captures.Screen`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from support import captures
from support.package import Package

CAPTURES = Path(__file__).parent / "captures"
WRITES = bool(os.environ.get("QUEUEKEEPER_WRITE_CAPTURES"))
CONTENTS = ("help", "empty", "usual", "errors", "huge", "hostile")

#: The exit status of each command, and the command, with ID for the newest backup's; some change
#: what the next one shows.
SCREENS = {
    "help": """
0 help
0 health --help
0 stats --help
0 depth --help
0 schedule --help
0 history --help
0 leases --help
0 requeue --help
0 backups --help
0 verify --help
0 restore --help
0 rotate --help
0 settings --help
0 run-due --help
64 offsite
0 offsite list --help
""",
    "empty": """
2 health
0 stats
0 depth
0 schedule
0 history
0 leases
0 leases --by-worker
0 requeue --dry-run
0 backups
3 verify
0 verify all
3 restore latest --dry-run
0 rotate 7/4/12 --dry-run
0 integrity
0 settings
3 offsite list
0 run-due --dry-run
0 run-due
0 run-due
""",
    "usual": """
2 health
0 stats
0 depth
0 schedule
0 history
0 history --failed
0 history --job hourly --limit 4
0 leases
0 leases --stale
0 leases --by-worker
0 requeue --dry-run
0 backups
0 backups --id ID
0 verify
1 verify all
0 restore latest --dry-run
0 delete latest --dry-run
0 rotate 7/4/12 --dry-run
0 rotate 2 --dry-run
0 integrity
0 settings
0 get keep
0 vacuum --dry-run
0 optimize --full --dry-run
1 run-due --dry-run
0 requeue
0 set backup_dir queue.db
1 run-due
1 run-due
0 unset backup_dir
1 run-due --retry-now
1 offsite push
0 offsite list
1 offsite check
0 offsite rotate 2 --dry-run
0 offsite link
1 backup --name manual --verify quick
0 checkpoint
0 analyze
0 optimize
0 health --ack --yes
""",
    "errors": """
64 helth
64 requeue abc
64 rotate
64 stats --db
64 history --since yesterday
64 completion tcsh
3 stats --db missing.db
3 stats --db text.db
3 set keep nonsense
3 set no_such 1
3 verify nosuch
3 restore nosuch
3 restore queue_backup_daily_20271108_120000.db --yes
3 restore backups/queue_backup_daily_20271108_120000.db --to copy.db
3 rotate nonsense
3 backup missing/file.db
3 requeue --all --expect 1000 --yes
3 offsite list --remote nowhere:path
""",
    "huge": """
2 health
0 stats
0 depth
0 history
0 leases
0 leases --by-worker
0 backups
0 rotate 7/4/12 --dry-run
0 delete latest --dry-run
0 run-due
""",
    "hostile": """
2 health
0 stats
0 depth
0 schedule
0 history
0 leases
0 leases --by-worker
0 requeue --dry-run
0 backups
1 verify all
0 restore latest --dry-run
0 delete latest --dry-run
0 rotate 1 --dry-run
1 integrity
2 run-due
""",
}


@pytest.mark.slow(20)
@pytest.mark.skipif(not captures.CAN, reason="it preloads a clock")
@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("content", CONTENTS)
def test_the_screens_of_all_commands(content: str, columns: int, own: Package) -> None:
    shown, faults = [], []
    with captures.stage(own) as stage:
        stage.fill(content)
        for status, command in re.findall(r"(\d+) (.+)", SCREENS[content]):
            screen = stage.screen(command.replace("ID", stage.newest()), columns)
            lines = "".join(f"{line}\n" for line in screen.lines)
            shown.append(f"$ queuekeeper {command}\n{stage.masked(lines)}")
            faults += [f"{command}: {each}" for each in screen.faults(stage.ids())]
            if screen.shown.status != int(status):
                faults.append(f"{command}: the status is {screen.shown.status}")
    golden = CAPTURES / f"{content}-{columns}.txt"
    found = "\n".join(shown)
    if WRITES:
        golden.write_text(found, "utf-8")
    assert not faults, "\n".join(faults)
    assert found == golden.read_text("utf-8")


def test_there_are_captures_of_these_and_no_others() -> None:
    found = {path.name for path in CAPTURES.iterdir()}
    assert found == {f"{content}-{width}.txt" for content in CONTENTS for width in (80, 120)}
