"""The seven points the benchmark has to show, and whether it does."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import processes
from benchmarks.compare import Row
from benchmarks.results import (
    DEFAULT,
    Results,
    share_of_limit,
    speed_up,
    speed_up_over_best,
)

BEST = "PyTorch's best mode"
# By batch: how many times faster than PyTorch's default, and than its best mode.
TRAINING = {32: (4.0, 3.0), 16: (3.0, 2.5), 128: (3.0, 2.5), 1: (2.0, 1.5)}
INFERENCE = 2.0
CONVOLUTION_MEDIAN = 1.5
WARM, COLD = 3.0, 2.0
MEMORY = 0.6
OF_THE_LIMIT = 0.3


class Point(NamedTuple):
    """One thing to show: in words, what was found, what is needed, and whether it is reached."""

    number: int
    text: str
    found: str
    needed: str
    reached: bool


def at_least(number: int, text: str, found: float | None, needed: float) -> Iterator[Point]:
    """A ratio that must reach another; nothing where it was not measured."""
    if found is not None:
        yield Point(number, text, f"{found:.2f} ×", f"≥ {needed:g} ×", found >= needed)


def named(results: Results, group: str, name: str) -> Iterator[Row]:
    """The row of this name, if it was measured."""
    return (row for row in results.of(group) if row.case.name == name)


def of_networks(results: Results) -> Iterator[Point]:
    """Points 1 and 2."""
    for batch, (default, best) in TRAINING.items():
        for row in named(results, "training", f"batch {batch}"):
            text = f"training step, batch {batch}, faster than"
            yield from at_least(1, f"{text} PyTorch's default", speed_up(row, DEFAULT), default)
            yield from at_least(1, f"{text} {BEST}", speed_up_over_best(row), best)
    for row in results.of("inference"):
        text = f"inference, {row.case.name}, faster than {BEST}"
        yield from at_least(2, text, speed_up_over_best(row), INFERENCE)


def of_convolutions(results: Results) -> Iterator[Point]:
    """Point 3."""
    ratios = [r for row in results.of("convolution") if (r := speed_up_over_best(row)) is not None]
    if ratios:
        slower = sum(r < 1 for r in ratios)
        text = f"the slowest of {len(ratios)} 3×3 convolutions, against {BEST} ({slower} slower)"
        yield from at_least(3, text, min(ratios), 1)
        yield from at_least(3, "the median of them", statistics.median(ratios), CONVOLUTION_MEDIAN)
    for row in results.of("networks"):
        if "residual" in row.case.name:
            text = f"20-layer residual network, against {BEST}"
            yield from at_least(3, text, speed_up_over_best(row), 1)


def of_processes(results: Results) -> Iterator[Point]:
    """Points 4 and 5."""
    name = processes.WHOLE.name
    for state, needed in (("warm", WARM), ("cold", COLD)):
        for row in named(results, "processes", f"{name}, {state}"):
            text = f"whole process, {name}, {state}"
            yield from at_least(4, text, speed_up(row, DEFAULT), needed)
    for row in named(results, "memory", name):
        share = row.times["tinycnn"].median / row.times["PyTorch"].median
        text = "peak memory of that process, of PyTorch's"
        yield Point(5, text, f"{share:.0%}", f"≤ {MEMORY:.0%}", share <= MEMORY)


def of_the_machine(results: Results) -> Iterator[Point]:
    """Points 6 and 7."""
    for row in named(results, "training", "batch 32"):
        share = share_of_limit(row, results.limits) or 0.0
        text = "training step, batch 32, of the rate of a matrix product"
        yield Point(6, text, f"{share:.0%}", f"≥ {OF_THE_LIMIT:.0%}", share >= OF_THE_LIMIT)
    if results.weights:
        same = len(set(results.weights.values())) == 1
        counts = ", ".join(map(str, results.weights))
        found = "the same bits" if same else "different bits"
        yield Point(7, f"weights after 3 epochs with {counts} threads", found, "the same", same)


def points(results: Results) -> list[Point]:
    """All that were measured, in order."""
    parts = (of_networks, of_convolutions, of_processes, of_the_machine)
    return [point for part in parts for point in part(results)]
