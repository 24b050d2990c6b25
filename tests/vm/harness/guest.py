# SPDX-License-Identifier: GPL-2.0
"""One run of a guest, from power on to a verdict."""
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import kernel_log, qemu
from harness.image import ensure_kernel, ensure_root, make_initramfs
from harness.paths import CACHE
from harness.stage import stage_project

KEPT_LOGS = 50
LAST_LINES = 40
GUEST_FILES = ("status", "findings", "dmesg", "expected", "console.log")


@dataclass
class Outcome:
    """How a run ended. `problems` is empty, or says what nobody may overlook."""

    status: int | None
    seconds: float
    problems: list = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        if self.status is None:
            return 124
        return self.status or (1 if self.problems else 0)


def new_log_directory(kernel: str) -> Path:
    """A fresh directory for the logs of one run; the oldest ones are removed."""
    logs = CACHE / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for old in sorted(logs.iterdir())[:-KEPT_LOGS]:
        shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=logs, prefix=time.strftime(f"%Y%m%d-%H%M%S-{kernel}-")))


def run(machine: qemu.Machine, command: list, log: Path, share: Path | None, expected: list,
        on_line) -> Outcome:
    """Runs a command in a guest; calls on_line for each line it prints."""
    _forget_older_run(log)
    settings = {"mode": "job", "module": machine.module, "patience": machine.patience}
    with _prepared(machine, command, log, share, settings) as (arguments, scratch):
        arguments += [
            "-chardev", f"socket,id=console,path=console,server=on,wait=off,logfile={log}/console.log",
            "-serial", "chardev:console", "-qmp", "unix:monitor,server=on,wait=off",
            "-device", "virtio-serial-pci", "-chardev", "stdio,id=output,signal=off",
            "-device", "virtserialport,chardev=output,name=output"]
        begin = time.monotonic()
        timed_out = _supervise(arguments, scratch, machine.timeout, on_line)
        return _judge(log, timed_out, machine.timeout, time.monotonic() - begin, expected)


def shell(machine: qemu.Machine, log: Path, share: Path | None) -> int:
    """A guest whose console is this terminal."""
    _forget_older_run(log)
    size = shutil.get_terminal_size()
    settings = {"mode": "shell", "rows": size.lines, "columns": size.columns}
    machine.append += " loglevel=4"
    with _prepared(machine, [], log, share, settings) as (arguments, scratch):
        arguments += ["-chardev", f"stdio,id=console,mux=on,signal=off,logfile={log}/console.log",
                      "-serial", "chardev:console", "-mon", "chardev=console"]
        return subprocess.run(arguments, cwd=scratch, check=False).returncode


@contextmanager
def _prepared(machine, command, log, share, settings):
    """Everything a guest needs, in a directory that goes away with it."""
    root = ensure_root(machine.root)
    kernel = ensure_kernel(machine.kernel)
    scratch_root = CACHE / "scratch"
    scratch_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch_root) as name:
        scratch = Path(name)
        if share is None:
            share = scratch / "host"
            stage_project(machine.kernel, share)
        initramfs = make_initramfs(kernel, scratch, settings, command)
        yield [
            *qemu.base_arguments(machine, kernel.directory / "vmlinuz", initramfs, root),
            *qemu.disk_arguments(scratch, machine.disks),
            *qemu.share_arguments("modules", kernel.directory / "modules", writable=False),
            *qemu.share_arguments("host", share.resolve(), writable=False),
            *qemu.share_arguments("results", log.resolve(), writable=True),
            "-append", qemu.kernel_arguments(machine)], scratch


def _forget_older_run(log: Path) -> None:
    log.mkdir(parents=True, exist_ok=True)
    for name in GUEST_FILES:
        (log / name).unlink(missing_ok=True)


def _supervise(arguments, scratch, timeout, on_line) -> bool:
    """Runs the emulator until it ends or must be killed. Return: whether it was killed."""
    expired = threading.Event()
    # The guest's port is connected only as long as the emulator's standard input is open.
    with subprocess.Popen(arguments, cwd=scratch, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          start_new_session=True) as emulator:
        def expire():
            expired.set()
            try:
                qemu.ask_for_tasks(scratch)
            except OSError:
                pass  # Then the log has to do without.
            emulator.kill()

        alarm = threading.Timer(timeout, expire)
        alarm.start()
        try:
            for line in emulator.stdout:
                on_line(line.decode(errors="replace").rstrip("\r\n"))
        except BaseException:  # Interrupted: do not leave the emulator behind.
            emulator.kill()
            raise
        finally:
            emulator.wait()
            alarm.cancel()
    return expired.is_set()


def _judge(log, timed_out, timeout, seconds, expected) -> Outcome:
    console = kernel_log.read(log / "console.log")
    dmesg = kernel_log.read(log / "dmesg") or console
    reported = kernel_log.read(log / "status")
    outcome = Outcome(int(reported[0]) if reported else None, seconds)

    if outcome.status is None:
        why = f"killed after {timeout} seconds" if timed_out else "the guest died"
        outcome.problems += [f"{why}; the last lines of its console:"]
        outcome.problems += [f"  {line}" for line in console[-LAST_LINES:]]
    expected = expected + kernel_log.read(log / "expected")
    lines = kernel_log.forgive(dmesg + kernel_log.read(log / "findings"), expected)
    shown = kernel_log.excerpt(lines)
    if shown:
        outcome.problems += ["complaints in the kernel log:", *shown]
    return outcome
