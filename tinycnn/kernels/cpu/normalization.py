"""Batch normalisation: one pass over memory for the statistics and one to apply them, forward and
backward. Sums are taken in float64, plane by plane (one channel of one image)."""

from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import jit, same_dtype, share
from tinycnn.kernels.types import Array


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance of each channel, (C,) each, over images and positions."""
    if x.size == 0:
        return reference.moments(x)
    planes = _planes(x)
    of_plane = np.empty((2, *planes.shape[:2]))
    share(x.size, _moments, len(x), planes, *of_plane)
    means, variances = of_plane
    # the law of total variance: within the planes, and between them
    variance = variances.mean(0) + means.var(0)
    return means.mean(0).astype(x.dtype), variance.astype(x.dtype)


def batch_norm(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """(x − mean) · inv_std · weight + bias, channel by channel."""
    if x.size == 0 or not same_dtype(x, mean, inv_std, weight, bias):
        return reference.batch_norm(x, mean, inv_std, weight, bias)
    y = np.empty(x.shape, x.dtype)
    share(x.size, _batch_norm, len(x), _planes(x), mean, inv_std * weight, bias, _planes(y))
    return y


def batch_norm_grad(
    g: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """The cotangents of x, weight and bias, where mean and inv_std are those of x itself."""
    if x.size == 0 or not same_dtype(x, g, mean, inv_std, weight):
        return reference.batch_norm_grad(g, x, mean, inv_std, weight)
    dx = np.empty(x.shape, x.dtype)
    given = _planes(g), _planes(x), mean, inv_std
    of_plane = np.empty((2, *x.shape[:2]))
    share(x.size, _sums, len(x), *given, *of_plane)
    sums = of_plane.sum(1)
    along, level = (sums / (x.size / x.shape[1])).astype(x.dtype)
    share(x.size, _batch_norm_grad, len(x), *given, inv_std * weight, along, level, _planes(dx))
    d_weight, d_bias = sums.astype(x.dtype)
    return dx, d_weight, d_bias


def _planes(x: Array) -> Array:
    """(N, C, H, W) as (N, C, H·W)."""
    n, c, h, w = x.shape
    return np.asarray(x, order="C").reshape(n, c, h * w)


@jit
def _moments(start: int, stop: int, x: Any, means: Any, variances: Any) -> None:
    for n in range(start, stop):
        for c in range(x.shape[1]):
            plane = x[n, c]
            total = 0.0
            for i in range(len(plane)):
                total += plane[i]
            mean = total / len(plane)
            squares = 0.0
            for i in range(len(plane)):
                squares += (plane[i] - mean) ** 2
            means[n, c], variances[n, c] = mean, squares / len(plane)


@jit
def _batch_norm(
    start: int, stop: int, x: Any, mean: Any, scale: Any, bias: Any, normalized: Any
) -> None:
    for n in range(start, stop):
        for c in range(x.shape[1]):
            plane, y = x[n, c], normalized[n, c]
            for i in range(len(plane)):
                y[i] = (plane[i] - mean[c]) * scale[c] + bias[c]


@jit
def _sums(
    start: int, stop: int, g: Any, x: Any, mean: Any, inv_std: Any, products: Any, cotangents: Any
) -> None:
    """Σ g·(x − mean)·inv_std and Σ g of every plane."""
    for n in range(start, stop):
        for c in range(x.shape[1]):
            plane, cotangent = x[n, c], g[n, c]
            product = total = 0.0
            for i in range(len(plane)):
                product += cotangent[i] * (plane[i] - mean[c])
                total += cotangent[i]
            products[n, c], cotangents[n, c] = product * inv_std[c], total


@jit
def _batch_norm_grad(
    start: int,
    stop: int,
    g: Any,
    x: Any,
    mean: Any,
    inv_std: Any,
    scale: Any,
    along: Any,
    level: Any,
    dx: Any,
) -> None:
    """The cotangent less its mean (level) and its part along the normalised x, scaled."""
    for n in range(start, stop):
        for c in range(x.shape[1]):
            plane, cotangent, out = x[n, c], g[n, c], dx[n, c]
            slope = along[c] * inv_std[c]
            for i in range(len(plane)):
                part = (plane[i] - mean[c]) * slope
                out[i] = (cotangent[i] - level[c] - part) * scale[c]
