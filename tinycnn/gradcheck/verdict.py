"""Is a claimed gradient right?

The verdict is relative. Two gradients may differ by 1e-12 (in float32 by 256 units of the last
place) of the sum of the absolute values of the terms that are added up, and by the error that the
independent method itself estimates; there is no absolute tolerance. What exceeds that gets a second
opinion: both sides again, inputs and cotangents changed by roundings, to see how far rounding goes.
"""

from __future__ import annotations

import numpy as np

from tinycnn.gradcheck.elements import Jacobian, Truth, between
from tinycnn.gradcheck.kinks import Sides
from tinycnn.gradcheck.oracle import Index
from tinycnn.gradcheck.witness import Witness, dot
from tinycnn.kernels.types import Array

TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 256 * 2.0**-23}
RESOLVED = 1e-3  # relative: what is known less well is not known


class Verdict:
    """Judges gradients, and remembers how far from the truth those were that passed.

    Attributes:
        worst, compared, kinks, unresolved: as in `Report`.
    """

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.rtol = max(TOLERANCE[x.dtype] for x in witness.subject.point)
        self.worst, self.compared, self.kinks, self.unresolved = 0.0, 0, 0, 0

    # ---- all elements of a small input -----------------------------------------------------

    def is_right(self, i: int, analytic: Array, known: Jacobian, g: Array) -> bool:
        """Whether the gradient of input i for a cotangent is right at every element."""
        truth = known.gradient(g)
        terms = truth.terms.copy()
        for at in self._suspicious(analytic, truth):
            if at in known.sides:
                return False
            direction = self.witness.oracle.unit(i, at)
            spread = self.witness.spread(direction, g)
            if not abs(analytic[at] - truth.low[at]) <= truth.tolerance(self.rtol)[at] + spread:
                self.witness.confirm(direction)
                return False
            terms[at] += spread / self.rtol
        self._note(analytic, known, truth, terms)
        return all(within(sum(analytic[at] for at in tied), sides, g) for tied, sides in known.ties)

    def _suspicious(self, analytic: Array, truth: Truth) -> list[Index]:
        """The elements that are out of bounds, the worst first."""
        self.compared += analytic.size
        beyond = truth.beyond(analytic, self.rtol)
        if not beyond.any():
            return []
        order = np.argsort(-abs(analytic - truth.nearest(analytic))[beyond])
        return [tuple(row) for row in np.argwhere(beyond)[order].tolist()]

    def _note(self, analytic: Array, known: Jacobian, truth: Truth, terms: Array) -> None:
        """Remember the largest error, and what differences could not resolve."""
        smooth = ~known.kinks
        resolved = truth.error <= RESOLVED * truth.terms
        self.unresolved += int((smooth & ~resolved & (analytic != 0)).sum())
        counted = smooth & resolved & (terms > 0)
        apart = abs(analytic - truth.low)[counted] / terms[counted]
        self.worst = max(self.worst, float(apart.max(initial=0)))

    # ---- a direction in a large one --------------------------------------------------------

    def is_right_along(self, i: int, g: Array) -> bool:
        """The dot-product test of input i, along a direction drawn at random."""
        witness, oracle = self.witness, self.witness.oracle
        direction = [np.zeros(x.shape) for x in oracle.point]
        direction[i] = witness.rng.standard_normal(direction[i].shape)
        found = witness.gradients(g)
        along, error = oracle.slope(direction)
        apart = abs(float((along * g).sum()) - dot(direction, found))
        terms = float(abs(along * g).sum() + abs(direction[i] * found[i]).sum())
        tolerance = self.rtol * terms + float((error * abs(g)).sum())
        self.compared += found[i].size
        if apart <= tolerance:
            self.worst = max(self.worst, apart / terms if terms else 0)
            return True
        beside = oracle.sides(direction)
        if beside.kinked.any():
            self.kinks += 1
            return within(dot(direction, found), beside, g)
        if apart <= tolerance + witness.spread(direction, g):
            return True
        witness.confirm(direction)
        return False


def within(slope: float, sides: Sides, g: Array) -> bool:
    """Whether a slope at a kink lies between those on its two sides."""
    low, high, _, slack = between(sides, g)
    return bool(low - slack <= slope <= high + slack)
