"""Upkeep by APScheduler: a job that calls `run_due`, and nothing else.

    scheduler = BackgroundScheduler()
    queuekeeper.scheduling.register(scheduler, "queue.db")
    scheduler.start()

What is due when, and by which settings, is the database's own business (`queue.schedule()`), and
so is that each job runs once, however many processes register. A persistent job store can keep the
job, since it consists of a function's name and a path.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

import queuekeeper
from queuekeeper._arguments import PathLike
from queuekeeper.errors import Error

JOB_ID = "queuekeeper"


def register(scheduler: Any, path: PathLike, *, seconds: float = 60, job_id: str = JOB_ID) -> Any:
    """Adds the job to a scheduler, or replaces the one of that id; the scheduler's job object.

    It calls `run_due` as soon as the scheduler runs, and then every so many seconds. A missed call
    is caught up on by the next one, and an error goes to the scheduler's log.
    """
    if not seconds > 0:
        raise Error(f"seconds is {seconds}, but must be more than 0")
    return scheduler.add_job(
        run_due,
        "interval",
        seconds=seconds,
        next_run_time=datetime.now(timezone.utc),
        args=[os.path.abspath(os.fspath(path))],  # noqa: PTH100 - a text, which any job store can keep
        id=job_id,
        name=f"queuekeeper for {os.fspath(path)}",
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
        replace_existing=True,
    )


def run_due(path: str) -> None:
    """Runs what is due on the queue at `path`."""
    with queuekeeper.open(path) as queue:
        queue.run_due()
