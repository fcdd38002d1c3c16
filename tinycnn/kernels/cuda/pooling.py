"""Max pooling with indexes. Its gradient is gathered: an input element looks into the few windows
it lies in, so no two threads add to the same place."""

from math import prod
from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.launch import LARGEST, blocks_for, contiguous, empty, launch, suits
from tinycnn.kernels.types import Array, Padding, Pair, Shape


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[Array, Array]:
    """The maximum of each window, and the number i·kw + j of the kernel element that met it."""
    if not suits(x):
        return reference.max_pool2d(x, kernel, stride, padding, dilation)
    x = contiguous(x)
    size = reference.output_size(x.shape, kernel, stride, padding, dilation)
    y = empty(x, (*x.shape[:2], *size))
    index = empty(x, y.shape, reference.index_type(kernel))
    numbers = *x.shape[2:], *size, *_window(kernel, stride, padding, dilation)
    _launch("max_pool2d", index, x, y, index, y.size, *numbers)
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
    if not suits(g) or not _takes(index, g.shape, x_shape):
        return reference.max_pool2d_scatter(g, index, x_shape, kernel, stride, padding, dilation)
    g, index = contiguous(g), contiguous(index)
    dx = empty(g, x_shape)
    numbers = *x_shape[2:], *g.shape[2:], *_window(kernel, stride, padding, dilation)
    _launch("max_pool2d_scatter", index, g, index, dx, dx.size, *numbers)
    return dx


def max_pool2d_gather(
    x: Array, index: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Array:
    """From each window of `x` the element that `index` names: the adjoint of the scatter."""
    if not suits(x) or not _takes(index, index.shape, x.shape):
        return reference.max_pool2d_gather(x, index, kernel, stride, padding, dilation)
    x, index = contiguous(x), contiguous(index)
    y = empty(x, index.shape)
    numbers = *x.shape[2:], *y.shape[2:], *_window(kernel, stride, padding, dilation)
    _launch("max_pool2d_gather", index, x, index, y, y.size, *numbers)
    return y


def _takes(index: Array, y_shape: Shape, x_shape: Shape) -> bool:
    """Whether the kernels are made for such an index and these sizes."""
    large = max(index.size, prod(x_shape)) >= LARGEST
    return index.dtype in (np.uint8, np.int32) and index.shape == y_shape and not large


def _launch(kernel: str, index: Array, *arguments: Any) -> None:
    """With a thread for each element of the result; its size follows the three arrays."""
    template = arguments[0].dtype, index.dtype
    launch(kernel, template, blocks_for(arguments[3]), *arguments)


def _window(kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> tuple[int, ...]:
    """In the order of the kernels' parameters."""
    return *kernel, *stride, padding[0], padding[2], *dilation
