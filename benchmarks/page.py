"""The page: tables and plots from the figures, around a reading that people write.

`reading.md` is the only part that nobody calculates. It may name a figure as {{ratio:WHAT}}, where
WHAT is the text of a goal, and the page puts the measured number there: it can't quote an old one.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import tables
from benchmarks.catalogs import COUNTS
from benchmarks.goals import OURS_UNDER_LOAD, Goal, all_goals
from benchmarks.load import LIMIT_SECONDS
from benchmarks.raw import Records

READING = Path(__file__).with_name("reading.md")
#: Fewer runs are said to be so.
WANTED_RUNS = 7
#: With so many processors busy with something else, a run was disturbed.
DISTURBED = 0.25

QUOTED = re.compile(r"\{\{ratio:(.+?)\}\}")


def picture(name: str, text: str) -> str:
    """The plot for a dark page or a light one."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg">'
        f'<img alt="{text}" src="{name}-light.svg"></picture>'
    )


def reading(text: str, goals: Sequence[Goal]) -> str:
    """The hand-written part with the figures that it asks for."""
    known = {goal.what: goal for goal in goals}

    def figure(match: re.Match[str]) -> str:
        goal = known.get(match[1])
        if goal is None:
            raise ValueError(f"reading.md asks for {match[1]!r}, which is no goal")
        return "(not measured)" if goal.ratio is None else f"{goal.ratio.median:.2f}"

    return QUOTED.sub(figure, text)


def introduction(records: Records) -> str:
    about, queue = records.about, records.about["main"]
    sizes = records.queues[queue]
    return f"""# Benchmarks

Made by `{about["command"]}` on {about["date"]}; `raw.json` has every run. The queue has PrismQ's
schema, {sizes["tasks"]:,} tasks with JSON payloads, and {sizes["bytes"]:,} bytes; making it took
{sizes["made_seconds"]:.0f} s. Everything was measured in rounds, one run of each a round, on the
same file. A ratio is the median of the ratios within a round, with the lowest and the highest."""


def summary(goals: Sequence[Goal]) -> str:
    measured = [goal for goal in goals if goal.ratio is not None]
    met = sum(goal.verdict == "met" for goal in measured)
    return f"{met} of {len(measured)} goals that were measured are met.\n\n{tables.goals(goals)}"


def under_load(records: Records) -> str:
    queue = records.about["main"]
    names = records.names(queue, "load")
    requeue = [name for name in names if name.startswith("requeue")]
    backups = [name for name in names if name not in requeue]
    ordered = [name for name in OURS_UNDER_LOAD if name in backups]
    ordered += [name for name in backups if name not in ordered]
    return f"""Two processes commit 100 times a second each. Their commits' times, waiting included,
are those of all runs together: before → during. What copies in steps starts over after each commit of another
and was stopped after {LIMIT_SECONDS:.0f} s. `cp` is no backup here, since it mixes pages of
different moments: it shows what writing as much does to the disk.

{tables.load(records, queue, [*ordered, *requeue])}

{picture("load", "p99 of commits before and during each backup")}"""


def conditions(records: Records) -> str:
    """The machine, how quiet it was, and what is missing."""
    about = records.about
    lines = [f"- {name}: {value}" for name, value in about["machine"].items()]
    busy = [r.run.others for r in records.all if r.group != "load" and r.run.others is not None]
    if busy:
        disturbed = sum(value > DISTURBED for value in busy)
        lines.append(
            f"- without load of ours, other programs kept {statistics.median(busy):.2f} processors"
            f" busy (median), and more than {DISTURBED} in {disturbed} of {len(busy)} runs"
        )
    lines.append(f"- the library: {about['library_bytes']:,} bytes")
    if about["missing"]:
        lines.append(f"- not on this machine, so not measured: {', '.join(about['missing'])}")
    few = fewer(records)
    if few:
        lines.append(f"- fewer than {WANTED_RUNS} runs, for want of time: {'; '.join(few)}")
    return "\n".join(lines)


def fewer(records: Records) -> list[str]:
    """What was run fewer times than wanted, with the number."""
    groups = {(record.queue, record.group) for record in records.all}
    found = []
    for queue, group in sorted(groups):
        for name in records.names(queue, group):
            runs = len(records.of(queue, name, group))
            if runs < WANTED_RUNS:
                found.append(f"{name} ({queue}, {group}): {runs}")
    return found


def idle(records: Records) -> str:
    queue = records.about["main"]
    return f"""{picture("idle", "times of every call, ours and peers")}

Ours. Everything is on disk when the call returns, with checksum, page hashes and catalog.

{tables.idle(records, queue, [[name] for name in tables.OURS])}

Peers. The compressing programs and `VACUUM INTO` don't sync what they write. What stands behind
a comma is done after the other.

{tables.idle(records, queue, tables.PEERS)}"""


def growth(records: Records) -> str:
    return f"""{picture("growth", "time and peak memory against size")}

{tables.growth(records)}

{picture("changes", "incrementals against changed pages, calls against backups in the catalog")}"""


def catalogs(records: Records) -> str:
    return f"""What a call costs when the catalog has so many backups, of a queue so small that
nothing else counts. Planning and rotating are by 7/4/12, except that "rotate one" deletes only the oldest.

{tables.catalogs(records, COUNTS)}"""


def tasks(records: Records) -> str:
    return tables.plain(records, records.about["main"], "tasks")


def limits(records: Records) -> str:
    return f"""How close to the machine: reading is the file in the page cache into one small buffer,
writing is as many random bytes with a sync. The last two columns are these times divided by that of the
call, so 1.00 is the limit; an incremental, which writes little, may be beyond that of the disk.

{tables.limits(records, records.about["main"])}"""


#: A title, the group that it needs, and what makes its text.
PARTS: tuple[tuple[str, str, Callable[[Records], str]], ...] = (
    ("Nobody else on the queue", "idle", idle),
    ("While others commit", "load", under_load),
    ("Growth", "idle", growth),
    ("Many backups", "catalogs", catalogs),
    ("Tasks", "tasks", tasks),
    ("Physical limits", "idle", limits),
)


def page(records: Records, text: str) -> str:
    """The whole page; parts of which nothing was measured are left out."""
    queue = records.about["main"]
    goals = all_goals(records, queue)
    measured = {record.group for record in records.all}
    sections = [introduction(records), f"## Goals\n\n{summary(goals)}"]
    sections.append(f"## Reading\n\n{reading(text, goals).strip()}")
    for title, group, make in PARTS:
        if group in measured:
            sections.append(f"## {title}\n\n{make(records)}")
    sections.append(f"## Conditions\n\n{conditions(records)}")
    return "\n\n".join(sections) + "\n"
