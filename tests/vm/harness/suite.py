# SPDX-License-Identifier: GPL-2.0
"""Test scripts that run in a guest, and what they ask for in their headers.

  # vm: own-boot smp=2 memory=2G disks=3 timeout=600 append=foo=1 root=applications lasts=TEST_MINUTES:10
  # vm-expect: REGEX

All of it is optional. `own-boot` asks for a guest of its own, whose shape the other words give; scripts
without it share one guest. `disks` is a number of 1 GiB disks, or their sizes: disks=1G,512M. `timeout` is
for the script alone, on a kernel as it is shipped; one that checks itself gets more. `vm-expect` names a kernel message that is no failure.
"""
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from harness.paths import PROJECT, VM
from harness.qemu import Machine

HEADER = re.compile(r"# vm: (.*)")
EXPECT = re.compile(r"# vm-expect: (.*)")
LASTS = re.compile(r"(TEST_\w+):(\d+)")
HEADER_LINES = 40
PATIENCE_SECONDS = 30
BOOT_SECONDS = 120  # What booting, and cleaning up afterwards, may take on a busy machine.


@dataclass
class Suite:
    name: str
    program: str  # As the guest sees it.
    own_boot: bool = False
    timeout: int = 300
    smp: int = 2
    memory: str = "2G"
    disks: list = field(default_factory=lambda: ["1G"] * 4)
    append: str = ""
    root: str = ""
    minutes: int = 0  # On top of the timeout.
    environment: dict = field(default_factory=dict)
    expected: list = field(default_factory=list)


def find(name: str) -> Suite:
    """A script of suites/ by its name, or any program under tests/ or build/bin by its path."""
    path = VM / "suites" / f"{name}.sh"
    if not path.exists():
        path = Path(name)
    path = Path(os.path.abspath(path))
    if not path.is_file() or PROJECT not in path.parents:
        sys.exit(f"vm: no such suite: {name}")
    suite = Suite(path.stem, f"/host/{path.relative_to(PROJECT)}")
    with open(path, encoding="utf-8", errors="replace") as text:
        for line, _ in zip(text, range(HEADER_LINES)):
            _read_header(suite, line.rstrip("\n"))
    suite.timeout += 60 * suite.minutes
    return suite


def find_all() -> list:
    return [find(path.stem) for path in sorted((VM / "suites").glob("*.sh"))]


def boots(suites: list) -> list:
    """Lists of suites that share a guest, in the order given."""
    shared = [suite for suite in suites if not suite.own_boot]
    own = [[suite] for suite in suites if suite.own_boot]
    return ([shared] if shared else []) + own


def machine_for(suites: list, kernel: str, accelerator: str, slowdown: int) -> Machine:
    first = suites[0] if suites[0].own_boot else Suite("", "")
    return Machine(kernel=kernel, smp=first.smp, memory=first.memory, disks=first.disks,
                   append=first.append, accelerator=accelerator, root=first.root,
                   timeout=(BOOT_SECONDS + sum(suite.timeout for suite in suites)) * slowdown,
                   patience=PATIENCE_SECONDS * slowdown)


def _read_header(suite: Suite, line: str) -> None:
    if expect := EXPECT.fullmatch(line):
        suite.expected.append(expect[1])
    if header := HEADER.fullmatch(line):
        for word in header[1].split():
            _read_word(suite, word)


def _read_minutes(suite: Suite, variable: str, default: str) -> None:
    minutes = os.environ.get(variable) or default
    if not minutes.isdecimal():
        sys.exit(f"vm: {variable} is '{minutes}', not a number of minutes")
    suite.environment[variable] = minutes
    suite.minutes = int(minutes)


def _read_word(suite: Suite, word: str) -> None:
    key, _, value = word.partition("=")
    if word == "own-boot":
        suite.own_boot = True
    elif key in ("timeout", "smp") and value.isdecimal():
        setattr(suite, key, int(value))
    elif key == "root" and value:
        suite.root = value
    elif key == "lasts" and (lasts := LASTS.fullmatch(value)):
        _read_minutes(suite, *lasts.groups())
    elif key == "memory" and value:
        suite.memory = value
    elif key == "append" and value:
        suite.append = f"{suite.append} {value}"
    elif key == "disks" and value:
        suite.disks = ["1G"] * int(value) if value.isdecimal() else value.split(",")
    else:
        sys.exit(f"vm: {suite.name}: cannot understand '{word}' in its header")
