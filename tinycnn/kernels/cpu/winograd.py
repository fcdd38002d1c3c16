"""3×3 convolutions with 16 multiplications in the place of 36.

Of a tile of 4×4 pixels d a kernel g gives 2×2 results, and these are

    Aᵀ [ (G g Gᵀ) ∘ (Bᵀ d B) ] A

with matrices of a few 0, ±1 and ±½: the kernel and the tile are spread to 4×4 numbers, which are
multiplied one by one, and of the products sums and differences are gathered. Over channels one
sums before the gathering. Lavin & Gray (2016), "Fast algorithms for convolutional neural
networks", F(2×2, 3×3). Each sum has a ninth of the terms, so it is rounded less often: the error
is smaller than that of the plain sum. But an infinity anywhere in a tile becomes NaN everywhere,
so what is not finite, or huge, goes to the plain sum.

A vector holds neighbouring tiles of two lines. What is spread of a piece of an image, VECTORS of
them, lies as (16, C, tiles), and its products as (16, 4, tiles) for four channels of results at a
time: so much stays in the cache.
"""

from typing import Any

import numpy as np

from tinycnn.kernels.cpu.jit import inner, jit, part
from tinycnn.kernels.cpu.pooling import largest
from tinycnn.kernels.cpu.products import twelve_sums
from tinycnn.kernels.cpu.vector import (
    add,
    broadcast,
    evens,
    lanes,
    load,
    mixed_first,
    mixed_last,
    multiply_add,
    odds,
    over_lanes,
    store,
    subtract,
    zeros,
)
from tinycnn.kernels.types import Array

PLACES = 16  # of a tile
VECTORS = 3  # of tiles in a piece
LIMIT = 1e18  # of sums of squares


def spread_kernels(weight: Array) -> Array | None:
    """G g Gᵀ of a weight (O, C, 3, 3), as (16, O/4, C, 4); None where it is not tame."""
    outputs, channels = weight.shape[:2]
    packed = np.zeros((9, -(-outputs // 4), channels, 4), weight.dtype)
    spread = np.empty((PLACES, *packed.shape[1:]), weight.dtype)
    weight = np.asarray(weight, order="C")
    return spread if _spread_kernels(weight, packed, spread) else None


@jit
def _spread_kernels(weight: Any, packed: Any, spread: Any) -> bool:
    """Those of as many channels at a time as a vector holds."""
    flat, kernels = packed.reshape(packed.size), weight.reshape(weight.size)
    n, channels, plane = lanes(packed), packed.shape[2], packed.size // 9
    for o in range(weight.shape[0]):
        for c in range(channels):
            at = (o // 4 * channels + c) * 4 + o % 4
            for k in range(9):
                flat[at + k * plane] = kernels[(o * channels + c) * 9 + k]
    squares, lane = zeros(packed), np.empty(n, packed.dtype)
    lane[0] = 0.5
    half = broadcast(lane, 0)
    for start in range(0, plane, n):
        at = min(start, plane - n)  # the last vector overlaps
        a = _columns(packed, at, 3 * plane, half)
        b = _columns(packed, at + plane, 3 * plane, half)
        d = _columns(packed, at + 2 * plane, 3 * plane, half)
        for i in range(4):
            for j, u in enumerate(_four(a[i], b[i], d[i], half)):
                store(spread, at + (4 * i + j) * plane, u)
                squares = multiply_add(u, u, squares)
    return over_lanes(squares) < LIMIT


@part
def _columns(packed: Any, at: int, line: int, half: Any) -> Any:
    """G g, for one column of the kernels."""
    a, b, d = load(packed, at), load(packed, at + line), load(packed, at + 2 * line)
    return _four(a, b, d, half)


@part
def _four(a: Any, b: Any, d: Any, half: Any) -> Any:
    """a, (a + b + d) / 2, (a − b + d) / 2, d."""
    zero, both = subtract(a, a), add(a, d)
    plus, minus = add(both, b), subtract(both, b)
    return a, multiply_add(plus, half, zero), multiply_add(minus, half, zero), d


@jit
def tame(energies: Any) -> bool:
    """Whether sums of squares are so small that no sum of products can have left the range of
    numbers, nor met one that is none."""
    fine = True
    for energy in energies:
        fine &= energy < LIMIT
    return fine


@inner
def squares(numbers: Any) -> Any:
    """Their sum, of a vector's."""
    total = numbers.dtype.type(0)
    for i in range(len(numbers)):
        total += numbers[i] * numbers[i]
    return total


@inner
def by_tiles(row: Any, way: Any, weights: Any, bias: Any, out: Any, scales: Any, peaks: Any) -> Any:
    """As `convolve`. A tile's results are a window of 2×2 pooling."""
    n, channels = lanes(row), weights.shape[2]
    even, odd = np.empty(way.size // 2, row.dtype), np.empty(way.size // 2, row.dtype)
    tiles = np.empty((PLACES, channels, VECTORS * n), row.dtype)
    products = np.empty((PLACES, 4, VECTORS * n), row.dtype)
    places, windows = np.empty(VECTORS, np.int64), np.empty(VECTORS, np.int64)
    offsets = np.empty(channels, np.int64)
    for c in range(channels):
        offsets[c] = c * tiles.shape[2]
    energy = _part_columns(row, even, odd)
    in_line = way.windows // n
    vectors = (way.height + 1) // 2 * in_line
    for first in range(0, vectors, VECTORS):
        count = min(VECTORS, vectors - first)
        for k in range(count):
            # from right to left: what is written beyond a line's end the line below writes over
            line, behind = (first + k) // in_line, (first + k) % in_line
            column = n * (in_line - 1 - behind)
            places[k], windows[k] = 2 * (line * way.pitch + column), line * way.windows + column
            _spread(even, odd, places[k] // 2, way.pitch // 2, way.lines, k * n, tiles)
        for block in range(weights.shape[1]):
            _multiply(tiles, offsets, weights, block, products)
            for k in range(count):
                both = windows[k] < way.height // 2 * way.windows  # or only the upper line
                for o in range(4 * block, 4 * block + 4):
                    a, b, c, d = _gather(products, o % 4, k * n, bias, o)
                    to = o * out.shape[1] + places[k]
                    if len(out):
                        _put(a, b, out, to)
                    if len(out) and both:
                        _put(c, d, out, to + way.pitch)
                    if peaks.size and both and o < len(scales):
                        window = o * (way.height // 2) * way.windows + windows[k]
                        store(peaks, window, largest(a, b, c, d, broadcast(scales, o)))
    return energy


@inner
def _part_columns(row: Any, even: Any, odd: Any) -> Any:
    """Every second number of a row, and the others; gives the sum of their squares."""
    n, squares = lanes(row), zeros(row)
    for t in range(0, 2 * len(even), 2 * n):
        a, b = load(row, t), load(row, t + n)
        store(even, t // 2, evens(a, b))
        store(odd, t // 2, odds(a, b))
        squares = multiply_add(a, a, multiply_add(b, b, squares))
    return over_lanes(squares)


@inner
def _spread(even: Any, odd: Any, at: int, pitch: int, lines: int, to: int, tiles: Any) -> None:
    """Bᵀ d B, for each channel: a vector of tiles whose first pixels lie from `at` on."""
    place = tiles.shape[1] * tiles.shape[2]
    for c in range(tiles.shape[1]):
        d0 = at + c * lines * pitch
        d1, d2, d3 = d0 + pitch, d0 + 2 * pitch, d0 + 3 * pitch
        u = to + c * tiles.shape[2]
        _spread_line(_minus(even, d0, d2), _minus(odd, d0, d2), tiles, u, place)
        _spread_line(_plus(even, d1, d2), _plus(odd, d1, d2), tiles, u + 4 * place, place)
        _spread_line(_minus(even, d2, d1), _minus(odd, d2, d1), tiles, u + 8 * place, place)
        _spread_line(_minus(even, d1, d3), _minus(odd, d1, d3), tiles, u + 12 * place, place)


@part
def _minus(row: Any, a: int, b: int) -> Any:
    """Of the tiles' own columns, and of those to the right of them."""
    here = subtract(load(row, a), load(row, b))
    return here, subtract(load(row, a + 1), load(row, b + 1))


@part
def _plus(row: Any, a: int, b: int) -> Any:
    return add(load(row, a), load(row, b)), add(load(row, a + 1), load(row, b + 1))


@part
def _spread_line(even: Any, odd: Any, tiles: Any, to: int, place: int) -> None:
    """The four columns of a tile lie in turn among the even ones and the odd ones."""
    (d0, d2), (d1, d3) = even, odd
    store(tiles, to, subtract(d0, d2))
    store(tiles, to + place, add(d1, d2))
    store(tiles, to + 2 * place, subtract(d2, d1))
    store(tiles, to + 3 * place, subtract(d1, d3))


@inner
def _multiply(tiles: Any, offsets: Any, weights: Any, block: int, products: Any) -> None:
    """With the kernels, summed over channels."""
    piece, channels = tiles.shape[2], tiles.shape[1]
    for place in range(PLACES):
        four = (place * weights.shape[1] + block) * channels * 4
        at = place * channels * piece
        sums = twelve_sums(tiles, at, offsets, 0, channels, weights, four)
        for o, (y0, y1, y2) in enumerate(sums):
            to = (4 * place + o) * piece
            store(products, to, y0)
            store(products, to + lanes(tiles), y1)
            store(products, to + 2 * lanes(tiles), y2)


@part
def _gather(products: Any, row: int, at: int, bias: Any, o: int) -> Any:
    """Aᵀ m A and the bias, for a vector of tiles of one channel: upper left, upper right, lower
    left and lower right results."""
    place = products.shape[1] * products.shape[2]
    start, bias_o = row * products.shape[2] + at, broadcast(bias, o)
    s0, d0 = _gather_column(products, start, place)
    s1, d1 = _gather_column(products, start + place, place)
    s2, d2 = _gather_column(products, start + 2 * place, place)
    s3, d3 = _gather_column(products, start + 3 * place, place)
    upper = add(add(s0, s1), add(s2, bias_o)), subtract(add(s1, bias_o), add(s2, s3))
    lower = add(add(d0, d1), add(d2, bias_o)), subtract(add(d1, bias_o), add(d2, d3))
    return *upper, *lower


@part
def _gather_column(products: Any, at: int, place: int) -> Any:
    """The upper and the lower of two results."""
    m0, m1 = load(products, at), load(products, at + 4 * place)
    m2, m3 = load(products, at + 8 * place), load(products, at + 12 * place)
    return add(m0, add(m1, m2)), subtract(subtract(m1, m2), m3)


@part
def _put(left: Any, right: Any, out: Any, to: int) -> None:
    """A vector of pairs of neighbours."""
    store(out, to, mixed_first(left, right))
    store(out, to + lanes(out), mixed_last(left, right))
