"""Convolution and its two gradients: directly for few channels, for many as matrix products."""

from functools import lru_cache
from math import prod

from tinycnn.kernels import reference
from tinycnn.kernels.cuda import products
from tinycnn.kernels.cuda.launch import (
    CONSTANTS,
    LARGEST,
    blocks_for,
    contiguous,
    empty,
    launch,
    slices_of,
    suits,
)
from tinycnn.kernels.types import Array, Geometry, Shape

CHANNELS, TAPS, TILE = (CONSTANTS[name] for name in ("CHANNELS", "TAPS", "TILE"))


def conv2d(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """y[n, o] = b[o] + Σ over c and (i, j) of w[o, c, i, j] · x[n, c] shifted."""
    if not suits(x, weight, bias) or not fit(x.shape, weight.shape, geometry):
        return reference.conv2d(x, weight, bias, geometry)
    x, weight = contiguous(x), contiguous(weight)
    bias = None if bias is None else contiguous(bias)
    if products.are_worth_it(weight.shape, geometry):
        return products.conv2d(x, weight, bias, geometry)
    y = empty(x, output_shape(x.shape, weight.shape, geometry))
    if _is_3x3(weight.shape, geometry):
        top, _, left, _ = geometry.padding
        _correlate_3x3(x, weight, bias, y, False, top, left)
    else:
        numbers = _numbers(x.shape, weight.shape, y.shape, geometry)
        launch("conv2d", (x.dtype,), blocks_for(y.size), x, weight, bias, y, y.size, *numbers)
    return y


def conv2d_input_grad(g: Array, weight: Array, x_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in x: each input gathers from the outputs it went into."""
    if not suits(g, weight) or not fit(x_shape, weight.shape, geometry, g.shape):
        return reference.conv2d_input_grad(g, weight, x_shape, geometry)
    g, weight = contiguous(g), contiguous(weight)
    if products.are_worth_it(weight.shape, geometry):
        return products.conv2d_input_grad(g, weight, x_shape, geometry)
    dx = empty(g, x_shape)
    if _is_3x3(weight.shape, geometry):
        top, _, left, _ = geometry.padding
        _correlate_3x3(g, weight, None, dx, True, 2 - top, 2 - left)
    else:
        numbers = _numbers(x_shape, weight.shape, g.shape, geometry)
        launch(
            "conv2d_input_grad", (g.dtype,), blocks_for(dx.size), g, weight, dx, dx.size, *numbers
        )
    return dx


def conv2d_weight_grad(g: Array, x: Array, weight_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in the weight: the correlation of input and cotangent."""
    if not suits(g, x) or not fit(x.shape, weight_shape, geometry, g.shape):
        return reference.conv2d_weight_grad(g, x, weight_shape, geometry)
    g, x = contiguous(g), contiguous(x)
    if products.are_worth_it(weight_shape, geometry):
        return products.conv2d_weight_grad(g, x, weight_shape, geometry)
    o, channels, kh, kw = weight_shape
    slice_, slices = slices_of(g.size // o)
    partial = empty(g, (slices, *weight_shape))
    blocks = o * channels * -(-kh * kw // TAPS) * slices
    numbers = _numbers(x.shape, weight_shape, g.shape, geometry)
    launch(
        "conv2d_weight_grad", (g.dtype,), blocks, g, x, partial, len(x), *numbers, slice_, slices
    )
    dw = empty(g, weight_shape)
    launch("sum_slices", (g.dtype,), blocks_for(dw.size), partial, dw, dw.size, slices)
    return dw


def _correlate_3x3(
    x: Array, weight: Array, bias: Array | None, y: Array, turned: bool, top: int, left: int
) -> None:
    n, c, h, w = x.shape
    _, o, height, width = y.shape
    blocks = n * -(-o // CHANNELS) * -(-height // TILE) * -(-width // TILE)
    sizes = c, h, w, o, height, width, top, left
    launch("correlate_3x3", (x.dtype, turned), blocks, x, weight, bias, y, *sizes)


def _is_3x3(weight_shape: Shape, geometry: Geometry) -> bool:
    plain = geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1
    return plain and weight_shape[2:] == (3, 3)


@lru_cache(1024)
def output_shape(x_shape: Shape, weight_shape: Shape, geometry: Geometry) -> Shape:
    """(N, O, H′, W′)."""
    kernel = weight_shape[2], weight_shape[3]
    stride, padding, dilation, _ = geometry
    size = reference.output_size(x_shape, kernel, stride, padding, dilation)
    return x_shape[0], weight_shape[0], *size


@lru_cache(1024)
def fit(
    x_shape: Shape, weight_shape: Shape, geometry: Geometry, g_shape: Shape | None = None
) -> bool:
    """Whether the shapes belong together; the reference complains where they do not."""
    y_shape = output_shape(x_shape, weight_shape, geometry)
    fits = x_shape[1] == weight_shape[1] * geometry.groups and not weight_shape[0] % geometry.groups
    some = prod(weight_shape) > 0 and min(y_shape) >= 0 and prod(y_shape) < LARGEST
    return fits and some and (g_shape is None or g_shape == y_shape)


@lru_cache(1024)
def _numbers(
    x_shape: Shape, weight_shape: Shape, y_shape: Shape, geometry: Geometry
) -> tuple[int, ...]:
    """A convolution in the order of the kernels' parameters."""
    stride, (top, _, left, _), dilation, groups = geometry
    window = *weight_shape[2:], *stride, top, left, *dilation
    return *x_shape[1:], *y_shape[1:], groups, *window
