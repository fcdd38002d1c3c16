"""Derivatives by central differences, extrapolated to step 0, with an estimate of their error.

(f(x + hv) − f(x − hv)) / 2h is the derivative along v with errors of order h², h⁴, …. From the
values at h, h/4, h/16, … Neville's scheme removes one order after the other. What is left is
estimated by how far neighbours in the scheme are apart, and rounding by the noise of f over h; the
best estimate wins, output by output.

Richardson, Phil. Trans. Royal Society A 210 (1911) 307; Ridders, Advances in Engineering Software
4 (1982) 75.
"""

from __future__ import annotations

import numpy as np

from tinycnn.gradcheck.subject import Arrays, Subject
from tinycnn.kernels.types import Array

RATIO = 4
LEVELS = 14
ORDERS = 5


def moved(point: Arrays, direction: Arrays, step: float) -> list[Array]:
    """The point a step along a direction."""
    return [x + step * v for x, v in zip(point, direction, strict=True)]


def typical(x: Array) -> float:
    """The size of an array's elements: their root mean square, or 1 if all are 0."""
    return float(np.sqrt((x * x).sum() / max(x.size, 1))) or 1.0


def steps(point: Arrays, direction: Arrays) -> list[float]:
    """Steps from an eighth of the size of what moves down to a billionth: longer ones would tell of
    another place.
    """
    moving = [abs(x[v != 0]) for x, v in zip(point, direction, strict=True)]
    sizes = [float(np.median(m[m > 0])) for m in moving if (m > 0).any()]
    first = min(sizes, default=max(typical(x) for x in point)) / 8
    return [first / RATIO**level for level in range(LEVELS)]


def slope(subject: Subject, point: Arrays, direction: Arrays, noise: Array) -> tuple[Array, Array]:
    """The derivative of the output along a direction, and an estimate of its error.

    Args:
        subject: what is differentiated.
        point: float64 arrays, where.
        direction: float64 arrays of the same shapes.
        noise: of the output's shape, by how much f is uncertain.
    """
    best, error = np.zeros(noise.shape), np.full(noise.shape, np.inf)
    before: list[Array] = []
    for h in steps(point, direction):
        right = subject.forward(moved(point, direction, h))
        left = subject.forward(moved(point, direction, -h))
        row = [(right - left) / (2 * h)]
        # a shorter step that says quite another thing is right: the longer ones saw another place
        apart = abs(row[0] - best)
        gross = apart > 0.1 * np.maximum(abs(row[0]), abs(best)) + 10 * (error + noise / h)
        error = np.where(gross, np.inf, error)
        for order, old in enumerate(before[:ORDERS], 1):
            row.append(row[-1] + (row[-1] - old) / (RATIO ** (2 * order) - 1))
            apart = np.maximum(abs(row[order] - row[order - 1]), abs(row[order] - old))
            found = 2 * apart + noise / h
            better = found < error
            best, error = np.where(better, row[order], best), np.where(better, found, error)
        before = row
    return best, error
