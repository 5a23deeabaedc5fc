"""Builds the library with cargo and puts it into the wheel.

The wheel is tagged py3-none-PLATFORM: the library is called through ctypes, so any Python 3 does,
but it is machine code of one platform. A source distribution would lack the Rust sources, which lie
outside this directory, so there is none: build the wheel from a checkout.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

SUFFIXES = (".so", ".dylib", ".dll")


class LibraryHook(BuildHookInterface[Any]):
    """The hook that hatchling calls before it packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the library to what is packed."""
        if self.target_name != "wheel":
            raise SystemExit("queuekeeper is packed as a wheel only: pip wheel ./python")
        library = build(Path(self.root).parent)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform()}"
        if version == "standard":
            build_data["force_include"][str(library)] = f"queuekeeper/{library.name}"
        else:
            # An editable install imports from the source tree.
            shutil.copy2(library, Path(self.root, "src", "queuekeeper"))


def build(crate: Path) -> Path:
    """Builds the crate; the path of its library."""
    command = [cargo(), "build", "--release", "--lib", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=crate, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"cargo could not build the library in {crate}; see above")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for built in (each for each in messages if each["reason"] == "compiler-artifact"):
        if "cdylib" in built["target"]["crate_types"]:
            return next(Path(name) for name in built["filenames"] if name.endswith(SUFFIXES))
    raise SystemExit(f"cargo built no library in {crate}")


def cargo() -> str:
    """Cargo, also where only rustup's default directory has it."""
    found = shutil.which("cargo") or shutil.which("cargo", path=str(Path.home() / ".cargo" / "bin"))
    if found is None:
        raise SystemExit(
            "queuekeeper is built with Rust, but cargo is not installed: see https://rustup.rs"
        )
    return found


def platform() -> str:
    """The platform part of the wheel's tag."""
    if sys.platform == "darwin":
        # Python may be a universal build for an old macOS; the library is for this one.
        return next(iter(platform_tags()))
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
