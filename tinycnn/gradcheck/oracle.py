"""The independent derivative of a subject at its point, in float64."""

from __future__ import annotations

from functools import cached_property
from typing import TypeAlias

import numpy as np

from tinycnn.gradcheck import complex_step, kinks, richardson
from tinycnn.gradcheck.complex_step import Unsuited
from tinycnn.gradcheck.kinks import Sides
from tinycnn.gradcheck.richardson import typical
from tinycnn.gradcheck.subject import Arrays, Subject
from tinycnn.kernels.types import Array

Index: TypeAlias = tuple[int, ...]

TINY = 1e-9  # a step for functions that change fast, far from 0
SINGLE = 2.0**-24  # relative: half of the last place of a float32 number


class Oracle:
    """Slopes of a subject's output along directions in the space of its inputs.

    Attributes:
        point: the inputs in float64.
        y: the output there.
    """

    def __init__(self, subject: Subject, method: str, rng: np.random.Generator) -> None:
        self.subject, self.method, self.rng = subject, method, rng
        self.point = [x.astype(np.float64) for x in subject.point]
        self.y = subject.forward(self.point)
        # what is smaller cannot be held by numbers of the inputs' precision
        self.underflow = max(float(np.finfo(x.dtype).tiny) for x in subject.point)

    @cached_property
    def noise(self) -> Array:
        """By how much the output is uncertain for roundings alone."""
        points = [rounded(self.point, self.rng) for _ in range(2)]
        apart = np.maximum(*map(self._apart, points))
        eps = float(np.finfo(np.float64).eps)
        if self._changed(points[0]) and not apart.any():  # does it compute in float32 inside?
            coarse = self._apart([x * (1 + SINGLE) for x in self.point])
            if coarse.any():
                apart, eps = coarse, float(np.finfo(np.float32).eps)
        noise: Array = eps * abs(self.y) + apart
        return noise

    def _changed(self, point: Arrays) -> bool:
        return any((a != b).any() for a, b in zip(point, self.point, strict=True))

    def _apart(self, point: Arrays) -> Array:
        y = self.subject.forward(point)
        apart: Array = np.where(np.isfinite(y), abs(y - self.y), 0)
        return apart

    def slope(self, direction: Arrays, point: Arrays | None = None) -> tuple[Array, Array]:
        """The derivative of the output along a direction, and the method's estimate of its error.

        Raises:
            Unsuited: the method is the complex step, and complex numbers do not pass.
        """
        point = self.point if point is None else point
        if self.method == "complex step":
            along, error = complex_step.slope(self.subject, point, direction)
        else:
            along, error = richardson.slope(self.subject, point, direction, self.noise)
        return along, error + self.underflow

    def unit(self, i: int, *at: Index) -> list[Array]:
        """The direction of one element of input i, or of several together."""
        direction = [np.zeros(x.shape) for x in self.point]
        for index in at:
            direction[i][index] = 1
        return direction

    def size(self, i: int, at: Index) -> float:
        """How large an element is; one that is 0 is as large as the others of its array."""
        return float(abs(self.point[i][at])) or typical(self.point[i])

    def sides(self, direction: Arrays, size: float = 1.0) -> Sides:
        """The slopes to both sides of the point."""
        return kinks.sides(self.subject, self.point, direction, size, self.y, self.noise)

    @cached_property
    def _everywhere(self) -> list[Array]:
        """A direction that moves every element by chance, in proportion to its size."""
        sizes = [np.where(x == 0, typical(x), abs(x)) for x in self.point]
        return [s * self.rng.standard_normal(s.shape) for s in sizes]

    @cached_property
    def across(self) -> Sides:
        """The slopes to both sides along that direction; they differ if there is a kink at all."""
        return self.sides(self._everywhere)

    def trust(self) -> None:
        """See that the complex step gives what a plain central difference gives, roughly.

        Raises:
            Unsuited: it does not; the function drops imaginary parts on the way.
        """
        along, _ = self.slope(self._everywhere)
        for step in (kinks.WIDE, kinks.NARROW, TINY):
            central = self._central(step)
            allowed = 1e-5 * abs(along) + 20 * self.noise / step
            # the function may end beside the point, which gives NaN
            unknown = self.across.kinked | ~np.isfinite(central)
            if np.all((abs(along - central) <= allowed) | unknown):
                return
        raise Unsuited("the complex step does not agree with differences")

    def _central(self, step: float) -> Array:
        """The slope across the point, along the direction that moves everything."""
        if step in self.across.central:
            return self.across.central[step]
        return kinks.central(self.subject, self.point, self._everywhere, step)


def rounded(point: Arrays, rng: np.random.Generator) -> list[Array]:
    """The point with its numbers moved up or down to the next. Equal ones move together and whole
    ones stay, so that what lies on a tie, or on a kink at 0 or 1, still does.
    """
    numbers = np.concatenate([x.ravel() for x in point])
    different, which = np.unique(numbers, return_inverse=True)
    towards = rng.choice((-np.inf, np.inf), len(different))[which]
    parts = np.split(towards, np.cumsum([x.size for x in point])[:-1])
    return [
        np.nextafter(x, np.where(x == np.rint(x), x, to.reshape(x.shape)).astype(x.dtype))
        for x, to in zip(point, parts, strict=True)
    ]
