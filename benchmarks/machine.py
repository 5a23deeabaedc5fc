"""What the figures were measured on, as far as the machine tells."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.setting import Setting

ROOT = Path(__file__).parents[1]


def line_of(*command: str) -> str | None:
    """The first line that a program prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else None


def field_of(path: str, name: str) -> str | None:
    """The value behind "name :" in a file of /proc."""
    with contextlib.suppress(OSError):
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None


def memory() -> str | None:
    total = field_of("/proc/meminfo", "MemTotal")
    return f"{int(total.split()[0]) / 1e6:.0f} GB" if total else None


def filesystem(directory: Path) -> str | None:
    """The type of the file system that the directory lies on."""
    device = directory.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            mount, _, rest = line.partition(" - ")
            if mount.split()[2] == wanted:
                return rest.split()[0]
    return None


def describe(setting: Setting) -> dict[str, str]:
    """Everything known, by name; what is not known is left out."""
    found = {
        "processor": field_of("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": str(os.cpu_count()),
        "memory": memory(),
        "virtual machine": virtual(),
        "file system": filesystem(setting.database.parent),
        "system": f"{platform.system()} {platform.release()}",
        "SQLite of the library's host": f"{setting.host.version} ({setting.host.name})",
        "sqlite3 shell": line_of("sqlite3", "--version"),
        "Python": platform.python_version(),
        "zstd": line_of("zstd", "--version"),
        "gzip": line_of("gzip", "--version"),
        "cp": line_of("cp", "--version"),
        "revision": line_of("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
    }
    return {name: value for name, value in found.items() if value}


def virtual() -> str | None:
    """Whether the processor says that it belongs to a virtual machine."""
    flags = field_of("/proc/cpuinfo", "flags")
    return ("yes" if "hypervisor" in flags.split() else "no") if flags else None
