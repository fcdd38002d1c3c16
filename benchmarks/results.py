"""Everything one run has measured, and how sides compare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cases import PYTORCH
from benchmarks.compare import Row

OURS, DEFAULT = "tinycnn", "PyTorch"


class Limits(NamedTuple):
    """What the machine can do: floating-point operations and bytes a second."""

    flop: float
    bytes: float


class Results(NamedTuple):
    """One run.

    Attributes:
        machine: what it ran on.
        rows: what was measured, in order.
        weights: a digest of the weights after some epochs, by number of threads.
    """

    machine: dict[str, str]
    limits: Limits
    rows: list[Row]
    weights: dict[int, str]

    def of(self, *groups: str) -> list[Row]:
        """The rows of these groups in which tinycnn was measured."""
        return [row for row in self.rows if row.case.group in groups and OURS in row.times]


def limits_of(rows: list[Row]) -> Limits:
    """The best that was seen of each."""
    flop = [row.case.flop / row.times["machine"].median for row in rows]
    bytes = [row.case.bytes / row.times["machine"].median for row in rows]
    return Limits(max(flop), max(bytes))


def speed_up(row: Row, side: str) -> float | None:
    """How many times as long as tinycnn a side takes."""
    if side not in row.times or OURS not in row.times:
        return None
    return row.times[side].median / row.times[OURS].median


def speed_up_over_best(row: Row) -> float | None:
    """The same for the best of PyTorch's modes."""
    ratios = [r for side in PYTORCH if (r := speed_up(row, side)) is not None]
    return min(ratios, default=None)


def share_of_limit(row: Row, limits: Limits) -> float | None:
    """How much of the machine's limit tinycnn reaches: of its matrix product, or of its copy."""
    least = max(row.case.flop / limits.flop, row.case.bytes / limits.bytes)
    return least / row.times[OURS].median if least and OURS in row.times else None


def as_json(results: Results) -> str:
    """A line a row; times in seconds (memory in bytes) as lower quartile, median, upper one."""

    def rounded(numbers: Any) -> list[float]:
        return [float(f"{x:.4g}") for x in numbers]

    def lines() -> Iterator[str]:
        for row in results.rows:
            times = {side: rounded(q) for side, q in row.times.items()}
            shown = {"group": row.case.group, "name": row.case.name, "times": times}
            yield json.dumps(shown | ({"troubles": row.troubles} if row.troubles else {}),
                             ensure_ascii=False)  # fmt: skip

    head = {
        "machine": results.machine,
        "limits": dict(zip(Limits._fields, rounded(results.limits), strict=True)),
        "weights": results.weights,
    }
    text = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
    return text + ',\n "rows": [\n  ' + ",\n  ".join(lines()) + "\n ]\n}\n"


def write_json(results: Results, path: Path) -> None:
    """To a file."""
    path.write_text(as_json(results), "utf-8")
