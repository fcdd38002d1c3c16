"""Activations: what makes a network more than one matrix.

Their derivatives are written so that they stay right where they are tiny; the comment beside
each says which textbook form would not.
"""

from __future__ import annotations

from math import prod

from tinycnn import kernels
from tinycnn.function import Value, differentiable, differentiable_as
from tinycnn.kernels.namespace import namespace
from tinycnn.ops.arithmetic import clamp, eq, exp, floating, logical_and, where
from tinycnn.ops.axes import Dims, axes
from tinycnn.ops.reduction import amax, sum
from tinycnn.tensor import Tensor


@differentiable
def sigmoid(x: Value) -> Value:
    """σ(x) = 1 / (1 + e⁻ˣ)."""
    x = floating(x)
    return kernels.of(x).sigmoid(x)


@sigmoid.derivative("x")
def _(g: Value, x: Value) -> Value:
    # σ(x)·σ(−x), not y·(1 − y): in float32 the latter is 0 from x = 17 on
    return g * (sigmoid(x) * sigmoid(-x))


@differentiable
def tanh(x: Value) -> Value:
    """tanh(x) = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""
    return namespace(x).tanh(floating(x))


@tanh.derivative("x")
def _(g: Value, x: Value) -> Value:
    # 1/cosh² = 4·σ(2x)·σ(−2x), not 1 − y²: in float32 the latter is 0 from x = 9.1 on.
    # Beyond ±400 it is 0 in float64 too, and 2x could overflow.
    x = 2 * clamp(x, -400, 400)
    return g * (4 * sigmoid(x) * sigmoid(-x))


@differentiable
def relu(x: Value) -> Value:
    """max(x, 0); the derivative at 0 is taken as 0. Nair & Hinton (2010)."""
    return kernels.of(x).relu(x)


@relu.derivative("x")
def _(g: Value, x: Value) -> Value:
    return relu_grad(g, x)


@differentiable
def relu_grad(g: Value, x: Value) -> Value:
    """g, but 0 where x ≤ 0."""
    return kernels.of(g).relu_grad(g, x)


@relu_grad.derivative("g")
def _(g: Value, x: Value) -> Value:
    return relu_grad(g, x)


@relu_grad.derivative("x")
def _(h: Value) -> Value:
    return h * 0


@differentiable
def leaky_relu(x: Value, negative_slope: float = 0.01) -> Value:
    """x for x > 0, a small multiple of it else. Maas, Hannun & Ng (2013)."""
    return namespace(x).where(x.real > 0, x, float(negative_slope) * x)


@leaky_relu.derivative("x")
def _(g: Value, x: Value, negative_slope: float) -> Value:
    return where(x > 0, g, negative_slope * g)


@differentiable
def elu(x: Value, alpha: float = 1.0) -> Value:
    """x for x > 0, α(eˣ − 1) else. Clevert, Unterthiner & Hochreiter (2016)."""
    return kernels.of(x).elu(x, float(alpha))


@elu.derivative("x")
def _(g: Value, x: Value, alpha: float) -> Value:
    return elu_grad(g, x, alpha)


@differentiable
def elu_grad(g: Value, x: Value, alpha: float) -> Value:
    """The cotangent that comes through an ELU of x."""
    return kernels.of(g).elu_grad(g, x, float(alpha))


@elu_grad.derivative("g")
def _(h: Value, x: Value, alpha: float) -> Value:
    return elu_grad(h, x, alpha)


@elu_grad.derivative("x")
def _(h: Value, g: Value, x: Value, alpha: float) -> Value:
    return h * g * where(x > 0, 0, alpha * exp(where(x > 0, 0, x)))


@differentiable_as("softplus")
def _softplus(x: Value) -> Value:
    x = floating(x)
    return kernels.of(x).softplus(x)


@_softplus.derivative("x")
def _(g: Value, x: Value) -> Value:
    return g * sigmoid(x)


def softplus(x: Tensor, beta: float = 1.0) -> Tensor:
    """log(1 + e^βx) / β: a smooth ReLU. Dugas et al. (2001)."""
    return _softplus(x) if beta == 1 else _softplus(x * beta) / beta


def maxout(x: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """The largest of each group of `pieces` neighbouring channels. Goodfellow et al. (2013).

    (N, C, …) to (N, C / pieces, …); equal maxima share the gradient evenly.

    >>> import tinycnn as tc
    >>> maxout(tc.tensor([[1.0, 5.0, 2.0, 0.0]]), 2)
    tensor([[5., 2.]])
    """
    channels = x.shape[dim]
    if channels % pieces:
        raise ValueError(f"maxout: {channels} channels do not divide into groups of {pieces}")
    dim = dim % x.ndim
    grouped = x.reshape((*x.shape[:dim], channels // pieces, pieces, *x.shape[dim + 1 :]))
    return amax(grouped, dim + 1)


@differentiable
def softmax(x: Value, dim: int) -> Value:
    """eˣ / Σ eˣ along an axis."""
    x, xp = floating(x), namespace(x)
    top = xp.expand_dims(xp.argmax(x.real, dim), dim)
    e = xp.exp(x - xp.take_along_axis(x, top, dim))
    return e / e.sum(dim, keepdims=True)


@softmax.derivative("x")
def _(g: Value, x: Value, dim: int) -> Value:
    p = softmax(x, dim)
    return _tangent(p * (g - sum(p * g, dim, True)), x, dim)


@differentiable
def log_softmax(x: Value, dim: int) -> Value:
    """x − log Σ eˣ along an axis; keeps its digits where a probability is near 1."""
    x = floating(x)
    return kernels.of(x).log_softmax(x, dim)


@log_softmax.derivative("x")
def _(g: Value, x: Value, dim: int) -> Value:
    return _tangent(g - softmax(x, dim) * sum(g, dim, True), x, dim)


@differentiable_as("logsumexp")
def _logsumexp(x: Value) -> Value:
    """log Σ eˣ along the last axis."""
    x, xp = floating(x), namespace(x)
    if x.shape[-1] == 0:
        return xp.full(x.shape[:-1], -xp.inf, x.dtype)
    top = x.real.max(-1, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0).astype(x.dtype)
    return xp.log(xp.exp(x - top).sum(-1)) + top[..., 0]


@_logsumexp.derivative("x")
def _(g: Value, x: Value) -> Value:
    return g.reshape((*x.shape[:-1], 1)) * softmax(x, -1)


def logsumexp(x: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """log Σ eˣ over some axes, without overflow."""
    reduced = axes(dim, x.ndim)
    kept = [i for i in range(x.ndim) if i not in reduced]
    rows = x.permute((*kept, *reduced))
    count = prod(x.shape[i] for i in reduced)
    out: Tensor = _logsumexp(rows.reshape((*rows.shape[: len(kept)], count)))
    if not keepdim:
        return out
    return out.reshape([1 if i in reduced else n for i, n in enumerate(x.shape)])


def _tangent(d: Value, x: Value, dim: int) -> Value:
    """Adding a constant to all of x changes no softmax, so a derivative's elements sum to 0. The
    one of the largest x, where p is near 1, would be a difference of nearly equal numbers, and is
    computed as minus the sum of the others.
    """
    largest = eq(x, amax(x, dim, True))
    largest = logical_and(largest, eq(sum(largest, dim, True), 1))  # of two, neither is near 1
    others = where(largest, 0, d)
    return where(largest, -sum(others, dim, True), d)
