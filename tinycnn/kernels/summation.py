"""Sums that keep their digits."""

from typing import Any

import numpy as np

from tinycnn.kernels.types import Array

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def total(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The sum over some axes, float32 by way of float64.

    NumPy adds in pairs along the last axis only; along any other a sum of a million float32
    numbers would be wrong by a percent.

    >>> float(total(np.full((1000000, 2), 0.1, np.float32), 0)[0])
    100000.0
    """
    if x.dtype != SINGLE:
        return x.sum(axis, keepdims=keepdims)
    wide = x.sum(axis, DOUBLE, keepdims=keepdims)
    return np.asarray(wide, SINGLE) if isinstance(wide, np.generic) else wide.astype(SINGLE)
