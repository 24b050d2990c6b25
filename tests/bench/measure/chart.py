# SPDX-License-Identifier: GPL-2.0
"""The ratios as a picture: one group of bars for each row, blksnap and its peers, the raw device being 1."""
from html import escape

LEFT, TOP, WIDTH, RIGHT = 300, 60, 640, 60
BAR, GAP = 9, 10
LIMIT = 1.2  # Of the axis; longer bars are cut, and their number tells.
COLORS = {"blksnap": "#1b6ca8", "tracker": "#1b6ca8", "dm-linear": "#b8b8b8", "dm-snapshot-4k": "#d98c3f",
          "dm-snapshot-64k": "#e8c07d", "dm-thin-64k": "#7aa874"}


def bars_of(row: dict) -> list:
    """(name, ratio) of blksnap first, then of its peers."""
    return [("blksnap", row["ratio"])] + [(name, peer["ratio"]) for name, peer in row.get("peers", {}).items()]


def draw(rows: dict) -> str:
    y = TOP
    body = []
    for name, row in rows.items():
        bars = bars_of(row)
        body.append(_text(LEFT - 8, y + BAR * len(bars) / 2 + 4, name, anchor="end"))
        for target, ratio in bars:
            body += _bar(y, target, ratio)
            y += BAR
        y += GAP
    height = y + 20
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
             f'font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="white"/>']
    return "\n".join([*lines, *_legend(rows), *_axis(y), *body, "</svg>"]) + "\n"


def _bar(y: int, target: str, ratio: float) -> list:
    length = min(ratio, LIMIT) / LIMIT * WIDTH
    return [f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 1}" fill="{COLORS.get(target, "#555")}">'
            f'<title>{escape(target)} {ratio:.3f}</title></rect>',
            _text(LEFT + length + 3, y + BAR - 1.5, f"{ratio:.2f}", size=8)]


def _axis(bottom: int) -> list:
    lines = []
    for tenth in range(0, int(LIMIT * 10) + 1, 2):
        x = LEFT + tenth / 10 / LIMIT * WIDTH
        color = "#444" if tenth == 10 else "#ddd"
        lines += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}" stroke="{color}"/>',
                  _text(x, TOP - 10, f"{tenth / 10:.1f}", anchor="middle")]
    return lines


def _legend(rows: dict) -> list:
    names = list(dict.fromkeys(name for row in rows.values() for name, _ in bars_of(row)))
    lines = [_text(10, 20, "Speed with a snapshot, the raw device being 1.0", size=14)]
    for i, name in enumerate(names):
        x = LEFT + i * 120
        lines += [f'<rect x="{x}" y="28" width="10" height="10" fill="{COLORS.get(name, "#555")}"/>',
                  _text(x + 14, 37, name)]
    return lines


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
