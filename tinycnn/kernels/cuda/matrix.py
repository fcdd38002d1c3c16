"""Matrix products: small ones by a kernel of this backend, the others by cuBLAS.

CuPy does not let cuBLAS be recorded in a CUDA graph.
"""

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.launch import (
    CONSTANTS,
    blocks_for,
    contiguous,
    empty,
    launch,
    slices_of,
    suits,
)
from tinycnn.kernels.types import Array

TILE = CONSTANTS["TILE"]
SMALL = 1 << 22  # multiply-adds; not measured
SLICE = 128  # of the inner axis that a block takes, at least


def matmul(x: Array, y: Array) -> Array:
    """As the reference."""
    small = x.ndim == y.ndim == 2 and x.size * y.shape[1] < SMALL
    if not small or not suits(x, y) or x.shape[1] != len(y):
        return reference.matmul(x, y)
    (height, inner), width = x.shape, y.shape[1]
    slice_, slices = slices_of(inner, SLICE)
    partial = empty(x, (slices, height, width))
    (x, *x_steps), (y, *y_steps) = _as_it_lies(x), _as_it_lies(y)
    blocks = -(-height // TILE) * -(-width // TILE) * slices
    numbers = height, inner, width, *x_steps, *y_steps, slice_
    launch("matmul", (x.dtype,), blocks, x, y, partial, *numbers)
    if slices == 1:
        return partial[0]
    product = empty(x, (height, width))
    size = product.size
    launch("sum_slices", (x.dtype,), blocks_for(size), partial, product, size, slices)
    return product


def _as_it_lies(x: Array) -> tuple[Array, int, int]:
    """A matrix as its memory, in which the element below is so far away, and the next one so far:
    a transposed one is not copied."""
    if x.flags.f_contiguous:
        return x.T, 1, len(x)
    return contiguous(x), x.shape[1], 1
