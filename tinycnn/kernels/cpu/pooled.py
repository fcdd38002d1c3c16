"""The convolution of an image laid out as a row, pooled while its results are at hand."""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.jit import inner, part
from tinycnn.kernels.cpu.pooling import largest
from tinycnn.kernels.cpu.products import correlate
from tinycnn.kernels.cpu.rows import LINE
from tinycnn.kernels.cpu.vector import broadcast, evens, lanes, load, odds, store, zeros
from tinycnn.kernels.cpu.winograd import PLACES, by_tiles, squares

STRIPE = 512  # positions, whose results for some channels stay in the first cache


@part
def convolve(
    row: Any, way: Any, weights: Any, bias: Any, out: Any, scales: Any, peaks: Any
) -> float:
    """The convolution of an image, as rows of its channels in `out`, if that has room; and of each
    window, if there is room in `peaks`, the number that is largest once its channel is scaled. Goes
    by tiles if the weights are spread. Gives the sum of squares that tiles and windows met: where
    it is not `tame`, they are wrong.
    """
    if len(weights) == PLACES:
        energy = by_tiles(row, way, weights, bias, out, scales, peaks)
    else:
        energy = _by_stripes(row, way, weights, bias, out, scales, peaks)
    return energy


@inner
def _by_stripes(
    row: Any, way: Any, weights: Any, bias: Any, out: Any, scales: Any, peaks: Any
) -> float:
    """Some pairs of lines at a time, so that they are pooled out of the first cache; without
    pooling all at once."""
    pitch, windows, n, zero = way.pitch, way.windows, lanes(row), zeros(row)
    lines = max(1, STRIPE // (2 * pitch)) * 2 if peaks.size else way.height
    beyond = max(0, 2 * windows - pitch)  # that the last window's vector reads
    rows = out if len(out) else np.empty((len(bias), lines * pitch + LINE), row.dtype)
    for first in range(0, way.height, lines):
        start, end = first * pitch, min(first + lines, way.height)
        stop, to = min(end * pitch + beyond, way.length), start if len(out) else 0
        correlate(row, way.offsets, weights, bias, start, stop, rows, to)
        for o in range(len(scales) if peaks.size else 0):
            at = o * rows.shape[1] + to
            scale = broadcast(scales, o)
            for t in range(stop, end * pitch + beyond, n):  # there stands what was there before
                store(rows, at + t - start, zero)
            for i in range(first // 2, end // 2):
                line, window = at + 2 * i * pitch - start, (o * (way.height // 2) + i) * windows
                for j in range(0, windows, n):
                    store(peaks, window + j, _windows(rows, line + 2 * j, pitch, scale))
    return squares(row) if peaks.size else row.dtype.type(0)


@part
def _windows(rows: Any, at: int, pitch: int, scale: Any) -> Any:
    """A vector of them."""
    n, below = lanes(rows), at + pitch
    y0, y1 = pairs(load(rows, at), load(rows, at + n))
    y2, y3 = pairs(load(rows, below), load(rows, below + n))
    return largest(y0, y1, y2, y3, scale)


@part
def pairs(a: Any, b: Any) -> Any:
    """The first elements of neighbouring pairs, and the second ones."""
    return evens(a, b), odds(a, b)
