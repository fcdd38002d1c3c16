"""What `block.py` does forward: the convolution with its statistics, and all that is behind it.

A norm is an array (4, O) of what becomes of each channel: (y − mean) · scale + shift, where the
scale has the factor inv_std. It keeps the order of a window's elements or, where it is negative,
turns it round. So pooling comes first, while the elements are in the cache, and leaves a quarter of
them to be normalised once the statistics are known.
"""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.jit import inner, jit, part
from tinycnn.kernels.cpu.pooled import convolve
from tinycnn.kernels.cpu.rows import lay_out
from tinycnn.kernels.cpu.vector import (
    add,
    broadcast,
    copy,
    if_at_most,
    lanes,
    load,
    multiply_add,
    over_lanes,
    store,
    subtract,
    zeros,
)
from tinycnn.kernels.cpu.winograd import squares

MEAN, SCALE, SHIFT, INV_STD = range(4)  # of a norm
STRETCH = 4096  # so many numbers are summed in their own precision, then in float64


@jit
def forward(
    start: int,
    stop: int,
    x: Any,
    weights: Any,
    bias: Any,
    way: Any,
    rows: Any,
    peaks: Any,
    statistics: Any,
    norm: Any,
    relu: bool,
    out: Any,
    energies: Any,
) -> None:
    """The convolution of some images, and of these the largest of each window, if they are pooled.
    In training both are kept for every image, and the statistics of the channels are taken if
    there is room for them; of the norm only the signs of the scales are known. Else the norm and
    ReLU follow at once. The energies are all wrong, if any is not `tame`: then so is what came out.
    """
    training, pool = len(rows) == len(x), peaks.shape[1] > 0
    if not training:
        rows = np.empty((1, *rows.shape[1:]), x.dtype)
        peaks = np.empty((1, *peaks.shape[1:]), x.dtype)
    row, lane = np.zeros(way.size, x.dtype), np.empty(lanes(x), x.dtype)
    pitch = peaks.shape[3] if pool else way.pitch
    given = (
        squares(weights.reshape(weights.size)) + squares(bias) + squares(norm.reshape(norm.size))
    )
    for n in range(start, stop):
        y, windows = rows[n if training else 0], peaks[n if training else 0]
        flat = windows.reshape(windows.size)
        lay_out(x[n], way, row)
        kept = y[:0] if pool and not training else y
        energies[n] = given + convolve(row, way, weights, bias, kept, norm[SCALE], flat)
        for o in range(norm.shape[1]):
            if statistics.size:
                statistics[0, n, o], statistics[1, n, o] = _moments(y[o], way, lane)
            elif training:
                between_lines(y[o], way, x.dtype.type(0))
        if not training:
            planes = windows.reshape((len(windows), windows.size // len(windows))) if pool else y
            _finish(planes, norm, pitch, relu, lane, out[n])


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
        total += over_lanes(add(add(a, b), add(c, d)))
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
        rest += over_lanes(add(a, b))
        squares += over_lanes(add(c, d))
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
def combine(statistics: Any, count: int, eps: float, norm: Any, variance: Any) -> None:
    """Those of the batch, into a norm that has only scales and shifts: the law of total variance,
    within the images and between them."""
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
        norm[SCALE, o] *= norm[INV_STD, o]


@jit
def finish(start: int, stop: int, planes: Any, norm: Any, pitch: int, relu: bool, out: Any) -> None:
    """The norm and ReLU, for some images; lines are `pitch` apart."""
    lane = np.empty(lanes(out), out.dtype)
    for n in range(start, stop):
        _finish(planes[n], norm, pitch, relu, lane, out[n])


@part
def vectors(norm: Any, o: int) -> Any:
    """What brings one channel to its mean and variance."""
    channels = norm.shape[1]
    mean, scale = broadcast(norm, o), broadcast(norm, SCALE * channels + o)
    return mean, scale, broadcast(norm, SHIFT * channels + o)


@part
def _finish(planes: Any, norm: Any, pitch: int, relu: bool, lane: Any, image: Any) -> None:
    """Those of one image, in vectors of which a line's last overlaps with the one before."""
    n, plane, (channels, height, width) = lanes(lane), planes.size // len(planes), image.shape
    pixels = image.reshape(image.size)
    for o in range(channels):
        channel = vectors(norm, o)
        for i in range(height):
            at, to = o * plane + i * pitch, (o * height + i) * width
            if width < n:
                store(lane, 0, _finished(planes, at, channel, relu))
                copy(lane, 0, pixels, to, width)
                continue
            for j in range(0, width - n, n):
                store(pixels, to + j, _finished(planes, at + j, channel, relu))
            end = width - n
            store(pixels, to + end, _finished(planes, at + end, channel, relu))


@part
def _finished(planes: Any, at: int, channel: Any, relu: bool) -> Any:
    """A vector of them."""
    zero, (mean, scale, shift) = zeros(planes), channel
    z = multiply_add(subtract(load(planes, at), mean), scale, shift)
    return if_at_most(z, zero, zero, z) if relu else z
