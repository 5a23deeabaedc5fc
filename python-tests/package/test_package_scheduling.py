"""Scheduling from Python: the real APScheduler calls run_due, and nothing else."""

from __future__ import annotations

from support.package import Package
from support.queues import Queue

SCHEDULER = """
import logging
from apscheduler.schedulers.background import BackgroundScheduler
from queuekeeper import scheduling
path = sys.argv[1]
def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
def history():
    with queuekeeper.open(path) as queue:
        return queue.history()
"""


def test_what_is_due_is_run_once_however_many_schedulers_there_are(
    package: Package, queue: Queue
) -> None:
    package.run(
        SCHEDULER
        + """
with queuekeeper.open(path) as queue:
    for job in ("hourly", "weekly", "monthly"):
        queue.set(f"cron_{job}", "off")
schedulers = [BackgroundScheduler() for _ in range(3)]
for scheduler in schedulers:
    job = scheduling.register(scheduler, path, seconds=0.05)
    assert job.id == "queuekeeper" and path in job.name, job
    scheduler.start()
until(lambda: [step.step for step in history() if step.status == "ok"][:1] == ["requeue"])
for _ in range(3):
    time.sleep(0.1)
for scheduler in schedulers:
    scheduler.shutdown()
steps = [step.step for step in history()]
assert sorted(steps) == ["analyze", "backup", "checkpoint", "requeue", "rotate", "verify"], steps
""",
        queue.path,
    )
    assert len(list(queue.backups.glob("*.db"))) == 1
    assert queue.query("SELECT count(*) FROM task_queue WHERE status = 'leased'") == [(2,)]


def test_a_job_is_replaced_can_be_stored_and_reports_its_errors(own: Package, queue: Queue) -> None:
    own.run(
        SCHEDULER
        + """
import pickle
scheduler = BackgroundScheduler()
os.chdir(os.path.dirname(path))
first = scheduling.register(scheduler, os.path.basename(path), seconds=3600)
scheduler.start()
# A job store keeps a function's name and its arguments, which must hold in any directory.
state = pickle.loads(pickle.dumps(scheduler.get_job("queuekeeper").__getstate__()))
assert state["func"] == "queuekeeper.scheduling:run_due" and state["args"] == (path,), state
scheduling.register(scheduler, path, seconds=60)
(job,) = scheduler.get_jobs()
assert job.trigger.interval.total_seconds() == 60
scheduling.register(scheduler, path, job_id="another")
assert len(scheduler.get_jobs()) == 2
scheduler.shutdown()
for wrong in (0, -1, float("nan")):
    try:
        scheduling.register(scheduler, path, seconds=wrong)
    except queuekeeper.Error as error:
        assert "seconds" in str(error), error
    else:
        raise AssertionError(f"{wrong} seconds were taken")

records = []
class Kept(logging.Handler):
    def emit(self, record):
        records.append(self.format(record))
logging.getLogger("apscheduler").addHandler(Kept())
failing = BackgroundScheduler()
# The first call comes at once, however long it is until the next.
scheduling.register(failing, path + "-missing", seconds=3600)
failing.start()
until(lambda: any("no such file" in record for record in records))
failing.shutdown()
""",
        queue.path,
    )
