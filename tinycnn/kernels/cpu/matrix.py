"""Matrix products, by BLAS.

A BLAS shares a product among threads of its own, and when it is done they look out for the next
one for some 20 ms. So do the threads of `threads.py`, for the kernels around it: four threads on
two cores, and a step of training takes twice as long as without the fourth. Only of the smallest
products does BLAS say that they are not worth it, so a product that is not large is made of such.
"""

from functools import lru_cache

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.types import Array

SMALL = 1 << 18  # multiply-adds; OpenBLAS begins to share at twice as many
LARGE = 1 << 24  # from here on a thread of BLAS gains more than it costs

Piece = tuple[slice, slice]  # rows of the first matrix, columns of the second


def matmul(x: Array, y: Array) -> Array:
    """As the reference."""
    if not x.ndim == y.ndim == 2 or not SMALL < x.size * y.shape[1] < LARGE:
        return reference.matmul(x, y)
    out = np.empty((len(x), y.shape[1]), x.dtype)
    for rows, columns in _pieces(*x.shape, y.shape[1]):
        out[rows, columns] = x[rows].dot(y[:, columns])
    return out


@lru_cache(1024)
def _pieces(height: int, inner: int, width: int) -> list[Piece]:
    """Halves of halves of the longer side, until they are small."""

    def cut(top: int, bottom: int, left: int, right: int) -> list[Piece]:
        height, width = bottom - top, right - left
        if height * width * inner <= SMALL or height == width == 1:
            return [(slice(top, bottom), slice(left, right))]
        if height >= width:
            middle = (top + bottom) // 2
            return cut(top, middle, left, right) + cut(middle, bottom, left, right)
        middle = (left + right) // 2
        return cut(top, bottom, left, middle) + cut(top, bottom, middle, right)

    return cut(0, height, 0, width)
