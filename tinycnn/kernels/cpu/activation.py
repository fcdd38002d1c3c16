"""ReLU, alone and after a sum, its derivative and the sigmoid, in one pass over memory each."""

from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import inner, jit, same_dtype, share
from tinycnn.kernels.types import Array


def relu(x: Array) -> Array:
    """max(x, 0)."""
    x = np.asarray(x, order="C")
    y = np.empty_like(x)
    share(x.size, _relu, x.size, x.reshape(-1), y.reshape(-1))
    return y


def add_relu(x: Array, y: Array) -> Array:
    """relu(x + y)."""
    if not same_dtype(x, y) or x.shape != y.shape:
        return reference.add_relu(x, y)
    x, y = np.asarray(x, order="C"), np.asarray(y, order="C")
    z = np.empty_like(x)
    share(x.size, _add_relu, x.size, x.reshape(-1), y.reshape(-1), z.reshape(-1))
    return z


def relu_grad(g: Array, x: Array) -> Array:
    """`g`, but 0 where x ≤ 0."""
    if not same_dtype(g, x) or g.shape != x.shape:
        return reference.relu_grad(g, x)
    g, x = np.asarray(g, order="C"), np.asarray(x, order="C")
    dx = np.empty_like(g)
    share(g.size, _relu_grad, g.size, g.reshape(-1), x.reshape(-1), dx.reshape(-1))
    return dx


def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e⁻ˣ), for float32 correct to the last bit but for the rarest of points."""
    if x.dtype != np.float32:
        return reference.sigmoid(x)
    x = np.asarray(x, order="C")
    y = np.empty_like(x)
    share(x.size, _sigmoid, x.size, x.reshape(-1), y.reshape(-1))
    return y


@jit
def _relu(start: int, stop: int, x: Any, y: Any) -> None:
    x, y = x[start:stop], y[start:stop]
    zero = x.dtype.type(0)
    for i in range(len(x)):
        y[i] = zero if x[i] <= 0 else x[i]


@jit
def _add_relu(start: int, stop: int, x: Any, y: Any, z: Any) -> None:
    x, y, z = x[start:stop], y[start:stop], z[start:stop]
    zero = x.dtype.type(0)
    for i in range(len(x)):
        total = x[i] + y[i]
        z[i] = zero if total <= 0 else total


@jit
def _relu_grad(start: int, stop: int, g: Any, x: Any, dx: Any) -> None:
    g, x, dx = g[start:stop], x[start:stop], dx[start:stop]
    zero = g.dtype.type(0)
    for i in range(len(x)):
        dx[i] = zero if x[i] <= 0 else g[i]


@jit
def _sigmoid(start: int, stop: int, x: Any, y: Any) -> None:
    x, y = x[start:stop], y[start:stop]
    for i in range(len(x)):
        z = -abs(float(x[i]))  # in float64 from here on
        e = _exp(-104.0 if z < -104 else z)  # beyond it e⁻ˣ is 0 in float32; NaN stays
        y[i] = (e if x[i] < 0 else 1.0) / (1 + e)


@inner
def _exp(z: float) -> float:
    """eᶻ to 3e-10 for −104 ≤ z ≤ 0, by nothing but products, so that the loop becomes vectors:
    Taylor's series for e^(z/1024), then ten times the square.
    """
    z = z / 1024
    series = 1 / 6 + z * (1 / 24 + z * (1 / 120 + z * (1 / 720 + z * (1 / 5040))))
    e = 1 + z * (1 + z * (1 / 2 + z * series))
    for _ in range(10):
        e *= e
    return e
