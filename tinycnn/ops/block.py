"""Convolution, batch norm, ReLU and max pooling at once, where the backend has a kernel for it.

The result and the gradients are those of the operations one by one, in fewer passes over memory:
most of a small network's time goes not into arithmetic but into fetching what was just written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tinycnn import anomaly, kernels
from tinycnn.autograd import grad
from tinycnn.device import disagreement
from tinycnn.function import Value, differentiable, differentiable_as
from tinycnn.grad_mode import enable_grad, is_grad_enabled
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array, Geometry
from tinycnn.ops.activation import relu, relu_grad
from tinycnn.ops.convolution import correlate
from tinycnn.ops.normalization import follow, normalize
from tinycnn.ops.pooling import pick_largest
from tinycnn.tensor import Tensor


class Norm(NamedTuple):
    """The arguments of `batch_norm` but the images."""

    running_mean: Tensor
    running_var: Tensor
    weight: Tensor
    bias: Tensor
    training: bool
    momentum: float
    eps: float


def can_fuse(
    x: Tensor, weight: Tensor, bias: Tensor | None, norm: Norm | None, geometry: Geometry
) -> bool:
    """Whether `conv_block` takes such a convolution. What is wrong is no such, so that the
    operations one by one complain of it; and so is what `detect_anomaly` is to name.
    """
    backend = kernels.of(x.array)
    if anomaly.watching() or not hasattr(backend, "conv_block"):
        return False
    # to differentiate with fixed statistics is left to the operations
    if norm is not None and not norm.training and is_grad_enabled():
        return False
    dtype, channels = x.array.dtype, weight.array.shape[:1]
    for v in (bias, *norm[:4]) if norm else (bias,):
        if v is not None and (v.array.dtype != dtype or v.array.shape != channels):
            return False
    fits: bool = backend.can_fuse(x.array.shape, weight.array.shape, geometry)
    return fits and weight.array.dtype == dtype


def conv_block(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm: Norm | None,
    geometry: Geometry,
    rectify: bool,
    pool: bool,
) -> Tensor:
    """`conv2d`, then `batch_norm` if there is a norm, `relu` if it is to rectify and `max_pool2d`
    by 2 if it is to pool. Takes what `can_fuse` says yes to.
    """
    if norm is not None and norm.training:
        heed = partial(follow, norm.running_mean, norm.running_var, norm.momentum)
        gamma, beta = norm.weight, norm.bias
        return fused(x, weight, bias, gamma, beta, norm.eps, geometry, rectify, pool, heed)
    if is_grad_enabled():
        return fused(x, weight, bias, None, None, 0.0, geometry, rectify, pool, None)
    arrays = x.array, weight.array, None if bias is None else bias.array
    try:
        mean, scale, shift = _fixed(norm, weight.array)
        settings = geometry, rectify, pool
        out = kernels.of(x.array).conv_block_inference(*arrays, mean, scale, shift, *settings)
        if out is None:
            given = mean, namespace(mean).ones_like(mean)
            out = _one_by_one(*arrays, scale, shift, 0.0, *settings, moments=given)
        return Tensor(out)
    except (TypeError, ValueError) as error:
        of_norm = (v.array for v in norm[:4]) if norm else ()
        if apart := disagreement((*arrays, *of_norm)):
            raise TypeError(f"conv_block: {apart}") from error
        raise


def _fixed(norm: Norm | None, weight: Array) -> tuple[Array, Array, Array]:
    """Mean, scale and shift of each channel."""
    xp = namespace(weight)
    if norm is None:
        zeros = xp.zeros(len(weight), weight.dtype)
        return zeros, zeros + 1, zeros
    scale = norm.weight.array / xp.sqrt(norm.running_var.array + norm.eps)
    return norm.running_mean.array, scale, norm.bias.array


@differentiable_as("conv_block", saves=("kept",))
def fused(
    x: Value,
    weight: Value,
    bias: Value,
    gamma: Value,
    beta: Value,
    eps: float,
    geometry: Geometry,
    rectify: bool,
    pool: bool,
    heed: Callable[[Array, Array, int], None] | None,
) -> Value:
    """The operation under `conv_block`, with batch statistics if there is a `gamma`; `heed` is
    told them, and over how many values they are.
    """
    given = x, weight, bias, gamma, beta, eps, geometry, rectify, pool
    backend = kernels.of(x)
    made = backend.conv_block(*given) if hasattr(backend, "conv_block") else None
    if made is None:
        return _one_by_one(*given, heed), None
    out, variance, count, kept = made
    if heed is not None:
        heed(kept.norm[0], variance, count)
    return out, kept


@fused.derivative("x", "weight", "bias", "gamma", "beta")
def _(
    g: Value,
    x: Value,
    weight: Value,
    bias: Value,
    gamma: Value,
    beta: Value,
    eps: float,
    geometry: Geometry,
    rectify: bool,
    pool: bool,
    kept: Any,
    wanted: tuple[bool, ...],
) -> Value:
    values, settings = (x, weight, bias, gamma, beta), (eps, geometry, rectify, pool)
    if isinstance(x, Tensor):
        return _derived(g, values, settings, wanted)
    backend = kernels.of(g)
    if kept is not None and hasattr(backend, "conv_block_grad"):
        given = weight, gamma is not None, geometry, rectify, kept, wanted[0]
        found = backend.conv_block_grad(g, x, *given)
        if found is not None:
            return found
    leaves = [None if v is None else Tensor(v, requires_grad=True) for v in values]
    derived = _derived(Tensor(g), leaves, settings, wanted)
    return tuple(None if d is None else d.array for d in derived)


def _derived(g: Tensor, values: Any, settings: Any, wanted: Any) -> list[Tensor | None]:
    """The derivative by that of the operations one by one."""
    recording, (_, _, bias, gamma, _) = is_grad_enabled(), values
    if gamma is not None and wanted[2]:  # its mean takes every constant away
        without = (*wanted[:2], False, *wanted[3:])
        d_x, d_weight, _, *rest = _derived(g, values, settings, without)
        return [d_x, d_weight, Tensor(bias.array * 0), *rest]
    with enable_grad():
        y = _one_by_one(*values, *settings)
        asked = [value for value, want in zip(values, wanted, strict=True) if want]
        found = iter(grad(y, asked, g, create_graph=recording)) if asked else iter(())
    return [next(found) if want else None for want in wanted]


def _one_by_one(
    x: Value,
    weight: Value,
    bias: Value,
    gamma: Value,
    beta: Value,
    eps: float,
    geometry: Geometry,
    rectify: bool,
    pool: bool,
    heed: Callable[[Array, Array, int], None] | None = None,
    moments: tuple[Array, Array] | None = None,
) -> Value:
    """What the block is, on arrays and on Tensors; with the batch's moments if there are none."""
    y = correlate(x, weight, bias, geometry)
    if gamma is not None:
        array = y.array if isinstance(y, Tensor) else y
        average, variance = moments or kernels.of(array).moments(array)
        if heed is not None:
            heed(average, variance, array.size // array.shape[1])
        y = normalize(y, gamma, beta, average, variance, eps)
    y = relu(y) if rectify else y
    return pick_largest(y, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)) if pool else y


@differentiable
def add_relu(x: Value, y: Value) -> Value:
    """relu(x + y): what ends a residual block."""
    return kernels.of(x).add_relu(x, y)


@add_relu.derivative("x", "y")
def _(g: Value, result: Value) -> Value:
    through = relu_grad(g, result)
    return through, through
