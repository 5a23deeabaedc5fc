"""What docs/schedule.md says that may call queue_run_due(), run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT

from hosts import find_host
from support.documents import pages
from support.eventually import until
from support.queues import Queue

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="lines for POSIX")

LIBRARY, QUEUE = "/usr/local/lib/libqueuekeeper", "/var/lib/queue/queue.db"
SQL = "/usr/local/share/queuekeeper/sql"
STEPS = 13


def blocks(language: str) -> list[str]:
    """The code of that language on the page about the schedule."""
    found = pages.blocks(pages.page("schedule"), language)
    assert found, language
    return found


def here(code: str, queue: Queue, library: Path) -> str:
    """The same with the paths of the test."""
    assert LIBRARY in code
    assert QUEUE in code
    code = code.replace(LIBRARY, str(library.with_suffix(""))).replace(QUEUE, str(queue.path))
    return code.replace(SQL, str(ROOT / "sql"))


def done(queue: Queue) -> int:
    """How many steps were done."""
    sql = "SELECT name FROM sqlite_schema WHERE name = 'queuekeeper_log'"
    if not queue.query(sql):
        return 0
    return len(queue.query("SELECT 1 FROM queuekeeper_log WHERE status IN ('ok', 'skipped')"))


@pytest.fixture
def shell() -> str:
    """The sqlite3 shell, found as cron finds it."""
    host = find_host("shell")
    if host.missing:
        pytest.skip(host.missing)
    return host.program


def by_cron(line: str, shell: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of a crontab as cron does: by sh, with hardly any environment."""
    command = re.sub(r"^(\S+ ){5}", "", line)
    assert "%" not in command
    environment = {"PATH": f"{Path(shell).parent}:/usr/bin:/bin", "HOME": "/", "SHELL": "/bin/sh"}
    return subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd="/",
        check=False,
    )


def test_cron(queue: Queue, library: Path, shell: str) -> None:
    (table,) = blocks("crontab")
    run_due, health = here(table, queue, library).splitlines()
    assert run_due.startswith("* * * * * ")
    assert health.startswith("0 8 * * * ")
    for _ in range(2):
        ran = by_cron(run_due, shell)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        assert done(queue) >= STEPS
    looked = by_cron(health, shell)
    assert "backup_age" in looked.stdout
    # A disk that is nearly full is critical.
    assert looked.returncode == (1 if "critical: " in looked.stdout else 0)
    with queue.connect() as connection:
        connection.execute("DROP TABLE queuekeeper_log")
        connection.execute("CREATE TABLE queuekeeper_log(x)")
        connection.execute("DELETE FROM queuekeeper_jobs")
    failed = by_cron(run_due, shell)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "queuekeeper_log" in failed.stderr


def test_systemd(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None or not Path("/usr/bin/sqlite3").exists():
        pytest.skip("needs systemd-analyze, and the sqlite3 shell in /usr/bin")
    units = dict(zip(("queuekeeper.service", "queuekeeper.timer"), blocks("ini")))

    def verify(**changed: str) -> subprocess.CompletedProcess[str]:
        for name, unit in units.items():
            text = unit
            for old, new in changed.items():
                text = text.replace(old, new)
            (tmp_path / name).write_text(text)
        paths = [str(tmp_path / name) for name in units]
        return subprocess.run(
            [analyze, "verify", *paths], capture_output=True, text=True, timeout=60, check=False
        )

    # It may complain of other units of the machine as well.
    checked = verify()
    assert "queuekeeper" not in checked.stdout + checked.stderr
    # The check does notice mistakes.
    assert "OnCalender" in verify(OnCalendar="OnCalender").stderr


def test_the_command_of_the_systemd_service(queue: Queue, library: Path, shell: str) -> None:
    service = here(blocks("ini")[0], queue, library)
    (command,) = re.findall(r"^ExecStart=/usr/bin/sqlite3 (.*)$", service, re.MULTILINE)
    ran = by_cron(f"* * * * * {shell} {command}", shell)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith('[{"job":"hourly",')
    assert done(queue) == STEPS


def test_the_loop(queue: Queue, library: Path, shell: str) -> None:
    (loop,) = [block for block in blocks("sh") if "while" in block]
    # So that the loop ends with its first pause.
    loop = here(loop, queue, library).replace("sleep 60", "exit 0")
    assert by_cron(f"* * * * * {loop}", shell).returncode == 0
    assert done(queue) == STEPS


def test_apscheduler(queue: Queue, library: Path, tmp_path: Path) -> None:
    host = find_host("stdlib")
    if host.missing:
        pytest.skip(host.missing)
    script = tmp_path / "scheduled.py"
    script.write_text(here(blocks("python")[0], queue, library))
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "TZ": "UTC"}
    process = subprocess.Popen(
        [host.program, str(script)], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        until(lambda: process.poll() is not None or done(queue) == STEPS, "the first run")
        assert process.poll() is None, process.stderr and process.stderr.read()
    finally:
        process.terminate()
        _, complaints = process.communicate(timeout=30)
    assert "Error" not in complaints
