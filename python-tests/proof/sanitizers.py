"""Builds the library, and a SQLite, so that one of the compiler's sanitizers watches them.

- "address" (AddressSanitizer): by the compiler that is installed, which has it, but lets only
  nightly builds ask for it; hence RUSTC_BOOTSTRAP. gcc does the C code, and its runtime comes first
  in every process (LD_PRELOAD), since the hosts know nothing of it.
- "thread" (ThreadSanitizer): Rust's standard library has to be watched, too: it would not see the
  locks otherwise, and take all that they guard for races. That takes the library's source, a
  compiler of the same version, and a clang with the same runtime. Debian's security suite has all
  three (for its browsers); the packages are unpacked below target/sanitizers, nothing is installed.

SQLite is compiled from the source that the Rust tests are built with. Reports are written to files,
one for each process.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from commands import steps

KINDS = ("address", "thread")
TARGET = "x86_64-unknown-linux-gnu"
PLACE = steps.ROOT / "target" / "sanitizers"
TOOLCHAIN = PLACE / "toolchain"
#: Built quickly, with names and lines, and with whatever the code asserts.
PROFILE = {
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only",
    "CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS": "true",
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
    "CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS": "true",
    "CARGO_PROFILE_RELEASE_STRIP": "none",
}
#: What hosts expect of their SQLite.
SQLITE = (
    "-DSQLITE_ENABLE_COLUMN_METADATA",
    "-DSQLITE_ENABLE_DBSTAT_VTAB",
    "-DSQLITE_ENABLE_FTS5",
    "-DSQLITE_ENABLE_RTREE",
    "-DSQLITE_ENABLE_UNLOCK_NOTIFY",
    "-DSQLITE_SECURE_DELETE",
)
#: What a report begins with.
HEAD = re.compile(r"^(?:==.*==)?(?:ERROR|WARNING): \w+Sanitizer: ", re.MULTILINE)


class UnavailableError(Exception):
    """Why a sanitizer cannot be had on this machine."""


@dataclass(frozen=True)
class Tools:
    """What compiles for a sanitizer."""

    kind: str
    cc: str
    environment: Mapping[str, str]
    options: tuple[str, ...] = ()

    def library(self) -> list[str]:
        """The command that builds the library, with `environment`."""
        return [steps.cargo(), "build", "--release", "--target", TARGET, *self.options]

    def sqlite(self, source: Path, made: Path) -> list[str]:
        """The command that builds SQLite as a library that hosts load in place of the system's."""
        flags = [f"-fsanitize={self.kind}", "-fno-omit-frame-pointer", "-g", "-O1", "-w"]
        shared = ["-shared", "-fPIC", "-Wl,-soname,libsqlite3.so.0", "-o", str(made)]
        return [self.cc, *flags, *SQLITE, *shared, str(source), "-lm", "-ldl", "-pthread"]


@dataclass(frozen=True)
class Watched:
    """A library that is watched, and the SQLite for it."""

    tools: Tools
    library: Path
    sqlite: Path

    def environment(self, reports: Path) -> dict[str, str]:
        """For programs that load the library; what is found in them is written below `reports`."""
        common = f"log_path={reports}/report:log_exe_name=1:allocator_may_return_null=1"
        found = {
            "QUEUEKEEPER_LIBRARIES": str(self.sqlite.parent),
            "QUEUEKEEPER_LIBRARY": str(self.library),
            "QUEUEKEEPER_SANITIZER": self.tools.kind,
        }
        if self.tools.kind == "thread":
            options = f"{common}:history_size=7:second_deadlock_stack=1:die_after_fork=0"
            if symbolizer := shutil.which("addr2line"):
                options += f":external_symbolizer_path={symbolizer}"
            return {**found, "TSAN_OPTIONS": options, "QUEUEKEEPER_CC": self.tools.cc}
        found["LD_LIBRARY_PATH"] = str(self.sqlite.parent)
        found["PATH"] = f"{self.sqlite.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        # Leaks are looked for in the end of programs that are all C: see support/compiling.py.
        options = f"{common}:abort_on_error=1:detect_leaks=0:detect_stack_use_after_return=1"
        return {**found, "ASAN_OPTIONS": options, "LD_PRELOAD": str(runtime())}


def build(kind: str) -> Watched:
    """Builds what a sanitizer watches, or says why it cannot be had here."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        raise UnavailableError("the sanitizers are set up for Linux on x86-64")
    tools = address() if kind == "address" else thread()
    environment = {**os.environ, **PROFILE, **tools.environment}
    run(tools.library(), environment)
    place = PLACE / f"sqlite-{kind}"
    place.mkdir(parents=True, exist_ok=True)
    source, sqlite = amalgamation(), place / "libsqlite3.so.0"
    if not sqlite.exists() or sqlite.stat().st_mtime < source.stat().st_mtime:
        made = place / "made.so"
        run(tools.sqlite(source, made), environment)
        made.replace(sqlite)
    wrap_shell(place)
    target = Path(tools.environment["CARGO_TARGET_DIR"])
    return Watched(tools, target / TARGET / "release" / "libqueuekeeper.so", sqlite)


def address() -> Tools:
    """AddressSanitizer, by what is installed."""
    runtime()
    environment = {
        "CARGO_TARGET_DIR": str(PLACE / "address"),
        "RUSTC_BOOTSTRAP": "1",
        "RUSTFLAGS": "-Zsanitizer=address -Cforce-frame-pointers=yes",
        **c_compiler("gcc", "address"),
    }
    return Tools("address", "gcc", environment)


def thread() -> Tools:
    """ThreadSanitizer, by what Debian has."""
    rustc, clang = toolchain()
    flags = "-Zsanitizer=thread -Zexternal-clangrt -Cforce-frame-pointers=yes"
    environment = {
        "CARGO_TARGET_DIR": str(PLACE / "thread"),
        "RUSTC": str(rustc),
        "RUSTC_BOOTSTRAP": "1",
        "RUSTFLAGS": f"{flags} -Clinker={clang}",
        **c_compiler(str(clang), "thread"),
    }
    return Tools("thread", str(clang), environment, ("-Zbuild-std=std,panic_unwind",))


def c_compiler(cc: str, kind: str) -> dict[str, str]:
    """What compiles the C code in the library, and how."""
    variable = TARGET.replace("-", "_")
    flags = f"-fsanitize={kind} -fno-omit-frame-pointer"
    return {f"CC_{variable}": cc, f"CFLAGS_{variable}": flags}


def runtime() -> Path:
    """The library of gcc's AddressSanitizer."""
    if shutil.which("gcc") is None:
        raise UnavailableError("gcc is not installed; on Debian and Ubuntu: apt-get install gcc")
    found = Path(output("gcc", "-print-file-name=libasan.so").strip())
    if not found.is_absolute():
        raise UnavailableError("gcc has no AddressSanitizer here")
    return found.resolve()


def amalgamation() -> Path:
    """SQLite's source, of the version that the Rust tests are built with."""
    manifest = str(steps.ROOT / steps.RUST_TESTS)
    text = output(steps.cargo(), "metadata", "--format-version=1", "--manifest-path", manifest)
    packages = json.loads(text)["packages"]
    [found] = [one for one in packages if one["name"] == "libsqlite3-sys"]
    return Path(found["manifest_path"]).parent / "sqlite3" / "sqlite3.c"


def wrap_shell(place: Path) -> None:
    """SQLite's shell takes no other SQLite than its own, so it gets the system's."""
    shell = shutil.which("sqlite3")
    if shell is not None:
        script(place / "sqlite3", f'exec env -u LD_LIBRARY_PATH {shell} "$@"')


def script(path: Path, text: str) -> Path:
    """A program of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def toolchain() -> tuple[Path, Path]:
    """Debian's newest Rust compiler, with the source of its library, and the clang of its LLVM."""
    rustc, clang = TOOLCHAIN / "rustc", TOOLCHAIN / "clang"
    if rustc.exists() and clang.exists():
        return rustc, clang
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise UnavailableError("the compiler for ThreadSanitizer comes from Debian's packages")
    if not new_enough(version_of("rustc-web")):
        output("apt-get", "update")
    version = version_of("rustc-web")
    if not new_enough(version):
        raise UnavailableError(f"Debian's rustc-web is {version or 'not there'}, too old")
    standard = depends("libstd-rust-web-dev", r"libstd-rust-web-[\d.]+")
    llvm = depends(standard, r"libllvm\d+").removeprefix("libllvm")
    clangs = (f"clang-{llvm}", f"libclang-cpp{llvm}", f"libclang-common-{llvm}-dev")
    names = ("rustc-web", "rust-web-src", "libstd-rust-web-dev", standard, f"libllvm{llvm}")
    unpack(*names, *clangs, f"libclang-rt-{llvm}-dev")
    libraries = f"{TOOLCHAIN}/usr/lib/x86_64-linux-gnu:{TOOLCHAIN}/usr/lib/llvm-{llvm}/lib"
    begin = f'LD_LIBRARY_PATH="{libraries}" exec "{TOOLCHAIN}'
    script(rustc, f'{begin}/usr/bin/rustc" "$@"')
    script(clang, f'{begin}/usr/lib/llvm-{llvm}/bin/clang" "$@"')
    return rustc, clang


def new_enough(version: str) -> bool:
    """Whether that compiler takes the library."""
    manifest = (steps.ROOT / "Cargo.toml").read_text("utf-8")
    oldest = re.search(r'^rust-version = "([\d.]+)"$', manifest, re.MULTILINE)
    numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
    return oldest is None or numbers >= [int(part) for part in oldest[1].split(".")]


def version_of(package: str) -> str:
    """The version of a package that would be installed."""
    found = re.search(r"^Version: (\S+)", shown(package), re.MULTILINE)
    return found[1] if found else ""


def depends(package: str, pattern: str) -> str:
    """The package of that name that another one depends on."""
    wanted = re.search(r"^Depends: (.*)", shown(package), re.MULTILINE)
    found = re.search(pattern, wanted[1]) if wanted else None
    if found is None:
        raise UnavailableError(f"{package} depends on nothing like {pattern}")
    return found[0]


def shown(package: str) -> str:
    """What Debian's index says about a package; nothing if it is not there."""
    command = ["apt-cache", "show", "--no-all-versions", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def unpack(*packages: str) -> None:
    """Downloads packages, and unpacks them where nobody else sees them."""
    downloads = PLACE / "packages"
    for place in (downloads, TOOLCHAIN):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    run(["apt-get", "download", *packages], os.environ, downloads)
    for package in sorted(downloads.iterdir()):
        run(["dpkg-deb", "-x", str(package), str(TOOLCHAIN)], os.environ)
    shutil.rmtree(downloads)


def run(command: list[str], environment: Mapping[str, str], directory: Path = steps.ROOT) -> None:
    """Runs a command that must succeed; what it prints is shown."""
    subprocess.run(command, cwd=directory, env=environment, check=True)


def output(*command: str) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(command, cwd=steps.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def findings(reports: Path) -> Iterator[str]:
    """What the sanitizers wrote."""
    for path in sorted(reports.glob("report*")):
        text = path.read_text("utf-8", "replace")
        begins = [match.start() for match in HEAD.finditer(text)]
        for begin, end in zip(begins, [*begins[1:], len(text)]):
            yield f"{path.name}: {text[begin:end].strip()}"
