# SPDX-License-Identifier: GPL-2.0
"""Counting tests in the output of test programs: TAP, or the console of GoogleTest.

Silence is not success: output without a plan, with fewer tests than planned, or that stops in the middle
counts as a failure.
"""
import re
from collections import deque
from dataclasses import dataclass, field

TAP_RESULT = re.compile(r"(not )?ok\b\s*(\d+)?\s*(?:- )?(.*)")
TAP_PLAN = re.compile(r"1\.\.(\d+)\s*(#\s*SKIP.*)?", re.IGNORECASE)
TAP_SKIP = re.compile(r"#\s*SKIP\b", re.IGNORECASE)
TAP_TODO = re.compile(r"#\s*TODO\b", re.IGNORECASE)
GTEST_RUNNING = re.compile(r"\[==========\] Running (\d+) tests?")
GTEST_RAN = re.compile(r"\[==========\] (\d+) tests? from .* ran\.")
GTEST_COUNT = re.compile(r"\[  (PASSED  |FAILED  |SKIPPED )\] (\d+) tests?(?:\.|, listed below)")

EXIT_SKIPPED = 4  # The convention of kselftest.
MOST_REMARKS = 12


@dataclass
class Totals:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    problems: list = field(default_factory=list)

    def add(self, other: "Totals") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.problems += other.problems

    def fail(self, problem: str) -> None:
        """Counts something that is no test of its own as a failed one."""
        self.failed += 1
        self.problems.append(problem)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


class Source:
    """The output of one program, line by line, then its exit status if that is known."""

    def __init__(self, name: str):
        self.name = name
        self.totals = Totals()
        self._planned = None
        self._seen = 0
        self._gtest_running = 0
        self._gtest_ran = False
        self._is_gtest = False
        # What a test said before its result, for whoever has only the summary.
        self._remarks = deque(maxlen=MOST_REMARKS)

    def feed(self, line: str) -> None:
        if line.startswith("[=========="):
            self._is_gtest = True
        if self._is_gtest:
            self._feed_gtest(line)
        else:
            self._feed_tap(line)

    def finish(self, status: int = 0) -> Totals:
        if self._is_gtest:
            if self._gtest_running or not self._gtest_ran:
                self._fail("stopped in the middle")
        else:
            self._finish_tap()
        skipped_all = status == EXIT_SKIPPED and self.totals.passed == 0
        if status and not skipped_all and not self.totals.failed:
            self._fail(f"exit status {status}")
        return self.totals

    def _feed_tap(self, line: str) -> None:
        if line.startswith("TAP version") and self._planned is not None:
            self._finish_tap()
            self._planned, self._seen = None, 0
        elif line.startswith("Bail out!"):
            self._fail(line)
        elif plan := TAP_PLAN.fullmatch(line):
            self._feed_plan(int(plan[1]), bool(plan[2]))
        elif result := TAP_RESULT.fullmatch(line):
            self._seen += 1
            self._feed_result(bool(result[1]), result[3])
            self._remarks.clear()
        elif line.lstrip().startswith("# "):
            self._remarks.append(line.strip())

    def _feed_plan(self, planned: int, skipped: bool) -> None:
        if self._planned is not None:
            self._fail("has two plans")
        self._planned = planned
        if planned == 0 and skipped:
            self.totals.skipped += 1

    def _feed_result(self, failed: bool, name: str) -> None:
        if TAP_SKIP.search(name) or (failed and TAP_TODO.search(name)):
            self.totals.skipped += 1
        elif failed:
            self._fail("\n    ".join([f"not ok {self._seen} - {name}", *self._remarks]))
        else:
            self.totals.passed += 1

    def _finish_tap(self) -> None:
        if self._planned is None:
            self._fail("ended without a plan" if self._seen else "printed no test results")
        elif self._planned != self._seen:
            self._fail(f"planned {self._planned} tests, ran {self._seen}")
        elif self._planned == 0 and not self.totals.skipped:
            self._fail("planned no tests")

    def _feed_gtest(self, line: str) -> None:
        if running := GTEST_RUNNING.match(line):
            self._gtest_running += int(running[1])
        elif ran := GTEST_RAN.match(line):
            # A brief report does not say when it begins, but always how it ends.
            self._gtest_running = max(0, self._gtest_running - int(ran[1]))
            self._gtest_ran = True
        elif count := GTEST_COUNT.match(line):
            kind = count[1].strip()
            if kind == "PASSED":
                self.totals.passed += int(count[2])
            elif kind == "SKIPPED":
                self.totals.skipped += int(count[2])
            else:
                self.totals.failed += int(count[2])
                self.totals.problems.append(f"{self.name}: {count[2]} failed")

    def _fail(self, problem: str) -> None:
        self.totals.fail(f"{self.name}: {problem}")
