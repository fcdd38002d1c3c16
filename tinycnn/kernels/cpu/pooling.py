"""Max pooling over long rows: a window's elements lie at fixed offsets from its corner, and one
offset's elements of all windows are gathered before they are compared, many at a time."""

from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import inner, jit, part, share
from tinycnn.kernels.cpu.vector import if_equal, if_larger, subtract
from tinycnn.kernels.types import Array, Padding, Pair, Shape


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[Array, Array]:
    """The maximum of each window, and the number i·kw + j of the kernel element that met it."""
    n, c = x.shape[:2]
    size = reference.output_size(x.shape, kernel, stride, padding, dilation)
    x = np.asarray(reference.pad(x, padding, -np.inf), order="C")
    height, width = x.shape[2:]
    y = np.empty((n, c, *size), x.dtype)
    index = np.empty(y.shape, reference.index_type(kernel))
    share(
        x.size,
        _max_pool2d,
        n * c,
        x.reshape(n * c, height * width),
        y.reshape(n * c, size[0] * size[1]),
        index.reshape(n * c, size[0] * size[1]),
        _offsets(kernel, dilation, width),
        (stride[0] * width, stride[1]),
        size,
    )
    return y, index


def max_pool2d_scatter(
    g: Array,
    index: Array,
    x_shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Array:
    """Each cotangent to the input element that was the maximum."""
    n, c, h, w = x_shape
    top, bottom, left, right = padding
    height, width = h + top + bottom, w + left + right
    dx = np.zeros((n, c, height, width), g.dtype)
    share(
        g.size,
        _max_pool2d_scatter,
        n * c,
        np.asarray(g, order="C").reshape(n * c, *g.shape[2:]),
        np.asarray(index, order="C").reshape(n * c, *g.shape[2:]),
        _offsets(kernel, dilation, width),
        (stride[0] * width, stride[1]),
        dx.reshape(n * c, height * width),
    )
    return np.asarray(dx[:, :, top : top + h, left : left + w], order="C")


def _offsets(kernel: Pair, dilation: Pair, width: int) -> Array:
    """Where a window's elements lie, counted from its corner, if rows of `width` lie in a row."""
    i, j = np.indices(kernel).reshape(2, -1)
    return i * dilation[0] * width + j * dilation[1]


@jit
def _max_pool2d(
    start: int, stop: int, x: Any, y: Any, index: Any, offsets: Any, steps: Any, size: Any
) -> None:
    candidate = np.empty(y.shape[1], x.dtype)
    first = np.empty(y.shape[1], np.int32)
    for p in range(start, stop):
        best = y[p]
        _gather(x[p], offsets[0], steps, size, best)
        for t in range(len(best)):
            first[t] = 0
        for k in range(1, len(offsets)):
            _gather(x[p], offsets[k], steps, size, candidate)
            for t in range(len(best)):
                a, b = best[t], candidate[t]
                # b > a, or b is the first NaN; `&` and conditional expressions do not branch
                wins = (a == a) & (not b <= a)
                best[t] = b if wins else a
                first[t] = k if wins else first[t]
        for t in range(len(best)):
            index[p, t] = first[t]


@inner
def _gather(image: Any, offset: int, steps: Any, size: Any, out: Any) -> None:
    """The element at this offset of every window."""
    for i in range(size[0]):
        for j in range(size[1]):
            out[i * size[1] + j] = image[offset + i * steps[0] + j * steps[1]]


@jit
def _max_pool2d_scatter(
    start: int, stop: int, g: Any, index: Any, offsets: Any, steps: Any, dx: Any
) -> None:
    for p in range(start, stop):
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                dx[p, i * steps[0] + j * steps[1] + offsets[index[p, i, j]]] += g[p, i, j]


@part
def largest(a: Any, b: Any, c: Any, d: Any, scale: Any) -> Any:
    """Of the four numbers of a window, lane by lane, the one that is largest when they are scaled;
    the first where the scale is 0. None of them is NaN."""
    zero = subtract(scale, scale)
    top, low = _larger(_larger(a, b), _larger(c, d)), _smaller(_smaller(a, b), _smaller(c, d))
    return if_larger(scale, zero, top, if_equal(scale, zero, a, low))


@part
def _larger(a: Any, b: Any) -> Any:
    return if_larger(a, b, a, b)


@part
def _smaller(a: Any, b: Any) -> Any:
    return if_larger(a, b, b, a)
