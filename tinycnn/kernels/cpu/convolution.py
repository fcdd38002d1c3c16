"""Convolution and its two gradients over long rows, an image a time in each thread."""

from itertools import product
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import jit, same_dtype, share
from tinycnn.kernels.cpu.products import TILE, correlate, correlate_rows, pack, pack_turned, up
from tinycnn.kernels.cpu.rows import LINE, Plan, lay_out, plan, take
from tinycnn.kernels.cpu.vector import lanes
from tinycnn.kernels.types import Array, Geometry, Padding, Pair, Shape

BLOCKS = 8  # of images; the weight's gradient is summed in each, then over them


def conv2d(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """y[n, o] = b[o] + Σ over c and (i, j) of w[o, c, i, j] · x[n, c] shifted."""
    if not _usual(x, weight, geometry) or not same_dtype(x, weight, bias):
        return reference.conv2d(x, weight, bias, geometry)
    weights = pack(np.asarray(weight, order="C"))
    way = plan(x.shape[1:], _kernel(weight.shape), geometry)
    return _correlated(x, weights, bias_of(weights, bias), way, len(weight))


def bias_of(weights: Array, bias: Array | None) -> Array:
    """The bias, or zeros, for as many channels as the packed weights have."""
    biases = np.zeros(4 * len(weights), weights.dtype)
    if bias is not None:
        biases[: len(bias)] = bias
    return biases


def conv2d_input_grad(g: Array, weight: Array, x_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in x. With stride 1 it is a convolution too: of the cotangent,
    padded up to the full overlap, with the kernel turned by 180° and its channels exchanged.

    With a stride s, every s-th line of x has met the same lines of the kernel, and no others: in
    these it is a convolution with stride 1. The same for columns.
    """
    usual = _usual(g, weight, geometry, 0) and x_shape[1] == weight.shape[1]
    down, right = (_parts(axis, weight.shape, x_shape, g.shape, geometry) for axis in (0, 1))
    usual = usual and min(min(part.mirrored) for part in (*down, *right)) >= 0
    # an infinite weight would meet the padding's zeros, which the definition does not have
    if not usual or not same_dtype(g, weight) or not np.isfinite(weight).all():
        dx = reference.conv2d_input_grad(g, weight, x_shape, geometry)
        return np.asarray(dx, order="C")
    dx = np.zeros(x_shape, g.dtype)
    for v, h in product(down, right):
        part = weight[:, :, v.taps, h.taps]
        turned = Geometry((1, 1), (*v.mirrored, *h.mirrored), (v.dilation, h.dilation), 1)
        if part.size:
            weights = pack_turned(np.asarray(part, order="C"))
            way = plan(g.shape[1:], _kernel(part.shape), turned)
            found = _correlated(g, weights, bias_of(weights, None), way, x_shape[1])
            if geometry.stride == (1, 1):
                return found
            dx[:, :, v.lines, h.lines] = found
    return dx


class Part(NamedTuple):
    """Every s-th line of an image: which lines they are, which of the kernel's they met, how far
    these are apart, and the padding of the cotangent that leads back to them."""

    lines: slice
    taps: slice
    dilation: int
    mirrored: Pair


def _parts(
    axis: int, weight_shape: Shape, x_shape: Shape, g_shape: Shape, geometry: Geometry
) -> list[Part]:
    """Those that there are, along an axis."""
    size, kernel, cotangents = (shape[2 + axis] for shape in (x_shape, weight_shape, g_shape))
    before, stride, dilation = (
        geometry.padding[2 * axis],
        geometry.stride[axis],
        geometry.dilation[axis],
    )
    every, apart = stride // gcd(stride, dilation), dilation // gcd(stride, dilation)
    parts = []
    for start in range(min(stride, size)):
        line = start + before  # in the padded image
        met = [i for i in range(min(every, kernel)) if (line - i * dilation) % stride == 0]
        taps = slice(met[0], None, every) if met else slice(0)
        # result p met line p · stride + i · dilation: the first line here met p = `first` with the
        # first tap, and one result before it with the next
        first = (line - met[0] * dilation) // stride if met else 0
        count, height = len(range(kernel)[taps]), len(range(size)[start::stride])
        reach = apart * (count - 1)
        mirrored = (reach - first, first + height - cotangents) if met else (0, 0)
        parts.append(Part(slice(start, None, stride), taps, apart, mirrored))
    return parts


def mirror(kernel: Pair, geometry: Geometry) -> Padding:
    """The padding of the cotangent that leads back to the image."""
    reach = [d * (k - 1) for d, k in zip(geometry.dilation, kernel, strict=True)]
    top, bottom, left, right = geometry.padding
    return reach[0] - top, reach[0] - bottom, reach[1] - left, reach[1] - right


def conv2d_weight_grad(g: Array, x: Array, weight_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in the weight: the correlation of input and cotangent."""
    n, o = len(x), weight_shape[0]
    kernel = _kernel(weight_shape)
    usual = geometry.groups == 1 and weight_shape[1] == x.shape[1] and x.size > 0
    if not usual or not same_dtype(g, x):
        return reference.conv2d_weight_grad(g, x, weight_shape, geometry)
    way = plan(x.shape[1:], kernel, geometry)
    if g.shape != (n, o, *way.size):
        return reference.conv2d_weight_grad(g, x, weight_shape, geometry)
    blocks = min(n, BLOCKS)
    dw = np.empty((blocks, *weight_shape), g.dtype)
    g, x = np.asarray(g, order="C"), np.asarray(x, order="C")
    work = g.size * len(way.offsets)
    share(work, _conv2d_weight_grad, blocks, g, x, threes(way.offsets), way.layout, way.length, dw)
    dw = dw.sum(0, dtype=np.float64).astype(g.dtype)
    # between the image's lines zeros meet inputs: an infinity there spreads too far
    if not np.isfinite(dw).all():
        return reference.conv2d_weight_grad(g, x, weight_shape, geometry)
    return dw


def threes(offsets: Array) -> Array:
    """Filled up to a multiple of three with offsets whose sums nobody wants."""
    filled = np.zeros(-(-len(offsets) // 3) * 3, offsets.dtype)
    filled[: len(offsets)] = offsets
    return filled


def _usual(x: Array, weight: Array, geometry: Geometry, channels: int = 1) -> bool:
    """Whether the loops here are made for such a call; the reference complains of wrong shapes."""
    fits = x.shape[1] == weight.shape[channels]
    return fits and geometry.groups == 1 and x.size > 0 and weight.size > 0


def _kernel(weight_shape: Shape) -> Pair:
    return weight_shape[2], weight_shape[3]


def _correlated(x: Array, weights: Array, biases: Array, way: Plan, channels: int) -> Array:
    """The images' correlations with packed weights."""
    y = np.empty((len(x), channels, *way.size), x.dtype)
    work = y.size * len(way.offsets)
    x = np.asarray(x, order="C")
    share(work, _conv2d, len(x), x, weights, biases, way.offsets, way.layout, way.length, y)
    return y


@jit
def _conv2d(
    start: int,
    stop: int,
    x: Any,
    weights: Any,
    biases: Any,
    offsets: Any,
    layout: Any,
    length: int,
    y: Any,
) -> None:
    row = np.zeros(layout.size, x.dtype)
    out = np.empty((len(biases), length + LINE), x.dtype)
    for n in range(start, stop):
        lay_out(x[n], row, layout)
        correlate(row, offsets, weights, biases, length, out)
        take(out, layout.pitch, y[n])


@jit
def _conv2d_weight_grad(
    start: int, stop: int, g: Any, x: Any, offsets: Any, layout: Any, length: int, dw: Any
) -> None:
    channels, plane, together = up(g.shape[1], 4), length + LINE, at_a_time(length)
    rows = np.zeros((together, layout.size), x.dtype)
    cotangents = np.zeros((together, channels * plane), g.dtype)
    sums = np.empty((channels, len(offsets), lanes(x)), x.dtype)
    for block in range(start, stop):
        sums[:] = 0
        first, end = len(x) * block // len(dw), len(x) * (block + 1) // len(dw)
        for some in range(first, end, together):
            images = min(together, end - some)
            for m in range(images):
                lay_out(x[some + m], rows[m], layout)
                spread(g[some + m], cotangents[m].reshape(channels, plane), layout.pitch)
            correlate_rows(cotangents, images, plane, 0, rows, offsets, length, sums)
        add_lanes(sums, dw[block])


@jit
def at_a_time(length: int) -> int:
    """How many small images' cotangents are multiplied in one go."""
    return max(1, TILE // length)


@jit
def spread(image: Any, rows: Any, pitch: int) -> None:
    """Copy an image (C, H, W) to rows of its channels, to where its lines are in a long row."""
    for c in range(image.shape[0]):
        for i in range(image.shape[1]):
            line, there = rows[c, i * pitch :], image[c, i]
            for j in range(len(there)):
                line[j] = there[j]


@jit
def add_lanes(sums: Any, dw: Any) -> None:
    """The sums (O, K, lanes) over their lanes, as a weight (O, C, kh, kw)."""
    elements = dw.size // len(dw)
    flat = dw.reshape(len(dw), elements)
    for o in range(len(dw)):
        for k in range(elements):
            flat[o, k] = sums[o, k].sum()
