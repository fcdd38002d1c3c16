"""The sums of windows: first of the lines that a window has in common with its neighbours, many
columns at a time, then along that one line."""

from typing import Any

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import jit, share
from tinycnn.kernels.types import Array, Padding, Pair, Shape


def sum_pool2d(x: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """The sum of each window; the padding counts as zeros."""
    n, c = x.shape[:2]
    size = reference.output_size(x.shape, kernel, stride, padding, (1, 1))
    x = np.asarray(reference.pad(x, padding), order="C")
    y = np.empty((n, c, *size), x.dtype)
    planes = x.reshape(n * c, *x.shape[2:]), y.reshape(n * c, *size)
    share(x.size, _sum_pool2d, n * c, *planes, kernel, stride)
    return y


def sum_pool2d_input_grad(
    g: Array, x_shape: Shape, kernel: Pair, stride: Pair, padding: Padding
) -> Array:
    """The adjoint of `sum_pool2d`: each cotangent to every element of its window."""
    n, c, h, w = x_shape
    top, bottom, left, right = padding
    g = np.asarray(g, order="C")
    dx = np.zeros((n, c, h + top + bottom, w + left + right), g.dtype)
    planes = g.reshape(n * c, *g.shape[2:]), dx.reshape(n * c, *dx.shape[2:])
    share(dx.size, _sum_pool2d_input_grad, n * c, *planes, kernel, stride)
    return np.asarray(dx[:, :, top : top + h, left : left + w], order="C")


@jit
def _sum_pool2d(start: int, stop: int, x: Any, y: Any, kernel: Any, stride: Any) -> None:
    line = np.empty(x.shape[2], x.dtype)
    for p in range(start, stop):
        for i in range(y.shape[1]):
            top = i * stride[0]
            for j in range(len(line)):
                line[j] = x[p, top, j]
            for below in range(1, kernel[0]):
                for j in range(len(line)):
                    line[j] += x[p, top + below, j]
            for j in range(y.shape[2]):
                total = line[j * stride[1]]
                for right in range(1, kernel[1]):
                    total += line[j * stride[1] + right]
                y[p, i, j] = total


@jit
def _sum_pool2d_input_grad(
    start: int, stop: int, g: Any, dx: Any, kernel: Any, stride: Any
) -> None:
    line = np.empty(dx.shape[2], dx.dtype)
    for p in range(start, stop):
        for i in range(g.shape[1]):
            for j in range(len(line)):
                line[j] = 0
            for j in range(g.shape[2]):
                for right in range(kernel[1]):
                    line[j * stride[1] + right] += g[p, i, j]
            for below in range(kernel[0]):
                for j in range(len(line)):
                    dx[p, i * stride[0] + below, j] += line[j]
