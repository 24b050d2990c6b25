# SPDX-License-Identifier: GPL-2.0
"""The circumstances in which rows are measured: each variant is one boot of a guest.

Rows of the first one have plain names, those of another one have its name after an @.
"""
from dataclasses import dataclass, field

from measure import plan

ICOUNT = "icount"
WALL = "tcg"


@dataclass(frozen=True)
class Variant:
    name: str
    what: str
    sizes: plan.Sizes
    scenarios: list
    targets: tuple
    accelerator: str = ICOUNT
    processors: int = 1
    disks: str = "null blocksize=512"
    rounds: int = 1

    def row_id(self, row: str) -> str:
        return f"{row}@{self.name}" if self.name else row

    @property
    def instructions(self) -> bool:
        """Whether a nanosecond of its time is an instruction."""
        return self.accelerator == ICOUNT and self.processors == 1 and "completion_nsec" not in self.disks


OWN = (plan.RAW, plan.BLKSNAP, plan.TRACKER)
ALL = (plan.RAW, *plan.PEERS, plan.BLKSNAP, plan.TRACKER)
SHORT = "1500ms"  # Of virtual time.
LONG = "5s"


def quick() -> Variant:
    return Variant("", "instructions, null_blk with 512-byte sectors", plan.QUICK, plan.core_scenarios(plan.QUICK), OWN)


def full() -> list:
    sizes = plan.FULL
    return [
        Variant("", "instructions, null_blk with 512-byte sectors", sizes, plan.full_scenarios(sizes, SHORT), ALL,
                rounds=2),
        Variant("4096", "instructions, null_blk with 4096-byte sectors", sizes, plan.full_scenarios(sizes, SHORT), ALL,
                disks="null blocksize=4096"),
        Variant("ssd", "null_blk that takes 50 us for each request", sizes,
                plan.random_writes("randwrite-4k-qd1", plan.PSYNC, sizes), ALL,
                disks="null blocksize=512 completion_nsec=50000 irqmode=2"),
        Variant("busy", "null_blk that serves one request at a time, in 50 us each", sizes,
                [plan.latency_under_copying(sizes, SHORT)], ALL,
                disks="null blocksize=512 completion_nsec=50000 irqmode=2 submit_queues=1 hw_queue_depth=1"),
        Variant("two", "instructions of two processors that take turns, null_blk with 512-byte sectors", sizes,
                [*plan.random_writes("randwrite-4k-qd1", plan.PSYNC, sizes),
                 *plan.random_writes("randwrite-4k-qd32", plan.LIBAIO, sizes),
                 plan.mixed(sizes, SHORT), plan.latency_under_copying(sizes, SHORT)], ALL, processors=2, rounds=2),
        Variant("wall", "time of day, two processors, null_blk with 512-byte sectors", plan.SMALL,
                plan.full_scenarios(plan.SMALL, LONG), ALL, accelerator=WALL, processors=2, rounds=3),
        Variant("virtio", "time of day, two processors, virtio-blk", plan.SMALL,
                plan.full_scenarios(plan.SMALL, LONG), ALL, accelerator=WALL, processors=2, disks="virtio", rounds=3),
    ]
