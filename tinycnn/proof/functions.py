"""Generated cases for every public function that is made of operations.

A function that is an operation itself (`tc.relu`, `tc.exp`, …) has its cases in `cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import tinycnn as tc
from tinycnn import ops
from tinycnn.proof.inputs import Example, Inputs

Maker: TypeAlias = Callable[[Inputs], Example]

# ---- reductions ------------------------------------------------------------------------------


def over_axes(function: Callable[..., Any], *rest: Any) -> Maker:
    """Along an axis or all, of an array with at least two elements along each, for a variance."""

    def make(a: Inputs) -> Example:
        x = a.normal(tuple(a.integer(2, 3) for _ in range(a.integer(1, 2))))
        dim, keep = a.choice(None, *range(-x.ndim, x.ndim)), a.choice(True, False)
        return lambda x: function(x, dim, *rest, keepdim=keep), (x,)

    return make


def extreme(function: Callable[..., Any]) -> Maker:
    """The extreme of all, or those along an axis, with ties."""

    def make(a: Inputs) -> Example:
        x = a.tied(a.shape(1, 3))
        dim, keep = a.integer(-x.ndim, x.ndim - 1), a.choice(True, False)
        return a.choice(function, lambda x: function(x, dim, keep).values), (x,)

    return make


def logsumexp(a: Inputs) -> Example:
    """Also far apart, where one term is nearly all of the sum."""
    x = a.normal(a.shape(1, 3)) * a.choice(1.0, 5.0, 30.0)
    dim, keep = a.choice(None, 0, -1), a.choice(True, False)
    return lambda x: ops.logsumexp(x, dim, keep), (x,)


# ---- shapes ----------------------------------------------------------------------------------


def rearranged(function: Callable[..., Any]) -> Maker:
    """A function of an array and an axis; the array may be empty."""

    def make(a: Inputs) -> Example:
        x = a.scaled(a.maybe_empty(2, 3))
        dim = a.integer(-x.ndim, x.ndim - 1)
        return lambda x: function(x, dim), (x,)

    return make


def joined(function: Callable[..., Any]) -> Maker:
    """Up to three arrays of one shape, one of them perhaps twice."""

    def make(a: Inputs) -> Example:
        shape = a.maybe_empty(1, 3)
        dim = a.integer(-len(shape), len(shape) - 1)
        again = a.choice(False, True)
        parts = tuple(a.scaled(shape) for _ in range(a.integer(1, 3)))
        return lambda *parts: function([*parts, *parts[:again]], dim), parts

    return make


def gather(a: Inputs) -> Example:
    """Elements along an axis, some more than once."""
    x = a.scaled(a.shape(1, 3))
    dim = a.integer(-x.ndim, x.ndim - 1)
    index = tc.tensor(a.rng.integers(0, x.shape[dim], tuple(a.integer(1, n) for n in x.shape)))
    return ops.gather, (x, dim, index)


def pad(a: Inputs) -> Example:
    """Every mode."""
    mode = a.choice("constant", "reflect", "replicate", "circular")
    border = tuple(a.integer(0, 1) for _ in range(a.choice(2, 4)))
    return ops.pad, (a.scaled((*a.shape(0, 1), 2, 3)), border, mode, 0.5)


# ---- matrices, convolution, pooling ----------------------------------------------------------


def matmul(a: Inputs) -> Example:
    """Vectors and matrices."""
    k = a.integer(1, 3)
    x_shape, y_shape = a.choice((), (2,), (2, 2)), a.choice((), (3,))
    return ops.matmul, (a.scaled((*x_shape, k)), a.scaled((k, *y_shape)))


def linear(a: Inputs) -> Example:
    """With a bias or without; the batch may be empty."""
    n, m = a.integer(1, 3), a.integer(1, 3)
    values = a.scaled((*a.maybe_empty(0, 2), n)), a.scaled((m, n)), a.normal((m,))
    return ops.linear, values[: a.integer(2, 3)]


def conv2d(a: Inputs) -> Example:
    """Every way to say a padding, with strides, dilation and groups, with a bias or without."""
    padding = a.choice(0, 1, (0, 2), "valid", "same")
    stride = 1 if padding == "same" else a.choice(1, 2, (2, 1))
    kernel = (a.integer(1, 3), a.integer(1, 2))
    dilation, groups = a.choice(1, 2, (1, 2)), a.choice(1, 1, 2)
    per_group, o = a.integer(1, 2 // groups), groups * a.integer(1, 2)
    size = (2 * kernel[0] - 1 + a.integer(0, 1), 2 * kernel[1] - 1 + a.integer(0, 1))
    x, weight = a.scaled((1, groups * per_group, *size)), a.scaled((o, per_group, *kernel))
    bias = a.choice(a.normal((o,)), None)
    return ops.conv2d, (x, weight, bias, stride, padding, dilation, groups)


def pooled(function: Callable[..., Any], *extra: Any) -> Maker:
    """Windows that tile, overlap or leave gaps, with padding, with ties."""

    def make(a: Inputs) -> Example:
        rest = a.choice((2,), (3, 1, 1), ((2, 3), (1, 2)), (3, 2, 1, *extra))
        return function, (a.tied((1, 1, a.integer(3, 5), a.integer(4, 5))), *rest)

    return make


def adaptive(function: Callable[..., Any]) -> Maker:
    """Regions of one size, of several, and such that overlap."""

    def make(a: Inputs) -> Example:
        x = a.tied((1, a.integer(1, 2), a.integer(2, 3), a.integer(2, 3)))
        return function, (x, a.choice(1, 2, (1, 3), (2, 1)))

    return make


def global_avg_pool2d(a: Inputs) -> Example:
    """Images of any size."""
    return ops.global_avg_pool2d, (a.scaled((1, *(a.integer(1, 4) for _ in range(3)))),)


# ---- activations and layers ------------------------------------------------------------------


def softplus(a: Inputs) -> Example:
    """Of several steepnesses."""
    return ops.softplus, (a.wide(a.maybe_empty()), a.choice(1.0, 0.5, 2.0))


def maxout(a: Inputs) -> Example:
    """With ties."""
    pieces = a.integer(1, 3)
    x = a.tied((2, 2 * pieces, *a.shape(0, 2)))
    return ops.maxout, (x, pieces, a.choice(1, 1 - x.ndim))


def dropout(training: bool) -> Maker:
    """Always the same elements left out."""

    def make(a: Inputs) -> Example:
        seed, p = a.integer(0, 99), a.choice(0.0, 0.3, 0.9, 1.0)
        x = a.scaled(a.maybe_empty())
        return lambda x: ops.dropout(x, p, training, np.random.default_rng(seed)), (x,)

    return make


def batch_norm(training: bool) -> Maker:
    """By the batch's own statistics, or by running ones."""

    def make(a: Inputs) -> Example:
        c = a.integer(1, 2)
        # in float32 they are the same numbers
        mean, variance = (v.astype(np.float32) for v in (a.normal((c,)), a.positive((c,))))

        def function(x: tc.Tensor, weight: tc.Tensor, bias: tc.Tensor) -> tc.Tensor:
            of_batches, spread = (
                tc.tensor(v.astype(x.dtype), device=x.device) for v in (mean, variance)
            )
            return ops.batch_norm(x, of_batches, spread, weight, bias, training)

        return function, (a.normal((2, c, 2, a.integer(1, 2))), a.normal((c,)), a.normal((c,)))

    return make


# ---- losses ----------------------------------------------------------------------------------


def loss(function: Callable[..., Any], probabilities: bool = False) -> Maker:
    """A prediction and a target of one shape."""

    def make(a: Inputs) -> Example:
        shape, reduction = a.shape(), a.choice("mean", "sum", "none")
        x = a.uniform(shape) if probabilities else a.wide(shape)
        return function, (x, a.uniform(shape), reduction)

    return make


def cross_entropy(a: Inputs) -> Example:
    """Logits and class numbers."""
    shape = (a.integer(1, 3), a.integer(1, 4), *a.shape(0, 2))
    target = tc.tensor(a.rng.integers(0, shape[1], (shape[0], *shape[2:])))
    logits = a.normal(shape) * a.choice(1.0, 3.0, 30.0)
    return ops.cross_entropy, (logits, target, a.choice("mean", "sum", "none"))


FUNCTIONS: dict[str, Maker] = {
    "var": over_axes(ops.var, 1),
    "std": over_axes(ops.std, 0),
    "prod": over_axes(ops.prod),
    "logsumexp": logsumexp,
    "max": extreme(ops.max),
    "min": extreme(ops.min),
    "gather": gather,
    "cat": joined(ops.cat),
    "stack": joined(ops.stack),
    "split": rearranged(lambda x, dim: ops.split(x, 2, dim)),
    "chunk": rearranged(lambda x, dim: ops.chunk(x, 3, dim)),
    "flatten": rearranged(lambda x, dim: ops.flatten(x, dim)),
    "flip": rearranged(ops.flip),
    "squeeze": rearranged(ops.squeeze),
    "unsqueeze": rearranged(ops.unsqueeze),
    "transpose": rearranged(lambda x, dim: ops.transpose(x, dim, 0)),
    "expand": rearranged(lambda x, dim: ops.expand(x.unsqueeze(dim), (3, 2, *[-1] * (x.ndim + 1)))),
    "pad": pad,
    "matmul": matmul,
    "linear": linear,
    "conv2d": conv2d,
    "max_pool2d": pooled(ops.max_pool2d, 2),
    "avg_pool2d": pooled(ops.avg_pool2d, False),
    "adaptive_max_pool2d": adaptive(ops.adaptive_max_pool2d),
    "adaptive_avg_pool2d": adaptive(ops.adaptive_avg_pool2d),
    "global_avg_pool2d": global_avg_pool2d,
    "softplus": softplus,
    "maxout": maxout,
    "dropout": dropout(True),
    "dropout in use": dropout(False),
    "batch_norm": batch_norm(True),
    "batch_norm in use": batch_norm(False),
    "mse_loss": loss(ops.mse_loss),
    "binary_cross_entropy": loss(ops.binary_cross_entropy, probabilities=True),
    "binary_cross_entropy_with_logits": loss(ops.binary_cross_entropy_with_logits),
    "cross_entropy": cross_entropy,
}

TRUE_OR_WHERE = {"all", "any", "argmax", "argmin", "isfinite", "isnan"}
FROM_A_SHAPE = {
    *("arange", "eye", "full", "full_like", "linspace"),
    *("ones", "ones_like", "zeros", "zeros_like"),
}
WITHOUT_DERIVATIVE = TRUE_OR_WHERE | FROM_A_SHAPE
