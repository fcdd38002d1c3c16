"""Is a claimed gradient right?

The verdict is relative. Two gradients may differ by 1e-12 (in float32 by 256 units of the last
place) of the sum of the absolute values of the terms that are added up, and by the error that the
independent method itself estimates; there is no absolute tolerance but for what is too small for
the precision to hold. What exceeds that gets a second opinion: both sides again, inputs and
cotangents changed by roundings, to see how far rounding goes.
"""

from __future__ import annotations

import numpy as np

from tinycnn.gradcheck.elements import Jacobian, Truth, between
from tinycnn.gradcheck.kinks import Sides
from tinycnn.gradcheck.oracle import Index
from tinycnn.gradcheck.richardson import typical
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
        self.worst, self.compared, self.kinks, self.unresolved = 0.0, 0, 0, 0

    def rtol(self, i: int) -> float:
        """By how much the gradient of input i may differ: what its precision or the output's, if
        that is less, can hold.
        """
        return max(TOLERANCE[x.dtype] for x in (self.witness.subject.point[i], self.witness.output))

    # ---- all elements of a small input -----------------------------------------------------

    def is_right(self, i: int, analytic: Array, known: Jacobian, g: Array) -> bool:
        """Whether the gradient of input i for a cotangent is right at every element."""
        truth, rtol = known.gradient(g), self.rtol(i)
        terms = truth.terms.copy()
        for at in self._suspicious(analytic, truth, rtol):
            if at in known.sides:
                return False
            direction = self.witness.oracle.unit(i, at)
            spread = self.witness.spread(direction, g)
            if not abs(analytic[at] - truth.low[at]) <= truth.tolerance(rtol)[at] + spread:
                self.witness.confirm(direction)
                return False
            terms[at] += spread / rtol
        self._note(analytic, known, truth, terms, rtol)
        return all(within(sum(analytic[at] for at in tied), sides, g) for tied, sides in known.ties)

    def _suspicious(self, analytic: Array, truth: Truth, rtol: float) -> list[Index]:
        """The elements that are out of bounds, the worst first."""
        self.compared += analytic.size
        beyond = truth.beyond(analytic, rtol)
        if not beyond.any():
            return []
        order = np.argsort(-abs(analytic - truth.nearest(analytic))[beyond])
        return [tuple(row) for row in np.argwhere(beyond)[order].tolist()]

    def _note(
        self, analytic: Array, known: Jacobian, truth: Truth, terms: Array, rtol: float
    ) -> None:
        """Remember the largest error, and what differences could not resolve."""
        smooth = ~known.kinks
        by_rounding = terms - truth.terms  # what a second opinion excused
        known_well = rtol * by_rounding <= RESOLVED * truth.terms
        resolved = (truth.error <= RESOLVED * truth.terms) & known_well
        self.unresolved += int((smooth & ~resolved & (analytic != 0)).sum())
        counted = smooth & resolved & (terms > 0)
        apart = abs(analytic - truth.low)[counted] / terms[counted]
        self.worst = max(self.worst, float(apart.max(initial=0)))

    # ---- a direction in a large one --------------------------------------------------------

    def is_right_along(self, i: int, g: Array) -> bool:
        """The dot-product test of input i, along a direction drawn at random.

        If there is a kink on the way, elements that are 0 or equal to others are held still for a
        second test, so that those on a kink do not excuse the others.
        """
        oracle, x = self.witness.oracle, self.witness.oracle.point[i]
        direction: list[Array] = [np.zeros(each.shape) for each in oracle.point]
        direction[i] = np.asarray(self.witness.rng.standard_normal(x.shape))
        self.compared += 1
        if self._agrees(i, direction, g):
            return True
        beside = oracle.sides(direction, typical(x))
        if not beside.kinked.any():
            self.witness.confirm(direction)
            return False
        self.kinks += 1
        if not within(dot(direction, self.witness.gradients(g)), beside, g):
            return False
        _, which, counts = np.unique(x, return_inverse=True, return_counts=True)
        alone = (counts[which].reshape(x.shape) == 1) & (x != 0)
        direction[i] = np.where(alone, direction[i], 0)
        if self._agrees(i, direction, g):
            return True
        inside = oracle.sides(direction, typical(x)).kinked.any()  # of the function, not of x
        self.unresolved += int(inside)
        return bool(inside)

    def _agrees(self, i: int, direction: list[Array], g: Array) -> bool:
        """Whether both sides of ⟨J v, g⟩ = ⟨v, Jᵀ g⟩ are the same number."""
        found = self.witness.gradients(g)
        along, error = self.witness.oracle.slope(direction)
        apart = abs(float((along * g).sum()) - dot(direction, found))
        terms = float(abs(along * g).sum() + abs(direction[i] * found[i]).sum())
        tolerance = self.rtol(i) * terms + float((error * abs(g)).sum())
        if apart <= tolerance:
            self.worst = max(self.worst, apart / terms if terms else 0)
            return True
        return apart <= tolerance + self.witness.spread(direction, g)


def within(slope: float, sides: Sides, g: Array) -> bool:
    """Whether a slope at a kink lies between those on its two sides."""
    low, high, _, slack = between(sides, g)
    return bool(low - slack <= slope <= high + slack)
