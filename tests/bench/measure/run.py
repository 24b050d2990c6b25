# SPDX-License-Identifier: GPL-2.0
"""Carrying out a plan in a guest."""
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from harness import guest, qemu
from measure import plan
from measure.variants import Variant

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
    parameters: str = ""  # Of the module.
    profiling: bool = False
    emulator: list = field(default_factory=list)  # Further arguments.
    timeout: int = 5400
    name: str = "guest"  # Of the directory with what is left.


def run(setup: Setup, variant: Variant) -> Path:
    """Return: the directory with raw figures of the jobs."""
    text = f"disks {variant.sizes.origin} {variant.sizes.store} {variant.disks}\n"
    text += plan.make_plan(variant.scenarios, variant.targets, variant.rounds)
    disks = [f"{mib}M" for mib in (variant.sizes.origin, variant.sizes.store)]
    in_memory = variant.disks.startswith("null")
    memory = SYSTEM_MIB + (variant.sizes.origin + variant.sizes.store if in_memory else 0)
    machine = machine_for(setup, variant, memory, [] if in_memory else disks)
    return execute(setup, machine, text)


def machine_for(setup: Setup, measured, memory_mib: int, disks: list) -> qemu.Machine:
    """For a variant or a figure."""
    return qemu.Machine(kernel=setup.kernel, smp=measured.processors, memory=f"{memory_mib}M", disks=disks,
                        timeout=setup.timeout, append=GUEST_ARGUMENTS, accelerator=measured.accelerator,
                        extra=setup.emulator)


def execute(setup: Setup, machine: qemu.Machine, text: str) -> Path:
    log = OUTPUT / setup.name
    shutil.rmtree(log / "jobs", ignore_errors=True)
    log.mkdir(parents=True, exist_ok=True)
    settings = f"profiling={int(setup.profiling)} module_parameters='{setup.parameters}'\n"
    (log / "plan").write_text(settings + text)
    outcome = guest.run(machine, ["/host/tests/bench/guest/run"], log, None, [],
                        lambda line: print(line, flush=True))
    if outcome.exit_code:
        raise GuestFailed("\n".join([f"the guest failed, see {log}", *outcome.problems]))
    return log / "jobs"
