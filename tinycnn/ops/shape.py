"""The same elements in another arrangement: reshaping, axes, parts, and joining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from types import EllipsisType
from typing import Any, TypeVar

import numpy as np

from tinycnn.function import Value, differentiable
from tinycnn.kernels.namespace import namespace
from tinycnn.ops.arithmetic import alike, clone
from tinycnn.ops.axes import axes, axis
from tinycnn.tensor import Tensor

T = TypeVar("T")


@differentiable
def reshape(x: Value, shape: tuple[int, ...]) -> Value:
    """The elements in row-major order in another shape; one length may be −1."""
    return x.reshape(shape)


@reshape.derivative("x")
def _(g: Value, x_shape: tuple[int, ...]) -> Value:
    return g.reshape(x_shape)


@differentiable
def permute(x: Value, dims: tuple[int, ...]) -> Value:
    """The axes in another order."""
    return namespace(x).transpose(x, dims)


@permute.derivative("x")
def _(g: Value, dims: tuple[int, ...]) -> Value:
    inverse = sorted(range(len(dims)), key=lambda i: dims[i] % len(dims))
    return permute(g, tuple(inverse))


@differentiable
def broadcast_to(x: Value, shape: tuple[int, ...]) -> Value:
    """x repeated along new axes and axes of length 1, without copying."""
    return namespace(x).broadcast_to(x, shape)


@broadcast_to.derivative("x")
def _(g: Value) -> Value:
    return g  # the engine sums over what was repeated


@differentiable
def getitem(x: Value, index: Any) -> Value:
    """x[index]: a view for integers and slices, a copy for masks and arrays of indexes."""
    return x[index]


@getitem.derivative("x")
def _(g: Value, x_shape: tuple[int, ...], index: Any) -> Value:
    return place(g, index, x_shape)


@differentiable
def place(x: Value, index: Any, shape: tuple[int, ...]) -> Value:
    """Zeros of a shape, with x added at an index: the adjoint of `getitem`."""
    xp = namespace(x)
    out = xp.zeros(shape, x.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if not all(part is None or isinstance(part, int | slice | EllipsisType) for part in parts):
        xp.add.at(out, index, x)  # an index may occur twice
    else:
        out[index] = x
    return out


@place.derivative("x")
def _(g: Value, index: Any) -> Value:
    return g[index]


@differentiable
def join(x: Value, y: Value, dim: int) -> Value:
    """Two arrays, one behind the other along an axis."""
    return namespace(x, y).concatenate(alike(x, y), dim)


@join.derivative("x")
def _(g: Value, x_shape: tuple[int, ...], dim: int) -> Value:
    return g[_along(dim, g.ndim, slice(None, x_shape[dim]))]


@join.derivative("y")
def _(g: Value, x_shape: tuple[int, ...], dim: int) -> Value:
    return g[_along(dim, g.ndim, slice(x_shape[dim], None))]


def _along(dim: int, ndim: int, part: slice | Any) -> tuple[Any, ...]:
    """An index that takes a part of one axis and all of the others."""
    index: list[Any] = [slice(None)] * ndim
    index[dim] = part
    return tuple(index)


def tournament(combine: Callable[[T, T], T], items: Sequence[T]) -> T:
    """Combine neighbours, then the results' neighbours, until one is left: log₂ n rounds."""
    while len(items) > 1:
        pairs = [combine(a, b) for a, b in zip(items[::2], items[1::2], strict=False)]
        items = [*pairs, items[-1]] if len(items) % 2 else pairs
    return items[0]


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one behind the other along an axis.

    >>> import tinycnn as tc
    >>> cat([tc.tensor([1, 2]), tc.tensor([3])])
    tensor([1, 2, 3])
    """
    if not tensors:
        raise ValueError("cat: no tensors")
    first = tensors[0].shape
    dim = axis(dim, len(first))
    for t in tensors[1:]:
        rest = list(t.shape)
        if len(rest) == len(first):
            rest[dim] = first[dim]
        if tuple(rest) != first:
            raise ValueError(f"cat: shapes {first} and {t.shape} differ outside axis {dim}")
    if len(tensors) == 1:
        return clone(tensors[0])
    return tournament(lambda x, y: join(x, y, dim), tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def split(x: Tensor, sizes: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """x in pieces along an axis: of one length (the last may be shorter), or of given lengths."""
    dim = axis(dim, x.ndim)
    length = x.shape[dim]
    if isinstance(sizes, int):
        if sizes < 1:
            raise ValueError(f"split: pieces of length {sizes}")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    if sum(sizes) != length or min(sizes, default=0) < 0:
        raise ValueError(f"split: lengths {list(sizes)} do not add up to {length}")
    ends = np.cumsum(sizes)
    return tuple(
        getitem(x, _along(dim, x.ndim, slice(int(end - size), int(end))))
        for size, end in zip(sizes, ends, strict=True)
    )


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """x in a number of pieces of equal length along an axis (the last may be shorter)."""
    if chunks < 1:
        raise ValueError(f"chunk: {chunks} pieces")
    return split(x, max(-(-x.shape[axis(dim, x.ndim)] // chunks), 1), dim)


def transpose(x: Value, dim0: int, dim1: int) -> Value:
    """Two axes exchanged."""
    dims = list(range(x.ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(x, tuple(dims))


def flatten(x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Neighbouring axes made one."""
    if x.ndim == 0:
        return x.reshape((1,))
    start, end = axis(start_dim, x.ndim), axis(end_dim, x.ndim)
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim}")
    shape = x.shape
    return x.reshape((*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))


def unsqueeze(x: Value, dim: int) -> Value:
    """A new axis of length 1."""
    dim = axis(dim, x.ndim + 1)
    return x.reshape((*x.shape[:dim], 1, *x.shape[dim:]))


def squeeze(x: Value, dim: int | None = None) -> Value:
    """Without axes of length 1: all of them, or one if its length is 1."""
    drop = axes(dim, x.ndim)
    return x.reshape(tuple(n for i, n in enumerate(x.shape) if i not in drop or n != 1))


def expand(x: Value, shape: tuple[int, ...]) -> Value:
    """x repeated along axes of length 1; −1 keeps a length."""
    lead = max(len(shape) - x.ndim, 0)
    if -1 in shape[:lead]:
        raise ValueError(f"expand: {shape} keeps the length of an axis that {x.shape} lacks")
    sizes = tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape))
    return broadcast_to(x, sizes)


def flip(x: Value, dims: int | Sequence[int]) -> Value:
    """The order reversed along some axes."""
    index: list[Any] = [slice(None)] * x.ndim
    for dim in axes(dims, x.ndim):
        index[dim] = slice(None, None, -1)
    return x[tuple(index)]
