# SPDX-License-Identifier: GPL-2.0
"""What a guest sees at /host.

A copy of the few things tests need, not the project itself: a build that runs at the same time must
not change a program while a guest executes it.
"""
import shutil
import subprocess
from pathlib import Path

from harness.paths import PROJECT


def find_module(kernel: str) -> Path:
    """The module built for a kernel, or the one at the project's root."""
    built = PROJECT / "build" / "module" / kernel / "blksnap.ko"
    return built if built.exists() else PROJECT / "blksnap.ko"


def stage_project(kernel: str, target: Path) -> None:
    """Copies the module, programs, libraries and tests/ to where a guest expects them; absent ones are left out."""
    target.mkdir(parents=True)
    module = find_module(kernel)
    if module.exists():
        shutil.copy2(module, target / "blksnap.ko")
    for part in ("build/bin", "build/examples", "build/kselftest", "build/lib", "tests", "tools/udev"):
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, target / part, symlinks=True,
                            ignore=shutil.ignore_patterns("__pycache__", "obj", "*.a"), copy_function=_copy)
    for programs in ("bin", "examples", "kselftest", "lib"):
        _strip(target / "build" / programs)


def _strip(programs: Path) -> None:
    """Debug information makes programs slow to load over the share, and nobody looks at it there."""
    for program in programs.glob("*"):
        if program.is_file() and program.read_bytes()[:4] == b"\x7fELF":
            subprocess.run(["strip", program], check=False)


def _copy(source: str, target: str) -> None:
    """Copies a file, unless it vanished: an editor or a compiler may be at work in the tree."""
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        pass
