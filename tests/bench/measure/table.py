# SPDX-License-Identifier: GPL-2.0
"""Rows as text."""

COLUMNS = (
    ("row", 34, lambda name, row: name),
    ("ratio", 7, lambda name, row: f"{row['ratio']:.3f}"),
    ("drained", 8, lambda name, row: f"{row['ratio_drained']:.3f}"),
    ("IOPS", 8, lambda name, row: f"{row['iops']:.0f}"),
    ("raw", 8, lambda name, row: f"{row['raw_iops']:.0f}"),
    ("MB/s", 7, lambda name, row: f"{row['mb_per_s']:.0f}"),
    ("mean us", 8, lambda name, row: f"{row['mean_us']:.1f}"),
    ("p50", 8, lambda name, row: f"{row['p50_us']:.1f}"),
    ("p99", 8, lambda name, row: f"{row['p99_us']:.1f}"),
    ("p99/mean", 9, lambda name, row: f"{row['p99_to_mean']:.1f}"),
    ("added", 8, lambda name, row: f"{row['added_instructions']:.0f}" if "added_instructions" in row else "-"),
    ("stored/B", 9, lambda name, row: f"{row['store_written_per_byte']:.2f}"),
)


def format_table(rows: dict) -> str:
    lines = [_line(title for title, _, _ in COLUMNS)]
    lines += [_line(cell(name, row) for _, _, cell in COLUMNS) for name, row in rows.items()]
    return "\n".join(lines)


def _line(cells) -> str:
    return "".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                   for i, (cell, (_, width, _)) in enumerate(zip(cells, COLUMNS)))
