"""The command line of off-site copies, and what backup and restore say and do with a remote."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from support.documents.pages import blocks, page
from support.package import LIMIT_SECONDS, Package
from support.package.cli import CALL
from support.queues import Queue
from support.servers.remotes import environment

#: The queue's path and the remote's; what the command line says may be on standard error, too.
BEGIN = (
    CALL
    + """
import shutil
remote = os.path.join(os.path.dirname(path), "remote")
backups = os.path.join(os.path.dirname(path), "backups")
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
def both(*arguments, status=0):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        assert run([str(argument) for argument in arguments]) == status, errors.getvalue()
    return output.getvalue(), errors.getvalue()
"""
)


def run(own: Package, queue: Queue, program: str) -> None:
    """Runs a program that must succeed."""
    own.run(BEGIN + program, queue.path, env=environment())


def test_every_command(package: Package, queue: Queue) -> None:
    run(
        package,
        queue,
        """
os.environ["QUEUEKEEPER_REMOTE"] = remote
call("backup", "--no-offsite", "--name", "daily")
assert call("offsite", "list") == "no backups\\n" and told("offsite", "list") == []
assert "not_pushed: queue_backup_daily_" in call("offsite", "check", status=1)
text = call("offsite", "push")
assert text.startswith("pushed queue_backup_daily_") and text.endswith(", 0 there already\\n"), text
assert f"1 backup (0.0" in text and f"MiB) pushed to {remote}" in text, text
assert told("offsite", "push")["present"] == 1
listed = call("offsite", "list")
assert "queue_backup_daily_" in listed and f"on {remote}" in listed, listed
(row,) = told("offsite", "list")
assert row["name"] == "daily" and row["backup_path"].startswith("queue_backup_daily_"), row
assert "2 files compared by content, 0 by length only" in call("offsite", "check")
assert told("offsite", "check", "--download")["compared"] == 2
assert "no policy for the remote" in call("offsite", "rotate", status=3)
assert "such as '7/4/12'" in call("offsite", "rotate", "7/4", status=3)
assert "last backup (1 of 1)" in call("offsite", "rotate", 1, "--dry-run")
assert call("offsite", "rotate", '{"keep_last": 1}') == "0 backups deleted, 1 kept\\n"
assert told("offsite", "rotate", "1")["kept"] == 1
assert call("offsite", "link") == "the remote has no links\\n"
assert told("offsite", "link", "latest", "--public") == {"link": None}
shutil.rmtree(backups)
assert "verified  quick" in call("offsite", "pull")
assert told("offsite", "pull", row["id"])["fetched"] == []
assert told("offsite", "pull", "all", "--dir", backups + "-2")["bytes"] > 0
assert "'nonsense'" in call("offsite", "pull", "nonsense", status=3)
# What is said about an object that is gone is one line, and no success.
os.remove(os.path.join(remote, row["backup_path"]))
assert "missing: queue_backup_daily_" in call("offsite", "check", status=1)
assert "is listed but not there" in call("offsite", "pull", "--dir", backups + "-3", status=3)
""",
    )


def test_where_the_remote_is_named(own: Package, queue: Queue) -> None:
    run(
        own,
        queue,
        """
assert "QUEUEKEEPER_REMOTE" in call("offsite", "push", status=3)
call("backup")
assert call("set", "remote", remote) == f"remote = {remote}\\n"
assert told("offsite", "push")["remote"] == remote
os.environ["QUEUEKEEPER_REMOTE"] = remote + "-2"
assert told("offsite", "push")["remote"] == remote + "-2"
assert told("offsite", "push", "--remote", remote + "-3")["remote"] == remote + "-3"
# A secret never goes into the database, and is not repeated.
bad = ":webdav,url='https://dav.example',user=u,pass=hunter2:"
error = call("set", "remote", bad, status=3)
assert "a path, or a remote" in error and "hunter2" not in error, error
assert "no remote of that name" in call("offsite", "push", "--remote", "nope:x", status=3)
assert "must be one of rclone's" in call("offsite", "push", "--remote", "-x", status=3)
# The database may be an argument, as for other commands without another one.
del os.environ["PRISMQ_QUEUE_DB_PATH"]
assert json.loads(call("offsite", "push", path, "--json"))["present"] == 1
assert "1 backup" in call("offsite", "list", path) and call("offsite", "check", path)
assert "twice" in call("offsite", "push", path, "--db", path, status=64)
assert "PRISMQ_QUEUE_DB_PATH" in call("offsite", "push", status=64)
""",
    )


def test_rclones_variables_count_in_the_env_file(own: Package, queue: Queue) -> None:
    run(
        own,
        queue,
        """
here = os.path.dirname(path)
os.chdir(here)
def file(name, *lines):
    with open(os.path.join(here, name), "w") as written:
        written.write("\\n".join(lines))
    return os.path.join(here, name)
def due(env_file, hour, status=0):
    now = f"2030-01-01 {hour:02}:30:00"
    output, errors = both("run-due", "--env-file", env_file, "--now", now, "--json", status=status)
    return {each["job"]: each for each in json.loads(output)}.get("offsite"), errors
def stored(directory):
    return {name for name in os.listdir(directory) if name.endswith(".db")}
os.mkdir(remote)
conf = file("the rclone.conf", "[nas]", "type = alias", f"remote = {remote}")
rclone = os.environ.pop("QUEUEKEEPER_RCLONE")
lines = [f"RCLONE_CONFIG='{conf}'", "QUEUEKEEPER_REMOTE=nas:copies", f"QUEUEKEEPER_RCLONE={rclone}"]
named = file("named.env", *lines)
# What another file says counts for nothing.
file(".env", "QUEUEKEEPER_RCLONE=/nowhere/rclone", "QUEUEKEEPER_REMOTE_KEEP=nonsense")
ran, _ = due(named, 1)
assert ran["status"] == "ok" and len(stored(remote + "/copies")) > 0, ran
os.environ["QUEUEKEEPER_ENV_FILE"] = named
assert told("offsite", "check")["findings"] == [] and told("offsite", "push")["present"] > 0
assert told("backup", "--name", "more")["offsite"]["pushed"] != []
# Remotes that variables alone make, too; their secrets are not shown.
secret = file("secret.env", "RCLONE_CONFIG_TWO_TYPE=alias", f"RCLONE_CONFIG_TWO_REMOTE={remote}",
              "QUEUEKEEPER_REMOTE=two:copies", f"QUEUEKEEPER_RCLONE={rclone}",
              "RCLONE_CONFIG_TWO_TOKEN=hidden")
os.environ["QUEUEKEEPER_ENV_FILE"] = secret
assert len(told("offsite", "list")) > 0
assert '("***")' in call("offsite", "list", "--remote", "hidden:", status=3)
# The environment goes first.
os.environ["QUEUEKEEPER_ENV_FILE"] = named
os.environ["RCLONE_CONFIG"] = other = os.path.join(here, "other.conf")
error = call("offsite", "push", status=3)
assert f"'{other}', which is not there" in error and "no remote of that name" in error, error
""",
    )


def test_an_error_about_a_remote_names_the_configuration_that_was_read(
    own: Package, queue: Queue
) -> None:
    run(
        own,
        queue,
        """
def refused(address):
    return call("offsite", "list", "--remote", address, status=3)
assert "rclone's configuration is none: RCLONE_CONFIG is empty" in refused("nas:")
conf = os.path.join(os.path.dirname(path), "rclone.conf")
with open(conf, "w") as file:
    file.write("[nas]\\ntype = webdav\\nurl = http://127.0.0.1:9\\n")
os.environ["RCLONE_CONFIG"] = conf
assert f"cannot look at 'nope:' (rclone's configuration is '{conf}'): " in refused("nope:")
assert f"'{conf}')" in refused("nas:") and "cannot be reached" in refused("nas:")
# A remote that is in no configuration was not looked for there.
assert conf not in refused(":webdav,url='http://127.0.0.1:9':")
""",
    )


def test_a_manual_backup_and_its_steps(own: Package, queue: Queue) -> None:
    run(
        own,
        queue,
        """
text = call("backup", "--no-offsite", "--no-vacuum")
for line in ("size      0.0", " MiB\\n", "vacuum    skipped", "off-site  skipped\\n",
             "rotation  skipped", f"backup    {backups}"):
    assert line in text, (line, text)
text = call("backup", "--vacuum", "--rotate")
assert "MiB won" in text and "off-site  skipped: no remote is configured" in text, text
assert "rotation  0 backups deleted, by keep = 7/4/12" in text, text
call("set", "remote", remote)
call("set", "remote_keep", 1)
call("set", "keep", 2)
text = call("backup", "--rotate")
assert f"1 backup pushed to {remote}" in text, text
assert "rotation           1 backup deleted" in text, text
assert "off-site rotation  0 backups deleted" in text, text
made = told("backup", "--rotate")
assert made["offsite"]["pushed"] == [os.path.basename(made["backup_path"])], made
assert made["rotated"] == 1 and made["offsite_rotation"]["deleted"] != [], made
assert "vacuum" not in made and "vacuum" in told("backup", "--vacuum", "--no-offsite")
# Elsewhere than in the queue's own directory, only who asks for it pushes.
aside = os.path.join(os.path.dirname(path), "aside.db")
assert "off-site  skipped\\n" in call("backup", aside)
# A push that fails does not fail the backup; it is told.
output, errors = both("backup", "--remote", os.path.join(path, "no-directory"), status=1)
assert "off-site  failed" in output and output.startswith(f"backup    {backups}"), output
assert "off-site failed, and the backup was made without" in errors and errors.count("\\n") == 1
assert os.path.exists(output.split()[1])
output, errors = both("backup", "--offsite", "--json", "--remote", "nope:", status=1)
assert json.loads(output)["id"] and "offsite" not in json.loads(output)
""",
    )


def test_restoring_from_the_remote_in_one_step(own: Package, queue: Queue) -> None:
    before = queue.snapshot()
    run(
        own,
        queue,
        """
os.environ["QUEUEKEEPER_REMOTE"] = remote
made = [told("backup", "--type", "incremental", "--name", "daily") for _ in range(3)]
# Into the live queue, which is saved first.
call("requeue", 60)
done = told("restore", "--from-remote", "latest")
assert done["id"] == made[2]["id"] and "before_restore" in done["safety_backup"], done
# On a machine that has nothing of it.
for name in os.listdir(os.path.dirname(path)):
    if name.startswith("queue.db"):
        os.remove(os.path.join(os.path.dirname(path), name))
shutil.rmtree(backups)
text = call("restore", "latest", "--from-remote")
assert f"into      {path}" in text and "saved before" not in text, text
# A certain one, into another file, with the leases back in the queue.
target = path + "-copy"
done = told("restore", made[0]["id"], "--from-remote", "--target", target, "--requeue-leases")
assert done["target_path"] == target and done["requeued"] == 12, done
assert "lists no backup" in call("restore", "nonsense", "--from-remote", status=3)
# A URL may name what is to be made.
del os.environ["PRISMQ_QUEUE_DB_PATH"]
os.environ["DATABASE_URL"] = f"sqlite:///{path}"
os.remove(path)
assert told("restore", "latest", "--from-remote")["target_path"] == path
""",
    )
    assert queue.snapshot() == before


def test_the_examples_of_the_page(own: Package, queue: Queue) -> None:
    text = page("offsite")
    for name in ("push", "pull", "list", "check", "rotate", "link"):
        assert f"queuekeeper offsite {name}" in text, name
    elsewhere = queue.directory / "elsewhere"
    scripts = [script for script in blocks(text, "sh") if "pip install" not in script]
    (code,) = blocks(text, "python")
    path = f"{own.python.parent}{os.pathsep}{os.environ['PATH']}"
    here: dict[str, Any] = {
        "cwd": queue.directory,
        "env": {**environment(), "PATH": path},
        "capture_output": True,
        "text": True,
        "timeout": LIMIT_SECONDS,
    }
    for script in scripts:
        if os.name == "nt":
            break
        adapted = script.replace("/mnt/elsewhere", str(elsewhere))
        done = subprocess.run(["sh", "-euxc", adapted], check=False, **here)
        assert done.returncode == 0, done.stderr
        assert "1 backup pushed to" in done.stdout
    adapted = code.replace("/mnt/elsewhere", str(elsewhere))
    done = subprocess.run([str(own.python), "-c", adapted], check=False, **here)
    assert (done.returncode, done.stderr) == (0, "")
