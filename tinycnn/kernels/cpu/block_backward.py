"""What `block.py` does backward: the sums batch norm needs, and the convolution's gradients."""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.block_forward import (
    INV_STD,
    SCALE,
    STRETCH,
    between_lines,
    vectors,
)
from tinycnn.kernels.cpu.convolution import add_lanes, all_finite, at_a_time, clear
from tinycnn.kernels.cpu.jit import jit, part
from tinycnn.kernels.cpu.pooled import convolve, pairs
from tinycnn.kernels.cpu.products import correlate_rows
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
    over_lanes,
    store,
    subtract,
    zeros,
)

GAMMA, BETA, LEVEL, SLOPE = range(4)  # of what is found for each channel


@jit
def sum_up(
    start: int, stop: int, g: Any, planes: Any, norm: Any, pitch: int, relu: bool, sums: Any
) -> None:
    """Σ g · (y − mean) · inv_std and Σ g where it reaches the convolution, channel by channel; y is
    its result or the largest of each window, in lines `pitch` apart."""
    end = g.shape[2] * pitch
    plane = np.zeros(end + LINE, g.dtype)
    for n in range(start, stop):
        for o in range(g.shape[1]):
            spread(g[n, o], pitch, plane)
            both = _sums(plane, planes[n], norm, o, end, relu)
            sums[0, n, o], sums[1, n, o] = both[0] * norm[INV_STD, o], both[1]


@part
def _sums(g: Any, planes: Any, norm: Any, o: int, end: int, relu: bool) -> Any:
    mean, scale, shift = vectors(norm, o)
    n, zero, at = lanes(g), zeros(g), o * (planes.size // planes.shape[0])
    product = total = 0.0
    for start in range(0, end, STRETCH):
        p = s = zero
        for t in range(start, min(start + STRETCH, end), n):
            y, h = subtract(load(planes, at + t), mean), load(g, t)
            if relu:
                h = if_at_most(multiply_add(y, scale, shift), zero, zero, h)
            p, s = multiply_add(h, y, p), add(s, h)
        product += over_lanes(p)
        total += over_lanes(s)
    return product, total


@jit
def settle(sums: Any, count: int, norm: Any, with_norm: bool, weights: Any, found: Any) -> bool:
    """The gradients of gamma and beta, and the level and the slope of what batch norm takes away:
    the mean of the cotangent, and its part along y. Says whether they and the weights are finite.
    """
    for o in range(found.shape[1]):
        gamma = beta = 0.0
        for n in range(sums.shape[1]):
            gamma += sums[0, n, o]
            beta += sums[1, n, o]
        found[GAMMA, o], found[BETA, o] = gamma, beta
        if with_norm:
            found[LEVEL, o] = beta / count * norm[SCALE, o]
            found[SLOPE, o] = gamma / count * norm[INV_STD, o] * norm[SCALE, o]
    return all_finite(weights.reshape(weights.size)) and all_finite(found.reshape(found.size))


@jit
def gradients(
    start: int,
    stop: int,
    g: Any,
    x: Any,
    rows: Any,
    peaks: Any,
    norm: Any,
    found: Any,
    relu: bool,
    way: Any,
    weights: Any,
    no_bias: Any,
    back: Any,
    dw: Any,
    dx: Any,
    energies: Any,
) -> None:
    """The convolution's gradients for blocks of images, whose cotangents are laid out one by one
    as long rows that serve both."""
    together, plane = at_a_time(way), back.lines * back.pitch
    images = np.zeros((together, way.size), x.dtype)
    cotangents = np.zeros((together, back.size + 4 * plane), g.dtype)
    given = np.zeros(g.shape[2] * peaks.shape[3] + LINE, g.dtype)
    out = np.empty((len(no_bias), back.height * back.pitch + LINE), g.dtype)
    sums = np.empty((rows.shape[1], len(way.offsets), lanes(x)), x.dtype)
    origin, nothing = back.top * back.pitch + back.left, no_bias[:0]
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
                    if peaks.size:
                        spread(g[n, o], peaks.shape[3], given)
                        y, p = rows[n], peaks[n]
                        _unpool(given, y, p, o, norm, found, relu, way, cotangent, there)
                    else:
                        spread(g[n, o], way.pitch, cotangent[there:])
                        _undo(rows[n], o, norm, found, relu, way, cotangent, there)
                    between_lines(cotangent[there:], way, g.dtype.type(0))
                if dx.size:
                    energies[n] = convolve(cotangent, back, weights, no_bias, out, no_bias, nothing)
                    take(out, back.pitch, dx[n])
            correlate_rows(cotangents, count, plane, origin, images, way.offsets, way.length, sums)
        add_lanes(sums, dw[block])


@part
def _taken(found: Any, o: int) -> Any:
    """The level and the slope of a channel."""
    channels = found.shape[1]
    return broadcast(found, LEVEL * channels + o), broadcast(found, SLOPE * channels + o)


@part
def _undo(
    rows: Any, o: int, norm: Any, found: Any, relu: bool, way: Any, out: Any, there: int
) -> None:
    """The convolution's cotangent in the place of the block's, for a channel: less its mean and
    its part along y."""
    mean, scale, shift = vectors(norm, o)
    level, slope = _taken(found, o)
    zero = zeros(rows)
    for t in range(0, way.height * way.pitch, lanes(rows)):
        h, y = load(out, there + t), subtract(load(rows, o * rows.shape[1] + t), mean)
        if relu:
            h = if_at_most(multiply_add(y, scale, shift), zero, zero, h)
        h = multiply_add(h, scale, zero)
        store(out, there + t, subtract(h, multiply_add(y, slope, level)))


@part
def _unpool(
    g: Any,
    rows: Any,
    peaks: Any,
    o: int,
    norm: Any,
    found: Any,
    relu: bool,
    way: Any,
    out: Any,
    there: int,
) -> None:
    """The same where only the largest of each window has got one, or the first of equals. From
    right to left: what is written beyond a line's end the line below writes over."""
    mean, scale, shift = vectors(norm, o)
    level, slope = _taken(found, o)
    zero, n, below = zeros(g), lanes(g), way.pitch
    height, width = peaks.shape[1:]
    for i in range(height):
        line, to = o * rows.shape[1] + 2 * i * below, there + 2 * i * below
        for j in range(width - n, -1, -n):
            h, p = load(g, i * width + j), load(peaks, (o * height + i) * width + j)
            if relu:
                h = if_at_most(multiply_add(subtract(p, mean), scale, shift), zero, zero, h)
            h = multiply_add(h, scale, zero)
            at, to_pair = line + 2 * j, to + 2 * j
            a, b = load(rows, at), load(rows, at + n)
            c, d = load(rows, at + below), load(rows, at + below + n)
            (y0, y1), (y2, y3) = pairs(a, b), pairs(c, d)
            h0, h = if_equal(p, y0, h, zero), if_equal(p, y0, zero, h)
            h1, h = if_equal(p, y1, h, zero), if_equal(p, y1, zero, h)
            h2, h = if_equal(p, y2, h, zero), if_equal(p, y2, zero, h)
            h3 = if_equal(p, y3, h, zero)
            store(out, to_pair, _less(mixed_first(h0, h1), a, mean, slope, level))
            store(out, to_pair + n, _less(mixed_last(h0, h1), b, mean, slope, level))
            store(out, to_pair + below, _less(mixed_first(h2, h3), c, mean, slope, level))
            store(out, to_pair + below + n, _less(mixed_last(h2, h3), d, mean, slope, level))
    for t in range(2 * height * below, way.height * below, n):  # a line that is in no window
        y = load(rows, o * rows.shape[1] + t)
        store(out, there + t, _less(zero, y, mean, slope, level))


@part
def _less(h: Any, y: Any, mean: Any, slope: Any, level: Any) -> Any:
    """A cotangent less the mean of all and their part along y."""
    return subtract(h, multiply_add(subtract(y, mean), slope, level))
