"""What `block.py` does forward: the convolution with its statistics, and all that is behind it.

Of a window's four elements the largest is numbered 0 to 3 in row-major order, or DEAD where ReLU
cuts it off. A norm is an array (4, O) of what becomes of each channel: (y − mean) · scale + shift,
where the scale has the factor inv_std.
"""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.jit import jit, part
from tinycnn.kernels.cpu.products import correlate
from tinycnn.kernels.cpu.rows import LINE, lay_out, take
from tinycnn.kernels.cpu.vector import (
    add,
    broadcast,
    evens,
    if_at_most,
    if_larger,
    lanes,
    load,
    multiply_add,
    odds,
    store,
    subtract,
    zeros,
)

DEAD = 4
MEAN, SCALE, SHIFT, INV_STD = range(4)  # of a norm
STRETCH = 4096  # so many numbers are summed in their own precision, then in float64


@jit
def correlate_and_measure(
    start: int,
    stop: int,
    x: Any,
    weights: Any,
    bias: Any,
    way: Any,
    rows: Any,
    statistics: Any,
) -> None:
    """The convolution of some images, and the statistics of their channels if wanted."""
    row, lane = np.zeros(way.size, x.dtype), np.empty(lanes(x), x.dtype)
    for n in range(start, stop):
        lay_out(x[n], way, row)
        correlate(row, way.offsets, weights, bias, way.length, rows[n])
        for o in range(statistics.shape[2]):
            moments = _moments(rows[n, o], way, lane)
            statistics[0, n, o], statistics[1, n, o] = moments


@part
def _moments(rows: Any, way: Any, lane: Any) -> Any:
    """Mean and sum of squared deviations of a channel. Of several sums side by side each waits
    for itself alone."""
    end, count, n = way.height * way.pitch, way.height * way.width, lanes(rows)
    zero = zeros(rows)
    between_lines(rows, 0, way, rows.dtype.type(0))
    total = rest = squares = 0.0
    for first in range(0, end, STRETCH):
        a = b = c = d = zero
        for t in range(first, min(first + STRETCH, end), 4 * n):
            a, b = add(a, load(rows, t)), add(b, load(rows, t + n))
            c, d = add(c, load(rows, t + 2 * n)), add(d, load(rows, t + 3 * n))
        total += over_lanes(add(add(a, b), add(c, d)), lane)
    lane[0] = total / count
    pivot = broadcast(lane, 0)
    between_lines(rows, 0, way, lane[0])  # where it deviates by nothing
    mean = float(lane[0])
    for first in range(0, end, STRETCH):
        a = b = c = d = zero
        for t in range(first, min(first + STRETCH, end), 2 * n):
            x, y = subtract(load(rows, t), pivot), subtract(load(rows, t + n), pivot)
            a, b = add(a, x), add(b, y)
            c, d = multiply_add(x, x, c), multiply_add(y, y, d)
        rest += over_lanes(add(a, b), lane)
        squares += over_lanes(add(c, d), lane)
    return mean + rest / count, squares - rest * rest / count


@jit
def over_lanes(vector: Any, lane: Any) -> float:
    """The sum over the lanes, in float64."""
    store(lane, 0, vector)
    total = 0.0
    for i in range(lanes(lane)):
        total += lane[i]
    return total


@jit
def between_lines(row: Any, start: int, way: Any, value: Any) -> None:
    """Write a value where a channel that begins at `start` has no pixels, and a little behind."""
    end = start + way.height * way.pitch
    for line in range(start, end, way.pitch):
        for t in range(line + way.width, line + way.pitch):
            row[t] = value
    for t in range(end, end + LINE):
        row[t] = value


@jit
def combine(
    statistics: Any, count: int, eps: float, gamma: Any, beta: Any, norm: Any, variance: Any
) -> None:
    """Those of the batch: the law of total variance, within the images and between them."""
    means, squares = statistics
    images = len(means)
    for o in range(len(variance)):
        centre = within = between = 0.0
        for n in range(images):
            centre += means[n, o] / images
            within += squares[n, o] / (images * count)
        for n in range(images):
            between += (means[n, o] - centre) ** 2 / images
        norm[MEAN, o], variance[o] = centre, within + between
        norm[INV_STD, o] = 1 / np.sqrt(within + between + eps)
        norm[SCALE, o], norm[SHIFT, o] = gamma[o] * norm[INV_STD, o], beta[o]


@jit
def finish(
    start: int,
    stop: int,
    rows: Any,
    norm: Any,
    pitch: int,
    relu: bool,
    numbers: Any,
    peaks: Any,
    index: Any,
    out: Any,
) -> None:
    """All that is behind the convolution, for some images."""
    if index.size:
        lines = np.empty((out.shape[1], peaks.shape[2] * peaks.shape[3]), out.dtype)
    else:
        lines = np.empty(rows.shape[1:], out.dtype)
    for n in range(start, stop):
        for o in range(out.shape[1]):
            if index.size:
                _pool(rows, n, o, norm, numbers, pitch, relu, peaks, index, lines)
            else:
                _normalize(rows[n], o, norm, out.shape[2] * pitch, relu, lines)
        take(lines, peaks.shape[3] if index.size else pitch, out[n])


@part
def vectors(norm: Any, o: int) -> Any:
    """What brings one channel to its mean and variance."""
    channels = norm.shape[1]
    mean, scale = broadcast(norm, o), broadcast(norm, SCALE * channels + o)
    return mean, scale, broadcast(norm, SHIFT * channels + o)


@part
def _normalize(rows: Any, o: int, norm: Any, end: int, relu: bool, out: Any) -> None:
    """Of one channel; its lines stay as far apart as they are."""
    mean, scale, shift = vectors(norm, o)
    zero, start = zeros(rows), o * rows.shape[1]
    for t in range(start, start + end, lanes(rows)):
        z = multiply_add(subtract(load(rows, t), mean), scale, shift)
        store(out, t, if_at_most(z, zero, zero, z) if relu else z)


@part
def _pool(
    rows: Any,
    n: int,
    o: int,
    norm: Any,
    numbers: Any,
    pitch: int,
    relu: bool,
    peaks: Any,
    index: Any,
    out: Any,
) -> None:
    """One channel. NaN wins against every number, and the first of equals."""
    mean, scale, shift = vectors(norm, o)
    zero, dead = zeros(rows), broadcast(numbers, DEAD)
    one, two, three = broadcast(numbers, 1), broadcast(numbers, 2), broadcast(numbers, 3)
    channels, height, width = peaks.shape[1:]
    for i in range(height):
        line = (n * rows.shape[1] + o) * rows.shape[2] + 2 * i * pitch
        at = (((n * channels) + o) * height + i) * width
        for j in range(0, width, lanes(rows)):
            y0, y1 = _pairs(rows, line + 2 * j)
            y2, y3 = _pairs(rows, line + pitch + 2 * j)
            z0 = multiply_add(subtract(y0, mean), scale, shift)
            z1 = multiply_add(subtract(y1, mean), scale, shift)
            z2 = multiply_add(subtract(y2, mean), scale, shift)
            z3 = multiply_add(subtract(y3, mean), scale, shift)
            k, y, z = if_larger(z1, z0, one, zero), if_larger(z1, z0, y1, y0), _larger(z1, z0)
            k, y, z = if_larger(z2, z, two, k), if_larger(z2, z, y2, y), _larger(z2, z)
            k, y, z = if_larger(z3, z, three, k), if_larger(z3, z, y3, y), _larger(z3, z)
            if relu:
                k, z = if_at_most(z, zero, dead, k), if_at_most(z, zero, zero, z)
            store(peaks, at + j, y)
            store(index, at + j, k)
            store(out, (o * height + i) * width + j, z)


@part
def _pairs(row: Any, t: int) -> Any:
    """The first elements of neighbouring pairs, and the second ones."""
    a, b = load(row, t), load(row, t + lanes(row))
    return evens(a, b), odds(a, b)


@part
def _larger(a: Any, b: Any) -> Any:
    return if_larger(a, b, a, b)


@jit
def infer(
    start: int,
    stop: int,
    x: Any,
    weights: Any,
    bias: Any,
    way: Any,
    norm: Any,
    relu: bool,
    width: int,
    out: Any,
) -> None:
    """`width` is that of a line of windows in whole vectors, or 0 without pooling."""
    row = np.zeros(way.size, x.dtype)
    rows = np.empty((len(bias), way.height * way.pitch + LINE), x.dtype)
    size = out.shape[2] * width if width else rows.shape[1]
    lines = np.empty((out.shape[1], size), x.dtype)
    for n in range(start, stop):
        lay_out(x[n], way, row)
        correlate(row, way.offsets, weights, bias, way.length, rows)
        for o in range(out.shape[1]):
            if width:
                _pool_maxima(rows, o, norm, way.pitch, relu, width, lines)
            else:
                _normalize(rows, o, norm, out.shape[2] * way.pitch, relu, lines)
        take(lines, width if width else way.pitch, out[n])


@part
def _pool_maxima(
    rows: Any, o: int, norm: Any, pitch: int, relu: bool, width: int, out: Any
) -> None:
    """The same as `_pool` where only the maxima are wanted."""
    mean, scale, shift = vectors(norm, o)
    zero = zeros(rows)
    for at in range(o * out.shape[1], (o + 1) * out.shape[1], width):
        line = o * rows.shape[1] + 2 * (at - o * out.shape[1]) // width * pitch
        for j in range(0, width, lanes(rows)):
            y0, y1 = _pairs(rows, line + 2 * j)
            y2, y3 = _pairs(rows, line + pitch + 2 * j)
            z0 = multiply_add(subtract(y0, mean), scale, shift)
            z1 = multiply_add(subtract(y1, mean), scale, shift)
            z2 = multiply_add(subtract(y2, mean), scale, shift)
            z3 = multiply_add(subtract(y3, mean), scale, shift)
            z = _larger(z3, _larger(z2, _larger(z1, z0)))
            store(out, at + j, if_at_most(z, zero, zero, z) if relu else z)
