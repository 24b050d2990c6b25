# SPDX-License-Identifier: GPL-2.0
"""What is not a ratio of speeds: memory, the take, other devices, threads. Measured by guest/figures.sh."""
from dataclasses import dataclass, replace
from pathlib import Path

from measure import run
from measure.variants import ICOUNT, WALL


@dataclass(frozen=True)
class Figure:
    """A group of figures that need the same disks: one boot."""

    name: str
    what: str
    functions: tuple
    accelerator: str = ICOUNT
    processors: int = 1
    memory_mib: int = 2048
    suffix: str = ""

    def measure(self, setup: run.Setup) -> dict:
        machine = run.machine_for(setup, self, self.memory_mib, [])
        plan = "".join(f"measure_{function}\n" for function in self.functions)
        jobs = run.execute(replace(setup, name=f"figures-{self.name}"), machine, plan)
        return {name + self.suffix: figure for name, figure in read(jobs / "figures").items()}


def read(path: Path) -> dict:
    """Lines "ID value unit what", separated by tabs."""
    figures = {}
    for line in path.read_text().splitlines():
        name, value, unit, what = line.split("\t")
        figures[name] = {"value": float(value), "unit": unit, "what": what}
    return figures


def all_figures() -> list:
    return [
        Figure("memory", "memory of the kernel", ("memory_1tib", "memory_per_gib", "memory_half"), memory_mib=3584),
        Figure("take", "the cut, in instructions", ("take", "stall")),
        Figure("take-wall", "the cut, time of day, two processors", ("take", "stall"), accelerator=WALL,
               processors=2, suffix="@wall"),
        Figure("untracked", "requests to other devices", ("untracked",)),
        Figure("threads", "several threads on two processors that take turns", ("threads 1 500ms",), processors=2),
        Figure("threads-wall", "several threads on two processors, time of day", ("threads 7 2s",), accelerator=WALL,
               processors=2, suffix="@wall"),
    ]
