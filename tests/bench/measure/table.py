# SPDX-License-Identifier: GPL-2.0
"""Rows and figures as text."""

ROW_COLUMNS = (
    ("row", 36, lambda name, row: name),
    ("ratio", 7, lambda name, row: f"{row['ratio']:.3f}"),
    ("drained", 8, lambda name, row: f"{row['ratio_drained']:.3f}"),
    ("IOPS", 8, lambda name, row: f"{row['iops']:.0f}"),
    ("raw", 8, lambda name, row: f"{row['raw_iops']:.0f}"),
    ("MB/s", 7, lambda name, row: f"{row['mb_per_s']:.0f}"),
    ("mean us", 9, lambda name, row: f"{row['mean_us']:.1f}"),
    ("p50", 9, lambda name, row: f"{row['p50_us']:.1f}"),
    ("p99", 9, lambda name, row: f"{row['p99_us']:.1f}"),
    ("p99/mean", 9, lambda name, row: f"{row['p99_to_mean']:.1f}"),
    ("p99/raw", 8, lambda name, row: f"{row['p99_to_raw']:.1f}"),
    ("added", 9, lambda name, row: f"{row['added_instructions']:.0f}" if "added_instructions" in row else "-"),
    ("stored/B", 9, lambda name, row: f"{row['store_written_per_byte']:.2f}"),
    ("spread", 7, lambda name, row: f"{row['spread']:.3f}" if row["rounds"] > 1 else "-"),
)


def format_rows(rows: dict) -> str:
    return _format(ROW_COLUMNS, rows)


def format_peers(rows: dict) -> str:
    """The ratios of all targets side by side, for the rows that have them."""
    rows = {name: row for name, row in rows.items() if "peers" in row}
    if not rows:
        return ""
    columns = [ROW_COLUMNS[0], ("blksnap", 9, lambda name, row: f"{row['ratio']:.3f}")]
    for peer in sorted({peer for row in rows.values() for peer in row["peers"]}):
        columns.append((peer, len(peer) + 2, lambda name, row, peer=peer: _ratio_of(row["peers"].get(peer))))
    return _format(columns, rows)


def format_figures(figures: dict) -> str:
    return "\n".join(f"{name:<36}{figure['value']:>12.6g} {figure['unit']:<14}{figure['what']}"
                     for name, figure in figures.items())


def _ratio_of(row: dict | None) -> str:
    return f"{row['ratio']:.3f}" if row else "-"


def _format(columns, rows: dict) -> str:
    lines = [_line(columns, (title for title, _, _ in columns))]
    lines += [_line(columns, (cell(name, row) for _, _, cell in columns)) for name, row in rows.items()]
    return "\n".join(lines)


def _line(columns, cells) -> str:
    return "".join(cell.ljust(column[1]) if i == 0 else cell.rjust(column[1])
                   for i, (cell, column) in enumerate(zip(cells, columns)))
