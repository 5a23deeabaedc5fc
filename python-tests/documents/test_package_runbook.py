"""The Python of PrismQ's runbook runs on the drop-in classes as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from support.package import LIMIT_SECONDS, Package
from support.package.backend import BACKEND, SETUP
from support.queues import Queue


def blocks() -> dict[str, str]:
    """The runbook's code, by heading."""
    text = (BACKEND / "runbook.md").read_text("utf-8")
    found: dict[str, str] = {}
    for section in text.split("\n## ")[1:]:
        heading, _, rest = section.partition("\n")
        code = re.findall(r"^```python\n(.*?)^```", rest, re.M | re.S)
        found.update({f"{heading} {number}": block for number, block in enumerate(code, 1)})
    return found


def test_all_of_the_runbook_is_found() -> None:
    assert len(blocks()) == 19


def test_each_block_of_the_runbook_runs(
    package: Package, backend_environment: dict[str, str], queue: Queue, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    # The script has a test of its own, since it is one.
    for number, (heading, block) in enumerate(blocks().items()):
        if "Automated Backup Script" not in heading:
            (code / f"{number:02} {heading.replace('/', '-')}").write_text(block, "utf-8")
    said = package.run(
        SETUP
        + """
import contextlib, io
said = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    # What a block does not make for itself, it has from those before it.
    db = QueueDatabase()
    names = {
        "QueueDatabase": QueueDatabase, "QueueBackup": QueueBackup,
        "QueueMaintenance": QueueMaintenance, "db": db, "conn": db.get_connection(),
        "backup": QueueBackup(db), "maint": QueueMaintenance(db),
    }
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(path.read_text("utf-8"), str(path), "exec"), names)
        if "check_queue_health" in names:
            assert names["check_queue_health"]() is True
    said[path.name[3:]] = output.getvalue()
    db.close()
print(json.dumps(said))
""",
        code,
        env=backend_environment,
    )
    assert "Backup valid: True" in said["Creating a Backup 1"]
    assert re.search(r"queue_backup_daily_\d{8}_\d{6}", said["Creating a Backup 1"])
    assert "Integrity check: ['ok']" in said["Restoring from Backup 1"]
    assert "analyzed=True, vacuumed=True" in said["Combined Optimization 1"]
    assert "WAL Mode: True" in said["Database Statistics 1"]
    assert "Health check PASSED" in said["Health Check Script 1"]
    assert "['ok']" in said["Problem: Backup Fails 1"]
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(2,)]


def test_the_daily_backup_script_runs_as_it_is(
    package: Package, backend_environment: dict[str, str], backend: Path, queue: Queue
) -> None:
    script = backend / "scripts" / "backup_queue.py"
    script.parent.mkdir()
    script.write_text(blocks()["Automated Backup Script 1"], "utf-8")

    def run_it() -> subprocess.CompletedProcess[str]:
        command = [str(package.python), str(script)]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": LIMIT_SECONDS}
        return subprocess.run(command, env=backend_environment, check=False, **options)

    for count in range(1, 4):
        done = run_it()
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "Backup verified successfully" in done.stdout
        assert "Cleaned up 0 old backups" in done.stdout
        assert f"Total backups: {count}" in done.stdout
    assert len(list(queue.backups.glob("queue_backup_daily_*.db"))) == 3
    shutil.rmtree(queue.backups)
    queue.backups.write_text("no directory")
    done = run_it()
    assert done.returncode == 1
    assert "backups" in done.stdout + done.stderr
