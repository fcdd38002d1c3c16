"""ReLU, alone and after a sum, and its derivative."""

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.launch import blocks_for, contiguous, empty, launch, suits
from tinycnn.kernels.types import Array


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return _element_by_element("relu", x)


def add_relu(x: Array, y: Array) -> Array:
    """relu(x + y)."""
    return _element_by_element("add_relu", x, y)


def relu_grad(g: Array, x: Array) -> Array:
    """`g`, but 0 where x ≤ 0."""
    return _element_by_element("relu_grad", g, x)


def _element_by_element(kernel: str, *arrays: Array) -> Array:
    first = arrays[0]
    if not suits(*arrays) or any(a.shape != first.shape for a in arrays):
        made: Array = getattr(reference, kernel)(*arrays)
        return made
    out, size = empty(first, first.shape), first.size
    launch(kernel, (first.dtype,), blocks_for(size), *map(contiguous, arrays), out, size)
    return out
