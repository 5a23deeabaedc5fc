"""The Python package has all that SQL has, under the same names, and types for it."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
from conftest import ROOT

import queuekeeper
from queuekeeper import results
from support.documents.declared import BACKUP_FIELDS, FUNCTIONS, TABLES
from support.package import Package
from support.queues import Queue

OPERATIONS = sorted(name.removeprefix("queue_") for name in {*FUNCTIONS, *TABLES})

#: What the rows of each table are.
ROWS: dict[str, type[results.Result]] = {
    "queue_backups": queuekeeper.Backup,
    "queue_depth": queuekeeper.Depth,
    "queue_health": queuekeeper.HealthMetric,
    "queue_history": queuekeeper.HistoryEntry,
    "queue_leases": queuekeeper.Lease,
    "queue_rotation": queuekeeper.Decision,
    "queue_schedule": queuekeeper.ScheduledJob,
    "queue_settings": queuekeeper.Setting,
    "queue_stale": queuekeeper.StaleLease,
    "queue_stats": queuekeeper.Stats,
}


def positional(name: str) -> list[str]:
    """The names of a method's positional arguments."""
    parameters = inspect.signature(getattr(queuekeeper.Queue, name)).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [each.name for each in parameters if each.kind in kinds and each.name != "self"]


def fields(kind: type[results.Result]) -> list[str]:
    """The names of a result's fields."""
    return [field.name for field in dataclasses.fields(kind) if field.name != "raw"]


def test_each_function_and_table_is_a_method_and_there_are_no_others() -> None:
    public = {name for name in vars(queuekeeper.Queue) if not name.startswith("_")}
    assert public - {"close", "phase"} == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_arguments_are_those_of_sql(name: str) -> None:
    if f"queue_{name}" in TABLES:
        assert positional(name) == list(TABLES[f"queue_{name}"][1])
    else:
        # Options, SQL's last argument, are keywords here.
        options = {"backup", "delete_backup", "requeue", "restore", "verify"}
        assert len(positional(name)) == max(FUNCTIONS[f"queue_{name}"]) - (name in options)


def test_the_rows_have_the_documented_columns() -> None:
    assert set(ROWS) == set(TABLES) - {"queue_integrity"}, "whose rows are texts"
    for table, kind in ROWS.items():
        columns = set(TABLES[table][0])
        if kind is queuekeeper.Backup:
            columns |= BACKUP_FIELDS | {"note"}
        assert set(fields(kind)) == columns


def test_all_that_results_have_are_fields(own: Package, queue: Queue) -> None:
    unknown = own.run(
        """
        import dataclasses
        from queuekeeper.results import Result
        unknown = {}
        def look(value):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, Result):
                    names = {field.name for field in dataclasses.fields(each)}
                    for name in set(each.raw) - names:
                        unknown.setdefault(type(each).__name__, []).append(name)
                    for name in names - {"raw"}:
                        look(getattr(each, name))
        with queuekeeper.open(sys.argv[1]) as queue:
            queue.set("cron_monthly", "* * * * *")
            for value in (
                queue.backup(), queue.backup(type="incremental"), queue.verify("latest"),
                queue.restore("latest", requeue_leases=True), queue.delete_backup("latest"),
                queue.checkpoint(), queue.vacuum(), queue.analyze(), queue.optimize(True),
                queue.run_due("2030-01-01 02:00:00"), queue.stats(),
            ):
                look(value)
        print(json.dumps(unknown))
        """,
        queue.path,
    )
    assert unknown == {}


def test_everything_exported_is_there_and_results_are() -> None:
    assert all(getattr(queuekeeper, name) for name in queuekeeper.__all__ if name != "__version__")
    kinds = {name for name, value in vars(results).items() if is_result(value)}
    assert kinds - {"Result"} <= set(queuekeeper.__all__)


def is_result(value: object) -> bool:
    """Whether it is a class of results."""
    return isinstance(value, type) and issubclass(value, results.Result)


def test_the_core_needs_no_other_package() -> None:
    project = (ROOT / "python" / "pyproject.toml").read_text("utf-8")
    assert "\ndependencies = []\n" in project
    assert (ROOT / "python" / "src" / "queuekeeper" / "py.typed").is_file()


def test_the_literals_are_what_the_library_takes(own: Package, queue: Queue) -> None:
    own.run(
        """
        from typing import get_args
        queue = queuekeeper.open(sys.argv[1])
        made = queue.backup(name="first")
        calls = {
            queuekeeper.BackupType: lambda word: queue.backup(type=word),
            queuekeeper.Compression: lambda word: queue.backup(compression=word),
            queuekeeper.VerifyOption: lambda word: queue.backup(verify=word),
            queuekeeper.VerifyLevel: lambda word: queue.verify("latest", word),
            queuekeeper.IntegrityLevel: lambda word: queue.integrity(word),
            queuekeeper.CheckpointMode: lambda word: queue.checkpoint(word),
        }
        for kind, call in calls.items():
            for word in get_args(kind):
                call(word)
            try:
                call("sideways")
            except queuekeeper.Error as error:
                # The library names all that it takes.
                assert all(word in str(error) for word in get_args(kind)), (kind, str(error))
            else:
                raise AssertionError(kind)
        """,
        queue.path,
    )
