"""What the gradients of small inputs should be, element by element."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from tinycnn.gradcheck.kinks import Sides
from tinycnn.gradcheck.oracle import Index, Oracle
from tinycnn.kernels.types import Array

AROUND = 1e-6  # relative: how well the slopes beside a kink are known


@dataclass(frozen=True)
class Truth:
    """What one input's gradient X should be for one cotangent.

    Attributes:
        low, high: X each, the bounds; they are equal but for elements on a kink.
        terms: X, the sum of the absolute values of what is added up.
        error: X, by how much the bounds are uncertain, apart from rounding.
    """

    low: Array
    high: Array
    terms: Array
    error: Array

    def beyond(self, analytic: Array, rtol: float) -> Array:
        """X, true where a claimed gradient is out of bounds; a NaN always is."""
        tolerance = self.tolerance(rtol)
        inside = (self.low - tolerance <= analytic) & (analytic <= self.high + tolerance)
        wrong: Array = ~inside
        return wrong

    def tolerance(self, rtol: float) -> Array:
        """X, by how much a claimed gradient may be out of bounds."""
        tolerance: Array = rtol * self.terms + self.error
        return tolerance

    def nearest(self, analytic: Array) -> Array:
        """X, what comes nearest to a claimed gradient and is right."""
        return np.clip(np.where(np.isnan(analytic), self.low, analytic), self.low, self.high)


@dataclass(frozen=True)
class Jacobian:
    """What is known of the derivative of an output Y by one input X.

    Attributes:
        kinks: X, true for elements on a kink.
        slopes: (*X, *Y), of each output along each element; 0 for those on a kink.
        errors: (*X, *Y), the method's estimate of their errors.
        sides: the slopes to the left and right of those elements that are on a kink.
        ties: sets of such elements that have the same value, and the slopes if they are moved
            together: two equal largest elements that rise together raise the maximum.
    """

    kinks: Array
    slopes: Array
    errors: Array
    sides: dict[Index, Sides]
    ties: list[tuple[list[Index], Sides]]

    def gradient(self, g: Array) -> Truth:
        """The gradient for a cotangent."""
        value = np.tensordot(self.slopes, g, g.ndim)
        terms = np.tensordot(abs(self.slopes), abs(g), g.ndim)
        error = np.tensordot(self.errors, abs(g), g.ndim)
        error = np.where(np.isnan(error), np.inf, error)  # ∞ · 0: nothing is known
        low, high = value.copy(), value.copy()
        for at, sides in self.sides.items():
            low[at], high[at], terms[at], error[at] = between(sides, g)
        return Truth(low, high, terms, error)


def between(sides: Sides, g: Array) -> tuple[float, float, float, float]:
    """The least and largest product of a cotangent with slopes between those of the two sides, the
    sum of the absolute values of its terms, and how uncertain it is.
    """
    both = np.where(g == 0, 0, np.stack([g * sides.left, g * sides.right]))
    terms = float(abs(both).max(0).sum())
    return float(both.min(0).sum()), float(both.max(0).sum()), terms, AROUND * terms


def jacobian(oracle: Oracle, i: int) -> Jacobian:
    """Go through the elements of input i."""
    x, y = oracle.point[i], oracle.y
    slopes, errors = (np.zeros((*x.shape, *y.shape)) for _ in range(2))
    kinks, sides = np.zeros(x.shape, bool), {}
    for at in np.ndindex(x.shape):
        direction = oracle.unit(i, at)
        if oracle.across.kinked.any():
            beside = oracle.sides(direction, oracle.size(i, at))
            if beside.kinked.any():
                kinks[at], sides[at] = True, beside
                continue
        slopes[at], errors[at] = oracle.slope(direction)
    return Jacobian(kinks, slopes, errors, sides, _ties(oracle, i, list(sides)))


def _ties(oracle: Oracle, i: int, kinked: list[Index]) -> list[tuple[list[Index], Sides]]:
    """Elements on a kink in sets of the same value, and the slopes for each set together."""
    sets: dict[float, list[Index]] = defaultdict(list)
    for at in kinked:
        sets[float(oracle.point[i][at])].append(at)
    return [
        (tied, oracle.sides(oracle.unit(i, *tied), oracle.size(i, tied[0])))
        for tied in sets.values()
        if len(tied) > 1
    ]
