"""Convolution, batch norm, ReLU and 2×2 max pooling with few passes over memory: what is behind the
convolution is one kernel, and so is the way back to it; one more each takes the sums that batch
norm needs. The operations one by one define what comes out.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

from tinycnn.kernels.cuda.convolution import (
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
    fit,
    output_shape,
)
from tinycnn.kernels.cuda.launch import (
    LARGEST,
    blocks_for,
    contiguous,
    empty,
    launch,
    slices_of,
)
from tinycnn.kernels.cuda.normalization import statistics
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array, Geometry, Shape

Norm = tuple[Array | None, Array | None, Array | None, Array | None]
NONE: Norm = (None, None, None, None)


class Kept(NamedTuple):
    """What the way forward leaves for the way back.

    Attributes:
        y: (N, O, H′, W′), the convolution's results.
        norm: mean, scale, shift and inv_std of each channel, (O,), for (y − mean) · scale + shift,
            where the scale has the factor inv_std.
    """

    y: Array
    norm: Norm


@lru_cache(1024)
def can_fuse(x_shape: Shape, weight_shape: Shape, geometry: Geometry) -> bool:
    """Whether the kernels here are made for such a convolution."""
    if len(x_shape) != 4 or 0 in x_shape or prod(x_shape) >= LARGEST:
        return False
    size = output_shape(x_shape, weight_shape, geometry)[2:]
    return fit(x_shape, weight_shape, geometry) and min(size) >= 2


def conv_block(
    x: Array,
    weight: Array,
    bias: Array | None,
    gamma: Array | None,
    beta: Array | None,
    eps: float,
    geometry: Geometry,
    relu: bool,
    pool: bool,
) -> tuple[Array, Array | None, int, Kept]:
    """The block's result, the variance of the convolution's channels over how many values, and
    what backward needs. With a `gamma` each channel is brought to mean 0 and variance 1 over the
    batch, then scaled by it and shifted by beta.
    """
    y = conv2d(x, weight, bias, geometry)
    norm, variance = NONE, None
    if gamma is not None and beta is not None:
        mean, variance, inv_std, scale = statistics(y, contiguous(gamma), eps)
        norm = mean, scale, contiguous(beta), inv_std
    out = _norm_relu_pool(y, norm[:3], relu, pool)
    return out, variance, y.size // len(weight), Kept(y, norm)


def conv_block_grad(
    g: Array,
    x: Array,
    weight: Array,
    with_norm: bool,
    geometry: Geometry,
    relu: bool,
    kept: Kept,
    wants_x: bool,
) -> tuple[Array | None, Array, Array, Array | None, Array | None]:
    """The cotangents of x (if wanted), weight, bias, gamma and beta."""
    y, norm = kept
    g, pool = contiguous(g), g.shape != y.shape
    n, o, h, w = y.shape
    slice_, slices = slices_of(g.size // o)
    partial, sums, dy = empty(y, (slices, 2, o)), empty(y, (2, o)), empty(y, y.shape)
    to_sum = partial, n, o, h, w, relu, slice_, slices
    launch("norm_relu_pool_vector_grads", (y.dtype, pool), o * slices, g, y, *norm, *to_sum)
    launch("sum_slices", (y.dtype,), blocks_for(2 * o), partial, sums, 2 * o, slices)
    to_pass = sums if with_norm else None, dy, y.size, y.size // o, o, h, w, relu
    launch("norm_relu_pool_input_grad", (y.dtype, pool), blocks_for(y.size), g, y, *norm, *to_pass)
    dx = conv2d_input_grad(dy, weight, x.shape, geometry) if wants_x else None
    dw = conv2d_weight_grad(dy, x, weight.shape, geometry)
    if not with_norm:
        return dx, dw, sums[0], None, None
    # the mean takes every constant away, so nothing depends on the bias
    return dx, dw, namespace(y).zeros(o, y.dtype), sums[1], sums[0]


def conv_block_inference(
    x: Array,
    weight: Array,
    bias: Array | None,
    mean: Array,
    scale: Array,
    shift: Array,
    geometry: Geometry,
    relu: bool,
    pool: bool,
) -> Array:
    """The block with given statistics, (y − mean) · scale + shift, where nothing is kept."""
    y = conv2d(x, weight, bias, geometry)
    return _norm_relu_pool(y, tuple(map(contiguous, (mean, scale, shift))), relu, pool)


def _norm_relu_pool(y: Array, norm: tuple[Array | None, ...], relu: bool, pool: bool) -> Array:
    n, o, h, w = y.shape
    out = empty(y, (n, o, h // 2, w // 2) if pool else y.shape)
    numbers = out.size, o, h, w, relu
    launch("norm_relu_pool", (y.dtype, pool), blocks_for(out.size), y, *norm, out, *numbers)
    return out
