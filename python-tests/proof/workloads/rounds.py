"""The loop that all parts share: scenes made anew, rounds on each until one fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proof.workloads.record import Job, Record
from support.memory import scratch

#: Does rounds from that number on in a directory of its own; the number of the last one.
OneScene = Callable[[Job, Record, Path, int], int]


def run(part: str, job: Job, one_scene: OneScene, shown: str) -> Record:
    """A part; `shown` is the count that tells how far it is."""
    record = Record(part, job.seed)
    number = 0
    while not job.limit.over(number):
        first = number + 1
        with scratch() as place:
            try:
                number = one_scene(job, record, place, first)
            except Exception as error:
                # What cannot even begin or end must not be tried for ever with the same choices.
                number = first
                record.fail(first, "the scene", error)
        record.say(f"{number} rounds, {record.counts[shown]} {shown}")
    return record.finish()
