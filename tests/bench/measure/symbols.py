# SPDX-License-Identifier: GPL-2.0
"""Counts of instructions by address, as tests/bench/plugin/count.c writes them, by function."""
import bisect
import subprocess
from collections import Counter
from pathlib import Path

USER_SPACE = "[user space]"


class Symbols:
    """The functions of a kernel with its modules, of a copy of /proc/kallsyms."""

    def __init__(self, text: str):
        found = []
        for line in text.splitlines():
            address, kind, name, *module = line.split()
            if kind in "tTwW":
                found.append((int(address, 16), name, module[0] if module else ""))
        found.sort()
        self._addresses = [address for address, _, _ in found]
        self._names = [name for _, name, _ in found]
        self._modules = [module for _, _, module in found]

    def name(self, address: int) -> tuple:
        """Return: function, [module] or "", offset."""
        if not address:
            return USER_SPACE, "", 0
        i = bisect.bisect_right(self._addresses, address) - 1
        if i < 0:
            return hex(address), "", 0
        return self._names[i], self._modules[i], address - self._addresses[i]


def read_counts(path: Path) -> dict:
    """Executed instructions by address of their block."""
    counts = {}
    for line in path.read_text().splitlines():
        address, count = line.split()
        counts[int(address, 16)] = int(count)
    return counts


def by_function(counts: dict, symbols: Symbols) -> Counter:
    totals = Counter()
    for address, count in counts.items():
        name, module, _ = symbols.name(address)
        totals[name, module] += count
    return totals


def demangle(names: list) -> list:
    output = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [name.split("(")[0] for name in output.splitlines()]
