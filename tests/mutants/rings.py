# SPDX-License-Identifier: GPL-2.0
"""Rings: build the unit tests and the simulator in a copy of the tree, and run what make check runs of them."""
import os
import re
import signal
import subprocess
from pathlib import Path

SOURCES = ("Makefile", "include", "uapi", "src/core", "tests/unit", "tests/sim")
UNIT = "build/unit/asan/unit"
THREADS = "build/unit/tsan/unit"
SIM = "build/sim/sim"

# Seconds after which a step has hung. Even the longest takes a fraction of this.
BUILD_LIMIT = 900
UNIT_LIMIT = 300
SIM_LIMIT = 900


class Broken(Exception):
    """What has nothing to do with the tests: no build, no tree."""


def prepare(root: Path, base: Path, jobs: int):
    """A copy of the sources, built. Objects of the last time are used again."""
    base.mkdir(parents=True, exist_ok=True)
    _run(["rsync", "-aR", "--delete", *SOURCES, f"{base}/"], root, "copying the sources")
    _make(base, jobs, UNIT, THREADS, SIM)


def prove(base: Path, histories: int):
    """Without a mutant nothing may fail, or what fails with one proves nothing."""
    for ring, command in (("unit", [UNIT]), ("threads", _threads_command())):
        _expect_nothing(_run_unit(base, ring, command))
    for steps in _sim_steps(histories):
        _expect_nothing(_run_sim(base, steps))


def _expect_nothing(failure: str):
    if failure:
        raise Broken(f"{failure} fails without a mutant")


def reset(base: Path, tree: Path):
    """The tree as the base is: sources, objects and their times."""
    tree.mkdir(parents=True, exist_ok=True)
    _run(["rsync", "-a", "--delete", f"{base}/", f"{tree}/"], base, "copying the tree")


def kill(tree: Path, histories: int) -> str:
    """Builds and runs, cheapest first. Return: what failed, or nothing if all passed."""
    before = {program: _stamp(tree / program) for program in (UNIT, THREADS)}
    _make(tree, 1, UNIT)
    if _stamp(tree / UNIT) != before[UNIT]:
        failure = _run_unit(tree, "unit", [UNIT])
        if failure:
            return failure
    _make(tree, 1, SIM)
    for steps in _sim_steps(histories):
        failure = _run_sim(tree, steps)
        if failure:
            return failure
    _make(tree, 1, THREADS)
    if _stamp(tree / THREADS) != before[THREADS]:
        return _run_unit(tree, "threads", _threads_command())
    return ""


def _threads_command() -> list:
    return ["setarch", "-R", THREADS, "--gtest_filter=-*_death.*"]


def _sim_steps(histories: int):
    """Parts of check-sim in the order of what they cost. The last one holds most of the others."""
    one = ["--failures", "1", "--jobs", "1", "--first-seed", "1"]
    yield ["--cases", "--histories", "3", *one]
    yield ["--histories", "150", *one]
    yield ["--seeds", "tests/sim/seeds", "--failures", "1", "--jobs", "1"]
    yield ["--cases", "--histories", "30", *one]
    yield ["--histories", str(min(1500, histories)), *one]
    yield ["--sweep", "allocations", "--histories", "3", *one]
    yield ["--sweep", "user-accesses", "--histories", "3", *one]
    yield ["--histories", str(histories), "--with-cases", "100", *one,
           *(["--require-marks"] if histories >= 10000 else [])]


def _run_unit(tree: Path, ring: str, command: list) -> str:
    status, output = _capture([*command, "--gtest_brief=1", "--gtest_fail_fast"], tree, UNIT_LIMIT)
    if status == 0:
        return ""
    failed = re.findall(r"^\[  FAILED  \] (\S+?)(?:,| |$)", output, re.MULTILINE)
    if failed:
        return f"{ring} {failed[0]}"
    begun = re.findall(r"^\[ RUN      \] (\S+)", _capture(command, tree, UNIT_LIMIT)[1], re.MULTILINE)
    return f"{ring} {begun[-1] if begun else ''} ({_words_for(status)})"


def _run_sim(tree: Path, arguments: list) -> str:
    status, output = _capture([SIM, *arguments], tree, SIM_LIMIT)
    if status == 0:
        return ""
    failed = re.search(r"^FAILED seed (\d+) \[([\w-]+)\](?:.*?\n)+?  replay: .*", output, re.MULTILINE)
    if not failed:
        missed = re.findall(r"^  not reached: (.*)$", output, re.MULTILINE)
        return f"sim: rare branch not reached: {missed[0]}" if missed else f"sim ({_words_for(status)})"
    case = re.search(r"--case ([\w-]+)", failed[0])
    what = f"case {case[1]}" if case else " ".join(["sweep"] * ("--sweep" in arguments) + ["seed", failed[1]])
    return f"sim {what} [{failed[2]}]"


def _words_for(status) -> str:
    if status is None:
        return "does not end"
    return f"signal {-status}" if status < 0 else f"status {status}"


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def _make(tree: Path, jobs: int, *targets):
    for makefile, wanted in (("tests/unit/unit.mk", [t for t in targets if "/unit/" in t]),
                             ("tests/sim/sim.mk", [t for t in targets if "/sim/" in t])):
        if wanted:
            _run(["make", "-f", makefile, f"-j{jobs}", *wanted], tree, "the build", BUILD_LIMIT)


def _run(command: list, directory: Path, what: str, limit: int = 300):
    status, output = _capture(command, directory, limit)
    if status != 0:
        raise Broken(f"{what} fails ({_words_for(status)}):\n{output[-2000:]}")


def _capture(command: list, directory: Path, limit: int) -> tuple:
    """Status (None: it did not end) and output. What it has started ends with it."""
    with subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            output = process.communicate(timeout=limit)[0]
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0]
            status = None
    return status, output.decode("utf-8", "replace")
