# SPDX-License-Identifier: GPL-2.0
"""Carrying out a plan in a guest."""
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from harness import guest, qemu
from measure import plan

PROJECT = Path(__file__).resolve().parents[3]
OUTPUT = PROJECT / "build" / "bench"

# Processors of today need no retpolines, and emulation has no speculation to guard against.
GUEST_ARGUMENTS = "mitigations=off"
SYSTEM_MIB = 1024  # What the guest needs beside the disks in its memory.


class GuestFailed(Exception):
    pass


@dataclass
class Setup:
    """How to run, whatever is run."""

    kernel: str = "6.1"
    sizes: plan.Sizes = plan.QUICK
    rounds: int = 1
    parameters: str = ""  # Of the module.
    profiling: bool = False
    emulator: list = field(default_factory=list)  # Further arguments.
    name: str = "guest"  # Of the directory with what is left.


def run(setup: Setup, scenarios: list) -> Path:
    """Return: the directory with raw figures of the jobs."""
    log = OUTPUT / setup.name
    shutil.rmtree(log / "jobs", ignore_errors=True)
    log.mkdir(parents=True, exist_ok=True)
    lines = plan.make_plan(scenarios, setup.sizes, ["blocksize=512"], setup.rounds)
    settings = f"profiling={int(setup.profiling)} module_parameters='{setup.parameters}'\n"
    (log / "plan").write_text(settings + lines)
    machine = qemu.Machine(
        kernel=setup.kernel, smp=1, memory=f"{setup.sizes.origin + setup.sizes.store + SYSTEM_MIB}M",
        timeout=3000, append=GUEST_ARGUMENTS, accelerator="icount", extra=setup.emulator)
    outcome = guest.run(machine, ["/host/tests/bench/guest/run"], log, None, [],
                        lambda line: print(line, flush=True))
    if outcome.exit_code:
        raise GuestFailed("\n".join([f"the guest failed, see {log}", *outcome.problems]))
    return log / "jobs"
