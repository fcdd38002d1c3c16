"""Convolution and its two gradients over long rows, an image a time in each thread."""

from collections.abc import Callable
from functools import partial
from itertools import product
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np

from tinycnn.kernels import memory, reference
from tinycnn.kernels.cpu.groups import by_group, worth_a_call_each
from tinycnn.kernels.cpu.jit import inner, jit, same_dtype, share
from tinycnn.kernels.cpu.matrix import matmul
from tinycnn.kernels.cpu.pooled import convolve
from tinycnn.kernels.cpu.products import TILE, correlate_rows, pack
from tinycnn.kernels.cpu.rows import FEW, LANES, LINE, Plan, lay_out, plan, spread, take
from tinycnn.kernels.cpu.vector import lanes, load, over_lanes
from tinycnn.kernels.cpu.winograd import spread_kernels, tame
from tinycnn.kernels.types import Array, Geometry, Pair, Shape

BLOCKS = 8  # of images at most; the weight's gradient is summed in each, then over them
MANY = 1 << 18  # weights
WORTH_A_BLOCK = 640  # positions: they take six times as long as the clearing and adding of sums


def conv2d(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """y[n, o] = b[o] + Σ over c and (i, j) of w[o, c, i, j] · x[n, c] shifted."""
    if worth_a_call_each(x, geometry):
        return by_group(conv2d, geometry, 1, (x, 1), (weight, 0), (bias, 0))
    if not _usual(x, weight, geometry) or not same_dtype(x, weight, bias):
        return reference.conv2d(x, weight, bias, geometry)
    way = plan(x.shape[1:], kernel_of(weight.shape), geometry)
    return _correlated(x, weight, bias, way)


def conv2d_input_grad(g: Array, weight: Array, x_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in x. With stride 1 it is a convolution too: of the cotangent,
    padded up to the full overlap, with the kernel turned by 180° and its channels exchanged.

    With a stride s, every s-th line of x has met the same lines of the kernel, and no others: in
    these it is a convolution with stride 1. The same for columns.
    """
    if worth_a_call_each(g, geometry):
        of_one = (x_shape[0], x_shape[1] // geometry.groups, *x_shape[2:])
        compute = partial(conv2d_input_grad, x_shape=of_one)
        return by_group(compute, geometry, 1, (g, 1), (weight, 0))
    usual = _usual(g, weight, geometry, 0) and x_shape[1] == weight.shape[1]
    down, right = (_parts(axis, weight.shape, x_shape, g.shape, geometry) for axis in (0, 1))
    usual = usual and min(min(part.mirrored) for part in (*down, *right)) >= 0
    # an infinite weight would meet the padding's zeros, which the definition does not have
    if not usual or not same_dtype(g, weight) or not np.isfinite(weight).all():
        dx = reference.conv2d_input_grad(g, weight, x_shape, geometry)
        return np.asarray(dx, order="C")
    dx = memory.empty(x_shape, g.dtype)
    for v, h in product(down, right):
        part = turned_round(weight[:, :, v.taps, h.taps])
        back = Geometry((1, 1), (*v.mirrored, *h.mirrored), (v.dilation, h.dilation), 1)
        if part.size == 0:
            dx[:, :, v.lines, h.lines] = 0
            continue
        found = _correlated(g, part, None, plan(g.shape[1:], kernel_of(part.shape), back))
        if geometry.stride == (1, 1):
            return found
        dx[:, :, v.lines, h.lines] = found
    return dx


def turned_round(weight: Array) -> Array:
    """By 180°, with input and output channels exchanged."""
    return weight[:, :, ::-1, ::-1].swapaxes(0, 1)


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


def conv2d_weight_grad(g: Array, x: Array, weight_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in the weight: the correlation of input and cotangent."""
    if worth_a_call_each(x, geometry):
        of_one = (weight_shape[0] // geometry.groups, *weight_shape[1:])
        compute = partial(conv2d_weight_grad, weight_shape=of_one)
        return by_group(compute, geometry, 0, (g, 1), (x, 1))
    usual = geometry.groups == 1 and weight_shape[1] == x.shape[1] and x.size > 0
    if not usual or not same_dtype(g, x):
        return reference.conv2d_weight_grad(g, x, weight_shape, geometry)
    way = plan(x.shape[1:], kernel_of(weight_shape), geometry)
    if g.shape != (len(x), weight_shape[0], way.height, way.width):
        return reference.conv2d_weight_grad(g, x, weight_shape, geometry)
    if prod(weight_shape) >= MANY:
        return _by_products(g, x, weight_shape, geometry)
    blocks = blocks_of(len(x), way)
    of_block = np.empty((blocks, *weight_shape), g.dtype)
    g, x = np.asarray(g, order="C"), np.asarray(x, order="C")
    share(g.size * len(way.offsets), _conv2d_weight_grad, blocks, g, x, way, of_block)
    dw = np.empty(weight_shape, g.dtype)
    # between the image's lines zeros meet inputs: an infinity there spreads too far
    if not add_blocks(of_block, dw):
        return reference.conv2d_weight_grad(g, x, weight_shape, geometry)
    return dw


def _by_products(g: Array, x: Array, weight_shape: Shape, geometry: Geometry) -> Array:
    """The same as a product of matrices for each of the kernel's elements. Of a great many weights
    the sums, a vector for each, would leave every cache."""
    stride, padding, dilation, _ = geometry
    x, g = (np.ascontiguousarray(a.swapaxes(0, 1)) for a in (reference.pad(x, padding), g))
    (channels, outputs), kernel, size = (len(x), len(g)), kernel_of(weight_shape), g.shape[2:]
    dw = np.empty((*kernel, outputs, channels), g.dtype)
    for i, j, met in reference.taps(x, kernel, stride, dilation, size):
        dw[i, j] = matmul(g.reshape(outputs, -1), met.reshape(channels, -1).T)
    return np.ascontiguousarray(dw.transpose(2, 3, 0, 1))


def blocks_of(images: int, way: Plan) -> int:
    """How many blocks of images there are: for few small ones fewer, but enough for the threads."""
    return min(images, BLOCKS, max(BLOCKS // 2, images * way.length // WORTH_A_BLOCK))


def packed(weight: Array, way: Plan, by_tiles: bool = True) -> Array:
    """The weights as `convolve` wants them: (16, O/4, C, 4) where tiles are worth it, else
    (1, O/4, K, 4), for four channels of results together; zeros fill them up."""
    outputs = len(weight)
    if by_tiles and way.by_tiles and outputs >= FEW:
        spread = spread_kernels(weight)
        if spread is not None:
            return spread
    weights = np.zeros((1, -(-outputs // 4), weight.size // outputs, 4), weight.dtype)
    pack(np.asarray(weight, order="C").reshape(outputs, -1), weights)
    return weights


def with_weights(
    weight: Array, way: Plan, images: int, compute: Callable[[Array, Array], None]
) -> None:
    """Compute with packed weights; once more without tiles where those met what was not tame.

    Args:
        compute: is given the weights, and writes the sum of squares that each image's tiles met.
    """
    energies = np.empty(images)
    for by_tiles in (True, False):
        compute(packed(weight, way, by_tiles), energies)
        if tame(energies):
            break


def filled(bias: Array | None, weight: Array) -> Array:
    """As many biases as packed weights, zeros behind them."""
    biases = np.zeros(-(-len(weight) // 4) * 4, weight.dtype)
    if bias is not None:
        biases[: len(bias)] = bias
    return biases


def _usual(x: Array, weight: Array, geometry: Geometry, channels: int = 1) -> bool:
    """Whether the loops here are made for such a call; the reference complains of wrong shapes."""
    fits = x.shape[1] == weight.shape[channels]
    return fits and geometry.groups == 1 and x.size > 0 and weight.size > 0


def kernel_of(weight_shape: Shape) -> Pair:
    """Its height and width."""
    return weight_shape[2], weight_shape[3]


def _correlated(x: Array, weight: Array, bias: Array | None, way: Plan) -> Array:
    y = memory.empty((len(x), len(weight), way.height, way.width), x.dtype)
    x, biases, work = np.asarray(x, order="C"), filled(bias, weight), y.size * len(way.offsets)

    def compute(weights: Array, energies: Array) -> None:
        share(work, _conv2d, len(x), x, weights, biases, way, y, energies)

    with_weights(weight, way, len(x), compute)
    return y


@jit
def _conv2d(
    start: int, stop: int, x: Any, weights: Any, bias: Any, way: Any, y: Any, energies: Any
) -> None:
    row = np.zeros(way.size, x.dtype)
    out = np.empty((len(bias), way.height * way.pitch + LINE), x.dtype)
    for n in range(start, stop):
        lay_out(x[n], way, row)
        energies[n] = convolve(row, way, weights, bias, out, bias, bias[:0])
        take(out, way.pitch, y[n])


@jit
def _conv2d_weight_grad(start: int, stop: int, g: Any, x: Any, way: Any, dw: Any) -> None:
    together, channels = at_a_time(way), (g.shape[1] + 3) // 4 * 4
    plane = (way.height * way.pitch // LANES + 2) * LANES  # each begins where a vector does
    rows = np.zeros((together, way.size), x.dtype)
    cotangents = np.zeros((together, channels * plane + LINE), g.dtype)
    sums = np.empty((channels, len(way.offsets), lanes(x)), x.dtype)
    for block in range(start, stop):
        clear(sums)
        first, end = len(x) * block // len(dw), len(x) * (block + 1) // len(dw)
        for some in range(first, end, together):
            images = min(together, end - some)
            for m in range(images):
                lay_out(x[some + m], way, rows[m])
                for o in range(g.shape[1]):
                    spread(g[some + m, o], way.pitch, cotangents[m, o * plane :])
            correlate_rows(cotangents, images, plane, 0, rows, way.offsets, way.length, sums)
        add_lanes(sums, dw[block])


@inner
def at_a_time(way: Any) -> int:
    """How many small images' cotangents are multiplied in one go."""
    return max(1, TILE // way.length)


@inner
def clear(sums: Any) -> None:
    """Begin at 0."""
    flat = sums.reshape(sums.size)
    for i in range(sums.size):
        flat[i] = 0


@inner
def add_lanes(sums: Any, dw: Any) -> None:
    """The sums (O, K, lanes) over their lanes, as a weight (O, C, kh, kw)."""
    weight = dw.reshape((len(dw), dw.size // len(dw)))
    for o in range(weight.shape[0]):
        for k in range(weight.shape[1]):
            weight[o, k] = over_lanes(load(sums, (o * sums.shape[1] + k) * sums.shape[2]))


@jit
def add_blocks(of_block: Any, dw: Any) -> bool:
    """The sum over blocks of images, in float64, and whether all of it is finite."""
    total, weight = np.zeros(dw.size), dw.reshape(dw.size)
    for block in range(len(of_block)):
        part = of_block[block].reshape(dw.size)
        for k in range(dw.size):
            total[k] += part[k]
    for k in range(dw.size):
        weight[k] = total[k]
    return all_finite(weight)


@jit
def all_finite(numbers: Any) -> bool:
    """Whether there is neither NaN nor infinity among the numbers of a vector."""
    nothing = numbers.dtype.type(0)
    for i in range(len(numbers)):
        nothing += numbers[i] * 0  # NaN of both
    return nothing == 0
