"""Many elements to one: sums, means, extremes, along some axes or all."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinycnn.device import disagreement
from tinycnn.function import Value, differentiable
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.summation import total
from tinycnn.ops.arithmetic import eq, logical_or, mul, ne, sqrt, where
from tinycnn.ops.axes import Dims, axes, axis
from tinycnn.ops.creation import ones_like
from tinycnn.ops.shape import getitem, tournament
from tinycnn.tensor import Tensor


@differentiable
def spread(x: Value, shape: tuple[int, ...]) -> Value:
    """x repeated to a shape, in memory of its own."""
    out = namespace(x).empty(shape, x.dtype)
    out[...] = x
    return out


@spread.derivative("x")
def _(g: Value) -> Value:
    return g  # the engine sums over what was repeated


def _spread(g: Value, x_shape: tuple[int, ...], dim: Dims) -> Value:
    """A reduced array back in the shape it was reduced from, every element repeated."""
    if dim is not None and g.ndim < len(x_shape):
        reduced = axes(dim, len(x_shape))
        g = g.reshape(tuple([1 if i in reduced else n for i, n in enumerate(x_shape)]))
    return spread(g, x_shape)


def _count(shape: tuple[int, ...], dim: Dims) -> int:
    """How many elements are made into one."""
    return math.prod([shape[i] for i in axes(dim, len(shape))])


@differentiable
def sum(x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """The sum over some axes, or all."""
    return total(x, None if dim is None else axes(dim, x.ndim), keepdim)


@sum.derivative("x")
def _(g: Value, x_shape: tuple[int, ...], dim: Dims) -> Value:
    return _spread(g, x_shape, dim)


@differentiable
def mean(x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """The mean over some axes, or all."""
    if x.dtype.kind not in "fc":
        raise TypeError(f"mean: of {x.dtype} numbers; make them floating-point")
    return total(x, None if dim is None else axes(dim, x.ndim), keepdim) / _count(x.shape, dim)


@mean.derivative("x")
def _(g: Value, x_shape: tuple[int, ...], dim: Dims) -> Value:
    return _spread(g / _count(x_shape, dim), x_shape, dim)


@differentiable
def amax(x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """The largest element over some axes; equal maxima share the gradient evenly."""
    return x.max(axes(dim, x.ndim), keepdims=keepdim)


@differentiable
def amin(x: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """The smallest element over some axes; equal minima share the gradient evenly."""
    return x.min(axes(dim, x.ndim), keepdims=keepdim)


@amax.derivative("x")
@amin.derivative("x")
def _(g: Value, x: Value, result: Value, dim: Dims) -> Value:
    # a NaN, which wins, equals nothing
    meets = logical_or(eq(x, _spread(result, x.shape, dim)), ne(x, x))
    count = sum(meets, dim, True)
    return where(meets, _spread(g, x.shape, dim) / count, 0)


def var(x: Value, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Value:
    """The variance Σ(x − mean)² / (n − correction) over some axes, or all."""
    deviation = x - mean(x, dim, True)
    return sum(deviation * deviation, dim, keepdim) / (_count(x.shape, dim) - correction)


def std(x: Value, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Value:
    """The standard deviation, the root of `var`."""
    return sqrt(var(x, dim, correction, keepdim))


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The product along an axis, or of all; multiplied in pairs, so zeros do its derivative no
    harm.
    """
    if dim is None:
        return prod(x.reshape(-1), 0) if not keepdim else prod(x).reshape((1,) * x.ndim)
    slices = [getitem(x, (slice(None),) * axis(dim, x.ndim) + (i,)) for i in range(x.shape[dim])]
    out = tournament(mul, slices) if slices else ones_like(Tensor(x.array.sum(dim)))
    return out.unsqueeze(dim) if keepdim else out


class Extremes(NamedTuple):
    """The extreme values along an axis, and where they were."""

    values: Tensor
    indices: Tensor


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is, the first of equal ones; integers, without a gradient."""
    return _where_extreme("argmax", x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is, the first of equal ones; integers, without a gradient."""
    return _where_extreme("argmin", x, dim, keepdim)


def _where_extreme(name: str, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    xp = namespace(x.array)
    return Tensor(xp.asarray(getattr(xp, name)(x.array, axis=dim, keepdims=keepdim)))


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[…, i, …] = x[…, index[…, i, …], …] along an axis; `index` has x's number of axes."""
    if apart := disagreement((x.array, index.array)):
        raise TypeError(f"gather: {apart}")
    xp = namespace(x.array)
    grid = list(xp.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index.array.copy()  # its values now, for the derivative later
    return getitem(x, tuple(grid))


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest element of all; or along an axis (values, indices), the first of equal ones."""
    return amax(x) if dim is None else _extremes(x, dim, keepdim, argmax)


def min(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest element of all; or along an axis (values, indices), the first of equal ones."""
    return amin(x) if dim is None else _extremes(x, dim, keepdim, argmin)


def _extremes(x: Tensor, dim: int, keepdim: bool, find: Any) -> Extremes:
    indices = find(x, dim, True)
    values = gather(x, dim, indices)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return Extremes(values, indices)


def all(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Whether every element is true (not 0)."""
    return Tensor(namespace(x.array).asarray(x.array.all(axis=dim, keepdims=keepdim)))


def any(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Whether an element is true (not 0)."""
    return Tensor(namespace(x.array).asarray(x.array.any(axis=dim, keepdims=keepdim)))
