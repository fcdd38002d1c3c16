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
    central differences with the wide and with the narrow step.
    """

    left: Array
    right: Array
    kinked: Array
    central: tuple[Array, Array]


def sides(
    subject: Subject, point: Arrays, direction: Arrays, size: float, y: Array, noise: Array
) -> Sides:
    """The slopes on both sides of a point where the output is y, for steps much smaller than size.

    The two slopes of a smooth function come together in proportion to the step; those at a kink
    stay apart, and at a jump they grow without bound. A kink beside the point stays outside of
    the narrow step.
    """
    slopes, central = [], []
    for step in (WIDE * size, NARROW * size):
        right = (subject.forward(moved(point, direction, step)) - y) / step
        left = (y - subject.forward(moved(point, direction, -step))) / step
        slopes.append((left, right))
        central.append((left + right) / 2)
    wide, narrow = (abs(right - left) for left, right in slopes)
    rounding = 20 * noise / step
    before, steepest = (np.maximum(abs(left), abs(right)) for left, right in slopes)
    kink = (narrow > 1e-5 * steepest + rounding) & (wide < 2 * narrow)
    jump = (steepest > 10 * before) & (steepest > rounding)
    left, right = np.where(jump, -np.inf, left), np.where(jump, np.inf, right)
    return Sides(left, right, kink | jump, (central[0], central[1]))
