"""What the page about run-due says, as it stands there, and the package's table of features."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from support.documents.pages import blocks, page, section
from support.package import LIMIT_SECONDS, Package
from support.queues import Queue
from support.servers.listener import listening

PROGRAM, QUEUE = "/opt/queuekeeper/bin/queuekeeper", "/var/lib/queue/queue.db"
ENVIRONMENT = "/etc/queuekeeper.env"

posix = pytest.mark.skipif(sys.platform == "win32", reason="lines for POSIX")


def block(language: str, number: int = 0) -> str:
    """A piece of code on the page about run-due."""
    return blocks(page("run-due"), language)[number]


def here(code: str, own: Package, queue: Queue, tmp_path: Path) -> str:
    """The same with the paths of the test."""
    environment = tmp_path / "queuekeeper.env"
    environment.touch()
    for written, real in (
        (PROGRAM, own.command),
        (QUEUE, queue.path),
        (ENVIRONMENT, environment),
    ):
        code = code.replace(written, str(real))
    return code


def steps(queue: Queue) -> int:
    ended = "SELECT 1 FROM queuekeeper_log WHERE status IN ('ok', 'skipped') AND job != 'notify'"
    return len(queue.query(ended))


@posix
def test_the_line_for_cron_prints_what_fails_and_nothing_else(
    own: Package, queue: Queue, tmp_path: Path
) -> None:
    line = here(block("crontab"), own, queue, tmp_path)
    command = re.sub(r"^(\S+ ){5}", "", line)
    assert line.startswith("* * * * * ")
    assert "%" not in command

    def called() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": "/", "SHELL": "/bin/sh"},
            cwd="/",
            timeout=LIMIT_SECONDS,
            check=False,
        )

    with listening() as listener:
        (tmp_path / "queuekeeper.env").write_text(f"QUEUEKEEPER_NOTIFY={listener.ntfy}\n")
        done = called()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert listener.kinds == ["success"]
        assert steps(queue) == 13
        listener.status = 500
        (tmp_path / "queuekeeper.env").write_text(
            f"QUEUEKEEPER_NOTIFY={listener.ntfy}\nQUEUEKEEPER_REMOTE=no-such-remote:\n"
        )
        done = called()
        assert (done.returncode, done.stdout) == (1, "")
        assert "push failed: " in done.stderr
        assert "ntfy failed: " in done.stderr


@posix
def test_the_systemd_units(own: Package, queue: Queue, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    units = dict(zip(("queuekeeper.service", "queuekeeper.timer"), (block("ini"), block("ini", 1))))

    def verify(**changed: str) -> str:
        for name, unit in units.items():
            text = here(unit, own, queue, tmp_path)
            for old, new in changed.items():
                text = text.replace(old, new)
            (tmp_path / name).write_text(text)
        command = [analyze, "verify", *(str(tmp_path / name) for name in units)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    # It may complain of other units of the machine as well.
    assert "queuekeeper." not in verify()
    assert "OnCalender" in verify(OnCalendar="OnCalender")


@posix
def test_the_command_of_the_service(own: Package, queue: Queue, tmp_path: Path) -> None:
    (command,) = re.findall(r"^ExecStart=(.*)$", block("ini"), re.M)
    done = subprocess.run(
        shlex.split(here(command, own, queue, tmp_path)),
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "monthly" in done.stdout
    assert steps(queue) == 13


def test_the_program_with_apscheduler(own: Package, queue: Queue, tmp_path: Path) -> None:
    code = here(block("python"), own, queue, tmp_path)
    # Its first call comes at once, and ends the program.
    code = code.replace("minutes=1, args", "seconds=0.1, args")
    stop = """
import threading, time
def stop():
    while True:
        time.sleep(0.05)
        with queuekeeper.open(PATH) as queue:
            ended = [row.step for row in queue.history() if row.status in ("ok", "skipped")]
            if ended[:1] == ["vacuum"]:
                break
    scheduler.shutdown()
threading.Thread(target=stop, daemon=True).start()
scheduler.start()
""".replace("PATH", repr(str(queue.path)))
    own.run(code.replace("scheduler.start()\n", stop), cwd=tmp_path)
    assert steps(queue) >= 13


def test_the_line_for_windows_names_what_the_others_do() -> None:
    line = block("bat")
    assert line.startswith("schtasks /create ")
    assert "queuekeeper.exe run-due " in line
    assert "--env-file " in line
    # The Task Scheduler takes no longer command.
    assert len(re.findall(r'/tr "(.*)"$', line, re.M)[0]) <= 261


def test_every_configured_value_is_documented() -> None:
    from queuekeeper.configuration import ENV_FILE, KNOWN

    text = page("run-due")
    for known in KNOWN.values():
        for variable in (*known.variables, ENV_FILE):
            assert f"`{variable}`" in text
        assert known.setting is None or f"`{known.setting}`" in text


def test_each_feature_names_a_test_that_exists() -> None:
    readme = (ROOT / "python" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (?!-|feature)(.+) \|$", section(readme, "Features"), re.M)
    assert len(rows) >= 30
    for row in rows:
        named = re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, name in named:
            source = (ROOT / "python-tests" / file).read_text("utf-8")
            assert re.search(rf"^def {name}\(", source, re.M), (file, name)
