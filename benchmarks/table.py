"""The results as a page of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.cases import GROUPS
from benchmarks.compare import SIDES, Quartiles, Row
from benchmarks.points import Point, points
from benchmarks.results import (
    DEFAULT,
    OURS,
    Results,
    share_of_limit,
    speed_up,
    speed_up_over_best,
)

UNITS = {"engine": ("µs", 1e6), "processes": ("s", 1.0), "memory": ("MB", 1e-6)}
NONE = "–"

HEAD = """# Benchmark

`make bench` writes this page. Every library has a process of its own; they take turns, one at a
time, and get the same numbers, whose results are compared first. Medians, with the quartiles in
brackets. PyTorch stands in three modes: its default, with channels last in memory, and compiled
(`torch.compile` on channels-last arrays, which has compiled before the clock starts). A ratio above
1 means that tinycnn is faster. Where a library was not asked there is a –.

A training step is forward, binary cross-entropy of the logits, the gradients set to none, backward,
SGD with momentum 0.9 and weight decay 10⁻³, and the loss as a number. Of single operations,
"forward" is without a graph, "gradients" is one backward pass by all inputs: of a convolution by
the images, the weight and the bias.

"""

TAIL = """
The last two columns are tinycnn's: the arithmetic that a case needs (a multiply-add is two
operations; nobody needs the gradient of the images) in the time it takes, or the bytes that must be
read and written once, and the share of what this machine reaches in a product of two large
matrices, or in a copy of a large array, both by NumPy with as many threads. Arrays that stay in the
caches can exceed the copy.
"""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head. Lined up for the eye."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def digits(x: float) -> str:
    """Three significant ones."""
    if x >= 100:
        return f"{x:.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3f}"


def duration(time: Quartiles | None, scale: float) -> str:
    """The median and, in brackets, the quartiles."""
    if time is None:
        return NONE
    low, median, high = (digits(t * scale) for t in time)
    return f"{median} ({low}–{high})"


def times(ratio: float | None) -> str:
    """A ratio."""
    return NONE if ratio is None else f"{ratio:.2f}"


def percent(share: float | None) -> str:
    """With one digit where it is small."""
    return NONE if share is None else f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def rate(row: Row) -> str:
    """tinycnn's arithmetic or traffic a second."""
    amount, unit = (row.case.flop, "GFLOP/s") if row.case.flop else (row.case.bytes, "GB/s")
    return f"{digits(amount / row.times[OURS].median / 1e9)} {unit}" if amount else NONE


def of_group(group: str, results: Results) -> Iterator[tuple[str, ...]]:
    """A group's head and rows."""
    rows = results.of(group)
    sides = [side for side in SIDES if any(side in row.times for row in rows)]
    unit, scale = UNITS.get(group, ("ms", 1e3))
    yield (
        "",
        *(f"{side} / {unit}" for side in sides),
        "default ÷ tinycnn",
        "best ÷ tinycnn",
        "rate",
        "of the limit",
    )
    for row in rows:
        share = share_of_limit(row, results.limits)
        yield (
            row.case.name,
            *(duration(row.times.get(side), scale) for side in sides),
            times(speed_up(row, DEFAULT)),
            times(speed_up_over_best(row)),
            rate(row),
            percent(share),
        )


def of_points(found: Sequence[Point]) -> Iterator[tuple[str, ...]]:
    """The summary's head and rows."""
    yield "", "", "found", "needed", ""
    for point in found:
        verdict = "pass" if point.reached else "**short**"
        yield str(point.number), point.text, point.found, point.needed, verdict


def troubles(results: Results) -> Iterator[str]:
    """What could not be measured, or gave other results."""
    for row in results.rows:
        for side, trouble in row.troubles.items():
            yield f"- {row.case.group}, {row.case.name}: {side}: {trouble}"


def of_machine(results: Results) -> Iterator[tuple[str, ...]]:
    """The machine's head and rows."""
    yield "", ""
    yield from results.machine.items()
    yield "matrix product", f"{digits(results.limits.flop / 1e9)} GFLOP/s in float32"
    yield "copy", f"{digits(results.limits.bytes / 1e9)} GB/s, read and written"


def page(results: Results) -> str:
    """The whole page, without pictures."""
    text = HEAD + markdown(list(of_machine(results)))
    if found := points(results):
        text += "\n## In short\n\n" + markdown(list(of_points(found)))
    for group, title in GROUPS.items():
        if results.of(group):
            text += f"\n## {title}\n\n" + markdown(list(of_group(group, results)))
    text += TAIL
    if wrong := list(troubles(results)):
        text += "\n## Troubles\n\n" + "\n".join(wrong) + "\n"
    return text
