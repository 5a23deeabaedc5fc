"""The page: tables and plots from the figures, around a reading that people write.

`reading.md` is the only part that nobody calculates. It may name a figure as {{ratio:WHAT}}, where
WHAT is the text of a goal, and the page puts the measured number there: it can't quote an old one.
"""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import tables
from benchmarks.catalogs import COUNTS
from benchmarks.goals import OURS_UNDER_LOAD, Goal, all_goals
from benchmarks.load import LIMIT_SECONDS
from benchmarks.raw import Records
from benchmarks.tasks import LOADING

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
    """The hand-written part with the figures that it asks for, as far as they were measured."""
    known = {goal.what: goal.ratio for goal in goals}

    def figure(match: re.Match[str]) -> str:
        ratio = known.get(match[1])
        return f"{ratio.median:.2f}" if ratio else "(not measured)"

    return QUOTED.sub(figure, text)


def prose(text: str) -> str:
    """A paragraph in lines of a length that can be read."""
    return textwrap.fill(" ".join(text.split()), 110, break_long_words=False)


def introduction(records: Records) -> str:
    about, queue = records.about, records.about["main"]
    sizes = records.queues[queue]
    made = tables.duration(sizes["made_seconds"])
    text = prose(
        f"""Made by `{about["command"]}` on {about["date"]} in {about["minutes"]:.0f} minutes;
        `raw.json` has every run. The queue has PrismQ's schema, {sizes["tasks"]:,} tasks with JSON
        payloads, and {sizes["bytes"]:,} bytes; making it took {made}. Everything was measured in
        rounds, one run of each a round, on the same file. A ratio is the median of the ratios
        within a round, with the lowest and the highest."""
    )
    return f"# Benchmarks\n\n{text}"


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
    text = prose(
        f"""Two processes commit 100 times a second each, at random moments. Their commits' times,
        waiting included, are those of all runs together: before → during. A short call is made
        several times in a run, and its time is their median. What copies in steps starts over after
        each commit of another and was stopped after {LIMIT_SECONDS:.0f} s. `cp` is no backup here,
        since it mixes pages of different moments: it shows what writing as much does to the disk.
        """
    )
    plot = picture("load", "p99 of commits before and during each backup")
    return f"{text}\n\n{tables.load(records, queue, [*ordered, *requeue])}\n\n{plot}"


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
        lines += [f"- fewer than {WANTED_RUNS} runs:", *(f"  - {line}" for line in few)]
    return "\n".join(lines)


def fewer(records: Records) -> list[str]:
    """What was run fewer times than wanted, with the number."""
    found: dict[tuple[str, int], list[str]] = {}
    for queue, group in dict.fromkeys((record.queue, record.group) for record in records.all):
        for name in records.names(queue, group):
            runs = len(records.of(queue, name, group))
            if runs < WANTED_RUNS:
                where = queue if queue == group else f"{queue}, {group}"
                found.setdefault((where, runs), []).append(name)
    return [f"{runs} ({where}): {', '.join(names)}" for (where, runs), names in found.items()]


def idle(records: Records) -> str:
    queue = records.about["main"]
    plot = picture("idle", "times of every call, ours and peers")
    hosts = [run.peak for run in records.of(queue, LOADING, "tasks").values() if run.peak]
    own_memory = f", of which {tables.megabytes(max(hosts))} are Python's own" if hosts else ""
    ours = prose(
        f"""Ours. All is on disk when the call returns, with checksum, page hashes and catalog. The
        peak memory is that of the whole process{own_memory}."""
    )
    others = prose(
        """Peers. The compressing programs and `VACUUM INTO` don't sync what they write. What
        stands behind a comma is done after the other."""
    )
    own = tables.idle(records, queue, [[name] for name in tables.OURS])
    return f"{plot}\n\n{ours}\n\n{own}\n\n{others}\n\n{tables.idle(records, queue, tables.PEERS)}"


def growth(records: Records) -> str:
    sizes = picture("growth", "time and peak memory against size")
    changes = "incrementals against changed pages, calls against backups in the catalog"
    return f"{sizes}\n\n{tables.growth(records)}\n\n{picture('changes', changes)}"


def catalogs(records: Records) -> str:
    text = prose(
        """What a call costs when the catalog has so many backups, of a queue so small that nothing
        else counts. "Rotate one" deletes the oldest by a count, the last row all but a few."""
    )
    return f"{text}\n\n{tables.catalogs(records, COUNTS)}"


def tasks(records: Records) -> str:
    return tables.plain(records, records.about["main"], "tasks")


def limits(records: Records) -> str:
    text = prose(
        """How close to the machine: reading is the file in the page cache into one small buffer,
        writing is as many random bytes with a sync. The last two columns are these times divided
        by that of the call, so 1.00 is the limit; an incremental, which writes little, may be
        beyond that of the disk."""
    )
    return f"{text}\n\n{tables.limits(records, records.about['main'])}"


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
