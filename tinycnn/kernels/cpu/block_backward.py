"""What `block.py` does backward: the sums batch norm needs, and the convolution's gradients."""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.block_forward import (
    DEAD,
    INV_STD,
    SCALE,
    STRETCH,
    between_lines,
    over_lanes,
    vectors,
)
from tinycnn.kernels.cpu.convolution import add_lanes, at_a_time, clear
from tinycnn.kernels.cpu.jit import jit, part
from tinycnn.kernels.cpu.products import correlate, correlate_rows
from tinycnn.kernels.cpu.rows import LINE, lay_out, spread, take
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
    zeros,
)


@jit
def sum_up(
    start: int,
    stop: int,
    g: Any,
    rows: Any,
    peaks: Any,
    index: Any,
    norm: Any,
    pitch: int,
    relu: bool,
    sums: Any,
) -> None:
    """Σ g · (y − mean) · inv_std and Σ g where it reaches the convolution, channel by channel."""
    apart = peaks.shape[3] if index.size else pitch
    plane = np.zeros(g.shape[2] * apart + LINE, g.dtype)
    end, lane = g.shape[2] * apart, np.empty(lanes(g), g.dtype)
    for n in range(start, stop):
        for o in range(g.shape[1]):
            spread(g[n, o], apart, plane, 0)
            if index.size:
                both = _pooled_sums(plane, peaks[n, o], index[n, o], norm, o, lane)
            else:
                both = _unpooled_sums(plane, rows[n, o], norm, o, end, relu, lane)
            sums[0, n, o], sums[1, n, o] = both[0] * norm[INV_STD, o], both[1]


@part
def _pooled_sums(g: Any, peaks: Any, index: Any, norm: Any, o: int, lane: Any) -> Any:
    n, mean = lanes(g), broadcast(norm, o)
    zero = zeros(g)
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


@part
def _unpooled_sums(g: Any, rows: Any, norm: Any, o: int, end: int, relu: bool, lane: Any) -> Any:
    mean, scale, shift = vectors(norm, o)
    n = lanes(g)
    zero = zeros(g)
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
def settle(sums: Any, count: int, norm: Any, with_norm: bool, found: Any, taken: Any) -> None:
    """The gradients of gamma and beta; and of the cotangent batch norm takes away its mean and its
    part along y: a level and a slope."""
    for o in range(found.shape[1]):
        gamma = beta = 0.0
        for n in range(sums.shape[1]):
            gamma += sums[0, n, o]
            beta += sums[1, n, o]
        found[0, o], found[1, o] = gamma, beta
        if with_norm:
            taken[0, o] = beta / count * norm[SCALE, o]
            taken[1, o] = gamma / count * norm[INV_STD, o] * norm[SCALE, o]


@jit
def gradients(
    start: int,
    stop: int,
    g: Any,
    x: Any,
    rows: Any,
    index: Any,
    norm: Any,
    taken: Any,
    relu: bool,
    numbers: Any,
    way: Any,
    weights: Any,
    no_bias: Any,
    back: Any,
    dw: Any,
    dx: Any,
) -> None:
    """The convolution's gradients for blocks of images, whose cotangents are laid out one by one
    as long rows that serve both."""
    together, plane = at_a_time(way), back.lines * back.pitch
    images = np.zeros((together, way.size), x.dtype)
    cotangents = np.zeros((together, back.size + 4 * plane), g.dtype)
    given = np.zeros(g.shape[2] * index.shape[3] + LINE, g.dtype)
    out = np.empty((len(no_bias), back.height * back.pitch + LINE), g.dtype)
    sums = np.empty((rows.shape[1], len(way.offsets), lanes(x)), x.dtype)
    origin = back.top * back.pitch + back.left
    for block in range(start, stop):
        clear(sums)
        first, end = len(g) * block // len(dw), len(g) * (block + 1) // len(dw)
        for some in range(first, end, together):
            count = min(together, end - some)
            for m in range(count):
                n, cotangent = some + m, cotangents[m]
                lay_out(x[n], way, images[m])
                for o in range(g.shape[1]):
                    there = o * plane + origin
                    if index.size:
                        spread(g[n, o], index.shape[3], given, 0)
                        y, k = rows[n], index[n]
                        _unpool(given, y, k, o, norm, taken, numbers, way, cotangent, there)
                    else:
                        spread(g[n, o], way.pitch, cotangent, there)
                        _undo(rows[n], o, norm, taken, relu, way, cotangent, there)
                    between_lines(cotangent, there, way, g.dtype.type(0))
                if dx.size:
                    correlate(cotangent, back.offsets, weights, no_bias, back.length, out)
                    take(out, back.pitch, dx[n])
            correlate_rows(cotangents, count, plane, origin, images, way.offsets, way.length, sums)
        add_lanes(sums, dw[block])


@part
def _undo(
    rows: Any, o: int, norm: Any, taken: Any, relu: bool, way: Any, out: Any, there: int
) -> None:
    """The convolution's cotangent in the place of the block's, for a channel: less its mean and
    its part along y."""
    mean, scale, shift = vectors(norm, o)
    level, slope = broadcast(taken, o), broadcast(taken, taken.shape[1] + o)
    zero = zeros(rows)
    for t in range(0, way.height * way.pitch, lanes(rows)):
        h, y = load(out, there + t), subtract(load(rows, o * rows.shape[1] + t), mean)
        if relu:
            h = if_at_most(multiply_add(y, scale, shift), zero, zero, h)
        along = multiply_add(y, slope, level)
        store(out, there + t, subtract(multiply_add(h, scale, zero), along))


@part
def _unpool(
    g: Any,
    rows: Any,
    index: Any,
    o: int,
    norm: Any,
    taken: Any,
    numbers: Any,
    way: Any,
    out: Any,
    there: int,
) -> None:
    """The same where only the largest of each window has got one."""
    mean, scale, _ = vectors(norm, o)
    level, slope = broadcast(taken, o), broadcast(taken, taken.shape[1] + o)
    zero, n = zeros(g), lanes(g)
    height, width = index.shape[1:]
    for i in range(way.height):
        line, to = o * rows.shape[1] + i * way.pitch, there + i * way.pitch
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
