"""Both sides of ⟨J v, g⟩ = ⟨v, Jᵀ g⟩, and how far rounding alone can move them.

The left side is the independent derivative along a direction v, the right side the gradients that
the code under check claims for a cotangent g. Where they differ by more than they should, a second
opinion is asked before blame falls on the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tinycnn.gradcheck import richardson
from tinycnn.gradcheck.complex_step import Unsuited
from tinycnn.gradcheck.oracle import Index, Oracle, rounded
from tinycnn.gradcheck.subject import Arrays, Subject
from tinycnn.kernels.types import Array

ROUNDINGS = 4  # re-evaluations
CAUTION = 16  # times what they differ by


class Witness:
    """The code under check and the independent derivative, asked the same questions."""

    def __init__(
        self, subject: Subject, oracle: Oracle, output: Array, rng: np.random.Generator
    ) -> None:
        self.subject, self.oracle, self.output, self.rng = subject, oracle, output, rng
        self._last: tuple[Array, list[list[Array]]] | None = None

    def cotangent(self) -> Array:
        """A cotangent drawn at random; all ones would miss much (softmax has no gradient for it).

        It lies in memory with gaps, as a part of a larger array does.
        """
        wide = self.rng.standard_normal((*self.output.shape, 2)).astype(self.output.dtype)
        return wide[..., 0]

    def units(self, most: int) -> dict[Index, Array]:
        """Cotangents that are 1 for a single output and 0 for all others, by its index."""
        y = self.output
        chosen = np.unique(np.linspace(0, y.size - 1, min(most, y.size)).astype(int))
        units: dict[Index, Array] = {}
        for flat in chosen.tolist():
            at = tuple(int(k) for k in np.unravel_index(flat, y.shape))
            units[at] = np.zeros_like(y)
            units[at][at] = 1
        return units

    def gradients(self, g: Array, point: Arrays | None = None) -> list[Array]:
        """What the code under check claims."""
        point = self.subject.point if point is None else point
        return [np.array(d) for d in self.subject.backward(point, g)]

    def left(self, direction: Arrays, g: Array, point: Arrays) -> float:
        """⟨J v, g⟩, by the independent derivative."""
        along, _ = self.oracle.slope(direction, [x.astype(np.float64) for x in point])
        return float((along * g).sum())

    def spread(self, direction: Arrays, g: Array) -> float:
        """How far both sides move by roundings: of the inputs, and inside, where a factor that is
        taken out again makes other numbers be rounded. Times a factor of caution.
        """
        left = self.left(direction, g, self.subject.point)
        here, *beside = self._claimed_at_roundings(g)
        right, apart = dot(direction, here), [0.0]
        for (point, factor), claimed in zip(self._roundings, beside, strict=True):
            turned = [factor * v for v in direction]
            apart.append(abs(dot(direction, claimed) / factor - right))
            apart.append(abs(self.left(turned, g, point) / factor - left))
        return CAUTION * float(np.nanmax(apart))

    def _claimed_at_roundings(self, g: Array) -> list[list[Array]]:
        """The gradients at the point, and at the rounded ones for g times a factor each. Those of
        the last cotangent are kept: many directions may be asked about.
        """
        if self._last is None or self._last[0] is not g:
            scaled = [((f * g).astype(g.dtype), point) for point, f in self._roundings]
            self._last = g, [self.gradients(g), *(self.gradients(h, point) for h, point in scaled)]
        return self._last[1]

    @cached_property
    def _roundings(self) -> list[tuple[list[Array], float]]:
        """Points that differ from the one under check by roundings, and factors."""
        factors = self.rng.uniform(1, 2, ROUNDINGS).tolist()
        return [(rounded(self.subject.point, self.rng), factor) for factor in factors]

    def confirm(self, direction: Arrays) -> None:
        """See that differences do not contradict the complex step.

        Raises:
            Unsuited: they do; so the function is not analytic there.
        """
        if self.oracle.method != "complex step":
            return
        along, _ = self.oracle.slope(direction)
        point, noise = self.oracle.point, self.oracle.noise
        other, error = richardson.slope(self.subject, point, direction, noise)
        if np.any(abs(along - other) > 1e-9 * abs(along) + 10 * error):
            raise Unsuited("its complex step contradicts its differences")


def dot(direction: Sequence[Array], gradients: Sequence[Array]) -> float:
    """⟨v, Jᵀ g⟩ over all inputs."""
    pairs = zip(direction, gradients, strict=True)
    return float(sum((v * d.astype(np.float64)).sum() for v, d in pairs))
