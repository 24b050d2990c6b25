# SPDX-License-Identifier: GPL-2.0
"""Mutants: what they are, and how one is applied.

    mutant NAME
    file src/core/disk.cpp
    in   Disk::wait_idle(            the function, or another block, that begins on this line
    why  what goes wrong
    - lines that are there now       once in that block
    + lines that take their place

White space does not count in the comparison, so that formatting does not make a mutant stale.
"""
from dataclasses import dataclass, field
from pathlib import Path


class Stale(Exception):
    """A mutant does not fit the sources any more."""


@dataclass
class Mutant:
    name: str
    where: str  # of its description
    file: str = ""
    block: str = ""
    why: str = ""
    old: list = field(default_factory=list)
    new: list = field(default_factory=list)

    def apply(self, text: str) -> str:
        lines = text.split("\n")
        begin, end = self._find_block(lines)
        places = [at for at in range(begin, end - len(self.old) + 1)
                  if [_squeeze(line) for line in lines[at:at + len(self.old)]]
                  == [_squeeze(line) for line in self.old]]
        if len(places) != 1:
            raise Stale(f"{self.where}: its lines are there {len(places)} times in {self.file}: {self.block}")
        at = places[0]
        return "\n".join(lines[:at] + self.new + lines[at + len(self.old):])

    def _find_block(self, lines: list) -> tuple:
        begins = [at for at, line in enumerate(lines)
                  if self.block in line and not line.rstrip().endswith(";")]
        if len(begins) != 1:
            raise Stale(f"{self.where}: {self.file} has {len(begins)} blocks: {self.block}")
        begin = begins[0]
        indent = lines[begin][:len(lines[begin]) - len(lines[begin].lstrip())]
        for at in range(begin + 1, len(lines)):
            if lines[at].startswith(indent + "}"):
                return begin, at
        raise Stale(f"{self.where}: {self.file}: {self.block} has no end")

    def check(self):
        for what in ("file", "block", "why", "old"):
            if not getattr(self, what):
                raise Stale(f"{self.where}: {self.name} has no {what}")
        if [_squeeze(line) for line in self.old] == [_squeeze(line) for line in self.new]:
            raise Stale(f"{self.where}: {self.name} changes nothing")


def _squeeze(line: str) -> str:
    return "".join(line.split())


def read(path: Path) -> list:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        word, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if word == "mutant":
            found.append(Mutant(rest.strip(), f"{path.name}:{number}"))
        elif not found:
            raise Stale(f"{path.name}:{number}: before the first mutant")
        elif word in ("file", "in", "why"):
            setattr(found[-1], "block" if word == "in" else word, rest.strip())
        elif line[0] == "-":
            found[-1].old.append(line[1:])
        elif line[0] == "+":
            found[-1].new.append(line[1:])
        else:
            raise Stale(f"{path.name}:{number}: cannot read {line!r}")
    return found


def read_all(directory: Path) -> list:
    found = [mutant for path in sorted(directory.glob("*.mutants")) for mutant in read(path)]
    names = [mutant.name for mutant in found]
    for mutant in found:
        mutant.check()
        if names.count(mutant.name) > 1:
            raise Stale(f"{mutant.where}: the name {mutant.name} is taken")
    return found
