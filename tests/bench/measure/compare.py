# SPDX-License-Identifier: GPL-2.0
"""What got better or worse between two results files."""

# Rounds repeat within less than this where instructions are counted; time of day has its own spread.
NOISE = 0.005


def compare_rows(base: dict, new: dict) -> list:
    """(verdict, row, ratio before, ratio after, change) for every row of either."""
    lines = []
    for name in [*base, *(name for name in new if name not in base)]:
        if name not in new or name not in base:
            lines.append(("gone" if name in base else "new", name, base.get(name, {}).get("ratio"),
                          new.get(name, {}).get("ratio"), None))
            continue
        before, after = base[name]["ratio"], new[name]["ratio"]
        noise = max(NOISE, base[name].get("spread", 0) / before, new[name].get("spread", 0) / after)
        lines.append((verdict(after / before - 1, noise), name, before, after, after / before - 1))
    return lines


def compare_figures(base: dict, new: dict) -> list:
    """Of a figure less is better, and 2 % are noise."""
    lines = []
    for name in sorted(set(base) & set(new)):
        before, after = base[name]["value"], new[name]["value"]
        change = after / before - 1 if before else float(after != before)
        lines.append((verdict(-change, 0.02), name, before, after, change))
    return lines


def verdict(gain: float, noise: float) -> str:
    if abs(gain) <= noise:
        return "same"
    return "better" if gain > 0 else "worse"


def format_lines(lines: list) -> str:
    def number(value) -> str:
        return f"{value:10.4g}" if value is not None else f"{'-':>10}"

    return "\n".join(f"{word:<7}{name:<40}{number(before)}{number(after)}"
                     + (f"{change:+9.1%}" if change is not None else "") for word, name, before, after, change in lines)
