"""The two sums of products that all convolutions consist of, over long rows (see `rows.py`).

Nearly all arithmetic of a network happens in these loops, so they are written for the processor:
twelve vectors of results stay in registers over the whole sum, and every vector that is loaded is
multiplied with several others. That runs at the full rate of its multiply-add units, which no
loop does that has to fetch and put back what it adds to.
"""

from typing import Any

from tinycnn.kernels.cpu.jit import inner, jit, part
from tinycnn.kernels.cpu.vector import add, broadcast, lanes, load, multiply_add, store, zeros

TILE = 1024  # positions whose inputs and cotangents stay in the cache while all k are summed
VECTORS = 3  # of results for each of four channels
TERMS = 144  # of a sum that are added one by one; the sums of such stretches round less


@jit
def pack(weight: Any, packed: Any) -> None:
    """(O, K) to zeros (O/4, K, 4): the weights of four channels are needed together."""
    outputs, elements = weight.shape
    flat = packed.reshape(packed.size)
    for o in range(outputs):
        start = o // 4 * 4 * elements + o % 4
        for k in range(elements):
            flat[start + 4 * k] = weight[o, k]


@inner
def correlate(
    row: Any, offsets: Any, weights: Any, bias: Any, start: int, stop: int, out: Any, to: int
) -> None:
    """out[o, to + t − start] = bias[o] + Σ over k of weights[0, o / 4, k, o % 4] · row[t +
    offsets[k]], for the t from start to stop and a few more; `out` and `row` have room for that.
    Offsets beyond the weights are left out.
    """
    for t in range(start, stop, VECTORS * lanes(row)):
        for block in range(weights.shape[1]):
            _four_channels(row, offsets, weights, bias, t, 4 * block, out, to + t - start)


@inner
def _four_channels(
    row: Any, offsets: Any, weights: Any, bias: Any, t: int, o: int, out: Any, to: int
) -> None:
    """Three vectors of positions in each of the channels o to o + 3."""
    elements = weights.shape[2]
    for first in range(0, elements, TERMS):
        stop = min(first + TERMS, elements)
        sums = twelve_sums(row, t, offsets, first, stop, weights, o * elements)
        for i, (y0, y1, y2) in enumerate(sums):
            _put(out, (o + i) * out.shape[1] + to, bias, o + i, first, y0, y1, y2)


@part
def twelve_sums(
    row: Any, t: int, offsets: Any, first: int, stop: int, weights: Any, start: int
) -> Any:
    """Three vectors for each of four channels, whose weights lie together from `start` on."""
    n, zero = lanes(row), zeros(row)
    a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = d0 = d1 = d2 = zero
    for k in range(first, stop):
        at, four = t + offsets[k], start + 4 * k
        x0, x1, x2 = load(row, at), load(row, at + n), load(row, at + 2 * n)
        w = broadcast(weights, four)
        a0, a1, a2 = multiply_add(w, x0, a0), multiply_add(w, x1, a1), multiply_add(w, x2, a2)
        w = broadcast(weights, four + 1)
        b0, b1, b2 = multiply_add(w, x0, b0), multiply_add(w, x1, b1), multiply_add(w, x2, b2)
        w = broadcast(weights, four + 2)
        c0, c1, c2 = multiply_add(w, x0, c0), multiply_add(w, x1, c1), multiply_add(w, x2, c2)
        w = broadcast(weights, four + 3)
        d0, d1, d2 = multiply_add(w, x0, d0), multiply_add(w, x1, d1), multiply_add(w, x2, d2)
    return (a0, a1, a2), (b0, b1, b2), (c0, c1, c2), (d0, d1, d2)


@part
def _put(out: Any, at: int, bias: Any, o: int, first: int, x0: Any, x1: Any, x2: Any) -> None:
    """The first sum with the bias; a later one on top of those before."""
    n = lanes(out)
    y0 = y1 = y2 = broadcast(bias, o)
    if first:
        y0, y1, y2 = load(out, at), load(out, at + n), load(out, at + 2 * n)
    store(out, at, add(x0, y0))
    store(out, at + n, add(x1, y1))
    store(out, at + 2 * n, add(x2, y2))


@inner
def correlate_rows(
    cotangents: Any,
    images: int,
    plane: int,
    origin: int,
    rows: Any,
    offsets: Any,
    length: int,
    sums: Any,
) -> None:
    """sums[o, k, lane] += Σ over the images m and t < length of
    cotangents[m, o · plane + origin + t] · rows[m, t + offsets[k]], every lanes-th t to the same
    lane. The numbers of channels and offsets are multiples of four and three; the cotangents are
    0 between the lines of an image and behind them.
    """
    channels, elements = sums.shape[:2]
    for start in range(0, length, TILE):
        stop = min(start + TILE, length)
        for o in range(0, channels, 4):
            for k in range(0, elements, 3):
                first = origin + o * plane
                _four_by_three(
                    cotangents, images, plane, first, rows, offsets, start, stop, o, k, sums
                )


@inner
def _four_by_three(
    cotangents: Any,
    images: int,
    plane: int,
    first: int,
    rows: Any,
    offsets: Any,
    start: int,
    stop: int,
    o: int,
    k: int,
    sums: Any,
) -> None:
    """The sums of four channels and three kernel elements over a tile of each image."""
    n = lanes(rows)
    at = (o * sums.shape[1] + k) * n  # where the sums of channel o are
    below = sums.shape[1] * n  # from there to those of the next channel
    a0, a1, a2 = load(sums, at), load(sums, at + n), load(sums, at + 2 * n)
    at += below
    b0, b1, b2 = load(sums, at), load(sums, at + n), load(sums, at + 2 * n)
    at += below
    c0, c1, c2 = load(sums, at), load(sums, at + n), load(sums, at + 2 * n)
    at += below
    d0, d1, d2 = load(sums, at), load(sums, at + n), load(sums, at + 2 * n)
    for m in range(images):
        row, line = m * rows.shape[1], m * cotangents.shape[1] + first
        i0, i1, i2 = row + offsets[k], row + offsets[k + 1], row + offsets[k + 2]
        for t in range(start, stop, n):
            x0, x1, x2 = load(rows, t + i0), load(rows, t + i1), load(rows, t + i2)
            g = load(cotangents, line + t)
            a0, a1, a2 = multiply_add(g, x0, a0), multiply_add(g, x1, a1), multiply_add(g, x2, a2)
            g = load(cotangents, line + plane + t)
            b0, b1, b2 = multiply_add(g, x0, b0), multiply_add(g, x1, b1), multiply_add(g, x2, b2)
            g = load(cotangents, line + 2 * plane + t)
            c0, c1, c2 = multiply_add(g, x0, c0), multiply_add(g, x1, c1), multiply_add(g, x2, c2)
            g = load(cotangents, line + 3 * plane + t)
            d0, d1, d2 = multiply_add(g, x0, d0), multiply_add(g, x1, d1), multiply_add(g, x2, d2)
    for i, (x0, x1, x2) in enumerate(((d0, d1, d2), (c0, c1, c2), (b0, b1, b2), (a0, a1, a2))):
        store(sums, at - i * below, x0)
        store(sums, at - i * below + n, x1)
        store(sums, at - i * below + 2 * n, x2)
