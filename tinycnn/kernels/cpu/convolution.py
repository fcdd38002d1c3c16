"""Convolution with stride 1 over long rows.

All channels of a zero-padded image lie behind each other in one long row of memory. There, a
kernel element (c, i, j) is nothing but an offset, (c·H' + i·dilation)·W' + j·dilation, where H'
and W' are the padded sizes, and a convolution is

    y[o, t] = b[o] + Σ over kernel elements k of w[o, k] · row[t + offset[k]]

with t running over a whole tile of the image at once. The positions t that lie across the right
edge of the image give nonsense, which is left out when the result is copied. That is a few per
cent more arithmetic, for loops that are long enough to fill the vector registers.

Four output channels and three kernel elements are taken at a time: the twelve multiply-adds share
their loads, and the factors (or, for the weight's gradient, the sums) stay in registers.
"""

from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import jit, same_dtype, share
from tinycnn.kernels.reference import Padding, Pair, Shape
from tinycnn.kernels.types import Array

TILE = 1088  # positions: four rows of results and three of the input fit into 32 KiB
LANES = 8  # a tile's length is rounded up to this, so that no scalar loop has to end it
IMAGES = 4  # their weight gradients are summed together, then the sums of such blocks


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """y[n, o] = b[o] + Σ over c and (i, j) of w[o, c, i, j] · x[n, c] shifted."""
    size = reference.output_size(x.shape, _kernel(weight.shape), stride, padding, dilation)
    one_kind = same_dtype(x, weight, bias) and weight.shape[1] == x.shape[1]
    if stride != (1, 1) or groups != 1 or not one_kind or x.size == 0 or min(size) <= 0:
        return reference.conv2d(x, weight, bias, stride, padding, dilation, groups)
    n, o = len(x), len(weight)
    offsets, padded = _offsets(weight.shape, x.shape, padding, dilation)
    weights = np.zeros((_up(o, 4), len(offsets)), x.dtype)
    elements = weight.size // o
    weights[:o, :elements] = weight.reshape(o, elements)
    biases = np.zeros(len(weights), x.dtype)
    biases[:o] = 0 if bias is None else bias
    y = np.empty((n, o, *size), x.dtype)
    x = np.asarray(x, order="C")
    share(y.size * len(offsets), _conv2d, n, x, weights, biases, offsets, padding, padded, y)
    return y


def conv2d_input_grad(
    g: Array,
    weight: Array,
    x_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """The adjoint of `conv2d` in x. With stride 1 it is a convolution too: of the cotangent,
    padded up to the full overlap, with the kernel turned by 180° and its channels exchanged."""
    kernel = _kernel(weight.shape)
    reach = [dilation[axis] * (kernel[axis] - 1) for axis in (0, 0, 1, 1)]
    top, bottom, left, right = (r - p for r, p in zip(reach, padding, strict=True))
    mirrored = top, bottom, left, right
    # an infinite weight would meet the padding's zeros, which the definition does not have
    finite = np.isfinite(weight).all()
    if stride != (1, 1) or groups != 1 or min(mirrored) < 0 or not finite:
        dx = reference.conv2d_input_grad(g, weight, x_shape, stride, padding, dilation, groups)
        return np.asarray(dx, order="C")
    turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    return conv2d(g, turned, None, stride, mirrored, dilation, groups)


def conv2d_weight_grad(
    g: Array,
    x: Array,
    weight_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """The adjoint of `conv2d` in the weight: the correlation of input and cotangent."""
    arguments = g, x, weight_shape, stride, padding, dilation, groups
    n, o = len(x), weight_shape[0]
    size = reference.output_size(x.shape, _kernel(weight_shape), stride, padding, dilation)
    one_kind = same_dtype(g, x) and weight_shape[1] == x.shape[1] and g.shape == (n, o, *size)
    if stride != (1, 1) or groups != 1 or not one_kind or g.size == 0:
        return reference.conv2d_weight_grad(*arguments)
    offsets, padded = _offsets(weight_shape, x.shape, padding, dilation)
    blocks = _up(n, IMAGES) // IMAGES
    sums = np.zeros((blocks, _up(o, 4), len(offsets)), g.dtype)
    work = g.size * len(offsets)
    g, x = np.asarray(g, order="C"), np.asarray(x, order="C")
    share(work, _conv2d_weight_grad, blocks, g, x, offsets, padding, padded, sums)
    elements = weight_shape[1] * weight_shape[2] * weight_shape[3]
    dw = sums.sum(0, dtype=np.float64)[:o, :elements].astype(g.dtype).reshape(weight_shape)
    # between the image's rows zeros meet inputs: an infinity there spreads too far
    return dw if np.isfinite(dw).all() else reference.conv2d_weight_grad(*arguments)


def _kernel(weight_shape: Shape) -> Pair:
    return weight_shape[2], weight_shape[3]


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _offsets(
    weight_shape: Shape, x_shape: Shape, padding: Padding, dilation: Pair
) -> tuple[Array, Pair]:
    """Where the kernel's elements (c, i, j) lie in the long row, and the padded height and width.

    Their number is filled up to a multiple of three with elements that look into a further
    channel, of zeros. The type is unsigned because Numba lets signed indices count from the end,
    and the test for that would keep the inner loop from becoming vector instructions.
    """
    top, bottom, left, right = padding
    height, width = x_shape[2] + top + bottom, x_shape[3] + left + right
    c, i, j = np.indices(weight_shape[1:]).reshape(3, -1)
    offsets = np.full(_up(len(c), 3), x_shape[1] * height * width, np.uintp)
    offsets[: len(c)] = (c * height + i * dilation[0]) * width + j * dilation[1]
    return offsets, (height, width)


@jit
def _empty_row(channels: int, height: int, width: int, like: Any) -> Any:
    """Zeros for the channels of one padded image, for a further one, and for the last lanes."""
    return np.zeros((channels + 1) * height * width + LANES, like.dtype)


@jit
def _lay_out(image: Any, row: Any, top: int, left: int, height: int, width: int) -> None:
    """Copy (C, H, W) into the middle of the zero-padded (C, height, width) that begins the row."""
    channels, h, w = image.shape
    padded = row[: channels * height * width].reshape(channels, height, width)
    for c in range(channels):
        for i in range(h):
            for j in range(w):
                padded[c, top + i, left + j] = image[c, i, j]


@jit
def _conv2d(
    start: int,
    stop: int,
    x: Any,
    weights: Any,
    biases: Any,
    offsets: Any,
    padding: Any,
    padded: Any,
    y: Any,
) -> None:
    height, width = padded
    row = _empty_row(x.shape[1], height, width, x)
    lines = min(y.shape[2], max(1, TILE // width))
    tile = np.empty((4, lines * width + 2 * LANES), x.dtype)
    for n in range(start, stop):
        _lay_out(x[n], row, padding[0], padding[2], height, width)
        for top in range(0, y.shape[2], lines):
            here = y[n, :, top : top + lines]
            first = np.uintp(top * width)
            length = np.uintp((here.shape[1] * width + LANES - 1) // LANES * LANES)
            for o in range(0, len(weights), 4):
                for q in range(4):
                    for t in range(length):
                        tile[q, t] = biases[o + q]
                for k in range(0, len(offsets), 3):
                    _add_three(tile, length, weights, o, k, row, first, offsets)
                _copy(tile, here[o : o + 4], width)


@jit
def _add_three(
    tile: Any, length: Any, weights: Any, o: int, k: int, row: Any, first: Any, offsets: Any
) -> None:
    """Three kernel elements' products for four output channels."""
    a, b, c = first + offsets[k], first + offsets[k + 1], first + offsets[k + 2]
    u0, v0, w0 = weights[o, k], weights[o, k + 1], weights[o, k + 2]
    u1, v1, w1 = weights[o + 1, k], weights[o + 1, k + 1], weights[o + 1, k + 2]
    u2, v2, w2 = weights[o + 2, k], weights[o + 2, k + 1], weights[o + 2, k + 2]
    u3, v3, w3 = weights[o + 3, k], weights[o + 3, k + 1], weights[o + 3, k + 2]
    for t in range(length):
        p, q, r = row[a + t], row[b + t], row[c + t]
        tile[0, t] += u0 * p + v0 * q + w0 * r
        tile[1, t] += u1 * p + v1 * q + w1 * r
        tile[2, t] += u2 * p + v2 * q + w2 * r
        tile[3, t] += u3 * p + v3 * q + w3 * r


@jit
def _copy(tile: Any, y: Any, width: int) -> None:
    """The tile without what lies across the right edge of the image."""
    for o in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                y[o, i, j] = tile[o, i * width + j]


@jit
def _conv2d_weight_grad(
    start: int,
    stop: int,
    g: Any,
    x: Any,
    offsets: Any,
    padding: Any,
    padded: Any,
    sums: Any,
) -> None:
    height, width = padded
    row = _empty_row(x.shape[1], height, width, x)
    channels, length = sums.shape[1], (g.shape[2] * width + LANES - 1) // LANES * LANES
    cotangents = np.zeros((channels, length), g.dtype)
    for block in range(start, stop):
        for n in range(block * IMAGES, min((block + 1) * IMAGES, len(x))):
            _lay_out(x[n], row, padding[0], padding[2], height, width)
            _lay_out_rows(g[n], cotangents, width)
            for start_of_tile in range(0, length, TILE):
                first = np.uintp(start_of_tile)
                last = np.uintp(min(start_of_tile + TILE, length))
                for o in range(0, channels, 4):
                    for k in range(0, len(offsets), 3):
                        _sum_three(cotangents, first, last, o, k, row, offsets, sums[block])


@jit
def _lay_out_rows(g: Any, cotangents: Any, width: int) -> None:
    """Copy the cotangent to where its positions are in the long row; zeros stay between."""
    for o in range(g.shape[0]):
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                cotangents[o, i * width + j] = g[o, i, j]


@jit
def _sum_three(
    cotangents: Any, first: Any, last: Any, o: int, k: int, row: Any, offsets: Any, sums: Any
) -> None:
    """Three kernel elements' sums of products with four output channels' cotangents."""
    a, b, c = offsets[k], offsets[k + 1], offsets[k + 2]
    u0 = v0 = w0 = u1 = v1 = w1 = u2 = v2 = w2 = u3 = v3 = w3 = row.dtype.type(0)
    for t in range(first, last):
        p, q, r = row[a + t], row[b + t], row[c + t]
        g0, g1 = cotangents[o, t], cotangents[o + 1, t]
        g2, g3 = cotangents[o + 2, t], cotangents[o + 3, t]
        u0, v0, w0 = u0 + g0 * p, v0 + g0 * q, w0 + g0 * r
        u1, v1, w1 = u1 + g1 * p, v1 + g1 * q, w1 + g1 * r
        u2, v2, w2 = u2 + g2 * p, v2 + g2 * q, w2 + g2 * r
        u3, v3, w3 = u3 + g3 * p, v3 + g3 * q, w3 + g3 * r
    by_channel = (u0, v0, w0), (u1, v1, w1), (u2, v2, w2), (u3, v3, w3)
    for channel, (u, v, w) in enumerate(by_channel):
        sums[o + channel, k] += u
        sums[o + channel, k + 1] += v
        sums[o + channel, k + 2] += w
