# SPDX-License-Identifier: GPL-2.0
"""What a guest boots: the root file system, a kernel, and the initramfs made for each run."""
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.paths import CACHE, VM


@dataclass(frozen=True)
class Kernel:
    """A kernel prepared by make-kernel."""

    key: str
    directory: Path

    @property
    def release(self) -> str:
        return (self.directory / "release").read_text().strip()

    @property
    def slowdown(self) -> int:
        """How many times longer tests take than on a kernel as it is shipped."""
        file = self.directory / "slowdown"
        return int(file.read_text()) if file.exists() else 1


def ensure_root(name: str = "") -> Path:
    """A root image: the common one, or that of roots/NAME; built first when it is missing or its recipe changed."""
    directory = CACHE / (f"root-{name}" if name else "root")
    subprocess.run([VM / "make-rootfs", directory, *([name] if name else [])], check=True, stdout=sys.stderr)
    return directory / "root.img"


def ensure_kernel(key: str) -> Kernel:
    """The kernel of kernels/KEY; a directory without a recipe is taken as somebody prepared it."""
    directory = CACHE / "kernels" / key
    if (VM / "kernels" / key).exists():
        subprocess.run([VM / "make-kernel", key, directory], check=True, stdout=sys.stderr)
    elif not (directory / "vmlinuz").exists():
        sys.exit(f"vm: no such kernel: {key}")
    return Kernel(key, directory)


def make_initramfs(kernel: Kernel, scratch: Path, settings: dict, command: list) -> Path:
    """The kernel's initramfs with the guest's programs and its job appended."""
    tree = scratch / "initramfs"
    job = tree / "job"
    job.mkdir(parents=True)
    _install(VM / "guest" / "initramfs-init", tree / "init")
    _install(VM / "guest" / "init", job / "init")
    (job / "settings").write_text("".join(f"{k}={shlex.quote(str(v))}\n" for k, v in settings.items()))
    (job / "job").write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
    (job / "job").chmod(0o755)

    files = subprocess.run(["find", "."], cwd=tree, check=True, capture_output=True).stdout
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=tree, check=True,
                             input=files, capture_output=True).stdout
    initramfs = scratch / "initramfs.cpio"
    initramfs.write_bytes((kernel.directory / "initramfs.cpio").read_bytes() + archive)
    return initramfs


def _install(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
    target.chmod(0o755)
