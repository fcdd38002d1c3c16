"""Convolution, batch norm, ReLU and 2×2 max pooling as one kernel forward and one backward.

What a convolution gives is normalised, cut off and pooled while it still lies in the cache, an
image a time in each thread; and its cotangent exists for one image only, the moment before the
convolution's gradients are made of it. The operations one by one define what comes out.

The convolution's result is kept as the long rows it was computed in (see `rows.py`), with room
for whole vectors: (N, O, T).
"""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinycnn.kernels import memory
from tinycnn.kernels.cpu.block_backward import gradients, settle, sum_up
from tinycnn.kernels.cpu.block_forward import (
    INV_STD,
    SCALE,
    SHIFT,
    combine,
    finish,
    forward,
)
from tinycnn.kernels.cpu.convolution import (
    MANY,
    add_blocks,
    blocks_of,
    filled,
    kernel_of,
    packed,
    turned_round,
)
from tinycnn.kernels.cpu.jit import share
from tinycnn.kernels.cpu.rows import LINE, Plan, plan
from tinycnn.kernels.cpu.winograd import tame
from tinycnn.kernels.types import Array, Geometry, Padding, Pair, Shape

NOTHING = 0, 0, 0, 0  # the shape of an array that nobody wants


class Kept(NamedTuple):
    """What the way forward leaves for the way back.

    Attributes:
        rows: (N, O, T), the convolution's results.
        peaks: the largest of each window, (N, O, H″, W″) with W″ filled up to whole vectors;
            nothing without pooling.
        norm: (4, O), what became of each channel; see `block_forward.py`.
    """

    rows: Array
    peaks: Array
    norm: Array


@lru_cache(1024)
def can_fuse(x_shape: Shape, weight_shape: Shape, geometry: Geometry) -> bool:
    """Whether the kernels here are made for such a convolution."""
    kernel = kernel_of(weight_shape)
    fits = len(x_shape) == 4 and x_shape[1] == weight_shape[1] and 0 not in x_shape
    fits = fits and prod(weight_shape) < MANY
    plain = geometry.stride == (1, 1) and geometry.groups == 1
    if not fits or not plain or min(mirror(kernel, geometry)) < 0:
        return False
    way = plan(x_shape[1:], kernel, geometry)
    return min(way.height, way.width) >= 2


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
) -> tuple[Array, Array, int, Kept] | None:
    """The block's result, the variance of the convolution's channels over how many values, and
    what backward needs. With a `gamma` each channel is brought to mean 0 and variance 1 over the
    batch, then scaled by it and shifted by beta. None where there is a NaN, an infinity or what is
    huge: tiles and windows are not made for that.
    """
    x, o = np.asarray(x, order="C"), len(weight)
    way, _ = _ways(x.shape[1:], weight.shape, geometry)
    rows = memory.empty((len(x), *_row(way, o)), x.dtype)
    peaks = memory.empty((len(x), *_windows(way, o, pool)), x.dtype)
    out = memory.empty((len(x), o, *_size(way, pool)), x.dtype)
    statistics = np.empty((2, len(x), 0 if gamma is None else o))
    norm, variance, count = np.zeros((4, o), x.dtype), np.zeros(o, x.dtype), way.height * way.width
    norm[SCALE] = norm[INV_STD] = 1
    if gamma is not None:
        norm[SCALE], norm[SHIFT] = gamma, beta
    if not _forward(x, weight, bias, way, rows, peaks, statistics, norm, relu, out):
        return None
    if gamma is not None:
        combine(statistics, count, eps, norm, variance)
    kept = Kept(rows, peaks, norm)
    share(out.size, finish, len(x), *_behind(kept, way), relu, out)
    return out, variance, len(x) * count, kept


def conv_block_grad(
    g: Array,
    x: Array,
    weight: Array,
    with_norm: bool,
    geometry: Geometry,
    relu: bool,
    kept: Kept,
    wants_x: bool,
) -> tuple[Array | None, Array, Array, Array | None, Array | None] | None:
    """The cotangents of x (if wanted), weight, bias, gamma and beta. None where there is a NaN or
    an infinity: between the image's lines and around it they meet zeros that the definition does
    not have, and a NaN is not found again in its window."""
    x, g = np.asarray(x, order="C"), np.asarray(g, order="C")
    n, o = g.shape[:2]
    way, back = _ways(x.shape[1:], weight.shape, geometry)
    sums = np.empty((2, n, o))
    share(g.size, sum_up, n, g, *_behind(kept, way), relu, sums)
    turned, found = turned_round(weight), np.zeros((4, o), g.dtype)
    weights, d_gamma, d_beta = packed(turned, back), found[0], found[1]
    fine = settle(sums, n * way.height * way.width, kept.norm, with_norm, weights, found)
    dx = memory.empty(x.shape if wants_x else NOTHING, g.dtype)
    blocks, energies = blocks_of(n, way), np.zeros(n)
    of_block, dw = np.empty((blocks, *weight.shape), g.dtype), np.empty(weight.shape, g.dtype)
    made = weights, filled(None, turned), back, of_block, dx, energies
    share(2 * _work(x, weight), gradients, blocks, g, x, *kept, found, relu, way, *made)
    if not (fine and add_blocks(of_block, dw) and tame(energies)):
        return None
    d_x = dx if wants_x else None
    if not with_norm:
        return d_x, dw, d_beta, None, None
    # the mean takes every constant away, so nothing depends on the bias
    return d_x, dw, np.zeros(o, g.dtype), d_gamma, d_beta


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
) -> Array | None:
    """The block with given statistics, (y − mean) · scale + shift, where nothing is kept. None as
    above."""
    x = np.asarray(x, order="C")
    way = plan(x.shape[1:], kernel_of(weight.shape), geometry)
    o = len(weight)
    rows = np.empty((0, *_row(way, o)), x.dtype)
    peaks = np.empty((0, *_windows(way, o, pool)), x.dtype)
    out = memory.empty((len(x), o, *_size(way, pool)), x.dtype)
    norm, no_statistics = np.array((mean, scale, shift, mean), x.dtype), np.empty((2, 0, 0))
    fine = _forward(x, weight, bias, way, rows, peaks, no_statistics, norm, relu, out)
    return out if fine else None


def _forward(x: Array, weight: Array, bias: Array | None, way: Plan, *made: Any) -> bool:
    """The way forward of all images, in arrays that are already made: those of the kernel. Whether
    all was `tame`."""
    given, energies = (x, packed(weight, way), filled(bias, weight), way), np.empty(len(x))
    share(_work(x, weight), forward, len(x), *given, *made, energies)
    fine: bool = tame(energies)
    return fine


@lru_cache(1024)
def _ways(shape: Shape, weight_shape: Shape, geometry: Geometry) -> tuple[Plan, Plan]:
    """Forward over the image and back over the cotangent, with lines the same distance apart."""
    kernel = kernel_of(weight_shape)
    turned = Geometry((1, 1), mirror(kernel, geometry), geometry.dilation, 1)
    way = plan(shape, kernel, geometry)
    back = plan((weight_shape[0], way.height, way.width), kernel, turned, way.pitch)
    return plan(shape, kernel, geometry, back.pitch), back


def mirror(kernel: Pair, geometry: Geometry) -> Padding:
    """The padding of the cotangent that leads back to the image."""
    reach = [d * (k - 1) for d, k in zip(geometry.dilation, kernel, strict=True)]
    top, bottom, left, right = geometry.padding
    return reach[0] - top, reach[0] - bottom, reach[1] - left, reach[1] - right


def _work(x: Array, weight: Array) -> int:
    """Of a convolution, for `share`: eight multiply-adds take as long as fetching a number."""
    return x.size // x.shape[1] * weight.size // 8


def _behind(kept: Kept, way: Plan) -> tuple[Array, Array, int]:
    """The numbers that the norm meets, itself, and how far their lines are apart."""
    if kept.peaks.size:
        return kept.peaks, kept.norm, kept.peaks.shape[3]
    return kept.rows, kept.norm, way.pitch


def _size(way: Plan, pool: bool) -> Pair:
    return (way.height // 2, way.width // 2) if pool else (way.height, way.width)


def _row(way: Plan, channels: int) -> Shape:
    """The shape of an image's results, for whole vectors of four channels at a time."""
    return -(-channels // 4) * 4, way.height * way.pitch + LINE


def _windows(way: Plan, channels: int, pool: bool) -> Shape:
    """The shape of an image's windows, if it is pooled."""
    return (channels, way.height // 2, way.windows) if pool else (0, 0, 0)
