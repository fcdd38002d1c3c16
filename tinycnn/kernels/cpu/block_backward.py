"""What `block.py` does backward: the sums batch norm needs, and the convolution's gradients."""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.block_forward import DEAD, STRETCH, between_lines, over_lanes
from tinycnn.kernels.cpu.convolution import add_lanes, at_a_time, spread
from tinycnn.kernels.cpu.jit import jit
from tinycnn.kernels.cpu.products import correlate, correlate_rows
from tinycnn.kernels.cpu.rows import LINE, lay_out, take
from tinycnn.kernels.cpu.vector import (
    add,
    broadcast,
    if_at_most,
    if_equal,
    lanes,
    load,
    mixed_first,
    mixed_last,
    multiply_add,
    store,
    subtract,
)


@jit
def sum_up(
    start: int,
    stop: int,
    g: Any,
    rows: Any,
    peaks: Any,
    index: Any,
    mean: Any,
    inv_std: Any,
    scale: Any,
    shift: Any,
    pitch: int,
    relu: bool,
    sums: Any,
) -> None:
    """Σ g · (y − mean) · inv_std and Σ g where it reaches the convolution, channel by channel."""
    norm = mean, scale, shift
    apart = peaks.shape[3] if index.size else pitch
    plane = np.zeros((1, g.shape[2] * apart + LINE), g.dtype)
    end = g.shape[2] * apart
    for n in range(start, stop):
        for o in range(g.shape[1]):
            spread(g[n, o : o + 1], plane, apart)
            if index.size:
                sums[:, n, o] = _pooled_sums(plane, peaks[n, o], index[n, o], mean, o)
            else:
                sums[:, n, o] = _unpooled_sums(plane, rows[n, o], norm, o, end, relu)
            sums[0, n, o] *= inv_std[o]


@jit
def _pooled_sums(g: Any, peaks: Any, index: Any, means: Any, o: int) -> Any:
    n, lane = lanes(g), np.zeros(lanes(g) + DEAD, g.dtype)
    mean = broadcast(means, o)
    zero = subtract(mean, mean)
    lane[0] = DEAD
    dead = broadcast(lane, 0)
    product = total = 0.0
    for start in range(0, peaks.size, STRETCH):
        p = s = zero
        for t in range(start, min(start + STRETCH, peaks.size), n):
            h = if_equal(load(index, t), dead, zero, load(g, t))
            p = multiply_add(h, subtract(load(peaks, t), mean), p)
            s = add(s, h)
        product += over_lanes(p, lane)
        total += over_lanes(s, lane)
    return product, total


@jit
def _unpooled_sums(g: Any, rows: Any, norm: Any, o: int, end: int, relu: bool) -> Any:
    mean, scale, shift = broadcast(norm[0], o), broadcast(norm[1], o), broadcast(norm[2], o)
    n, lane = lanes(g), np.zeros(lanes(g), g.dtype)
    zero = subtract(mean, mean)
    product = total = 0.0
    for start in range(0, end, STRETCH):
        p = s = zero
        for t in range(start, min(start + STRETCH, end), n):
            y, h = subtract(load(rows, t), mean), load(g, t)
            if relu:
                h = if_at_most(multiply_add(y, scale, shift), zero, zero, h)
            p, s = multiply_add(h, y, p), add(s, h)
        product += over_lanes(p, lane)
        total += over_lanes(s, lane)
    return product, total


@jit
def gradients(
    start: int,
    stop: int,
    g: Any,
    x: Any,
    rows: Any,
    index: Any,
    mean: Any,
    scale: Any,
    shift: Any,
    level: Any,
    slope: Any,
    relu: bool,
    turned: Any,
    offsets: Any,
    layout: Any,
    length: int,
    size: Any,
    back_offsets: Any,
    back_layout: Any,
    back_length: int,
    dw: Any,
    dx: Any,
) -> None:
    """The convolution's gradients for blocks of images, whose cotangents are laid out one by one
    as long rows that serve both."""
    pitch, norm = layout.pitch, (mean, scale, shift, level, slope)
    together, plane = at_a_time(length), back_layout.lines * pitch
    rows_of_x = np.zeros((together, layout.size), x.dtype)
    cotangents = np.zeros((together, back_layout.size + 4 * plane), g.dtype)
    origin = back_layout.top * pitch + back_layout.left
    given = np.zeros((1, g.shape[2] * index.shape[3] + LINE), g.dtype)
    out = np.empty((4 * len(turned), back_length + LINE), g.dtype)
    zeros = np.zeros(4 * len(turned), g.dtype)
    sums = np.empty((rows.shape[1], len(offsets), lanes(x)), x.dtype)
    for block in range(start, stop):
        sums[:] = 0
        first, end = len(g) * block // len(dw), len(g) * (block + 1) // len(dw)
        for some in range(first, end, together):
            images = min(together, end - some)
            for m in range(images):
                n, cotangent = some + m, cotangents[m]
                lay_out(x[n], rows_of_x[m], layout)
                for o in range(g.shape[1]):
                    there = o * plane + origin
                    if index.size:
                        spread(g[n, o : o + 1], given, index.shape[3])
                        _unpool(given, rows[n], index[n], o, norm, size, pitch, cotangent, there)
                    else:
                        spread(g[n, o : o + 1], cotangent[there:].reshape(1, -1), pitch)
                        _undo(rows[n], o, norm, relu, size, pitch, cotangent, there)
                    between_lines(cotangent, there, size, pitch, g.dtype.type(0))
                if dx.size:
                    correlate(cotangent, back_offsets, turned, zeros, back_length, out)
                    take(out, pitch, dx[n])
            correlate_rows(cotangents, images, plane, origin, rows_of_x, offsets, length, sums)
        add_lanes(sums, dw[block])


@jit
def _vectors(norm: Any, o: int) -> Any:
    mean, scale, shift, level, slope = norm
    first = broadcast(mean, o), broadcast(scale, o), broadcast(shift, o)
    return (*first, broadcast(level, o), broadcast(slope, o))


@jit
def _undo(
    rows: Any, o: int, norm: Any, relu: bool, size: Any, pitch: int, out: Any, there: int
) -> None:
    """The convolution's cotangent in the place of the block's, for a channel: less its mean and
    its part along y."""
    mean, scale, shift, level, slope = _vectors(norm, o)
    zero = subtract(mean, mean)
    for t in range(0, size[0] * pitch, lanes(rows)):
        h, y = load(out, there + t), subtract(load(rows, o * rows.shape[1] + t), mean)
        if relu:
            h = if_at_most(multiply_add(y, scale, shift), zero, zero, h)
        along = multiply_add(y, slope, level)
        store(out, there + t, subtract(multiply_add(h, scale, zero), along))


@jit
def _unpool(
    g: Any,
    rows: Any,
    index: Any,
    o: int,
    norm: Any,
    size: Any,
    pitch: int,
    out: Any,
    there: int,
) -> None:
    """The same where only the largest of each window has got one."""
    mean, scale, _, level, slope = _vectors(norm, o)
    numbers = np.arange(4).astype(g.dtype)
    zero, n = broadcast(numbers, 0), lanes(g)
    height, width = index.shape[1:]
    for i in range(size[0]):
        line, to = o * rows.shape[1] + i * pitch, there + i * pitch
        window, first = i // 2 * width, i % 2 * 2
        left, right = broadcast(numbers, first), broadcast(numbers, first + 1)
        for j in range(0, width, n):
            a = b = zero
            if i // 2 < height:
                h = multiply_add(load(g, window + j), scale, zero)
                k = load(index, o * height * width + window + j)
                a, b = if_equal(k, left, h, zero), if_equal(k, right, h, zero)
            y = subtract(load(rows, line + 2 * j), mean)
            store(out, to + 2 * j, subtract(mixed_first(a, b), multiply_add(y, slope, level)))
            y = subtract(load(rows, line + 2 * j + n), mean)
            store(out, to + 2 * j + n, subtract(mixed_last(a, b), multiply_add(y, slope, level)))
