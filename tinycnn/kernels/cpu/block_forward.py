"""What `block.py` does forward: the convolution with its statistics, and all that is behind it.

Of a window's four elements the largest is numbered 0 to 3 in row-major order, or DEAD where ReLU
cuts it off.
"""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.jit import jit
from tinycnn.kernels.cpu.products import correlate
from tinycnn.kernels.cpu.rows import LANES, LINE, lay_out, take
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
)

DEAD = 4
STRETCH = 4096  # so many numbers are summed in their own precision, then in float64


@jit
def correlate_and_measure(
    start: int,
    stop: int,
    x: Any,
    weights: Any,
    bias: Any,
    offsets: Any,
    layout: Any,
    length: int,
    size: Any,
    rows: Any,
    statistics: Any,
) -> None:
    """The convolution of some images, and the statistics of their channels if wanted."""
    row = np.zeros(layout.size, x.dtype)
    for n in range(start, stop):
        lay_out(x[n], row, layout)
        correlate(row, offsets, weights, bias, length, rows[n])
        for o in range(statistics.shape[2]):
            statistics[:, n, o] = _moments(rows[n, o], size, layout.pitch)


@jit
def _moments(row: Any, size: Any, pitch: int) -> Any:
    """Mean and sum of squared deviations of a channel of an image."""
    height, width = size
    end, count, n = height * pitch, height * width, lanes(row)
    lane, numbers = np.zeros(2 * n, row.dtype), np.zeros(1, row.dtype)
    zero = broadcast(numbers, 0)
    between_lines(row, 0, size, pitch, numbers[0])
    total = 0.0
    for start in range(0, end, STRETCH):
        even = odd = zero
        for t in range(start, min(start + STRETCH, end), 2 * n):
            even, odd = add(even, load(row, t)), add(odd, load(row, t + n))
        total += over_lanes(add(even, odd), lane)
    numbers[0] = total / count
    pivot = broadcast(numbers, 0)
    between_lines(row, 0, size, pitch, numbers[0])  # where it deviates by nothing
    rest = squares = 0.0
    for start in range(0, end, STRETCH):
        part = part_of_squares = zero
        for t in range(start, min(start + STRETCH, end), n):
            y = subtract(load(row, t), pivot)
            part, part_of_squares = add(part, y), multiply_add(y, y, part_of_squares)
        rest += over_lanes(part, lane)
        squares += over_lanes(part_of_squares, lane)
    return numbers[0] + rest / count, squares - rest * rest / count


@jit
def over_lanes(vector: Any, lane: Any) -> float:
    """The sum over the lanes, in float64."""
    store(lane, 0, vector)
    total = 0.0
    for i in range(lanes(lane)):
        total += lane[i]
    return total


@jit
def between_lines(row: Any, start: int, size: Any, pitch: int, value: Any) -> None:
    """Write a value where a channel that begins at `start` has no pixels, and a little behind."""
    for line in range(start, start + size[0] * pitch, pitch):
        for t in range(line + size[1], line + pitch):
            row[t] = value
    for t in range(start + size[0] * pitch, start + size[0] * pitch + 2 * LANES):
        row[t] = value


@jit
def combine(
    statistics: Any, count: int, eps: float, mean: Any, variance: Any, inv_std: Any
) -> None:
    """Those of the batch: the law of total variance, within the images and between them."""
    means, squares = statistics
    images = len(means)
    for o in range(len(mean)):
        centre = means[:, o].sum() / images
        within = squares[:, o].sum() / (images * count)
        between = ((means[:, o] - centre) ** 2).sum() / images
        mean[o], variance[o] = centre, within + between
        inv_std[o] = 1 / np.sqrt(within + between + eps)


@jit
def finish(
    start: int,
    stop: int,
    rows: Any,
    mean: Any,
    scale: Any,
    shift: Any,
    pitch: int,
    relu: bool,
    peaks: Any,
    index: Any,
    out: Any,
) -> None:
    """All that is behind the convolution, for some images."""
    norm = mean, scale, shift
    if index.size:
        lines = np.empty((out.shape[1], peaks.shape[2] * peaks.shape[3]), out.dtype)
    else:
        lines = np.empty(rows.shape[1:], out.dtype)
    for n in range(start, stop):
        for o in range(out.shape[1]):
            if index.size:
                _pool(rows, n, o, norm, pitch, relu, peaks, index, lines)
            else:
                _normalize(rows[n], o, norm, out.shape[2] * pitch, relu, lines)
        take(lines, peaks.shape[3] if index.size else pitch, out[n])


@jit
def _normalize(rows: Any, o: int, norm: Any, end: int, relu: bool, out: Any) -> None:
    """Of one channel; its lines stay as far apart as they are."""
    mean, scale, shift = broadcast(norm[0], o), broadcast(norm[1], o), broadcast(norm[2], o)
    zero, start = subtract(mean, mean), o * rows.shape[1]
    for t in range(start, start + end, lanes(rows)):
        z = multiply_add(subtract(load(rows, t), mean), scale, shift)
        store(out, t, if_at_most(z, zero, zero, z) if relu else z)


@jit
def _pool(
    rows: Any,
    n: int,
    o: int,
    norm: Any,
    pitch: int,
    relu: bool,
    peaks: Any,
    index: Any,
    out: Any,
) -> None:
    """One channel. NaN wins against every number, and the first of equals."""
    mean, scale, shift = broadcast(norm[0], o), broadcast(norm[1], o), broadcast(norm[2], o)
    numbers = np.arange(5).astype(rows.dtype)
    zero, dead = broadcast(numbers, 0), broadcast(numbers, DEAD)
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


@jit
def _pairs(row: Any, t: int) -> Any:
    """The first elements of neighbouring pairs, and the second ones."""
    a, b = load(row, t), load(row, t + lanes(row))
    return evens(a, b), odds(a, b)


@jit
def _larger(a: Any, b: Any) -> Any:
    return if_larger(a, b, a, b)


@jit
def infer(
    start: int,
    stop: int,
    x: Any,
    weights: Any,
    bias: Any,
    offsets: Any,
    layout: Any,
    length: int,
    mean: Any,
    scale: Any,
    shift: Any,
    relu: bool,
    width: int,
    out: Any,
) -> None:
    """`width` is that of a line of windows in whole vectors, or 0 without pooling."""
    row = np.zeros(layout.size, x.dtype)
    rows, pitch = np.empty((len(bias), length + LINE), x.dtype), layout.pitch
    norm, size = (mean, scale, shift), out.shape[2] * width if width else length + LINE
    lines = np.empty((out.shape[1], size), x.dtype)
    for n in range(start, stop):
        lay_out(x[n], row, layout)
        correlate(row, offsets, weights, bias, length, rows)
        for o in range(out.shape[1]):
            if width:
                _pool_maxima(rows, o, norm, pitch, relu, width, lines)
            else:
                _normalize(rows, o, norm, out.shape[2] * pitch, relu, lines)
        take(lines, width if width else pitch, out[n])


@jit
def _pool_maxima(
    rows: Any, o: int, norm: Any, pitch: int, relu: bool, width: int, out: Any
) -> None:
    """The same as `_pool` where only the maxima are wanted."""
    mean, scale, shift = broadcast(norm[0], o), broadcast(norm[1], o), broadcast(norm[2], o)
    zero = subtract(mean, mean)
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
