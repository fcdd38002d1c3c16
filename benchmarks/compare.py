"""Times of several libraries, taken in turns.

Each library has a process of its own, since thread pools in one disturb each other. They are asked
one at a time: a round measures every side once, and the rounds begin with another side each, so
that what the machine does besides meets all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.cases import Case
from benchmarks.player import Player, Trouble
from benchmarks.task import agree

# The columns of the tables: whose process, and in which mode.
SIDES = {
    "tinycnn": ("tinycnn", ""),
    "PyTorch": ("pytorch", "eager"),
    "channels-last": ("pytorch", "channels-last"),
    "compiled": ("pytorch", "compiled"),
    "JAX": ("jax", ""),
    "MyGrad": ("mygrad", ""),
    "machine": ("machine", ""),
}
REFERENCE = "PyTorch"  # whose results the others' must be
LEAST_ROUNDS = 3


class Effort(NamedTuple):
    """How long to measure: rounds, and the seconds a side gets in each."""

    rounds: int
    seconds: float


class Quartiles(NamedTuple):
    """The middle half of the times, in seconds."""

    low: float
    median: float
    high: float


class Row(NamedTuple):
    """What was measured of a case.

    Attributes:
        times: by side.
        troubles: why a side has no times, or wrong results.
    """

    case: Case
    times: dict[str, Quartiles]
    troubles: dict[str, str]


class Players:
    """The libraries' processes, started when they are first needed."""

    def __init__(self) -> None:
        self.processes: dict[str, Player] = {}

    def ask(self, side: str, do: str, **order: Any) -> Any:
        """Give a side's process an order; a new process if the last has ended."""
        library, mode = SIDES[side]
        player = self.processes.get(library)
        if player is None or player.process.poll() is not None:
            player = self.processes[library] = Player(library)
        return player.ask(do, mode=mode, **order)

    def prepare(self, case: Case, sides: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Make every side ready for a case: those that are, and what is wrong with others."""
        results: dict[str, list[list[float]]] = {}
        troubles: dict[str, str] = {}
        for side in sides:
            try:
                results[side] = self.ask(side, "prepare", kind=case.kind, sizes=case.sizes)
            except Trouble as trouble:
                troubles[side] = str(trouble)
        expected = results.get(REFERENCE, [])
        for side, found in results.items():
            if expected and found and not agree(expected, found):
                troubles[side] = f"its results are not {REFERENCE}'s"
        return list(results), troubles

    def measure(self, case: Case, sides: Sequence[str], effort: Effort) -> Row:
        """Time a case on all sides in turns."""
        ready, troubles = self.prepare(case, sides)
        times: dict[str, list[float]] = {side: [] for side in ready}
        for round in range(effort.rounds):
            first = round % max(1, len(ready))
            for side in ready[first:] + ready[:first]:
                if side in times and not enough(times[side], round, effort):
                    try:
                        times[side] += self.ask(side, "measure", seconds=effort.seconds)
                    except Trouble as trouble:
                        troubles[side] = str(trouble)
                        del times[side]
        for side in times:
            self.ask(side, "forget")
        found = {side: quartiles(taken, case.operations) for side, taken in times.items()}
        return Row(case, found, troubles)

    def close(self) -> None:
        """Let all processes end."""
        for player in self.processes.values():
            player.close()
        self.processes.clear()


def enough(times: Sequence[float], round: int, effort: Effort) -> bool:
    """Whether a side whose calls are long has had its time before the last round."""
    return round >= LEAST_ROUNDS and sum(times) > effort.rounds * effort.seconds


def quartiles(times: Sequence[float], operations: int = 1) -> Quartiles:
    """Of the times of one operation."""
    return Quartiles(*(float(q) / operations for q in np.percentile(times, (25, 50, 75))))
