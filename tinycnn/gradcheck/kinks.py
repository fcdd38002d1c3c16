"""Kinks: where a function has a slope to the left and another to the right, and no derivative.

ReLU at 0, a tie for a maximum, a clipped value at its bound. No gradient is right there; any
between the two slopes is a subgradient, and that is what can be checked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinycnn.gradcheck.richardson import moved
from tinycnn.gradcheck.subject import Arrays, Subject
from tinycnn.kernels.types import Array

WIDE, NARROW = 1e-5, 1e-7  # steps, of the size of what is moved


class Sides(NamedTuple):
    """The slopes of each output to the left and to the right, and which differ for good; and the
    central differences by step.
    """

    left: Array
    right: Array
    kinked: Array
    central: dict[float, Array]


def central(subject: Subject, point: Arrays, direction: Arrays, step: float) -> Array:
    """The slope between a step to the left and one to the right."""
    after = subject.forward(moved(point, direction, step))
    before = subject.forward(moved(point, direction, -step))
    return (after - before) / (2 * step)


def sides(
    subject: Subject, point: Arrays, direction: Arrays, size: float, y: Array, noise: Array
) -> Sides:
    """The slopes on both sides of a point where the output is y, for steps much smaller than size.

    The two slopes of a smooth function come together in proportion to the step; those at a kink
    stay apart, and at a jump they grow without bound. A kink beside the point stays outside of
    the narrow step.
    """
    slopes = []
    for step in (WIDE * size, NARROW * size):
        after = subject.forward(moved(point, direction, step))
        before = subject.forward(moved(point, direction, -step))
        slopes.append(((y - before) / step, (after - y) / step))
    wide, narrow = (abs(right - left) for left, right in slopes)
    flatter, steepest = (np.maximum(abs(left), abs(right)) for left, right in slopes)
    middle = [(left + right) / 2 for left, right in slopes]
    rounding = 20 * noise / (NARROW * size)
    left, right = slopes[1]
    kink = (narrow > 1e-5 * steepest + rounding) & (wide < 2 * narrow)
    jump = (steepest > 10 * flatter) & (steepest > rounding)
    left, right = np.where(jump, -np.inf, left), np.where(jump, np.inf, right)
    return Sides(left, right, kink | jump, dict(zip((WIDE, NARROW), middle, strict=True)))
