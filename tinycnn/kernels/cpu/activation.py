"""ReLU and its derivative, in one pass over memory each."""

from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import jit, same_dtype, share
from tinycnn.kernels.types import Array


def relu(x: Array) -> Array:
    """max(x, 0)."""
    x = np.asarray(x, order="C")
    y = np.empty_like(x)
    share(x.size, _relu, x.size, x.reshape(-1), y.reshape(-1))
    return y


def relu_grad(g: Array, x: Array) -> Array:
    """`g`, but 0 where x ≤ 0."""
    if not same_dtype(g, x) or g.shape != x.shape:
        return reference.relu_grad(g, x)
    g, x = np.asarray(g, order="C"), np.asarray(x, order="C")
    dx = np.empty_like(g)
    share(g.size, _relu_grad, g.size, g.reshape(-1), x.reshape(-1), dx.reshape(-1))
    return dx


@jit
def _relu(start: int, stop: int, x: Any, y: Any) -> None:
    x, y = x[start:stop], y[start:stop]
    zero = x.dtype.type(0)
    for i in range(len(x)):
        y[i] = zero if x[i] <= 0 else x[i]


@jit
def _relu_grad(start: int, stop: int, g: Any, x: Any, dx: Any) -> None:
    g, x, dx = g[start:stop], x[start:stop], dx[start:stop]
    zero = g.dtype.type(0)
    for i in range(len(x)):
        dx[i] = zero if x[i] <= 0 else g[i]
