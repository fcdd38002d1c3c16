"""ReLU, alone and after a sum, and its derivative."""

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.launch import blocks_for, contiguous, empty, launch, suits
from tinycnn.kernels.types import Array


def relu(x: Array) -> Array:
    """max(x, 0)."""
    if not suits(x):
        return reference.relu(x)
    x = contiguous(x)
    y = empty(x, x.shape)
    launch("relu", (x.dtype,), blocks_for(x.size), x, y, x.size)
    return y


def add_relu(x: Array, y: Array) -> Array:
    """relu(x + y)."""
    if not suits(x, y) or x.shape != y.shape:
        return reference.add_relu(x, y)
    x, y = contiguous(x), contiguous(y)
    z = empty(x, x.shape)
    launch("add_relu", (x.dtype,), blocks_for(x.size), x, y, z, x.size)
    return z


def relu_grad(g: Array, x: Array) -> Array:
    """`g`, but 0 where x ≤ 0."""
    if not suits(g, x) or g.shape != x.shape:
        return reference.relu_grad(g, x)
    g, x = contiguous(g), contiguous(x)
    dx = empty(x, x.shape)
    launch("relu_grad", (x.dtype,), blocks_for(x.size), g, x, dx, x.size)
    return dx
