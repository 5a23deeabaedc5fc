"""The wheel: what is in it, where it runs, and what building one needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from support import package as packages
from support.package import LIMIT_SECONDS, Package, install, make_environment
from support.queues import Queue

LIBRARY = re.compile(r"queuekeeper/(lib)?queuekeeper\.(so|dylib|dll)")


def crate_version() -> str:
    """The version in Cargo.toml."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text("utf-8"), re.M)
    assert found is not None
    return found[1]


def run(
    *command: str | Path, changed: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command where the environment variables were changed like that."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(changed or {})},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def test_the_name_says_the_crates_version_any_python_and_this_platform(wheel: Path) -> None:
    name, version, python, abi, platform = wheel.stem.split("-")
    assert (name, version, python, abi) == ("queuekeeper", crate_version(), "py3", "none")
    if sys.platform != "darwin":
        assert platform == re.sub(r"[-.]", "_", sysconfig.get_platform())


def test_it_holds_the_library_the_package_and_its_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"queuekeeper-{crate_version()}.dist-info/METADATA").decode()
    assert len([name for name in names if LIBRARY.fullmatch(name)]) == 1
    sources = ROOT / "python" / "src"
    expected = {path.relative_to(sources).as_posix() for path in sources.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == expected
    assert "queuekeeper/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]
    required = re.findall(r"^Requires-Dist: (.*)$", metadata, re.M)
    assert all("extra ==" in line for line in required), required
    assert "# queuekeeper" in metadata, "the README is its description"


@pytest.mark.parametrize("python", ["own", "system"])
def test_in_a_clean_environment_it_works_without_rust_and_without_other_packages(
    python: str, wheel: Path, queue: Queue, tmp_path: Path
) -> None:
    base = packages.pythons().get(python)
    if base is None:
        pytest.skip("there is no other Python at /usr/bin/python3 that is new enough")
    clean = Package(python, make_environment(base, tmp_path / "environment"))
    install(clean.python, "--no-index", wheel)
    bare = {"PATH": str(clean.python.parent), "HOME": str(tmp_path)}
    said = clean.run(
        """
        import importlib.metadata
        assert all(
            each.metadata["Name"] == "queuekeeper" for each in importlib.metadata.distributions()
        )
        with queuekeeper.open(sys.argv[1]) as queue:
            made = queue.backup(verify="full")
            stats = queue.stats()
        print(json.dumps([queuekeeper.__version__, queue.version(), made.verified_level]))
        """,
        queue.path,
        env={**os.environ, **bare},
    )
    assert said == [crate_version(), crate_version(), "full"]
    for command in ([clean.command], [clean.python, "-m", "queuekeeper"]):
        done = run(*command, "stats", "--db", queue.path, changed=bare)
        assert (done.returncode, done.stdout) == (3, "")
        assert "pip install 'queuekeeper[cli]'" in done.stderr


def test_without_cargo_building_says_what_is_missing(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    environment = {"PATH": "", "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    done = run(*command, changed=environment, cwd=ROOT / "python")
    assert done.returncode != 0
    assert "cargo is not installed: see https://rustup.rs" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.whl"))


def test_a_source_distribution_is_refused_in_words(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    done = run(*command, cwd=ROOT / "python")
    assert done.returncode != 0
    assert "pip wheel ./python" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.tar.gz"))
