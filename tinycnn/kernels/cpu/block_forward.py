"""What `block.py` does forward: the convolution with its statistics, and all that is behind it.

A norm is an array (4, O) of what becomes of each channel: (y − mean) · scale + shift, where the
scale has the factor inv_std. It keeps the order of a window's elements or, where it is negative,
turns it round. So pooling comes first, while the elements are in the cache, and leaves a quarter of
them to be normalised once the statistics are known.
"""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.jit import inner, jit, part
from tinycnn.kernels.cpu.products import over_lanes
from tinycnn.kernels.cpu.rows import LINE, lay_out, take
from tinycnn.kernels.cpu.vector import (
    add,
    broadcast,
    evens,
    if_at_most,
    if_equal,
    if_larger,
    if_numbers,
    lanes,
    load,
    multiply_add,
    odds,
    store,
    subtract,
    zeros,
)
from tinycnn.kernels.cpu.winograd import convolve

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
    signs: Any,
    peaks: Any,
    energies: Any,
) -> None:
    """The convolution of some images, the statistics of their channels and the largest of each
    window, as far as they are wanted."""
    row, lane = np.zeros(way.size, x.dtype), np.empty(lanes(x), x.dtype)
    for n in range(start, stop):
        lay_out(x[n], way, row)
        energies[n] = convolve(row, way, weights, bias, rows[n])
        for o in range(len(signs)):
            if statistics.size:
                moments = _moments(rows[n, o], way, lane)
                statistics[0, n, o], statistics[1, n, o] = moments
            else:
                between_lines(rows[n, o], way, x.dtype.type(0))
            if peaks.size:
                _pool(rows[n], o, way.pitch, signs, peaks[n])


@part
def _moments(rows: Any, way: Any, lane: Any) -> Any:
    """Mean and sum of squared deviations of a channel. Of several sums side by side each waits
    for itself alone."""
    end, count, n = way.height * way.pitch, way.height * way.width, lanes(rows)
    zero = zeros(rows)
    between_lines(rows, way, rows.dtype.type(0))
    total = rest = squares = 0.0
    for first in range(0, end, STRETCH):
        a = b = c = d = zero
        for t in range(first, min(first + STRETCH, end), 4 * n):
            a, b = add(a, load(rows, t)), add(b, load(rows, t + n))
            c, d = add(c, load(rows, t + 2 * n)), add(d, load(rows, t + 3 * n))
        total += over_lanes(add(add(a, b), add(c, d)), lane)
    lane[0] = total / count
    pivot = broadcast(lane, 0)
    between_lines(rows, way, lane[0])  # where it deviates by nothing
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


@inner
def between_lines(row: Any, way: Any, value: Any) -> None:
    """Write a value where a channel that begins a row has no pixels, and for four vectors behind,
    which loops may read to the end."""
    end = way.height * way.pitch
    for line in range(0, end, way.pitch):
        for t in range(line + way.width, line + way.pitch):
            row[t] = value
    for t in range(end, end + 4 * lanes(row)):
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
def finish(start: int, stop: int, planes: Any, norm: Any, pitch: int, relu: bool, out: Any) -> None:
    """The norm and ReLU, for some images; lines are `pitch` apart."""
    end = out.shape[2] * pitch
    lines = np.empty((out.shape[1], end + LINE), out.dtype)
    for n in range(start, stop):
        for o in range(out.shape[1]):
            _normalize(planes[n], o, norm, end, relu, lines)
        take(lines, pitch, out[n])


@part
def vectors(norm: Any, o: int) -> Any:
    """What brings one channel to its mean and variance."""
    channels = norm.shape[1]
    mean, scale = broadcast(norm, o), broadcast(norm, SCALE * channels + o)
    return mean, scale, broadcast(norm, SHIFT * channels + o)


@part
def _normalize(planes: Any, o: int, norm: Any, end: int, relu: bool, out: Any) -> None:
    """One channel of an image; its lines stay as far apart as they are."""
    mean, scale, shift = vectors(norm, o)
    zero, start, to = zeros(out), o * (planes.size // planes.shape[0]), o * out.shape[1]
    for t in range(0, end, lanes(out)):
        z = multiply_add(subtract(load(planes, start + t), mean), scale, shift)
        store(out, to + t, if_at_most(z, zero, zero, z) if relu else z)


@part
def _pool(rows: Any, o: int, pitch: int, signs: Any, peaks: Any) -> None:
    """One channel of an image. NaN wins against every number."""
    sign, zero = broadcast(signs, o), zeros(rows)
    height, width = peaks.shape[1:]
    for i in range(height):
        line, at = o * rows.shape[1] + 2 * i * pitch, (o * height + i) * width
        for j in range(0, width, lanes(rows)):
            y0, y1 = pairs(load(rows, line + 2 * j), load(rows, line + 2 * j + lanes(rows)))
            below = line + pitch + 2 * j
            y2, y3 = pairs(load(rows, below), load(rows, below + lanes(rows)))
            z0, z1 = multiply_add(y0, sign, zero), multiply_add(y1, sign, zero)
            z2, z3 = multiply_add(y2, sign, zero), multiply_add(y3, sign, zero)
            y = multiply_add(_larger(_larger(z0, z1), _larger(z2, z3)), sign, zero)
            y = if_numbers(y0, y1, if_numbers(y2, y3, y, add(y2, y3)), add(y0, y1))
            store(peaks, at + j, if_equal(sign, zero, y0, y))


@part
def _larger(a: Any, b: Any) -> Any:
    return if_larger(b, a, b, a)


@part
def pairs(a: Any, b: Any) -> Any:
    """The first elements of neighbouring pairs, and the second ones."""
    return evens(a, b), odds(a, b)


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
    signs: Any,
    width: int,
    out: Any,
    energies: Any,
) -> None:
    """`width` is that of a line of windows in whole vectors, or 0 without pooling."""
    row = np.zeros(way.size, x.dtype)
    rows = np.empty((len(bias), way.height * way.pitch + LINE), x.dtype)
    peaks = np.empty((out.shape[1], out.shape[2], width), x.dtype)
    pitch = width if width else way.pitch
    lines = np.empty((out.shape[1], out.shape[2] * pitch + LINE), x.dtype)
    for n in range(start, stop):
        lay_out(x[n], way, row)
        energies[n] = convolve(row, way, weights, bias, rows)
        for o in range(out.shape[1]):
            if width:
                _pool(rows, o, way.pitch, signs, peaks)
                _normalize(peaks, o, norm, out.shape[2] * pitch, relu, lines)
            else:
                _normalize(rows, o, norm, out.shape[2] * pitch, relu, lines)
        take(lines, pitch, out[n])
