"""Questions before what cannot be undone, on a terminal."""

from __future__ import annotations

import pytest

from support.package import Package
from support.package.terminal import HAS_TERMINALS, Shown, on_a_terminal
from support.queues import Queue

pytestmark = pytest.mark.skipif(
    not HAS_TERMINALS, reason="Windows has no pseudo-terminals like these"
)

COMMANDS = (
    (["delete", "latest"], "will be deleted for good"),
    (["rotate", '{"keep_last": 1}'], "1 backup of 2 will be deleted for good"),
    (["restore", "latest"], "will become the backup"),
    (["offsite", "rotate", "1"], "1 backup on"),
)


@pytest.mark.parametrize(("command", "question"), COMMANDS, ids=lambda each: str(each[0]))
def test_it_is_asked_and_only_a_yes_does_it(
    command: list[str], question: str, own: Package, queue: Queue
) -> None:
    env = {
        "PRISMQ_QUEUE_DB_PATH": str(queue.path),
        "QUEUEKEEPER_REMOTE": str(queue.directory / "remote"),
    }
    for _ in range(2):
        assert own.cli("backup", env=env).returncode == 0
    with queue.connect() as connection:
        connection.execute("DELETE FROM task_queue WHERE rowid % 2")

    def state() -> tuple[object, ...]:
        remote = sorted(each.name for each in (queue.directory / "remote").iterdir())
        return sorted(each.name for each in queue.backups.iterdir()), remote, queue.snapshot()

    def run(*options: str, answer: str = "") -> Shown:
        return on_a_terminal(own.command, *command, *options, answer=answer, env=env)

    before = state()
    for answer in ("n\n", "\n", "nonsense\nn\n", "\x04"):
        refused = run(answer=answer)
        assert (refused.status, state()) == (130, before), refused
        assert question in " ".join(refused.lines), refused
        assert "nothing was done" in " ".join(refused.lines)
    done = run(answer="y\n")
    assert (done.status, state() != before) == (0, True), done


def test_yes_asks_nothing_nor_does_what_replaces_nothing(own: Package, queue: Queue) -> None:
    env = {"PRISMQ_QUEUE_DB_PATH": str(queue.path)}
    assert own.cli("backup", env=env).returncode == 0
    for command in (
        ["--yes", "restore", "latest"],
        ["restore", "latest", "-y"],
        ["restore", "latest", "--to", str(queue.directory / "new.db")],
        ["rotate", "7/4/12"],
        ["rotate", "1", "--dry-run"],
        ["delete", "latest", "--dry-run"],
    ):
        done = on_a_terminal(own.command, *command, env=env)
        assert done.status == 0, done
        assert "Go on?" not in done.sent, done


def test_where_nobody_can_be_asked_it_is_done_with_a_hint(own: Package, queue: Queue) -> None:
    env = {"PRISMQ_QUEUE_DB_PATH": str(queue.path)}
    assert own.cli("backup", env=env).returncode == 0
    done = own.cli("delete", "latest", env=env)
    assert done.returncode == 0
    assert "hint: nobody could be asked" in done.stderr
    assert not list(queue.backups.glob("*.db"))
