# SPDX-License-Identifier: GPL-2.0
"""From what a guest left in its results directory to rows."""
import json
from pathlib import Path
from statistics import mean, median

from measure import plan
from measure.variants import Variant

SECTOR = 512


def read_fio(path: Path) -> list:
    """The jobs of a report of fio."""
    text = path.read_text()
    # What comes before are remarks.
    return json.loads(text[text.index("{\n"):])["jobs"]


def read_job(directory: Path, name: str, row: str | None = None) -> dict:
    """One run of a job, or of one of several together: what fio measured and what the disks counted meanwhile."""
    path = directory / f"{name}.json"
    job = next(job for job in read_fio(path) if job["jobname"] == (row or "job"))
    if job["error"]:
        raise ValueError(f"{path}: fio met error {job['error']}")
    side = max((job["read"], job["write"]), key=lambda each: each["total_ios"])
    if not side["total_ios"]:
        raise ValueError(f"{path}: fio did nothing")
    run = describe_side(side)
    before = read_counters(directory / f"{name}.before")
    # What a job leaves to be done belongs to it: counted when the store had caught up, if that was awaited.
    settled = directory / f"{name}.settled"
    after = read_counters(settled if settled.exists() else directory / f"{name}.after")
    for disk, (read, written) in after.items():
        run[f"{disk}_read"] = read - before[disk][0]
        run[f"{disk}_written"] = written - before[disk][1]
    settle = directory / f"{name}.settle"
    run["settle_seconds"] = int(settle.read_text()) / 1e6 if settle.exists() else 0.0
    return run


def describe_side(side: dict) -> dict:
    seconds = (side["runtime"] - 0.5) / 1000  # fio rounds up to milliseconds.
    latency = side["lat_ns"]
    percentile = latency["percentile"]
    return {
        "seconds": seconds,
        "bytes": side["io_bytes"],
        "requests": side["total_ios"],
        "iops": side["total_ios"] / seconds,
        "mean_us": latency["mean"] / 1000,
        "p50_us": percentile["50.000000"] / 1000,
        "p99_us": percentile["99.000000"] / 1000,
        "max_us": latency["max"] / 1000,
    }


def read_counters(path: Path) -> dict:
    """Bytes read and written by disk, of lines "NAME fields of /sys/block/NAME/stat"."""
    counters = {}
    for line in path.read_text().splitlines():
        name, *fields = line.split()
        counters[name] = (int(fields[2]) * SECTOR, int(fields[6]) * SECTOR)
    return counters


def make_row(runs: list, raw_runs: list, instructions: bool) -> dict:
    """A row from the runs of a job on a target and on the raw device, one of each a round."""
    ratios = [run["iops"] / raw["iops"] for run, raw in zip(runs, raw_runs)]
    iops = median(run["iops"] for run in runs)
    raw_iops = median(run["iops"] for run in raw_runs)
    request = runs[0]["bytes"] / runs[0]["requests"]
    drained = [run["requests"] / (run["seconds"] + run["settle_seconds"]) / raw["iops"]
               for run, raw in zip(runs, raw_runs)]
    row = {
        "ratio": median(ratios),
        "ratio_drained": median(drained),
        "spread": max(ratios) - min(ratios),
        "rounds": len(runs),
        "iops": iops,
        "raw_iops": raw_iops,
        "mb_per_s": iops * request / 1e6,
        "raw_mb_per_s": raw_iops * request / 1e6,
    }
    for name in ("mean_us", "p50_us", "p99_us", "max_us"):
        row[name] = median(run[name] for run in runs)
        row[f"raw_{name}"] = median(run[name] for run in raw_runs)
    row["p99_to_mean"] = row["p99_us"] / row["mean_us"]
    row["p99_to_raw"] = median(run["p99_us"] / raw["p99_us"] for run, raw in zip(runs, raw_runs))
    if instructions:
        row["added_instructions"] = 1e9 / iops - 1e9 / raw_iops
    for name in ("store_written", "store_read", "origin_read"):
        row[f"{name}_per_byte"] = mean(run[name] / run["bytes"] for run in runs)
    row["settle_seconds"] = median(run["settle_seconds"] for run in runs)
    return row


def merge(runs: list) -> dict:
    """Repeated runs of the same work as one; they have the same number of requests."""
    merged = {name: sum(run[name] for run in runs) for name in runs[0]}
    for name in ("mean_us", "p50_us", "p99_us"):
        merged[name] /= len(runs)
    merged["max_us"] = max(run["max_us"] for run in runs)
    merged["iops"] = merged["requests"] / merged["seconds"]
    return merged


class Jobs:
    """The runs in a results directory, by target, row and round."""

    def __init__(self, directory: Path, variant: Variant):
        self._directory = directory
        self._rounds = variant.rounds
        self._steps = {row: (scenario, step) for scenario in variant.scenarios for step in scenario.steps
                       for row in step.rows()}

    def runs(self, target: str, row: str) -> list:
        """One for each round."""
        scenario, step = self._steps[row]
        name, job = (step.name, row) if isinstance(step, plan.Together) else (row, None)
        return [merge([read_job(self._directory / target / str(number), f"{name}.{repeat}", job)
                       for repeat in range(1, scenario.repeats + 1)])
                for number in range(1, self._rounds + 1)]

    def raw_runs(self, row: str) -> list:
        """What it is compared with."""
        _, step = self._steps[row]
        return self.runs(plan.RAW, step.raw_row() if isinstance(step, plan.Job) else row)


def collect(directory: Path, variant: Variant) -> dict:
    """All rows of a run, by ID; those of peers are in the row of blksnap."""
    jobs = Jobs(directory, variant)
    rows = {}
    for scenario in variant.scenarios:
        for name in scenario.rows():
            rows[variant.row_id(name)] = _collect_row(jobs, variant, scenario, name)
    return rows


def _collect_row(jobs: Jobs, variant: Variant, scenario: plan.Scenario, name: str) -> dict:
    raw = jobs.raw_runs(name)

    def row_of(target: str) -> dict:
        return make_row(jobs.runs(target, name), raw, variant.instructions)

    peers = [target for target in plan.PEERS if target in variant.targets and scenario.runs_on(target)]
    row = row_of(scenario.target)
    if peers:
        row["peers"] = {target: row_of(target) for target in peers}
    return row
