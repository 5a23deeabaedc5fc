"""The fuzzers in fuzz/: their seeds, and what scripts/proof makes of them.

That every seed of every target holds is a test in src/fuzzing.rs, which needs neither a fuzzer nor
its compiler.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import ROOT

from fuzz import make_seeds
from proof import fuzzers, parts
from proof.command import durations

pytestmark = pytest.mark.rule(6)

FUZZ = ROOT / "fuzz"
MOST_BYTES = 300_000


def test_every_target_has_a_program_and_seeds_which_stay_small() -> None:
    names = fuzzers.names()
    assert len(names) >= 9
    assert sorted(path.stem for path in (FUZZ / "fuzz_targets").iterdir()) == sorted(names)
    assert sorted(path.name for path in (FUZZ / "seeds").iterdir()) == sorted(names)
    seeds = [path for path in (FUZZ / "seeds").rglob("*") if path.is_file()]
    assert {path.parent.name for path in seeds} == set(names)
    assert sum(path.stat().st_size for path in seeds) < MOST_BYTES


def test_the_fuzzers_are_of_the_library_with_its_dependencies() -> None:
    def dependencies(manifest: Path) -> list[str]:
        tables = re.findall(
            r"^\[((?:target\..*\.)?dependencies)\]\n((?:[^\[\n].*\n|\n)*)",
            manifest.read_text("utf-8"),
            re.MULTILINE,
        )
        lines = [f"{name}: {line}" for name, table in tables for line in table.splitlines() if line]
        return sorted(line for line in lines if ": #" not in line and "libfuzzer" not in line)

    own = dependencies(ROOT / "Cargo.toml")
    assert len(own) > 15
    assert any("rustix" in line for line in own)
    assert dependencies(FUZZ / "Cargo.toml") == own


def test_the_seeds_are_what_the_script_makes_and_findings() -> None:
    for target, inputs in make_seeds.seeds().items():
        for name, content in inputs.items():
            kept = (FUZZ / "seeds" / target / name).read_bytes()
            # SQLite writes its version into its files.
            assert kept == content or target == "delta", (target, name)


def test_each_target_takes_ten_minutes_of_a_whole_proof_and_its_share_alone() -> None:
    whole = durations(parts.PARTS, 2400, every=True)
    own = [isinstance(part.how, parts.Targets) for part in parts.PARTS]
    assert own.count(True) == 1
    assert whole[own.index(True)] >= 600
    shares = [seconds for seconds, is_own in zip(whole, own) if not is_own]
    assert sum(shares) == pytest.approx(2400)
    (alone,) = durations([parts.PARTS[own.index(True)]], 600, every=False)
    rounds = -(-len(fuzzers.names()) // fuzzers.at_once())
    assert alone * rounds == pytest.approx(600)


@pytest.mark.skipif(os.name == "nt", reason="a program that is a script")
def test_a_finding_is_a_failure_with_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzzers, "FUZZ", tmp_path)
    program = tmp_path / "entry"
    program.write_text(
        "#!/bin/sh\n"
        "echo '#9 DONE cov: 12 ft: 13' >&2\n"
        "echo 'stat::number_of_executed_units: 345' >&2\n"
        "[ ! -e fail ] || {\n"
        "  echo \"thread '<unnamed>' panicked at src/fuzzing.rs:1:\" >&2\n"
        "  echo 'assertion failed' >&2\n"
        "  echo 'Test unit written to artifacts/entry/crash-1' >&2\n"
        "  exit 77\n"
        "}\n"
    )
    program.chmod(0o755)
    sound = fuzzers.run(program, 1, 7)
    assert (sound.failures, sound.counts["executions"]) == ([], 345)
    assert sound.counts["entry: edges covered"] == 12
    (tmp_path / "fail").touch()
    found = fuzzers.run(program, 1, 7)
    assert found.counts["executions"] == 345
    (failure,) = found.failures
    assert "panicked" in failure
    assert "assertion failed" in failure
    assert failure.endswith("artifacts/entry/crash-1")
