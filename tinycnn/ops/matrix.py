"""Matrix products."""

from __future__ import annotations

from math import prod

from tinycnn import kernels
from tinycnn.function import Value, differentiable_as
from tinycnn.tensor import Tensor


@differentiable_as("matmul")
def _matmul(x: Value, y: Value) -> Value:
    return kernels.of(x).matmul(x, y)


@_matmul.derivative("x")
def _(g: Value, y: Value) -> Value:
    return _matmul(g, y.mT)


@_matmul.derivative("y")
def _(g: Value, x: Value) -> Value:
    return _matmul(x.mT, g)


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The product of matrices (…, n, k) and (…, k, m), leading axes broadcast; a vector counts as
    a row on the left and as a column on the right.

    Raises:
        ValueError: the inner lengths differ, or an operand is a single number.

    >>> import tinycnn as tc
    >>> matmul(tc.tensor([[1.0, 2.0]]), tc.tensor([3.0, 4.0]))
    tensor([11.])
    """
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ValueError(f"matmul: shapes {tuple(x.shape)} and {tuple(y.shape)} do not fit")
    if x.dtype != y.dtype:
        raise TypeError(f"matmul: {x.dtype} and {y.dtype}; convert one")
    out = _matmul(
        x.reshape((1, -1)) if x.ndim == 1 else x, y.reshape((-1, 1)) if y.ndim == 1 else y
    )
    if x.ndim == 1:
        out = out.squeeze(-2)
    return out.squeeze(-1) if y.ndim == 1 else out


@differentiable_as("linear")
def _linear(x: Value, weight: Value, bias: Value | None) -> Value:
    out = matmul(x, weight.mT)
    return out if bias is None else out + bias


@_linear.derivative("x")
def _(g: Value, weight: Value) -> Value:
    return matmul(g, weight)


@_linear.derivative("weight")
def _(g: Value, x: Value) -> Value:
    return matmul(_rows(g).mT, _rows(x))


@_linear.derivative("bias")
def _(g: Value) -> Value:
    return g  # the engine sums over the rows


def _rows(x: Value) -> Value:
    """Features (…, n) as a matrix."""
    return x if x.ndim == 2 else x.reshape((prod(x.shape[:-1]), x.shape[-1]))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: features (…, in) to (…, out) by a weight (out, in) and a bias (out,)."""
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input has {x.shape[-1]} features, but weight {tuple(weight.shape)} "
            f"expects {weight.shape[1]}"
        )
    if x.dtype != weight.dtype:
        raise TypeError(f"linear: input {x.dtype}, weight {weight.dtype}; convert one")
    if bias is not None and tuple(bias.shape) != tuple(weight.shape[:1]):
        raise ValueError(f"linear: bias has shape {tuple(bias.shape)}, needs ({weight.shape[0]},)")
    return _linear(x, weight, bias)
