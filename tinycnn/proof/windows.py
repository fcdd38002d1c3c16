"""Cases of the operations that slide a window over images, and of batch normalisation."""

from __future__ import annotations

from typing import Any, TypeAlias

from tinycnn.kernels import reference
from tinycnn.kernels.types import Geometry
from tinycnn.proof.inputs import Inputs

Arguments: TypeAlias = tuple[Any, ...]


def sizes(a: Inputs, dilated: bool = True) -> Arguments:
    """(image size, kernel, stride, padding, dilation) that fit each other."""
    kernel = (a.integer(1, 3), a.integer(1, 2))
    dilation = (a.integer(1, 2), a.integer(1, 2)) if dilated else (1, 1)
    border = tuple(a.integer(0, k // 2) for k in (kernel[0], kernel[0], kernel[1], kernel[1]))
    size = tuple(d * (k - 1) + 1 + a.integer(0, 1) for k, d in zip(kernel, dilation, strict=True))
    return size, kernel, (a.integer(1, 3), a.integer(1, 3)), border, dilation


def convolution_case(a: Inputs) -> Arguments:
    """Image, weight, bias, cotangent and geometry."""
    size, kernel, stride, border, dilation = sizes(a)
    n, groups = 0 if a.seldom() else a.integer(1, 2), a.choice(1, 1, 2)
    c, o = groups * a.integer(1, 2 // groups), groups * a.integer(1, 2)
    x, weight = a.scaled((n, c, *size)), a.scaled((o, c // groups, *kernel))
    out = reference.output_size(x.shape, kernel, stride, border, dilation)
    g = a.scaled((n, o, *out))
    return x, weight, a.normal((o,)), g, Geometry(stride, border, dilation, groups)


def correlate_case(a: Inputs) -> Arguments:
    """Image, weight, perhaps a bias."""
    x, weight, bias, _, geometry = convolution_case(a)
    return x, weight, a.choice(bias, None), geometry


def input_grad_case(a: Inputs) -> Arguments:
    """Cotangent and weight."""
    x, weight, _, g, geometry = convolution_case(a)
    return g, weight, x.shape, geometry


def weight_grad_case(a: Inputs) -> Arguments:
    """Cotangent and image."""
    x, weight, _, g, geometry = convolution_case(a)
    return g, x, weight.shape, geometry


def pool_case(a: Inputs, dilated: bool = True) -> Arguments:
    """Images, and the settings of a pooling."""
    size, kernel, stride, border, dilation = sizes(a, dilated)
    return a.tied((a.integer(1, 2), a.integer(1, 2), *size)), kernel, stride, border, dilation


def _pool_index(a: Inputs) -> Arguments:
    """Images, a cotangent, which elements were the maxima, and the settings."""
    x, *settings = pool_case(a)
    y, index = reference.max_pool2d(x, *settings)
    return x, a.scaled(y.shape), index, settings


def scatter_case(a: Inputs) -> Arguments:
    """A cotangent, and which elements were the maxima."""
    x, g, index, settings = _pool_index(a)
    return g, index, x.shape, *settings


def gather_case(a: Inputs) -> Arguments:
    """Images, and which of their elements were the maxima."""
    x, _, index, settings = _pool_index(a)
    return x, index, *settings


def sum_pool_grad_case(a: Inputs) -> Arguments:
    """A cotangent, and the settings of a pooling."""
    x, kernel, stride, border, _ = pool_case(a, False)
    size = reference.output_size(x.shape, kernel, stride, border, (1, 1))
    return a.scaled((*x.shape[:2], *size)), x.shape, kernel, stride, border


def normalize_case(a: Inputs) -> Arguments:
    """A batch, scale and shift, and the batch's statistics."""
    c = a.integer(1, 2)
    # of two values a channel only ±1 would be left, and a derivative that cancels to almost nothing
    x = a.normal((2, c, 2, a.integer(1, 2))) + 1
    return x, a.normal((c,)), a.normal((c,)), *reference.moments(x), 1e-5


def block_case(a: Inputs) -> Arguments:
    """A convolution of stride 1 with what may be behind it: batch norm, ReLU, pooling by 2."""
    kernel, dilation = (a.integer(1, 3), a.integer(1, 2)), (a.integer(1, 2), 1)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    vertical, horizontal = ((a.integer(0, r), a.integer(0, r)) for r in reach)
    c, o, size = a.integer(1, 2), a.integer(1, 2), [r + a.integer(2, 3) for r in reach]
    x, weight = a.normal((2, c, *size)), a.normal((o, c, *kernel))
    norm = a.choice((None, None), (a.normal((o,)), a.normal((o,))))
    geometry = Geometry((1, 1), (*vertical, *horizontal), dilation, 1)
    return x, weight, a.normal((o,)), *norm, 1e-5, geometry, *a.choice(*WAYS), None


WAYS = (True, True), (True, False), (False, True), (False, False)  # to rectify, to pool
