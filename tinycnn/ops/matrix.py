"""Matrix products."""

from __future__ import annotations

from tinycnn.function import Value, differentiable_as
from tinycnn.ops.shape import transpose
from tinycnn.tensor import Tensor


@differentiable_as("matmul")
def _matmul(x: Value, y: Value) -> Value:
    return x @ y


@_matmul.derivative("x")
def _(g: Value, y: Value) -> Value:
    return g @ transpose(y, -1, -2)


@_matmul.derivative("y")
def _(g: Value, x: Value) -> Value:
    return transpose(x, -1, -2) @ g


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


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: features (…, in) to (…, out) by a weight (out, in) and a bias (out,)."""
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input has {x.shape[-1]} features, but weight {tuple(weight.shape)} "
            f"expects {weight.shape[1]}"
        )
    if bias is not None and tuple(bias.shape) != tuple(weight.shape[:1]):
        raise ValueError(f"linear: bias has shape {tuple(bias.shape)}, needs ({weight.shape[0]},)")
    out = matmul(x, transpose(weight, 0, 1))
    return out if bias is None else out + bias
