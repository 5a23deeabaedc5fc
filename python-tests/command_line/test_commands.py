"""The command line: every command on a real queue, its tables, its JSON, its exit statuses."""

from __future__ import annotations

from conftest import MakeQueue

from support.package import Package
from support.package.cli import CALL
from support.queues import Queue, Shape

COMMANDS = {
    *("analyze", "backup", "backups", "checkpoint", "completion", "delete", "depth", "get"),
    *("health", "help", "history", "integrity", "leases", "optimize", "requeue", "restore"),
    *(f"offsite {name}" for name in ("check", "link", "list", "pull", "push", "rotate")),
    *("rotate", "run-due", "schedule", "set", "settings", "stats", "unset", "vacuum", "verify"),
}


def test_each_commands_help_says_what_it_does_and_with_which_options(own: Package) -> None:
    helps = own.run(
        CALL
        + """
from queuekeeper.cli import main
helps = {name: call(name, "--help") for name, each in main.commands.items() if not each.hidden}
assert {name: call("help", name) for name in helps} == helps
for name in main.commands["offsite"].commands:
    helps[f"offsite {name}"] = call("offsite", name, "--help")
helps[""] = call("--help")
assert call("-h") == helps[""] == call(status=64) == call("help")
assert call("help", "offsite", "push") == helps["offsite push"]
print(json.dumps(helps))
"""
    )
    assert set(helps) == {"", "offsite", *COMMANDS}
    overview = helps.pop("")
    group = helps.pop("offsite")
    assert "QUEUEKEEPER_REMOTE" in group
    for name, text in helps.items():
        usage, _, rest = text.partition("\n")
        assert usage.startswith(f"Usage: queuekeeper {name} [OPTIONS]")
        listing, own_name = (group, name[8:]) if name.startswith("offsite ") else (overview, name)
        (summary,) = [line for line in listing.splitlines() if line.startswith(f"  {own_name} ")]
        assert summary.split(None, 1)[1] in " ".join(rest.split())
        assert "--json" in text
        assert "--db" in text
        assert "PRISMQ_QUEUE_DB_PATH" in text
        assert max(map(len, text.splitlines())) <= 80
        # Whatever stands in the usage line is explained below it.
        for argument in (word.strip("[]") for word in usage.split()[2 + len(name.split()) :]):
            assert argument == "OPTIONS" or argument in rest, f"{name}: {argument}"
    for status in ("0 ", "1 ", "2 ", "3 ", "4 ", "64 ", "130 "):
        assert f"\n    {status}" in overview


def test_backups_from_making_to_deleting(package: Package, queue: Queue) -> None:
    package.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
text = call("backup", "--name", "daily", "--verify", "quick", "--compression", "zstd")
assert "verified  quick" in text and "leased 7" in text and ".db.zst" in text, text
made = told("backup", "--type", "incremental", "--name", "daily", "--level", 5,
            "--compression", "gzip")
assert made["backup_type"] == "incremental" and made["compression"] == "gzip", made
aside = os.path.join(os.path.dirname(path), "aside.db")
assert told("backup", aside)["backup_path"] == aside
assert "--overwrite" in call("backup", "--help")
assert aside in call("backup", aside, status=3)
assert told("backup", aside, "--overwrite")["backup_path"] == aside

listed = call("backups")
assert "2 backups, " in listed and listed.count("queue_backup_daily_") == 2, listed
rows = told("backups")
assert [row["id"] for row in rows][0] == made["id"] and rows[0]["task_counts"], rows

one = made["id"][:8]
assert told("backups", "--id", one)["id"] == made["id"] and one in call("backups", "--id", one)
assert "no id" in call("backups", "--id", "xyz", status=3)
assert "several" in call("backups", "--id", "", status=3)
assert "status  ok" in call("verify") and told("verify", made["id"])["status"] == "ok"
assert told("verify", rows[1]["backup_path"], "--level", "full")["level"] == "full"
assert told("verify", "latest", "--dir", os.path.dirname(made["backup_path"]))["status"] == "ok"

plan = call("rotate", "1", "--dry-run")
assert "keep" in plan and "needed by" in plan, plan
assert "0 backups of 2 would be deleted" in plan, plan
assert {row["decision"] for row in told("rotate", "1", "--dry-run")} == {"keep"}
assert told("rotate", "1") == {"deleted": 0}
assert call("rotate", '{"keep_last": 1}') == "0 backups deleted\\n"
assert "JSON" in call("rotate", '{"keep', status=64)
assert call("rotate", "nonsense", status=3)

done = told("restore", "latest", "--requeue-leases")
assert done["requeued"] == 12 and "before_restore" in done["safety_backup"], done
assert "saved before" in call("restore", made["id"])
target = os.path.join(os.path.dirname(path), "copy.db")
assert told("restore", rows[1]["backup_path"], "--to", target)["target_path"] == target
assert target in call("restore", "latest", "--to", target, status=3)
call("restore", "latest", "--to", target, "--overwrite")

assert "dependants" in call("delete", rows[1]["id"], status=3)
assert call("delete", rows[1]["id"], "--dependants").count("deleted ") == 2
""",
        queue.path,
    )


def test_a_corrupted_backup_is_a_finding(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
made = told("backup", "--db", path)
with open(made["backup_path"], "r+b") as file:
    file.seek(5000)
    file.write(b"damage")
text = call("verify", made["backup_path"], status=1)
assert "status  corrupted" in text, text
found = told("verify", "--db", path, status=1)
assert found["status"] == "corrupted" and found["details"], found
# No database is needed to verify or restore a file.
assert "corrupt" in call("restore", made["backup_path"], "--to", path + "-new", status=3)
assert not os.path.exists(path + "-new")
""",
        queue.path,
    )


def test_the_queue_and_its_upkeep(package: Package, queue: Queue) -> None:
    package.run(
        CALL
        + """
def on(*arguments, **options):
    return call("--db", path, *arguments, **options)
def json_on(*arguments, **options):
    return told("--db", path, *arguments, **options)
assert path in on("stats") and json_on("stats")["page_size"] == 4096
assert "leased" in on("depth")
assert {row["status"]: row["tasks"] for row in json_on("depth")}["leased"] == 7
assert on("leases", "--stale", 60).count("worker-1") == 8
assert len(json_on("leases", "--stale")) == 8
assert json_on("requeue", 60) == {"requeued": 8}
assert on("requeue", 60) == "0 tasks requeued\\n"
assert on("leases", "--stale") == "no stale leases\\n"
assert "secs" in on("requeue", "--", -1, status=3)
assert on("integrity") == "ok\\n" and json_on("integrity", "--level", "quick") == ["ok"]
assert "PASSIVE" in on("checkpoint") and json_on("checkpoint", "truncate")["mode"] == "TRUNCATE"
assert "before" in on("vacuum") and "reclaimed_bytes" in json_on("vacuum")
assert "task_queue" in on("analyze")
assert json_on("analyze", "task_queue")["analyzed"] == ["task_queue"]
assert on("analyze", "no_such_table", status=3)
assert "vacuumed  no" in on("optimize") and json_on("optimize", "--full")["vacuumed"] is True
assert on("get", "keep") == "7/4/12\\n" and json_on("get", "keep") == "7/4/12"
assert on("set", "keep", "3/2/1") == "keep = 3/2/1\\n" and json_on("set", "full_every", 5) == 5
assert "3/2/1" in on("settings")
assert {row["name"]: row["value"] for row in json_on("settings")}["full_every"] == 5
assert on("unset", "keep") == "keep is back to its default\\n"
assert "either" in on("set", "keep", status=64)
assert "either" in on("set", "keep", "7", "--reset", status=64)
assert "keep" in on("set", "keep", "nonsense", status=3)
""",
        queue.path,
    )


def test_the_schedule(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
for job in ("daily", "weekly", "monthly"):
    call("set", f"cron_{job}", "off")
assert "0 * * * *" in call("schedule") and len(told("schedule")) == 4
ran = call("run-due", "--now", "2030-01-01 01:30:00")
assert "hourly" in ran and "checkpoint ok, requeue ok" in ran, ran
assert call("run-due", "--now", "2030-01-01 01:40:00") == "nothing is due\\n"
assert told("run-due", "--now", "2030-01-01 01:40:00") == []
history = call("history")
assert "requeue" in history and "ok" in history and len(told("history")) == 2, history
# A job that fails is a finding.
import sqlite3
with contextlib.closing(sqlite3.connect(path)) as connection:
    connection.execute("ALTER TABLE task_queue RENAME COLUMN lease_until_utc TO something_else")
failed = told("run-due", "--now", "2030-01-01 02:30:00", status=1)
assert failed[0]["status"] == "failed", failed
""",
        queue.path,
    )


def test_the_history_and_what_is_chosen_of_it(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
assert call("history") == "no history\\n"
for job in ("weekly", "monthly"):
    call("set", f"cron_{job}", "off")
call("run-due", "--now", "2030-01-01 02:30:00")
call("set", "backup_dir", path)
call("run-due", "--now", "2030-01-02 02:30:00", status=1)
lines = call("history").splitlines()
everything = told("history")
assert len(lines) == 1 + len(everything) and lines[0].split()[0] == "status", lines
# The error comes before what it kept from being done, whole, whenever the step began.
failed = [each for each in everything if each["status"] == "failed"]
assert [(each["job"], each["step"]) for each in failed] == [("daily", "backup")], failed
assert lines[1].split() == ["failed", "2030-01-02", "02:30:00", "daily", "backup",
                            *failed[0]["detail"].split()], lines
assert [line.split()[0] for line in lines[2:7]] == ["ok", "ok", "ok", "skipped", "skipped"]
assert any("…" in line for line in lines), "the object of a backup is not shown whole"
columns = {"job", "step", "started_utc", "finished_utc", "status", "detail"}
assert all(set(each) == columns for each in everything), everything
# What is chosen is the same in both.
assert told("history", "--failed") == failed and call("history", "--failed").count("\\n") == 2
assert told("history", "--limit", 3) == everything[:3]
assert {each["job"] for each in told("history", "--job", "hourly")} == {"hourly"}
for time in ("2030-01-02", "2030-01-02 00:00", "2030-01-02T02:00+02:00", "2030-01-02 02:30:00"):
    found = told("history", "--since", time)
    assert found == [each for each in everything if each["started_utc"] > "2030-01-02"], time
assert told("history", "--since", "2030-01-02 02:30:01") == []
assert told("history", "--since", "90min") == told("history", "--since", "7d") == everything
chosen = ["--since", "2030-01-02", "--job", "daily", "--limit", "2"]
assert told("history", *chosen) == [each for each in everything if each["job"] == "daily"][:2]
assert call("history", "--job", "none") == "no such entries in the history\\n"
for wrong in (["--limit", "0"], ["--since", "yesterday"], ["--since", "9" * 20 + "d"]):
    assert wrong[0] in call("history", *wrong, status=64)
""",
        queue.path,
    )


def test_healths_exit_status_is_the_worst_level(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
def raw(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        return run(list(arguments)), output.getvalue()
assert raw("health")[0] == 2, "there is no backup"
call("backup", "--verify", "quick")
status, text = raw("health")
assert status == (1 if "warning" in text.split("level")[1] else 0), text
for metric, status in (("warning", 1), ("critical", 2)):
    call("set", f"stale_leases_{metric}", 3)
    found, text = raw("health")
    assert found == status and f"stale_leases: " in text, text
    assert any(row["level"] == metric for row in json.loads(raw("health", "--json")[1]))
""",
        queue.path,
    )


def test_a_damaged_database(own: Package, make: MakeQueue) -> None:
    queue = make(Shape(tasks=2000))
    content = bytearray(queue.path.read_bytes())
    for page in range(8, 24):
        content[page * 4096 + 100 : page * 4096 + 200] = bytes(100)
    queue.path.write_bytes(content)
    own.run(
        CALL
        + """
text = call("integrity", "--db", path, "--max-errors", 5, status=1)
assert text != "ok\\n" and 0 < len(text.splitlines()) <= 5, text
assert told("integrity", "--db", path, "--level", "quick", status=1)
""",
        queue.path,
    )


def test_wrong_use_is_one_clear_line_and_no_success(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ.pop("PRISMQ_QUEUE_DB_PATH", None)
assert "PRISMQ_QUEUE_DB_PATH" in call("stats", status=64)
missing = path + "-missing"
assert missing in call("stats", "--db", missing, status=3)
assert missing in call("--db", missing, "backup", status=3)
assert "no-such" in call("no-such", status=64)
assert "--no-such" in call("stats", "--no-such", status=64)
assert "KEEP" in call("rotate", "--db", path, status=64)
assert "abc" in call("requeue", "abc", "--db", path, status=64)
assert "sideways" in call("checkpoint", "sideways", "--db", path, status=64)
assert "no-such" in call("verify", "no-such", "--db", path, status=3)
assert "no-such.db" in call("verify", "/no-such.db", status=3)
assert "no-such" in call("backup", "/no-such/file.db", "--db", path, status=3)
text = os.path.join(os.path.dirname(path), "text.db")
with open(text, "w") as file:
    file.write("no database " * 1000)
assert text in call("backup", "--db", text, status=3)
# The option wins over the environment, and the command's over the program's.
os.environ["PRISMQ_QUEUE_DB_PATH"] = missing
assert path in call("stats", "--db", path) and path in call("--db", path, "stats")
assert path in call("--db", missing, "stats", "--db", path)
# And so does an argument, which only commands without another one take for the database.
def steady(found):
    # What else the machine does changes how much room there is on its disk.
    return {**found, "free_disk_bytes": None} if isinstance(found, dict) else found
for name in ("stats", "integrity", "settings", "schedule", "history", "depth"):
    named = json.loads(call(name, path, "--json"))
    assert steady(named) == steady(told(name, "--db", path)), name
assert path in call("--db", missing, "stats", path)
assert "twice" in call("stats", path, "--db", path, status=64)
assert "twice" in call("vacuum", missing, "--db", path, status=64)
assert "optimize" in call("optimize", path, path, status=64)
""",
        queue.path,
    )


def test_a_risk_that_is_accepted_is_shown_and_not_counted(own: Package, queue: Queue) -> None:
    own.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
call("backup", "--verify", "quick")
call("set", "stale_leases_warning", 3)
def bad():
    found = json.loads(call("health", "--json", status=1))
    return {row["metric"] for row in found if row["level"] not in ("ok", "accepted")}
before = bad()
assert "stale_leases" in before
assert "stale_leases" in call("health", "--ack", "stale_leases",
                              status=1 if len(before) > 1 else 0)
assert json.loads(call("get", "accepted_risks")) == ["stale_leases"]
# Without a metric, it is all that is shown now.
text = call("health", "--ack")
assert "accepted" in text and set(json.loads(call("get", "accepted_risks"))) == before, text
assert call("health", "-q", "--ack") == ""
assert set(json.loads(call("get", "accepted_risks"))) == before
levels = {row["metric"]: row["level"] for row in told("health")}
assert {levels[name] for name in before} == {"accepted"}, levels
assert "no_such" in call("health", "--ack", "no_such", status=3)
call("unset", "accepted_risks")
assert bad() == before
""",
        queue.path,
    )


def test_the_tasks_of_one_dead_worker_come_back(own: Package, queue: Queue) -> None:
    with queue.connect() as connection:
        connection.execute(
            "UPDATE task_queue SET locked_by = 'a b' WHERE rowid % 2 AND locked_by NOTNULL"
        )
    own.run(
        CALL
        + """
os.environ["PRISMQ_QUEUE_DB_PATH"] = path
leases = told("leases")
workers = {row["worker"]: row["leases"] for row in told("leases", "--by-worker")}
assert sum(workers.values()) == len(leases) == 12 and len(workers) > 1, workers
assert "a b" in call("leases", "--by-worker") and "a b" in call("leases")
stale = told("leases", "--stale", "--by-worker")
assert sum(row["leases"] for row in stale) == len(told("leases", "--stale")) == 8, stale
held = workers["a b"]
assert call("requeue", "--worker", "a b", "--dry-run") == f"{held} tasks would be requeued\\n"
assert told("requeue", "--worker", "a b", "--dry-run") == {
    "matched": held, "requeued": 0, "dry_run": True}
assert "expect" in call("requeue", "--worker", "a b", "--expect", held + 1, status=3)
assert len(told("leases")) == 12
task = leases[0]["task_id"]
assert told("requeue", "--id", task, "--worker", leases[0]["locked_by"], "--expect", 1) == {
    "matched": 1, "requeued": 1, "dry_run": False}
assert task not in {row["task_id"] for row in told("leases")}
call("requeue", "--worker", "a b", "--yes")
assert "a b" not in {row["worker"] for row in told("leases", "--by-worker")}
assert "either" in call("requeue", 60, "--worker", "a b", status=64)
call("requeue", "--all", "--yes")
assert call("leases") == call("leases", "--by-worker") == "no leases\\n"
""",
        queue.path,
    )
