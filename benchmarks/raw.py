"""The figures as they were measured, as JSON: all that the page is made from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Run


@dataclass(frozen=True)
class Record:
    """One run: of what, on which queue, in which round."""

    queue: str
    group: str
    name: str
    turn: int
    run: Run


@dataclass
class Records:
    """All runs, and what there is to know besides."""

    about: dict[str, Any] = field(default_factory=dict)
    #: By label: bytes, pages, tasks, and seconds that making it took.
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    all: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        self.all.append(record)

    def of(self, queue: str, name: str, group: str = "idle") -> dict[int, Run]:
        """The runs of that name on that queue, by round."""
        wanted = (queue, group, name)
        return {r.turn: r.run for r in self.all if (r.queue, r.group, r.name) == wanted}

    def names(self, queue: str, group: str) -> list[str]:
        """What was measured there, in the order of its first run."""
        found = (r.name for r in self.all if r.queue == queue and r.group == group)
        return list(dict.fromkeys(found))

    def write(self, path: Path) -> None:
        """One line a run, so that two results can be compared line by line."""
        lines = ",\n".join(json.dumps(flat(record)) for record in self.all)
        head = json.dumps({"about": self.about, "queues": self.queues}, indent=1)
        path.write_text(f'{head[:-2]},\n "runs": [\n{lines}\n]}}\n', "utf-8")


#: Of use only while measuring.
PASSING = ("answer", "backup_path", "printed")


def flat(record: Record) -> dict[str, Any]:
    """A record without what is not known, rounded to what a clock can tell."""
    values: dict[str, Any] = dataclasses.asdict(record)
    values.update(values.pop("run"))
    del values["ended"]
    for name in ("seconds", "cpu", "others"):
        if values[name] is not None:
            values[name] = round(values[name], 6)
    values["found"] = {key: what for key, what in values["found"].items() if key not in PASSING}
    return {name: value for name, value in values.items() if value not in (None, {})}


def read(path: Path) -> Records:
    """What write() wrote."""
    content = json.loads(path.read_text("utf-8"))
    return Records(content["about"], content["queues"], list(map(record_of, content["runs"])))


def record_of(values: dict[str, Any]) -> Record:
    known = ("cpu", "peak", "others", "found")
    run = Run(values["seconds"], **{name: values[name] for name in known if name in values})
    return Record(values["queue"], values["group"], values["name"], values["turn"], run)


def labels(records: Records) -> Iterable[str]:
    """The queues from small to large."""
    return sorted(records.queues, key=lambda label: records.queues[label]["bytes"])
