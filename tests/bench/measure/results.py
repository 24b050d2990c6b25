# SPDX-License-Identifier: GPL-2.0
"""From what a guest left in its results directory to rows."""
import json
from pathlib import Path
from statistics import mean, median

SECTOR = 512


def read_job(directory: Path, row: str) -> dict:
    """One run of one job: what fio measured, and what the disks counted meanwhile."""
    text = (directory / f"{row}.json").read_text()
    # What comes before are remarks.
    job = json.loads(text[text.index("{\n"):])["jobs"][0]
    if job["error"]:
        raise ValueError(f"{directory / row}: fio met error {job['error']}")
    side = max((job["read"], job["write"]), key=lambda each: each["total_ios"])
    seconds = side["runtime"] / 1000
    latency = side["lat_ns"]
    percentile = latency["percentile"]
    run = {
        "seconds": seconds,
        "bytes": side["io_bytes"],
        "requests": side["total_ios"],
        "iops": side["total_ios"] / seconds,
        "mean_us": latency["mean"] / 1000,
        "p50_us": percentile["50.000000"] / 1000,
        "p99_us": percentile["99.000000"] / 1000,
        "max_us": latency["max"] / 1000,
    }
    before = read_counters(directory / f"{row}.before")
    # What a job leaves to be done belongs to it: counted when the store had caught up, if that was awaited.
    settled = directory / f"{row}.settled"
    after = read_counters(settled if settled.exists() else directory / f"{row}.after")
    for disk, (read, written) in after.items():
        run[f"{disk}_read"] = read - before[disk][0]
        run[f"{disk}_written"] = written - before[disk][1]
    settle = directory / f"{row}.settle"
    run["settle_seconds"] = int(settle.read_text()) / 1e6 if settle.exists() else 0.0
    return run


def read_counters(path: Path) -> dict:
    """Bytes read and written by disk, of lines "NAME fields of /sys/block/NAME/stat"."""
    counters = {}
    for line in path.read_text().splitlines():
        name, *fields = line.split()
        counters[name] = (int(fields[2]) * SECTOR, int(fields[6]) * SECTOR)
    return counters


def make_row(runs: list, raw_runs: list, instructions: bool) -> dict:
    """A row from the runs of a job on a target and on the raw device, one of each a round."""
    iops = median(run["iops"] for run in runs)
    raw_iops = median(run["iops"] for run in raw_runs)
    drained = median(run["requests"] / (run["seconds"] + run["settle_seconds"]) for run in runs)
    row = {
        "ratio": iops / raw_iops,
        "ratio_drained": drained / raw_iops,
        "iops": iops,
        "raw_iops": raw_iops,
        "mb_per_s": iops * runs[0]["bytes"] / runs[0]["requests"] / 1e6,
        "raw_mb_per_s": raw_iops * runs[0]["bytes"] / runs[0]["requests"] / 1e6,
    }
    for name in ("mean_us", "p50_us", "p99_us", "max_us"):
        row[name] = median(run[name] for run in runs)
        row[f"raw_{name}"] = median(run[name] for run in raw_runs)
    row["p99_to_mean"] = row["p99_us"] / row["mean_us"]
    ratios = [run["iops"] / raw["iops"] for run, raw in zip(runs, raw_runs)]
    row["spread"] = max(ratios) - min(ratios)
    row["rounds"] = len(runs)
    if instructions:
        row["added_instructions"] = 1e9 / iops - 1e9 / raw_iops
    _add_copying(row, runs)
    return row


def _add_copying(row: dict, runs: list) -> None:
    row["store_written_per_byte"] = mean(run["store_written"] / run["bytes"] for run in runs)
    row["store_read_per_byte"] = mean(run["store_read"] / run["bytes"] for run in runs)
    row["origin_read_per_byte"] = mean(run["origin_read"] / run["bytes"] for run in runs)
    row["settle_seconds"] = median(run["settle_seconds"] for run in runs)


def collect(directory: Path, scenarios: list, raw: str, rounds: int, instructions: bool) -> dict:
    """All rows of a run, by ID."""
    rows = {}
    for scenario in scenarios:
        for name in scenario.rows():
            def runs_on(target, name=name):
                return [read_job(directory / target / str(number), name) for number in range(1, rounds + 1)]
            rows[name] = make_row(runs_on(scenario.target), runs_on(raw), instructions)
    return rows
