"""Where each value comes from: flags, the environment, an .env file, the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

import queuekeeper
from queuekeeper.configuration import KNOWN, Configuration, database_path, redacted
from support.package import Package
from support.queues import Queue

SETTINGS = {"remote": "setting:", "remote_keep": "1/1/1", "notify": "ntfy://never-from-there"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_place_that_has_a_value_counts(elsewhere: Path) -> None:
    (elsewhere / ".env").write_text("QUEUEKEEPER_REMOTE='file:'\nQUEUEKEEPER_REMOTE_KEEP=2/2/2\n")
    environment = {"QUEUEKEEPER_REMOTE": "environment:"}
    flags = {"remote": "flag:", "notify": ("ntfy://a", "ntfy://b"), "quiet": None}
    found = Configuration(flags, environment=environment, settings=lambda: SETTINGS)
    assert found.text("remote") == "flag:"
    assert found.text("remote_keep") == "2/2/2"
    found = Configuration(environment=environment, settings=lambda: SETTINGS)
    assert found.text("remote") == "environment:"
    found = Configuration(environment={}, settings=lambda: SETTINGS)
    assert found.text("remote") == "file:"
    (elsewhere / ".env").unlink()
    found = Configuration(environment={}).with_settings(lambda: SETTINGS)
    assert (found.text("remote"), found.text("remote_keep")) == ("setting:", "1/1/1")
    assert Configuration(environment={}).text("remote") is None
    # What is empty is nowhere.
    found = Configuration(
        {"remote": None}, environment={"QUEUEKEEPER_REMOTE": ""}, settings=lambda: SETTINGS
    )
    assert found.text("remote") == "setting:"


def test_the_env_file_is_the_named_one_or_the_one_in_this_directory(elsewhere: Path) -> None:
    below = elsewhere / "below"
    below.mkdir()
    named = elsewhere / "queue.env"
    named.write_text('# a comment\nexport QUEUEKEEPER_NOTIFY="ntfy://one ntfy://two"\n')
    found = Configuration(env_file=named, environment={})
    assert found.texts("notify") == ["ntfy://one", "ntfy://two"]
    found = Configuration(environment={"QUEUEKEEPER_ENV_FILE": str(named)})
    assert found.texts("notify") == ["ntfy://one", "ntfy://two"]
    assert Configuration(environment={}).texts("notify") == []
    with pytest.raises(queuekeeper.CantOpenError, match=r"missing\.env"):
        Configuration(env_file=elsewhere / "missing.env", environment={})


def test_an_env_file_above_is_none_of_ours(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text("QUEUEKEEPER_REMOTE=x:\n")
    below = elsewhere / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert Configuration(environment={}).text("remote") is None


def test_what_may_be_secret_is_no_setting(elsewhere: Path) -> None:
    found = Configuration(environment={}, settings=lambda: SETTINGS)
    assert found.texts("notify") == []
    assert [name for name, known in KNOWN.items() if known.secret and known.setting] == ["remote"]
    with_secret = Configuration({"notify": ["ntfy://u:hunter22@h/t"]}, environment={})
    assert "hunter22" not in repr(with_secret)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("1", True), ("yes", True), ("TRUE", True), ("on", True), ("0", False), ("No", False)],
)
def test_yes_and_no(word: str, meant: bool, elsewhere: Path) -> None:
    assert Configuration(environment={"QUEUEKEEPER_QUIET": word}).truth("quiet") is meant
    assert Configuration({"quiet": True}, environment={}).truth("quiet") is True
    assert Configuration(environment={}).truth("quiet") is False


@pytest.mark.parametrize(
    ("named", "path"),
    [
        ("queue.db", "queue.db"),
        ("/data/queue.db", "/data/queue.db"),
        ("C:\\Data\\queue.db", "C:\\Data\\queue.db"),
        (":memory:", ":memory:"),
        ("sqlite:///data/queue.db", "data/queue.db"),
        ("sqlite:////data/queue.db", "/data/queue.db"),
        ("sqlite+aiosqlite:///./queue.db?timeout=5", "./queue.db"),
        ("sqlite:///C:/Data/my%20queue.db", "C:/Data/my queue.db"),
    ],
)
def test_the_database_may_be_named_by_a_url(named: str, path: str) -> None:
    assert database_path(named) == path


@pytest.mark.parametrize("named", ["postgresql://u:hunter22@host/queue", "sqlite://", "sqlite:///"])
def test_a_url_of_another_kind_is_refused_without_its_secrets(named: str) -> None:
    with pytest.raises(queuekeeper.Error) as refused:
        database_path(named)
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("ntfy://user:hunter22@host/topic", "cannot log in with hunter22"),
        ("ntfy://user:hunter%2222@host/topic", 'cannot log in with hunter"22'),
        ("ntfys://tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2@ntfy.sh/x", "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"),
        ("https://hc-ping.com/0e8a7c52-93f1-4e0c", "GET /0e8a7c52-93f1-4e0c failed"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "TIiajkdnlazkcOXrIdevi7FQ"),
        ("ntfy://a-long-secret-topic", "no topic a-long-secret-topic"),
        (":s3,access_key_id=AKIA0000,secret_access_key='h,u:n':b", "key h,u:n for AKIA0000"),
        (":webdav,url=http://h,pass=abc123:", "pass=abc123"),
    ],
)
def test_secrets_are_taken_out_of_texts(secret: str, text: str) -> None:
    found = redacted(text, [secret])
    assert "****" in found
    assert found != text
    for part in ("hunter", "AKIA", "h,u:n", "abc123", "0e8a7c52", "TIia", "tk_", "secret-topic"):
        assert part not in found


def test_ordinary_words_stay_as_they_are() -> None:
    text = "cannot push '/backups/queue.db' to gdrive:queue backups: the host is down"
    secrets = ["gdrive:queue backups", "ntfy://user:hunter22@host/queue", "https://host/backups"]
    assert redacted(text, secrets) == text
    # A text that speaks of the URL itself loses every part of it.
    assert redacted("POST to /queue", secrets, every_part=True) == "POST to /****"
    assert redacted("see https://me:pw@host/x", []) == "see https://****@host/x"


def test_the_command_line_finds_the_database_in_each_place(own: Package, queue: Queue) -> None:
    own.run(
        """
import contextlib, io
from queuekeeper.cli import run
path, directory = sys.argv[1:]
os.chdir(directory)
for name in ("PRISMQ_QUEUE_DB_PATH", "DATABASE_URL", "QUEUEKEEPER_ENV_FILE"):
    os.environ.pop(name, None)
def call(*arguments):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        return run(list(arguments)), errors.getvalue()
assert call("stats")[0] == 64
assert call("run-due")[0] == 64
os.environ["DATABASE_URL"] = "postgresql://u:hunter22@h/q"
status, errors = call("stats")
assert status == 3 and "postgresql" in errors and "hunter22" not in errors, errors
os.environ["DATABASE_URL"] = f"sqlite:///{path}"
assert call("stats") == (0, ""), call("stats")
os.environ["PRISMQ_QUEUE_DB_PATH"] = path + ".missing"
assert call("stats")[0] == 3
del os.environ["PRISMQ_QUEUE_DB_PATH"], os.environ["DATABASE_URL"]
with open(".env", "w") as file:
    file.write(f"DATABASE_URL=sqlite:///{path}\\n")
assert call("stats") == (0, "")
assert call("run-due") == (0, "")
os.rename(".env", "other.env")
assert call("run-due")[0] == 64
assert call("run-due", "--env-file", "other.env") == (0, "")
assert call("run-due", "--env-file", "none.env")[0] == 3
for expected, wrong in ((64, ["--bogus"]), (64, ["a", "b"]), (64, [path, "--db", path]),
                        (64, [path, "--now", "soon"]), (3, [path + ".missing"])):
    status, errors = call("run-due", *wrong)
    assert status == expected and errors.startswith("queuekeeper: error: "), (wrong, status, errors)
""",
        queue.path,
        queue.directory,
    )
