#!/usr/bin/env python3
"""Makes restic.json: what the real `restic forget` keeps of lists of snapshots, by policy.

Run it where restic is installed (Debian 12: `apt-get install restic`); it takes a few minutes:

    python3 tests/goldens/make_restic_goldens.py

Each list of times becomes the snapshots of one host in a temporary repository.
`restic forget --dry-run` then plans all hosts at once, policy by policy. restic.json holds

- `restic`: the version of the program that was asked,
- `now`: a time between the past and the future times of the lists, as the real run's is,
- `lists`: the times of each list, newest first,
- `policies`: policy objects as `queue_rotate` takes them,
- `kept`: for each list and policy a text with one letter a time, `K` for kept and `-` for deleted.

restic 0.16 began to keep the oldest snapshot, too, while a count is not used up. The goldens, and
queuekeeper, follow the releases before that, which Debian 12 has; the script refuses others.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Union

RESULT = Path(__file__).with_name("restic.json")
# Later than every past time below, earlier than every future one.
NOW = "2060-01-01T00:00:00Z"
SEED = 20241105

Policy = dict[str, Union[int, str]]

POLICIES: dict[str, Policy] = {
    **{f"last {n}": {"keep_last": n} for n in (1, 3, 100)},
    **{f"hourly {n}": {"keep_hourly": n} for n in (1, 5, 24)},
    **{f"daily {n}": {"keep_daily": n} for n in (1, 3, 7, 30)},
    **{f"weekly {n}": {"keep_weekly": n} for n in (1, 2, 4, 60)},
    **{f"monthly {n}": {"keep_monthly": n} for n in (1, 3, 12)},
    **{f"yearly {n}": {"keep_yearly": n} for n in (1, 2, 10)},
    **{f"within {d}": {"keep_within": d} for d in ("3h", "1d", "7d", "1m", "1y", "2y5m7d3h")},
    "7/4/12": {"keep_within": "7d", "keep_daily": 7, "keep_weekly": 4, "keep_monthly": 12},
    "one of each": {
        "keep_last": 1,
        "keep_hourly": 1,
        "keep_daily": 1,
        "keep_weekly": 1,
        "keep_monthly": 1,
        "keep_yearly": 1,
    },
    "some of each": {
        "keep_last": 2,
        "keep_hourly": 4,
        "keep_daily": 3,
        "keep_weekly": 3,
        "keep_monthly": 4,
        "keep_yearly": 5,
    },
    "last and daily": {"keep_last": 2, "keep_daily": 4},
    "within and weekly": {"keep_within": "12h", "keep_weekly": 3},
    "last and yearly": {"keep_last": 3, "keep_yearly": 3},
    "daily and monthly, one unused": {"keep_last": 0, "keep_daily": 2, "keep_monthly": 2},
}


def steps(first: str, hours: list[int]) -> list[str]:
    """Times that follow each other at these distances."""
    time = datetime.fromisoformat(first)
    times = [time]
    for distance in hours:
        time += timedelta(hours=distance)
        times.append(time)
    return [str(time) for time in times]


def random_times(seed: int, count: int) -> list[str]:
    """Times with gaps from seconds to months."""
    chance = random.Random(seed)
    time = datetime(2022, 6, 15, 12)
    times = []
    for _ in range(count):
        times.append(str(time))
        time += timedelta(seconds=int(10 ** chance.uniform(1, 6.7)))
    return times


LISTS: dict[str, list[str]] = {
    "single": ["2024-05-05 05:05:05"],
    "hours": [
        "2024-06-30 21:15:00",
        "2024-06-30 21:59:59",
        "2024-06-30 22:00:00",
        "2024-06-30 22:30:00",
        "2024-06-30 23:00:00",
        "2024-06-30 23:59:59",
        "2024-07-01 00:00:00",
        "2024-07-01 00:00:01",
        "2024-07-01 03:10:00",
        "2024-07-01 03:20:00",
        "2024-07-01 09:00:00",
        "2024-07-01 12:00:00",
        "2024-07-01 14:59:59",
        "2024-07-01 15:00:00",
        "2024-07-01 15:00:01",
        "2024-07-01 18:00:00",
    ],
    "days with gaps": steps(
        "2024-08-01 03:00:00", [9, 9, 6, 24, 24, 1, 96, 24, 24, 240, 12, 12, 24, 24, 24, 3, 45]
    ),
    "week 53": [
        "2015-12-27 12:00:00",
        "2015-12-28 12:00:00",
        "2015-12-31 12:00:00",
        "2016-01-01 12:00:00",
        "2016-01-03 23:59:59",
        "2016-01-04 00:00:00",
        "2020-12-21 00:00:00",
        "2020-12-27 23:59:59",
        "2020-12-28 00:00:00",
        "2020-12-31 23:59:59",
        "2021-01-01 00:00:00",
        "2021-01-03 23:59:59",
        "2021-01-04 00:00:00",
        "2021-01-10 12:00:00",
        "2024-12-29 12:00:00",
        "2024-12-30 12:00:00",
        "2024-12-31 23:00:00",
        "2025-01-01 01:00:00",
        "2025-01-05 12:00:00",
        "2025-01-06 12:00:00",
    ],
    "months": [
        *(
            f"2023-{month:02}-{day:02} 04:30:00"
            for month in (1, 2, 3, 5, 6, 9, 12)
            for day in (1, 28)
        ),
        "2024-01-31 23:59:59",
        "2024-02-01 00:00:00",
        "2024-02-29 12:00:00",
        "2024-03-01 00:00:00",
    ],
    "years": [
        "2012-02-29 00:00:00",
        "2014-12-31 23:59:59",
        "2015-01-01 00:00:00",
        "2016-02-28 12:00:00",
        "2016-02-29 12:00:00",
        "2016-03-01 12:00:00",
        "2019-07-01 12:00:00",
        "2020-02-29 23:59:59",
        "2020-12-31 23:59:59",
        "2021-01-01 00:00:00",
        "2023-02-28 12:00:00",
        "2024-02-29 12:00:00",
    ],
    "before a month's end": [
        "2021-10-24 08:00:00",
        "2021-10-24 09:00:01",
        "2023-03-30 12:00:00",
        "2023-03-31 12:00:00",
        "2023-03-31 12:00:01",
        "2024-02-29 12:00:00",
        "2024-03-01 12:00:00",
        "2024-03-02 11:59:59",
        "2024-03-02 12:00:00",
        "2024-03-02 12:00:01",
        "2024-03-24 12:00:00",
        "2024-03-24 12:00:01",
        "2024-03-30 12:00:00",
        "2024-03-30 12:00:01",
        "2024-03-31 09:00:00",
        "2024-03-31 12:00:00",
    ],
    "one second": ["2024-04-01 10:00:00", *["2024-04-02 10:00:00"] * 3, "2024-04-02 10:00:01"],
    "clock set wrong": [
        "2024-01-01 12:00:00",
        "2024-01-02 11:00:00",
        "2024-01-02 12:00:00",
        "2024-01-02 13:00:00",
        "2099-01-01 00:00:00",
        "2099-01-01 01:00:00",
        "2099-03-01 00:00:00",
    ],
    "all in the future": ["2098-01-01 12:00:00", "2099-01-01 12:00:00", "2099-01-01 13:00:00"],
    "random 1": random_times(SEED, 24),
    "random 2": random_times(SEED + 1, 24),
}


class Restic:
    """The program on one repository."""

    def __init__(self, directory: str) -> None:
        """Makes a repository in an empty directory."""
        self.environment = {
            **os.environ,
            "TZ": "UTC",
            "RESTIC_PASSWORD": "golden",
            "RESTIC_REPOSITORY": directory,
        }
        self.run("init")

    def run(self, *arguments: str) -> str:
        """Its output."""
        command = ["restic", "--no-cache", "--quiet", *arguments]
        done = subprocess.run(
            command, env=self.environment, input="x", capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def backup(self, host: str, time: str) -> None:
        """Makes one snapshot."""
        self.run("backup", "--host", host, "--time", time, "--stdin")

    def forget(self, policy: Policy) -> dict[str, Counter[str]]:
        """The times that the policy keeps, host by host."""
        flags = [f"--{key.replace('_', '-')}={value}" for key, value in policy.items()]
        output = self.run("forget", "--dry-run", "--json", "--group-by", "host", *flags)
        return {
            group["host"]: Counter(snapshot["time"] for snapshot in group["keep"] or [])
            for group in json.loads(output)
        }


def version() -> str:
    """The version of the installed restic, if it is one whose rules are ours."""
    text = subprocess.run(["restic", "version"], capture_output=True, text=True, check=True).stdout
    number = text.split()[1]
    if tuple(int(part) for part in number.split(".")[:2]) >= (0, 16):
        sys.exit(f"restic {number} keeps the oldest snapshot, too; use one before 0.16")
    return number


def marks(times: list[str], kept: Counter[str]) -> str:
    """`K` and `-`, one a time; of equal times the first are marked as kept."""
    left = Counter(kept)
    letters = []
    for time in times:
        letters.append("K" if left[time] > 0 else "-")
        left[time] -= 1
    return "".join(letters)


def main() -> None:
    """Asks restic and writes restic.json."""
    number = version()
    newest_first = {
        name: sorted((time.replace(" ", "T") + "Z" for time in times), reverse=True)
        for name, times in LISTS.items()
    }
    kept: dict[str, dict[str, str]] = {name: {} for name in LISTS}
    with tempfile.TemporaryDirectory() as directory:
        restic = Restic(directory)
        for name, times in LISTS.items():
            for time in times:
                restic.backup(name, time)
        for policy_name, policy in POLICIES.items():
            answer = restic.forget(policy)
            for name, times in newest_first.items():
                kept[name][policy_name] = marks(times, answer[name])
    golden = {
        "restic": number,
        "now": NOW,
        "lists": newest_first,
        "policies": POLICIES,
        "kept": kept,
    }
    RESULT.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
