"""Pooling: a window's maximum or mean stands for the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn import kernels
from tinycnn.function import Value, differentiable, differentiable_as
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Padding, Pair, Shape
from tinycnn.ops.reduction import mean
from tinycnn.ops.shape import cat
from tinycnn.ops.sizes import Size, check_window, pair
from tinycnn.tensor import Tensor


@differentiable_as("max_pool2d", saves=("index",))
def pick_largest(x: Value, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Value:
    """The operation under `max_pool2d`; saves which element of each window was the maximum."""
    return kernels.of(x).max_pool2d(x, kernel, stride, padding, dilation)


@pick_largest.derivative("x")
def _(
    g: Value,
    index: Value,
    x_shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Value:
    return max_pool2d_scatter(g, index, x_shape, kernel, stride, padding, dilation)


@differentiable
def max_pool2d_scatter(
    g: Value,
    index: Value,
    x_shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Value:
    """Each cotangent to the input element that was the maximum."""
    return kernels.of(g).max_pool2d_scatter(g, index, x_shape, kernel, stride, padding, dilation)


@max_pool2d_scatter.derivative("g")
def _(
    g: Value, index: Value, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Value:
    return max_pool2d_gather(g, index, kernel, stride, padding, dilation)


@differentiable
def max_pool2d_gather(
    x: Value, index: Value, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Value:
    """From each window the element that an earlier maximum named."""
    return kernels.of(x).max_pool2d_gather(x, index, kernel, stride, padding, dilation)


@max_pool2d_gather.derivative("x")
def _(
    g: Value,
    index: Value,
    x_shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Value:
    return max_pool2d_scatter(g, index, x_shape, kernel, stride, padding, dilation)


@differentiable
def sum_pool2d(x: Value, kernel: Pair, stride: Pair, padding: Padding) -> Value:
    """The sum of each window; the padding counts as zeros."""
    return kernels.of(x).sum_pool2d(x, kernel, stride, padding)


@sum_pool2d.derivative("x")
def _(g: Value, x_shape: Shape, kernel: Pair, stride: Pair, padding: Padding) -> Value:
    return sum_pool2d_input_grad(g, x_shape, kernel, stride, padding)


@differentiable
def sum_pool2d_input_grad(
    g: Value, x_shape: Shape, kernel: Pair, stride: Pair, padding: Padding
) -> Value:
    """Each cotangent to every element of its window."""
    return kernels.of(g).sum_pool2d_input_grad(g, x_shape, kernel, stride, padding)


@sum_pool2d_input_grad.derivative("g")
def _(g: Value, kernel: Pair, stride: Pair, padding: Padding) -> Value:
    return sum_pool2d(g, kernel, stride, padding)


def max_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
) -> Tensor:
    """The largest element of each window. Of equal ones the first in row-major order counts and
    gets the gradient, as in PyTorch; NaN counts as larger than any number.

    Args:
        x: images (N, C, H, W).
        kernel_size: the window, one number or (height, width).
        stride: steps between windows; by default the window's size, so that they tile.
        padding: rows and columns of −∞ around the image; at most half the window.
        dilation: steps between the elements of a window.

    Returns:
        (N, C, H′, W′), H′ as for `conv2d`.

    >>> import tinycnn as tc
    >>> max_pool2d(tc.tensor([[[[1.0, 2.0, 5.0, 0.0], [3.0, 0.0, 1.0, 1.0]]]]), 2)
    tensor([[[[3., 5.]]]])
    """
    kernel, steps, edges = _window("max_pool2d", kernel_size, stride, padding)
    dilation = pair("max_pool2d: dilation", dilation)
    check_window("max_pool2d", x.shape, kernel, edges, dilation)
    return pick_largest(x, kernel, steps, edges, dilation)


def avg_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window, with the arguments of `max_pool2d`. With `count_include_pad` the
    padding counts as zeros, else the mean is over the image's elements alone.
    """
    kernel, steps, edges = _window("avg_pool2d", kernel_size, stride, padding)
    check_window("avg_pool2d", x.shape, kernel, edges, (1, 1))
    count: Any = kernel[0] * kernel[1]
    if not count_include_pad and any(edges):
        ones = namespace(x.array).ones((1, 1, *x.shape[2:]), x.dtype)
        count = sum_pool2d(ones, kernel, steps, edges)
    return sum_pool2d(x, kernel, steps, edges) / count


def _window(
    name: str, kernel_size: Size, stride: Size | None, padding: Size
) -> tuple[Pair, Pair, Padding]:
    kernel = pair(f"{name}: kernel_size", kernel_size)
    steps = kernel if stride is None else pair(f"{name}: stride", stride)
    vertical, horizontal = pair(f"{name}: padding", padding, least=0)
    edges = vertical, vertical, horizontal, horizontal
    if edges[0] * 2 > kernel[0] or edges[2] * 2 > kernel[1]:
        raise ValueError(f"{name}: padding {padding!r} is more than half the window {kernel}")
    return kernel, steps, edges


def adaptive_avg_pool2d(x: Tensor, output_size: Size) -> Tensor:
    """The mean of H′×W′ regions that cover the image, whatever its size: (N, C, H′, W′).

    Region i of n reaches from ⌊i·H/n⌋ to ⌈(i + 1)·H/n⌉, so neighbours may overlap by a row.
    """
    if output_size in (1, (1, 1)):
        check_window("adaptive_avg_pool2d", x.shape, (1, 1), (0, 0, 0, 0), (1, 1))
        return mean(x, (2, 3), True)
    return _adaptive("adaptive_avg_pool2d", x, output_size, avg_pool2d)


def adaptive_max_pool2d(x: Tensor, output_size: Size) -> Tensor:
    """The maximum of the regions of `adaptive_avg_pool2d`."""
    return _adaptive("adaptive_max_pool2d", x, output_size, max_pool2d)


def global_avg_pool2d(x: Tensor) -> Tensor:
    """The mean of each channel: (N, C, H, W) to (N, C, 1, 1). Lin, Chen & Yan (2014)."""
    return adaptive_avg_pool2d(x, 1)


def _adaptive(name: str, x: Tensor, output_size: Size, pool: Callable[..., Tensor]) -> Tensor:
    """Pool in windows of one size if they tile the image, else region by region."""
    size = pair(f"{name}: output_size", output_size)
    check_window(name, x.shape, (1, 1), (0, 0, 0, 0), (1, 1))
    height, width = x.shape[2:]
    if height % size[0] == 0 and width % size[1] == 0:
        return pool(x, (height // size[0], width // size[1]))
    rows = [
        cat(
            [
                pool(x[:, :, r0:r1, c0:c1], (r1 - r0, c1 - c0))
                for c0, c1 in _regions(width, size[1])
            ],
            3,
        )
        for r0, r1 in _regions(height, size[0])
    ]
    return cat(rows, 2)


def _regions(length: int, count: int) -> list[tuple[int, int]]:
    starts = [i * length // count for i in range(count)]
    ends = [int(np.ceil((i + 1) * length / count)) for i in range(count)]
    return list(zip(starts, ends, strict=True))
