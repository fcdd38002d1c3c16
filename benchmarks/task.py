"""What the side of a library makes of a case: something to call, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.networks import Array, Shape

SAMPLES = 200  # numbers of each result that travel to the comparison
CHAIN = 50  # operations in a row, to time the engine


class Task(NamedTuple):
    """A case, ready to be timed.

    Attributes:
        call: does the work once.
        results: does it too, without what is left to chance; gives arrays that must be the same
            from every library. None at all where a library cannot do without chance.
    """

    call: Callable[[], Any]
    results: Callable[[], Iterable[Array]]


def noise(shape: Shape, seed: int = 0) -> Array:
    """Numbers from a normal distribution, float32, the same in every library's process."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def labels(batch: int) -> Array:
    """Zeros and ones, (batch, 1) float32."""
    return (noise((batch, 1), seed=1) > 0).astype(np.float32)


def change(before: Iterable[Array], after: Iterable[Array]) -> Array:
    """By how much a step has changed the parameters, all in one row. A bias before batch
    normalisation has a gradient of rounding errors alone, which vanish among the others.
    """
    return np.concatenate([(b - a).ravel() for a, b in zip(before, after, strict=True)])


def sample(arrays: Iterable[Array]) -> list[list[float]]:
    """Some elements of each array, evenly spread."""
    picked = []
    for array in arrays:
        flat = np.asarray(array, np.float64).ravel()
        picked.append(flat[:: max(1, flat.size // SAMPLES)].tolist())
    return picked


def agree(ours: list[list[float]], theirs: list[list[float]], tolerance: float = 1e-2) -> bool:
    """Whether two samples are roughly the same: the rounding of float32 grows on the way back
    through many layers, to half a percent after sixteen.
    """
    for a, b in zip(ours, theirs, strict=True):
        if len(a) != len(b):
            return False
        largest = max((abs(x) for x in a), default=0.0)
        difference = max((abs(x - y) for x, y in zip(a, b, strict=True)), default=0.0)
        if not difference <= tolerance * largest:
            return False
    return True
