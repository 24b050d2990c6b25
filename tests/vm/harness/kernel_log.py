# SPDX-License-Identifier: GPL-2.0
"""Complaints of a kernel in its log: what must not happen, whatever a test says.

A test that provokes a complaint on purpose declares it with a regular expression; the complaint is then
forgiven with everything that the kernel prints for it.
"""
import re
from pathlib import Path

COMPLAINT = re.compile("|".join((
    r"WARNING:", r"BUG:", r"\bBUG kmalloc", r"\bBUG \S+.*: ", r"\bOops\b", r"kernel BUG at", r"Kernel panic",
    r"general protection", r"blocked for more than", r"soft lockup", r"hard LOCKUP",
    r"rcu.*\bstall", r"\blockdep\b", r"possible (circular|recursive|irq) lock", r"INFO: trying to register",
    r"suspicious RCU usage", r"inconsistent lock state", r"bad unlock balance",
    r"\bKASAN\b.*:", r"\bUBSAN\b.*:", r"\bKCSAN\b.*:", r"refcount_t:", r"waiting for \S+ to become free",
    r"Call Trace:", r"kmem_cache_destroy", r"Slab cache still has objects",
    r"scheduling while atomic", r"sleeping function called from invalid", r"unable to handle",
    r"unreferenced object", r"leaked module reference", r"unkillable task", r"kmemleak: unreferenced",
    r"new suspected memory leaks", r"leak detector disabled", r"list_(add|del) corruption", r"ODEBUG:",
    r"Bad page state",
)))

# What announces a facility contains the words of its complaints. And the kernel has data races of its own (in pipes,
# in aio): those are ours where one of the two functions that are named is.
HARMLESS = re.compile(r"lockdep (is|has|not) |Running RCU self tests|lockdep_depth|"
                      r"RCU lockdep checking is enabled|lockdep debugging|KASAN: \S+ initialized|"
                      r"kernel address sanitizer|KernelAddressSanitizer initialized|"
                      r"Command line:|Kernel command line|kcsan: (enabled|strict|non-strict|selftest)|"
                      r"BUG: KCSAN: (?!.*\[blksnap\])")

BLOCK_BEGIN = re.compile(r"\[ cut here \]")
BLOCK_END = re.compile(r"---\[ end trace ")
# A message without such marks that a trace of the stack follows, as of an allocation that failed.
TRACE_BEGIN = re.compile(r"Call Trace:")
TRACE_END = re.compile(r"</TASK>")
TRACE_DISTANCE = 4
LEAK_BEGIN = re.compile(r"kmemleak: unreferenced object")  # As guest/init writes it; what it tells is indented.
MARK = re.compile(r"vm: begin ")  # guest/run-suites says whose turn it is.
CONTEXT_LINES = 12


def forgive(lines: list, expected: list) -> list:
    """The lines without those that an expected pattern matches, or whose whole dump it matches."""
    if not expected:
        return lines
    pattern = re.compile("|".join(f"(?:{regex})" for regex in expected))
    kept = []
    for block in _blocks(lines):
        if len(block) > 1 and any(pattern.search(line) for line in block):
            continue
        kept += block
    forgiven = set()
    for number, line in enumerate(kept):
        if pattern.search(line):
            forgiven |= {number} | _trace_after(kept, number)
    return [line for number, line in enumerate(kept) if number not in forgiven]


def _trace_after(lines: list, number: int) -> set:
    """The numbers of the lines of the stack that the kernel printed for the one of this number, if it did."""
    for begin in range(number + 1, min(len(lines), number + 1 + TRACE_DISTANCE)):
        if TRACE_BEGIN.search(lines[begin]):
            for end in range(begin, len(lines)):
                if TRACE_END.search(lines[end]):
                    return set(range(begin, end + 1))
    return set()


def complaints(lines: list) -> list:
    """The numbers of the lines that complain."""
    return [number for number, line in enumerate(lines)
            if COMPLAINT.search(line) and not HARMLESS.search(line)]


def excerpt(lines: list) -> list:
    """The complaining lines, marked, with some of what stands around them and whose turn it was."""
    marked = set(complaints(lines))
    shown = []
    last = -1
    for number in sorted(marked):
        marks = [line for line in lines[max(last, 0):number] if MARK.search(line)]
        shown += ["  " + line for line in marks[-1:]]
        for around in range(max(last + 1, number - 3), min(len(lines), number + CONTEXT_LINES)):
            shown.append(("> " if around in marked else "  ") + lines[around])
            last = around
    return shown


def read(path: Path) -> list:
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def _blocks(lines: list):
    """Single lines; the dumps between a cut mark and its end, and each leaked object, as one."""
    block = []
    for line in lines:
        if block and LEAK_BEGIN.match(block[0]):
            if line.startswith("  "):
                block.append(line)
                continue
            yield block
            block = []
        begins = BLOCK_BEGIN.search(line) or LEAK_BEGIN.match(line)
        if begins and block:
            yield from ([kept] for kept in block)
            block = []
        if block or begins:
            block.append(line)
        else:
            yield [line]
        if block and BLOCK_END.search(line):
            yield block
            block = []
    if block and LEAK_BEGIN.match(block[0]):
        yield block
    else:
        yield from ([kept] for kept in block)
