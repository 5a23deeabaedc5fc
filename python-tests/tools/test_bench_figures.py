"""What the benchmarks' page calculates: pairs, medians, goals; without measuring anything."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import goals, idle, load, page, raw, rounds, tables
from benchmarks.figures import Spread, added, percentile, ratios, spread
from benchmarks.measure import Run
from benchmarks.raw import Record, Records
from benchmarks.rounds import Block
from benchmarks.setting import Setting
from hosts import Host
from support.queues import video

QUEUE = "1GB"


def records(*found: tuple[str, str, list[Run]]) -> Records:
    """Runs by group and name, one a round."""
    made = Records({"main": QUEUE}, {QUEUE: {"bytes": 10**9, "pages": 244140, "tasks": 1500000}})
    for group, name, runs in found:
        for turn, run in enumerate(runs):
            made.add(Record(QUEUE, group, name, turn, run))
    return made


def runs(*seconds: float) -> list[Run]:
    return [Run(value) for value in seconds]


def goal(made: Records, what: str) -> goals.Goal:
    (found,) = [one for one in goals.all_goals(made, QUEUE) if one.what == what]
    return found


def test_the_spread_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0, 3)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.0, 2.0, 2)
    assert spread([]) is None


def test_a_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    ours, peer = {0: 1.0, 1: 4.0, 2: 9.0}, {0: 1.0, 1: 2.0, 2: 10.0}
    assert ratios(ours, peer) == Spread(1.0, 0.9, 2.0, 3)


def test_only_rounds_that_have_both_make_a_pair() -> None:
    assert ratios({0: 2.0, 1: 9.0}, {0: 1.0, 2: 5.0}) == Spread(2.0, 2.0, 2.0, 1)
    assert ratios({0: 2.0}, {1: 1.0}) is None


def test_steps_are_added_within_their_round() -> None:
    assert added({0: 1.0, 1: 2.0, 2: 3.0}, {1: 10.0, 2: 20.0}) == {1: 12.0, 2: 23.0}
    assert added() == {}


@pytest.mark.parametrize(
    ("values", "percent", "found"),
    [
        (range(1, 101), 99, 99),
        (range(1, 101), 50, 50),
        (range(1, 1001), 99, 990),
        ([5], 99, 5),
        ([5, 7], 50, 5),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: float, found: float
) -> None:
    assert percentile(values, percent) == found


def test_a_percentile_of_nothing_is_no_number() -> None:
    assert math.isnan(percentile([], 99))


def test_the_dearest_blocks_go_first_when_time_is_short() -> None:
    costs = {"gzip": 30.0, "full": 1.0, "zstd": 3.0}
    assert rounds.affordable(costs, 4, 136) == {"gzip", "full", "zstd"}
    assert rounds.affordable(costs, 4, 135) == {"full", "zstd"}
    assert rounds.affordable(costs, 4, 5) == {"full"}
    assert rounds.affordable(costs, 4, 0) == set()
    # But for those that goals are about.
    assert rounds.affordable(costs, 4, 15, ["zstd"]) == {"zstd"}
    assert rounds.affordable(costs, 4, 5, ["zstd"]) == set()


def test_what_builds_on_a_block_that_was_left_out_is_left_out_too(tmp_path: Path) -> None:
    queue = video.Queue(tmp_path / "queue.db", 0, 0, 0)
    setting = Setting("1MB", queue, tmp_path / "library", Host("none"))
    (tmp_path / "kept").mkdir()
    for block in (idle.verify_full, idle.restores, idle.and_gzip, idle.and_integrity_check):
        assert list(block(setting, 0)) == []


def test_every_other_round_walks_backwards_within_its_line() -> None:
    def block(name: str) -> Block:
        def empty(_setting: object, _turn: int) -> object:
            return iter(())

        empty.__name__ = name
        return empty  # type: ignore[return-value]

    lines = [[block("cp"), block("full")], [block("zstd")]]
    assert [rounds.name_of(one) for one in rounds.in_order(lines, 0)] == ["cp", "full", "zstd"]
    assert [rounds.name_of(one) for one in rounds.in_order(lines, 1)] == ["full", "cp", "zstd"]


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([1.0, 1.1, 5.0], "met"), ([1.0, 1.32, 5.0], "missed by 20 %")],
)
def test_a_goal_is_judged_by_the_median_ratio(ours: list[float], verdict: str) -> None:
    made = records(("idle", "full", runs(*ours)), ("idle", "cp, sync", runs(1.0, 1.0, 1.0)))
    assert goal(made, "full ÷ `cp` and sync").verdict == verdict


def test_a_goal_of_which_one_side_is_missing_is_neither_met_nor_missed() -> None:
    made = records(("idle", "full", runs(1.0)))
    assert goal(made, "full ÷ `.backup`").verdict == "not measured"


def test_a_chain_of_programs_counts_with_all_its_steps() -> None:
    made = records(
        ("idle", "zstd", runs(1.0)),
        ("idle", ".backup", runs(2.0)),
        ("idle", "then zstd -3 -T0", runs(3.0)),
    )
    found = goal(made, "zstd (level 3) ÷ `.backup`, then `zstd -3 -T0`").ratio
    assert found is not None
    assert found.median == pytest.approx(0.2)


def test_the_waits_of_all_runs_count_together() -> None:
    early = Run(1.0, found={"before_us": [100] * 100, "during_us": [100] * 99 + [9000]})
    late = Run(1.0, found={"before_us": [100] * 100, "during_us": [300] * 100})
    made = records(("load", "full", [early, late]))
    # 300 of the second run, where each run by itself would say 1 and 3.
    assert goal(made, "commits' p99 during full ÷ before").ratio == Spread(3.0, 1.0, 3.0, 2)


def test_time_under_load_is_compared_with_time_without() -> None:
    during = {"before_us": [100], "during_us": [100]}
    loaded = [Run(3.0, found=during), Run(5.0, found=during)]
    made = records(("idle", "zstd", runs(2.0, 2.0)), ("load", "zstd", loaded))
    found = goal(made, "zstd under load ÷ idle")
    assert found.ratio == Spread(2.0, 1.5, 2.5, 2)
    assert found.verdict == "missed by 33 %"


def test_memory_may_grow_by_the_hash_list() -> None:
    made = records(("idle", "full", [Run(1.0, peak=30_000_000, found={"hashes_bytes": 4_000_000})]))
    made.queues["4GB"] = {"bytes": 4 * 10**9}
    larger = Run(4.0, peak=39_000_000, found={"hashes_bytes": 16_000_000})
    made.add(Record("4GB", "idle", "full", 0, larger))
    found = goal(made, "full: more memory at 4GB than at 1GB ÷ the longer hash lists")
    assert found.ratio is not None
    assert found.ratio.median == 0.75
    assert found.note == "9.0 MB more for 12.0 MB more of hashes"


def test_commits_between_two_calls_of_a_run_do_not_count() -> None:
    commits = [(1.0, 0.1), (2.0, 0.3), (3.0, 0.4), (4.0, 0.2)]
    assert load.within(commits, (0.5, 1.5), (3.5, 4.5)) == [0.1, 0.2]


def test_a_commit_counts_if_any_of_it_falls_into_the_run() -> None:
    # When it ended, and how long it took.
    commits = [(1.0, 0.1), (2.0, 0.1), (2.5, 1.0), (3.0, 2.5), (4.0, 0.5), (4.0, 1.5)]
    assert load.within(commits, (2.0, 3.0)) == [0.1, 1.0, 2.5, 1.5]


def test_raw_figures_come_back_as_they_were_written(tmp_path: Path) -> None:
    full = Run(1.25, 0.5, 1024, 0.1, found={"pages_stored": 7, "backup_path": "/home/me/b.db"})
    made = records(("idle", "full", [full]), ("load", "full", runs(2.0)))
    made.write(tmp_path / "raw.json")
    again = raw.read(tmp_path / "raw.json")
    assert again.about == made.about
    assert again.queues == made.queues
    (alone, loaded) = again.all
    assert (alone.group, alone.run.seconds, alone.run.cpu, alone.run.peak) == (
        "idle",
        1.25,
        0.5,
        1024,
    )
    assert alone.run.found == {"pages_stored": 7}, "no path of a machine goes into the file"
    assert (loaded.group, loaded.run.seconds, loaded.run.cpu) == ("load", 2.0, None)


def test_the_reading_quotes_the_measured_ratio() -> None:
    what = "full ÷ `cp` and sync"
    found = [goals.Goal(what, 1.1, Spread(1.234, 1, 2, 7))]
    assert page.reading(f"It is {{{{ratio:{what}}}}}.", found) == "It is 1.23."
    assert page.reading("It is {{ratio:full ÷ other}}.", found) == "It is (not measured)."


def test_the_hand_written_reading_asks_for_goals_that_there_are() -> None:
    asked = set(page.QUOTED.findall(page.READING.read_text("utf-8")))
    assert asked <= {one.what for one in goals.all_goals(records(), QUEUE)}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00123, "1.2 ms"), (0.25, "250 ms"), (1.234, "1.23 s"), (12.34, "12.3 s"), (250, "250 s")],
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


def test_a_call_that_never_ends_says_how_far_it_was() -> None:
    found = {"before_us": [100], "during_us": [100], "wal_bytes": 5_000_000}
    stuck = Run(60.0, found={**found, "finished": False, "share": 0.03})
    made = records(("load", ".backup", [stuck]), ("idle", ".backup", runs(1.0)))
    (line,) = tables.load(made, QUEUE, [".backup"]).splitlines()[2:]
    assert line == (
        "| .backup | **never**: 3 % in 60.0 s |  | 0.1 → 0.1 ms | 0.1 → 0.1 ms | 0.1 → 0.1 ms "
        "| 5 MB | 1 |"
    )


def test_the_same_size_gives_the_same_queue(tmp_path: Path) -> None:
    one, other = (video.make(tmp_path / name, 10**6) for name in ("one.db", "other.db"))
    assert one.tasks == other.tasks == 1529
    assert one.bytes == pytest.approx(10**6, rel=0.1)
    assert one.path.read_bytes() == other.path.read_bytes()


@pytest.mark.parametrize("turn", [0, 1, 6, 7, 1000])
def test_changes_are_spread_over_all_tasks(turn: int) -> None:
    found = [number for (number,) in video.spread(1500, 15, turn)]
    assert len(found) == len(set(found)) == 15
    assert all(1 <= number <= 1500 for number in found)
    assert {later - earlier for earlier, later in zip(found, found[1:])} == {100}
