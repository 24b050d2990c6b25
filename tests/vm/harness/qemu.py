# SPDX-License-Identifier: GPL-2.0
"""The emulator's command line, and questions to a running emulator.

Emulation (TCG) is the default also where /dev/kvm opens: nested KVM often hangs stock kernels early.
"""
import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

QEMU = "qemu-system-x86_64"

# Without the first two features copying in the emulated kernel is three to four times quicker. With five levels of page
# tables a kernel with KASAN (6.1) takes its own memory for a wild address if an interrupt comes while it looks at
# the features of its first CPU.
TCG_CPU = "max,erms=off,fsrm=off,la57=off"
# For an AMD processor of the emulated family the kernel copies with a loop of plain moves, three to four
# times the instructions of the string moves that it uses on everything built since 2008. Where
# instructions are time, that would drown what is measured.
ICOUNT_CPU = f"{TCG_CPU},vendor=GenuineIntel"

# Where instructions are time, several CPUs take turns in one thread of the emulator: each gets its share of
# the time until the next timer of the emulator is due. This one, of a network that nobody uses, is due
# every 10 us, and so turns are short against what is measured.
TURNS = ["-netdev", "hubport,id=turns,hubid=0",
         "-object", "filter-buffer,id=turn,netdev=turns,queue=rx,interval=10"]

# One CPU until the devices are found (guest/init starts the others): with parallel emulation QEMU 10 may
# die of an assertion (iotlb_to_section, msix_table_mmio_write) when another CPU runs while the kernel
# sizes and moves the address ranges of PCI devices.
#
# A busy machine may stop a virtual CPU for seconds: the watchdogs get more patience than by default.
# An oops ends the guest at once: what comes after it says nothing, and may hang until the timeout.
KERNEL_ARGUMENTS = ("console=ttyS0 no_timer_check watchdog_thresh=30 "
                    "maxcpus=1 rcupdate.rcu_cpu_stall_timeout=60 log_buf_len=16M printk.devkmsg=on "
                    "sysrq_always_enabled oops=panic panic=-1 net.ifnames=0")


@dataclass
class Machine:
    """What a guest is made of."""

    kernel: str = "6.1"
    smp: int = 2
    memory: str = "2G"
    disks: list = field(default_factory=list)
    timeout: int = 300
    append: str = ""
    module: str = "blksnap"  # Must be removable after the job.
    root: str = ""  # The root file system with the packages of roots/NAME.
    patience: int = 30  # Seconds that killing a task or removing the module may take.
    accelerator: str = "tcg"  # or kvm, or icount
    extra: list = field(default_factory=list)  # Further arguments of the emulator.


def kernel_arguments(machine: Machine) -> str:
    """The emulator's time stamp counters agree, but the kernel does not believe that of several CPUs of this kind. It
    would take the time from the HPET, and leave the emulated code for each look at it."""
    clock = "tsc=reliable " if machine.accelerator == "tcg" else ""
    return f"{KERNEL_ARGUMENTS} {clock}{machine.append}"


def accelerator_arguments(machine: Machine) -> list:
    if machine.accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host", "-smp", str(machine.smp)]
    if machine.accelerator == "icount":
        # Virtual time is the number of instructions: runs repeat whatever else the host does.
        return ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", ICOUNT_CPU,
                "-smp", str(machine.smp), *(TURNS if machine.smp > 1 else [])]
    # Before QEMU 10, parallel emulation runs stale code after the kernel patched its text.
    thread = "multi" if major_version() >= 10 else "single"
    return ["-accel", f"tcg,thread={thread}", "-cpu", TCG_CPU, "-smp", str(machine.smp)]


def major_version() -> int:
    banner = subprocess.run([QEMU, "--version"], check=True, capture_output=True, text=True).stdout
    return int(re.search(r"version (\d+)", banner)[1])


def disk_arguments(scratch: Path, sizes: list) -> list:
    """Extra disks vdb, vdc ... with serial numbers disk1, disk2 ...; sparse, gone after the run."""
    arguments = []
    for number, size in enumerate(sizes, start=1):
        image = scratch / f"disk{number}.img"
        subprocess.run(["truncate", "-s", size, image], check=True)
        arguments += [
            "-drive", f"if=none,id=disk{number},file={image},format=raw,cache=unsafe,discard=unmap",
            "-device", f"virtio-blk-pci,drive=disk{number},serial=disk{number}"]
    return arguments


def share_arguments(tag: str, path: Path, writable: bool) -> list:
    readonly = "off" if writable else "on"
    return ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap,"
                      f"readonly={readonly}",
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def base_arguments(machine: Machine, kernel: Path, initramfs: Path, root: Path) -> list:
    return [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "q35",
            *accelerator_arguments(machine), "-m", machine.memory, "-device", "virtio-rng-pci",
            "-kernel", str(kernel), "-initrd", str(initramfs),
            "-drive", f"if=none,id=root,file={root},format=raw,readonly=on",
            "-device", "virtio-blk-pci,drive=root,serial=root", *machine.extra]


def ask_for_tasks(directory: Path) -> None:
    """Makes a guest's kernel log its blocked tasks and what its CPUs do, if it still can.

    A break on the serial line followed by a letter is the keyboard's SysRq.
    """
    for letter in b"wl":
        with _connect(directory / "monitor") as monitor, _connect(directory / "console") as console:
            _command(monitor, "qmp_capabilities")
            _command(monitor, "chardev-send-break", id="console")
            console.sendall(bytes([letter]))
            time.sleep(2)


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(str(path))
    return connection


def _command(monitor: socket.socket, name: str, **arguments) -> None:
    monitor.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
    while b'"return"' not in monitor.recv(65536):
        pass
