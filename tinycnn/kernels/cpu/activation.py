"""ReLU, alone and after a sum, ELU, their derivatives and the sigmoid, in one pass over memory
each."""

from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import inner, jit, part, same_dtype, share
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


def elu(x: Array, alpha: float) -> Array:
    """x for x > 0, α(eˣ − 1) else."""
    x = np.asarray(x, order="C")
    if x.dtype != np.float32:
        return reference.elu(x, alpha)
    y = np.empty_like(x)
    share(4 * x.size, _elu, x.size, x.reshape(-1), alpha, y.reshape(-1))
    return y


def elu_grad(g: Array, x: Array, alpha: float) -> Array:
    """`g`, but g · α·eˣ where x ≤ 0."""
    g, x = np.asarray(g, order="C"), np.asarray(x, order="C")
    if not g.dtype == x.dtype == np.float32 or g.shape != x.shape:
        return reference.elu_grad(g, x, alpha)
    dx = np.empty_like(g)
    share(4 * g.size, _elu_grad, g.size, g.reshape(-1), x.reshape(-1), alpha, dx.reshape(-1))
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
def _elu(start: int, stop: int, x: Any, alpha: float, y: Any) -> None:
    x, y = x[start:stop], y[start:stop]
    for i in range(len(x)):
        left = alpha * _exp_less_1(_left_of_0(float(x[i])))
        y[i] = x[i] if x[i] > 0 else left


@jit
def _elu_grad(start: int, stop: int, g: Any, x: Any, alpha: float, dx: Any) -> None:
    g, x, dx = g[start:stop], x[start:stop], dx[start:stop]
    for i in range(len(x)):
        left = g[i] * (alpha * _exp(_left_of_0(float(x[i]))))
        dx[i] = g[i] if x[i] > 0 else left


@jit
def _sigmoid(start: int, stop: int, x: Any, y: Any) -> None:
    x, y = x[start:stop], y[start:stop]
    for i in range(len(x)):
        e = _exp(_left_of_0(-abs(float(x[i]))))  # in float64
        y[i] = (e if x[i] < 0 else 1.0) / (1 + e)


@part
def _left_of_0(z: float) -> float:
    """0 if it is greater, and −104 if it is less: beyond that eᶻ is 0 in float32. NaN stays."""
    z = 0.0 if z > 0 else z
    return -104.0 if z < -104 else z


@inner
def _exp(z: float) -> float:
    """eᶻ to 3e-10 for −104 ≤ z ≤ 0, by nothing but products, so that the loop becomes vectors:
    Taylor's series for e^(z/1024), then ten times the square.
    """
    e = 1 + _series(z / 1024)
    for _ in range(10):
        e *= e
    return e


@inner
def _exp_less_1(z: float) -> float:
    """The same for eᶻ − 1, which keeps its digits near 0: (1 + e)² − 1 = e · (e + 2)."""
    e = _series(z / 1024)
    for _ in range(10):
        e *= e + 2
    return e


@part
def _series(z: float) -> float:
    """Taylor's, of eᶻ − 1."""
    series = 1 / 6 + z * (1 / 24 + z * (1 / 120 + z * (1 / 720 + z * (1 / 5040))))
    return z * (1 + z * (1 / 2 + z * series))
