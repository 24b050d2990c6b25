# SPDX-License-Identifier: GPL-2.0
"""What is measured: scenarios, the rows they give, and the plan that a guest carries out.

A scenario is a sequence of steps on one target, from a fresh snapshot to its release; each job in it is a
row. The same steps are run on the raw device, and a row's ratio is the job's speed against the job of the
same name there.
"""
from dataclasses import dataclass, replace

RAW = "raw"
BLKSNAP = "blksnap"
TRACKER = "tracker"
PEERS = ("dm-linear", "dm-snapshot-4k", "dm-snapshot-64k", "dm-thin-64k")

PSYNC = ("--ioengine=psync",)
LIBAIO = ("--ioengine=libaio", "--iodepth=32")
URING = ("--ioengine=io_uring", "--iodepth=32")

# fio tells its time in milliseconds, so short jobs are run several times over: in one go where that changes
# nothing, else each time on a fresh snapshot.
LOOPS = "--loops=2"


@dataclass(frozen=True)
class Sizes:
    """MiB: the origin, the store, what random 4k requests touch; how often random first touches are run.

    One block in 16 is touched: peers with large chunks copy one for nearly every write then.
    """

    origin: int = 512
    store: int = 704
    first_touch: int = 32
    random: int = 128
    repeats: int = 3


QUICK = Sizes(repeats=2)
FULL = Sizes()
# For time of day: on a busy machine a request may take milliseconds.
SMALL = Sizes(origin=128, store=192, first_touch=4, random=8, repeats=1)


@dataclass(frozen=True)
class Job:
    row: str
    side: str  # write or image
    options: tuple
    first_touch: bool = False
    same_as: str = ""

    def rows(self) -> list:
        return [self.row]

    def raw_row(self) -> str:
        """Of which row the raw run is compared with: what was preserved is all the same to a raw device."""
        return self.same_as or self.row

    def line(self, target: str, repeat: int) -> str:
        if target == RAW and self.same_as:
            return ""
        sequential = any(option in ("--rw=write", "--rw=read") for option in self.options)
        repeatable = sequential and (target == RAW or not self.first_touch)
        options = self.options + ((LOOPS,) if repeatable else ())
        return f"job {self.row}.{repeat} {self.side} {' '.join(options)}"


@dataclass(frozen=True)
class Together:
    """Jobs that run at the same time, for a while."""

    name: str
    jobs: tuple

    def rows(self) -> list:
        return [job.row for job in self.jobs]

    def line(self, _target: str, repeat: int) -> str:
        return f"together {self.name}.{repeat} " + " -- ".join(
            f"{job.row} {job.side} {' '.join(job.options)}" for job in self.jobs)


@dataclass(frozen=True)
class Overwrite:
    """Makes some blocks of the image differ from the origin."""

    options: tuple

    def rows(self) -> list:
        return []

    def line(self, target: str, _repeat: int) -> str:
        return "" if target == RAW else f"overwrite {' '.join(self.options)}"


@dataclass(frozen=True)
class Settle:
    def rows(self) -> list:
        return []

    def line(self, target: str, _repeat: int) -> str:
        return "" if target == RAW else "settle"


@dataclass(frozen=True)
class Scenario:
    steps: tuple
    target: str = BLKSNAP  # Peers do what blksnap does with a snapshot held, not what it does without.
    repeats: int = 1

    def rows(self) -> list:
        return [row for step in self.steps for row in step.rows()]

    def runs_on(self, target: str) -> bool:
        return target in (RAW, self.target) or (self.target == BLKSNAP and target in PEERS)


def random_4k(kind: str, mib: int, engine: tuple, sizes: Sizes) -> tuple:
    return (f"--rw=rand{kind}", "--bs=4k", f"--size={sizes.origin}M", f"--io_size={mib}M", *engine)


def sequential(kind: str, block: str, sizes: Sizes) -> tuple:
    return (f"--rw={kind}", f"--bs={block}", f"--size={sizes.origin}M", *PSYNC)


def random_writes(name: str, engine: tuple, sizes: Sizes) -> list:
    """First touches, and writes to blocks that are preserved; the store has caught up in between."""
    touching = random_4k("write", sizes.first_touch, engine, sizes)
    writing = random_4k("write", sizes.random, engine, sizes)
    first = Job(f"{name}-first", "write", touching, first_touch=True, same_as=f"{name}-again")
    return [Scenario((first, Settle()), repeats=sizes.repeats),
            Scenario((Overwrite(writing), Settle(), Job(f"{name}-again", "write", writing)))]


def sequential_writes(name: str, block: str, sizes: Sizes) -> Scenario:
    options = sequential("write", block, sizes)
    first = Job(f"{name}-first", "write", options, first_touch=True, same_as=f"{name}-again")
    return Scenario((first, Settle(), Job(f"{name}-again", "write", options)))


def image_reads(suffix: str, sizes: Sizes) -> tuple:
    def job(name: str, options: tuple) -> Job:
        return Job(name + suffix, "image", options, same_as=name if suffix else "")

    return (job("image-randread-4k-qd1", random_4k("read", sizes.random, PSYNC, sizes)),
            job("image-randread-4k-qd32", random_4k("read", sizes.random, LIBAIO, sizes)),
            job("image-seqread-1m", sequential("read", "1M", sizes)))


def image_scenarios(sizes: Sizes) -> list:
    half = f"--io_size={sizes.origin // 2}M"
    whole = f"--size={sizes.origin}M"
    # Every other 256 KiB; half of all blocks of 4 KiB.
    in_runs = Overwrite(("--rw=write:256k", "--bs=256k", whole, half, *PSYNC))
    at_random = Overwrite(("--rw=randwrite", "--bs=4k", whole, half, *LIBAIO))
    return [Scenario(image_reads("", sizes)),
            Scenario((in_runs, Settle(), *image_reads("-half", sizes))),
            Scenario((at_random, Settle(), *image_reads("-half4k", sizes)))]


def tracker(name: str, engine: tuple, sizes: Sizes) -> Scenario:
    return Scenario((Job(f"tracker-{name}", "write", random_4k("write", sizes.random, engine, sizes),
                         same_as=f"{name}-again"),), TRACKER)


def core_scenarios(sizes: Sizes) -> list:
    return [
        *random_writes("randwrite-4k-qd1", PSYNC, sizes),
        *random_writes("randwrite-4k-qd32", LIBAIO, sizes),
        sequential_writes("seqwrite-64k", "64k", sizes),
        sequential_writes("seqwrite-1m", "1M", sizes),
        *image_scenarios(sizes),
        tracker("randwrite-4k-qd1", PSYNC, sizes),
        tracker("randwrite-4k-qd32", LIBAIO, sizes),
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
            *random_writes("randwrite-4k-qd32-uring", URING, sizes),
            mixed(sizes, runtime), latency_under_copying(sizes, runtime)]


def choose(scenarios: list, wanted: list) -> list:
    """Only what is needed for some rows. A job that others build on, or are compared with, stays."""
    if not wanted:
        return scenarios
    known = {row: step for scenario in scenarios for step in scenario.steps for row in step.rows()}
    unknown = [row for row in wanted if row not in known]
    if unknown:
        raise KeyError(f"unknown rows: {' '.join(unknown)}; known: {' '.join(known)}")
    wanted = set(wanted) | {known[row].raw_row() for row in wanted if isinstance(known[row], Job)}
    return [_cut(scenario, wanted) for scenario in scenarios if set(scenario.rows()) & wanted]


def _cut(scenario: Scenario, wanted: set) -> Scenario:
    last = max(i for i, step in enumerate(scenario.steps) if wanted & set(step.rows()))
    kept = [step for step in scenario.steps[:last + 1]
            if not isinstance(step, Job) or step.side == "write" or step.row in wanted]
    return replace(scenario, steps=tuple(kept))


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
    lines = []
    for repeat in range(1, scenario.repeats + 1):
        steps = [line for step in scenario.steps if (line := step.line(target, repeat))]
        lines += ["fresh", *steps, "release"] if steps else []
    return lines
