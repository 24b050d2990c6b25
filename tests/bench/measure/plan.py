# SPDX-License-Identifier: GPL-2.0
"""What is measured: scenarios, the rows they give, and the plan that a guest carries out.

A scenario is a sequence of steps on one target, from a fresh snapshot to its release; each job in it is a
row. The same steps are run on the raw device, and a row's ratio is the job's speed against the job of the
same name there.
"""
from dataclasses import dataclass

RAW = "raw"
BLKSNAP = "blksnap"
TRACKER = "tracker"
PEERS = ("dm-linear", "dm-snapshot-4k", "dm-snapshot-64k", "dm-thin-64k")

PSYNC = ("--ioengine=psync",)
LIBAIO = ("--ioengine=libaio", "--iodepth=32")
URING = ("--ioengine=io_uring", "--iodepth=32")

# fio tells its time in milliseconds: short jobs are run several times over where that changes nothing.
LOOPS = "--loops=3"


@dataclass(frozen=True)
class Sizes:
    """MiB: the origin, the store, and what jobs of random 4k requests touch."""

    origin: int
    store: int
    random: int


QUICK = Sizes(origin=256, store=320, random=128)
FULL = Sizes(origin=512, store=704, random=128)


@dataclass(frozen=True)
class Job:
    row: str
    side: str  # write or image
    options: tuple
    first_touch: bool = False

    def rows(self) -> list:
        return [self.row]

    def line(self, target: str) -> str:
        sequential = any(option in ("--rw=write", "--rw=read") for option in self.options)
        repeatable = sequential and (target == RAW or not self.first_touch)
        options = self.options + ((LOOPS,) if repeatable else ())
        return f"job {self.row} {self.side} {' '.join(options)}"


@dataclass(frozen=True)
class Together:
    """Jobs that run at the same time, for a while."""

    name: str
    jobs: tuple

    def rows(self) -> list:
        return [job.row for job in self.jobs]

    def line(self, _target: str) -> str:
        return f"together {self.name} " + " -- ".join(
            f"{job.row} {job.side} {' '.join(job.options)}" for job in self.jobs)


@dataclass(frozen=True)
class Overwrite:
    """Makes some blocks of the image differ from the origin."""

    options: tuple

    def rows(self) -> list:
        return []

    def line(self, target: str) -> str:
        return "" if target == RAW else f"overwrite {' '.join(self.options)}"


@dataclass(frozen=True)
class Settle:
    def rows(self) -> list:
        return []

    def line(self, target: str) -> str:
        return "" if target == RAW else "settle"


@dataclass(frozen=True)
class Scenario:
    steps: tuple
    target: str = BLKSNAP  # Peers do what blksnap does with a snapshot held, not what it does without.

    def rows(self) -> list:
        return [row for step in self.steps for row in step.rows()]

    def runs_on(self, target: str) -> bool:
        return target in (RAW, self.target) or (self.target == BLKSNAP and target in PEERS)


def random_options(kind: str, engine: tuple, sizes: Sizes) -> tuple:
    return (f"--rw=rand{kind}", "--bs=4k", f"--size={sizes.origin}M", f"--io_size={sizes.random}M", *engine)


def sequential_options(kind: str, block: str, sizes: Sizes) -> tuple:
    return (f"--rw={kind}", f"--bs={block}", f"--size={sizes.origin}M", *PSYNC)


def twice(name: str, options: tuple) -> Scenario:
    """First touch, then the same blocks again once the store has caught up."""
    return Scenario((Job(f"{name}-first", "write", options, first_touch=True), Settle(),
                     Job(f"{name}-again", "write", options)))


def image_reads(suffix: str, sizes: Sizes) -> tuple:
    return (Job(f"image-randread-4k-qd1{suffix}", "image", random_options("read", PSYNC, sizes)),
            Job(f"image-randread-4k-qd32{suffix}", "image", random_options("read", LIBAIO, sizes)),
            Job(f"image-seqread-1m{suffix}", "image", sequential_options("read", "1M", sizes)))


def image_scenarios(sizes: Sizes) -> list:
    half = f"--io_size={sizes.origin // 2}M"
    whole = f"--size={sizes.origin}M"
    # Every other 256 KiB; half of all blocks of 4 KiB.
    in_runs = Overwrite(("--rw=write:256k", "--bs=256k", whole, half, *PSYNC))
    at_random = Overwrite(("--rw=randwrite", "--bs=4k", whole, half, *LIBAIO))
    return [Scenario(image_reads("", sizes)),
            Scenario((in_runs, Settle(), *image_reads("-half", sizes))),
            Scenario((at_random, Settle(), *image_reads("-half4k", sizes)))]


def tracker(name: str, options: tuple) -> Scenario:
    return Scenario((Job(f"tracker-{name}", "write", options),), TRACKER)


def core_scenarios(sizes: Sizes) -> list:
    return [
        twice("randwrite-4k-qd1", random_options("write", PSYNC, sizes)),
        twice("randwrite-4k-qd32", random_options("write", LIBAIO, sizes)),
        twice("seqwrite-64k", sequential_options("write", "64k", sizes)),
        twice("seqwrite-1m", sequential_options("write", "1M", sizes)),
        *image_scenarios(sizes),
        tracker("randwrite-4k-qd1", random_options("write", PSYNC, sizes)),
        tracker("randwrite-4k-qd32", random_options("write", LIBAIO, sizes)),
    ]


def mixed(sizes: Sizes, runtime: str) -> Scenario:
    """Random first touches of the origin while its image is read from end to end."""
    for_a_while = ("--time_based", f"--runtime={runtime}", f"--size={sizes.origin}M")
    return Scenario((Together("mixed", (
        Job("mixed-randwrite-4k-qd1", "write", ("--rw=randwrite", "--bs=4k", *for_a_while, *PSYNC)),
        Job("mixed-image-seqread-1m", "image", ("--rw=read", "--bs=1M", *for_a_while, *PSYNC)))),))


def latency_under_copying(sizes: Sizes, runtime: str) -> Scenario:
    """Single writes to one half of the origin while the other half is overwritten as fast as it goes."""
    half = f"{sizes.origin // 2}M"
    for_a_while = ("--time_based", f"--runtime={runtime}", f"--size={half}")
    return Scenario((Together("crowded", (
        Job("crowded-randwrite-4k-qd1", "write", ("--rw=randwrite", "--bs=4k", *for_a_while, *PSYNC)),
        Job("crowded-others", "write", ("--rw=randwrite", "--bs=4k", f"--offset={half}", *for_a_while, *LIBAIO)))),))


def full_scenarios(sizes: Sizes, runtime: str) -> list:
    return [*core_scenarios(sizes),
            twice("randwrite-4k-qd32-uring", random_options("write", URING, sizes)),
            mixed(sizes, runtime), latency_under_copying(sizes, runtime)]


def choose(scenarios: list, wanted: list) -> list:
    """Only what is needed for some rows. A job that others of its scenario build on stays."""
    if not wanted:
        return scenarios
    known = [row for scenario in scenarios for row in scenario.rows()]
    unknown = [row for row in wanted if row not in known]
    if unknown:
        raise KeyError(f"unknown rows: {' '.join(unknown)}; known: {' '.join(known)}")
    return [_cut(scenario, set(wanted)) for scenario in scenarios if set(scenario.rows()) & set(wanted)]


def _cut(scenario: Scenario, wanted: set) -> Scenario:
    last = max(i for i, step in enumerate(scenario.steps) if wanted & set(step.rows()))
    kept = [step for step in scenario.steps[:last + 1]
            if not isinstance(step, Job) or step.side == "write" or step.row in wanted]
    return Scenario(tuple(kept), scenario.target)


def make_plan(scenarios: list, targets: list, rounds: int) -> str:
    """The lines that tests/bench/guest/run executes, once there are disks."""
    lines = []
    for number in range(1, rounds + 1):
        for target in targets:
            mine = [scenario for scenario in scenarios if scenario.runs_on(target)]
            if mine:
                lines += [f"start {target} {number}", *(line for each in mine for line in _lines(each, target)), "stop"]
    return "\n".join(lines) + "\n"


def _lines(scenario: Scenario, target: str) -> list:
    return ["fresh", *filter(None, (step.line(target) for step in scenario.steps)), "release"]
