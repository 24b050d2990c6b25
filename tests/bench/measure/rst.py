# SPDX-License-Identifier: GPL-2.0
"""Results as tables for Documentation/performance.rst."""

PEER_TITLES = {"dm-linear": "dm-linear", "dm-snapshot-4k": "dm-snap 4k", "dm-snapshot-64k": "dm-snap 64k",
               "dm-thin-64k": "dm-thin 64k"}


def format_peers(rows: dict) -> str:
    """Speeds of all targets: raw in its own unit, everything else as ratio."""
    titles = ["row", "raw", "blksnap", *PEER_TITLES.values()]
    lines = [[name, _raw_speed(row), f"{row['ratio']:.2f}",
              *(_ratio(row.get("peers", {}).get(peer)) for peer in PEER_TITLES)] for name, row in rows.items()]
    return _table(titles, lines)


def format_blksnap(rows: dict) -> str:
    """What blksnap alone does, in full."""
    titles = ["row", "raw", "blksnap", "drained", "added", "mean us", "p50", "p99", "p99 / mean", "p99 / raw"]
    lines = [[name, _raw_speed(row), f"{row['ratio']:.3f}", f"{row['ratio_drained']:.3f}",
              f"{row['added_instructions']:.0f}" if "added_instructions" in row else "",
              f"{row['mean_us']:.1f}", f"{row['p50_us']:.1f}", f"{row['p99_us']:.1f}",
              f"{row['p99_to_mean']:.1f}", f"{row['p99_to_raw']:.1f}"] for name, row in rows.items()]
    return _table(titles, lines)


def format_figures(figures: dict) -> str:
    lines = [[name, f"{figure['value']:.5g} {figure['unit']}", figure["what"].partition(";")[0]]
             for name, figure in figures.items()]
    return _table(["figure", "value", "what it is"], lines)


def _raw_speed(row: dict) -> str:
    request = row["raw_mb_per_s"] * 1e6 / row["raw_iops"]
    return f"{row['raw_iops']:.0f}/s" if request < 16384 else f"{row['raw_mb_per_s']:.0f} MB/s"


def _ratio(row: dict | None) -> str:
    return f"{row['ratio']:.2f}" if row else ""


def _table(titles: list, lines: list) -> str:
    widths = [max(len(line[i]) for line in [titles, *lines]) for i in range(len(titles))]
    rule = "  ".join("=" * max(width, 1) for width in widths)

    def text(cells: list) -> str:
        # An empty first cell would continue the row above; others may be empty.
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()

    return "\n".join([rule, text(titles), rule, *(text(line) for line in lines), rule])
