"""What the package records in the library's log, and what else may be in it."""

from __future__ import annotations

from support.package import Package
from support.queues import Queue

HEAD = """
from queuekeeper._log import RUNNING, record
path = sys.argv[1]
queue = queuekeeper.open(path)
NOW = "2030-01-03 12:00:00"
def rows(job=None):
    return [(row.job, row.step, row.status) for row in queue.history() if job in (None, row.job)]
def refused(what, *arguments):
    try:
        record(queue, *arguments)
    except queuekeeper.Error as error:
        assert what in str(error), (arguments, error)
    else:
        raise AssertionError(arguments)
"""


def test_a_step_is_one_row_from_its_beginning_to_its_end(own: Package, queue: Queue) -> None:
    own.run(
        HEAD
        + """
first = record(queue, "offsite", "push", RUNNING, None, NOW)
(row,) = queue.history()
assert (row.status, row.started_utc, row.finished_utc) == ("running", NOW, None), row
assert record(queue, "offsite", "push", "ok", {"pushed": 3}, "2030-01-03 12:01:00") == first
(row,) = queue.history()
assert (row.status, row.started_utc, row.finished_utc) == ("ok", NOW, "2030-01-03 12:01:00"), row
assert json.loads(row.detail) == {"pushed": 3}
# What took no time is recorded at once.
assert record(queue, "notify", "ntfy 2", "failed", "nobody answers") == first + 1
assert rows() == [("notify", "ntfy 2", "failed"), ("offsite", "push", "ok")]
# One that died is known to be dead when the next begins; another step is another.
record(queue, "offsite", "push", RUNNING)
record(queue, "offsite", "rotate remote", RUNNING)
record(queue, "offsite", "push", RUNNING)
record(queue, "offsite", "push", "skipped")
assert [row[1:] for row in rows("offsite")] == [
    ("push", "skipped"), ("rotate remote", "running"), ("push", "interrupted"), ("push", "ok")]
""",
        queue.path,
    )


def test_what_is_no_step_is_refused(own: Package, queue: Queue) -> None:
    own.run(
        HEAD
        + """
queue.run_due(NOW)
before = rows()
for job in ("daily", "Hourly", "weekly", "monthly"):
    refused("a job of the schedule itself", job, "backup", "ok")
for word in ("", "a\\nb", "x" * 65, "'; DROP TABLE queuekeeper_log; --", "n\u00e4chtlich"):
    refused("1 to 64 letters", word, "push", "ok")
    refused("1 to 64 letters", "offsite", word, "ok")
refused("running, ok, failed, skipped", "offsite", "push", "interrupted")
refused("now", "offsite", "push", "ok", None, "soon")
assert rows() == before
with queuekeeper.open(":memory:") as memory:
    try:
        record(memory, "offsite", "push", "ok")
    except queuekeeper.Error as error:
        assert "schedule" in str(error), error
    else:
        raise AssertionError("a database without a file has no log")
""",
        queue.path,
    )


def test_a_run_of_the_schedule_does_not_take_others_for_dead_nor_they_it(
    own: Package, queue: Queue
) -> None:
    own.run(
        HEAD
        + """
import contextlib, sqlite3
record(queue, "offsite", "push", RUNNING, None, NOW)
queue.run_due(NOW)
assert rows("offsite") == [("offsite", "push", "running")]
with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
    other.execute("UPDATE queuekeeper_jobs SET last_status = 'running' WHERE job = 'daily'")
    other.execute("UPDATE queuekeeper_log SET status = 'running' WHERE job = 'daily'")
record(queue, "offsite", "push", "ok", None, NOW)
assert {row[2] for row in rows("daily")} == {"running"}
queue.run_due("2030-01-03 12:10:00")
assert "interrupted" in {row[2] for row in rows("daily")}
assert rows("offsite") == [("offsite", "push", "ok")]
""",
        queue.path,
    )


def test_the_log_keeps_the_newest_of_each_step_and_its_bound(own: Package, queue: Queue) -> None:
    own.run(
        HEAD
        + """
queue.set("history_rows", 100)
queue.run_due(NOW)
record(queue, "notify", "ntfy", "ok", {"failing": []}, NOW)
steps = {row[:2] for row in rows()}
for minute in range(150):
    record(queue, "offsite", "push", "failed", str(minute), NOW)
found = queue.history()
assert len(found) == 100, len(found)
assert {(row.job, row.step) for row in found} == steps | {("offsite", "push")}
pushes = [int(row.detail) for row in found if row.job == "offsite"]
assert pushes == list(range(149, 149 - len(pushes), -1)), pushes
""",
        queue.path,
    )
