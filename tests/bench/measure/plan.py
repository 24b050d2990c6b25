# SPDX-License-Identifier: GPL-2.0
"""What is measured: scenarios, the rows they give, and the plan that a guest carries out.

A scenario is a sequence of steps on one target, from a fresh snapshot to its release; each job in it is one
row. The same steps are run on the raw device, and a row's ratio is the job's speed against the job of the
same name there.
"""
from dataclasses import dataclass

RAW = "raw"
HELD = "blksnap"
TRACKER = "tracker"

PSYNC = ("--ioengine=psync",)
LIBAIO = ("--ioengine=libaio", "--iodepth=32")
URING = ("--ioengine=io_uring", "--iodepth=32")


@dataclass(frozen=True)
class Sizes:
    """MiB: the origin, the store, and what jobs of random 4k requests touch."""

    origin: int = 512
    store: int = 1024
    random: int = 256


QUICK = Sizes(origin=256, store=320, random=128)


# fio tells its time in milliseconds: short jobs are run several times over where that changes nothing.
LOOPS = "--loops=3"


@dataclass(frozen=True)
class Job:
    row: str
    side: str  # write or image
    options: tuple
    first_touch: bool = False

    def options_on(self, target: str) -> tuple:
        sequential = any(option in ("--rw=write", "--rw=read") for option in self.options)
        repeatable = sequential and (target == RAW or not self.first_touch)
        return self.options + ((LOOPS,) if repeatable else ())


@dataclass(frozen=True)
class Overwrite:
    """Makes some blocks of the image differ from the origin; there is no need of it on the raw device."""

    options: tuple


@dataclass(frozen=True)
class Settle:
    pass


@dataclass(frozen=True)
class Scenario:
    target: str
    steps: tuple

    def rows(self) -> list:
        return [step.row for step in self.steps if isinstance(step, Job)]


def random_options(kind: str, engine: tuple, size: Sizes) -> tuple:
    return (f"--rw=rand{kind}", "--bs=4k", f"--size={size.origin}M", f"--io_size={size.random}M", *engine)


def sequential_options(kind: str, block: str, size: Sizes) -> tuple:
    return (f"--rw={kind}", f"--bs={block}", f"--size={size.origin}M", *PSYNC)


def twice(name: str, options: tuple) -> Scenario:
    """First touch, then the same blocks again once the store has caught up."""
    return Scenario(HELD, (Job(f"{name}-first", "write", options, first_touch=True), Settle(),
                           Job(f"{name}-again", "write", options)))


def image_reads(suffix: str, size: Sizes) -> tuple:
    return (Job(f"image-randread-4k-qd1{suffix}", "image", random_options("read", PSYNC, size)),
            Job(f"image-randread-4k-qd32{suffix}", "image", random_options("read", LIBAIO, size)),
            Job(f"image-seqread-1m{suffix}", "image", sequential_options("read", "1M", size)))


def core_scenarios(size: Sizes) -> list:
    half_in_runs = Overwrite(("--rw=write:256k", "--bs=256k", f"--size={size.origin}M",
                              f"--io_size={size.origin // 2}M", *PSYNC))
    half_at_random = Overwrite(("--rw=randwrite", "--bs=4k", f"--size={size.origin}M",
                                f"--io_size={size.origin // 2}M", *LIBAIO))
    return [
        twice("randwrite-4k-qd1", random_options("write", PSYNC, size)),
        twice("randwrite-4k-qd32", random_options("write", LIBAIO, size)),
        twice("seqwrite-64k", sequential_options("write", "64k", size)),
        twice("seqwrite-1m", sequential_options("write", "1M", size)),
        Scenario(HELD, image_reads("", size)),
        Scenario(HELD, (half_in_runs, Settle(), *image_reads("-half", size))),
        Scenario(HELD, (half_at_random, Settle(), *image_reads("-half4k", size))),
        Scenario(TRACKER, (Job("tracker-randwrite-4k-qd1", "write", random_options("write", PSYNC, size)),)),
        Scenario(TRACKER, (Job("tracker-randwrite-4k-qd32", "write", random_options("write", LIBAIO, size)),)),
    ]


def choose(scenarios: list, wanted: list) -> list:
    """Only what is needed for some rows. A job that others of its scenario build on stays."""
    if not wanted:
        return scenarios
    known = [row for scenario in scenarios for row in scenario.rows()]
    unknown = [row for row in wanted if row not in known]
    if unknown:
        raise KeyError(f"unknown rows: {' '.join(unknown)}; known: {' '.join(known)}")
    return [_cut(scenario, wanted) for scenario in scenarios if set(scenario.rows()) & set(wanted)]


def _cut(scenario: Scenario, wanted: list) -> Scenario:
    last = max(i for i, step in enumerate(scenario.steps) if isinstance(step, Job) and step.row in wanted)
    kept = [step for i, step in enumerate(scenario.steps[:last + 1])
            if not isinstance(step, Job) or step.side == "write" or step.row in wanted]
    return Scenario(scenario.target, tuple(kept))


def make_plan(scenarios: list, size: Sizes, attributes: list, rounds: int) -> str:
    """The lines that tests/bench/guest/run executes."""
    lines = [f"disks {size.origin} {size.store} {' '.join(attributes)}"]
    targets = [RAW] + sorted({scenario.target for scenario in scenarios})
    for number in range(1, rounds + 1):
        for target in targets:
            lines.append(f"start {target} {number}")
            for scenario in scenarios:
                if target in (RAW, scenario.target):
                    lines += _steps(scenario, target)
            lines.append("stop")
    return "\n".join(lines) + "\n"


def _steps(scenario: Scenario, target: str) -> list:
    lines = ["fresh"]
    for step in scenario.steps:
        if isinstance(step, Job):
            lines.append(f"job {step.row} {step.side} {' '.join(step.options_on(target))}")
        elif isinstance(step, Overwrite) and target != RAW:
            lines.append(f"overwrite {' '.join(step.options)}")
        elif isinstance(step, Settle) and target != RAW:
            lines.append("settle")
    return lines + ["release"]
