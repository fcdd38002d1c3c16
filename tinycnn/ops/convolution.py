"""Convolution, its two gradients, and why three operations are enough for every derivative.

conv2d is linear in the image and linear in the weight. So each of its derivatives is linear in
the cotangent again, and the derivatives of all three are made of the three.
"""

from __future__ import annotations

from functools import lru_cache

from tinycnn import kernels
from tinycnn.function import Value, differentiable, differentiable_as
from tinycnn.kernels.types import Geometry, Pair, Shape
from tinycnn.ops.reduction import sum
from tinycnn.ops.sizes import Size, border, check_window, pair
from tinycnn.tensor import Tensor


@differentiable_as("conv2d")
def correlate(x: Value, weight: Value, bias: Value, geometry: Geometry) -> Value:
    """The operation under `conv2d`, with every size spelled out."""
    return kernels.of(x).conv2d(x, weight, bias, geometry)


@correlate.derivative("x")
def _(g: Value, weight: Value, x_shape: Shape, geometry: Geometry) -> Value:
    return conv2d_input_grad(g, weight, x_shape, geometry)


@correlate.derivative("weight")
def _(g: Value, x: Value, weight_shape: Shape, geometry: Geometry) -> Value:
    return conv2d_weight_grad(g, x, weight_shape, geometry)


@correlate.derivative("bias")
def _(g: Value) -> Value:
    return sum(g, (0, 2, 3))


@differentiable
def conv2d_input_grad(g: Value, weight: Value, x_shape: Shape, geometry: Geometry) -> Value:
    """The cotangent of the image: each output gives back to the inputs it has met. Also known as
    transposed convolution.
    """
    return kernels.of(g).conv2d_input_grad(g, weight, x_shape, geometry)


@conv2d_input_grad.derivative("g")
def _(g: Value, weight: Value, geometry: Geometry) -> Value:
    return correlate(g, weight, None, geometry)


# In the rules below the cotangent stands where the image stood, so it is named `h`.
@conv2d_input_grad.derivative("weight")
def _(h: Value, g: Value, weight_shape: Shape, geometry: Geometry) -> Value:
    return conv2d_weight_grad(g, h, weight_shape, geometry)


@differentiable
def conv2d_weight_grad(g: Value, x: Value, weight_shape: Shape, geometry: Geometry) -> Value:
    """The cotangent of the weight: the correlation of the image with the output's cotangent."""
    return kernels.of(g).conv2d_weight_grad(g, x, weight_shape, geometry)


@conv2d_weight_grad.derivative("g")
def _(h: Value, x: Value, geometry: Geometry) -> Value:
    return correlate(x, h, None, geometry)


@conv2d_weight_grad.derivative("x")
def _(h: Value, g: Value, x_shape: Shape, geometry: Geometry) -> Value:
    return conv2d_input_grad(g, h, x_shape, geometry)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Slide small weights over images: y[n, o] = b[o] + Σ_c w[o, c] ⋆ x[n, c].

    The ⋆ is cross-correlation, (w ⋆ x)[p, q] = Σ_ij w[i, j] · x[p + i, q + j], as in every
    deep-learning library. A mathematician's convolution would read the weight backwards,
    x[p − i, q − j]; as the weight is learned, the network cannot tell. `weight.flip((2, 3))`
    gives the other.

    Args:
        x: images (N, C, H, W).
        weight: (O, C / groups, kh, kw).
        bias: (O,), or None.
        stride: steps between neighbouring outputs, one number or (vertical, horizontal).
        padding: rows and columns of zeros around the image; 'valid' for none, 'same' for an
            output as large as the input.
        dilation: steps between neighbouring weights.
        groups: the channels are cut into so many groups that do not see each other.

    Returns:
        (N, O, H′, W′) with H′ = ⌊(H + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1.

    Raises:
        ValueError: the shapes do not fit.

    >>> import tinycnn as tc
    >>> image = tc.tensor([[[[0.0, 0.0, 1.0, 1.0]]]])
    >>> edge = tc.tensor([[[[-1.0, 1.0]]]])
    >>> conv2d(image, edge)
    tensor([[[[0., 1., 0.]]]])
    """
    _check(x, weight, bias, groups)
    kernel = (weight.shape[2], weight.shape[3])
    sizes = (tuple(s) if isinstance(s, list) else s for s in (stride, padding, dilation))
    geometry = geometry_of(kernel, *sizes, groups)
    check_window("conv2d", x.shape, kernel, geometry.padding, geometry.dilation)
    return correlate(x, weight, bias, geometry)


@lru_cache(256, typed=True)
def geometry_of(
    kernel: Pair, stride: Size, padding: Size | str, dilation: Size, groups: int
) -> Geometry:
    """What the arguments of `conv2d` mean for a kernel of this height and width."""
    steps, apart = pair("conv2d: stride", stride), pair("conv2d: dilation", dilation)
    return Geometry(steps, border("conv2d", padding, kernel, steps, apart), apart, groups)


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """Refuse shapes and dtypes that do not fit."""
    if x.ndim != 4:
        raise ValueError(f"conv2d: input has shape {tuple(x.shape)}, needs (N, C, H, W)")
    if weight.ndim != 4:
        raise ValueError(f"conv2d: weight has shape {tuple(weight.shape)}, needs (O, C, kh, kw)")
    shape = tuple(weight.shape)
    if groups < 1 or shape[0] % groups or x.shape[1] % groups:
        raise ValueError(
            f"conv2d: {x.shape[1]} input and {shape[0]} output channels do not divide into "
            f"{groups} groups"
        )
    if x.shape[1] != shape[1] * groups:
        raise ValueError(
            f"conv2d: input has {x.shape[1]} channels, but weight {shape} expects "
            f"{shape[1] * groups}"
        )
    if bias is not None and tuple(bias.shape) != shape[:1]:
        raise ValueError(f"conv2d: bias has shape {tuple(bias.shape)}, needs ({shape[0]},)")
    for other in (weight, bias):
        if other is not None and other.dtype != x.dtype:
            raise TypeError(f"conv2d: input is {x.dtype}, but a parameter {other.dtype}")
