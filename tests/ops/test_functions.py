"""The functions made of operations: their gradients against a complex step of the whole function,
second derivatives against central differences of the first.

With Tensors of complex numbers a function runs unrecorded, so the whole of it is its own oracle.
Second derivatives pass through the engine, which records no complex numbers; there the oracle is
a central difference of gradients, extrapolated once (Richardson); the tolerance is 1e-7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn import kernels, ops
from tinycnn.function import Function

from .cases import Inputs

RULE = settings(deadline=None, derandomize=True, max_examples=15, database=None)
STEP = 1e-200

# A function of Tensors, and its tensors' values.
Example = tuple[Callable[..., tc.Tensor], list[np.ndarray]]


def weighted(parts: Any) -> tc.Tensor:
    """One tensor from several, each counted differently."""
    return ops.cat([(i + 1) * part.reshape(-1) for i, part in enumerate(parts)])


def over_axes(function: Callable[..., Any], *rest: Any) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        # 2 or more of each, for a variance
        x = a.normal(tuple(n + 1 for n in a.shape(1, 3)))
        dim = a.choice(None, *range(-x.ndim, x.ndim))
        keep = a.choice(True, False)
        return lambda t: function(t, dim, *rest, keepdim=keep), [x]

    return example


def extreme(function: Callable[..., Any]) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        x = a.spaced(a.shape(1, 3))
        dim, keep = a.integer(-x.ndim, x.ndim - 1), a.choice(True, False)
        return a.choice(lambda t: function(t), lambda t: function(t, dim, keep).values), [x]

    return example


def rearranged(function: Callable[..., Any]) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        x = a.normal(a.shape(2, 3))
        dim = a.integer(-x.ndim, x.ndim - 1)
        return lambda t: function(t, dim), [x]

    return example


def joined(function: Callable[..., Any]) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        x_shape = a.shape(1, 3)
        dim = a.integer(-len(x_shape), len(x_shape) - 1)
        parts = [a.normal(x_shape) for _ in range(a.integer(1, 5))]
        return lambda *tensors: function(tensors, dim), parts

    return example


def gather_example(a: Inputs) -> Example:
    x = a.normal(a.shape(1, 3))
    dim = a.integer(-x.ndim, x.ndim - 1)
    size = tuple(a.integer(1, n) for n in x.shape)
    index = tc.tensor(a.rng.integers(0, x.shape[dim], size))
    return lambda t: ops.gather(t, dim, index), [x]


def matmul_example(a: Inputs) -> Example:
    k = a.integer(1, 3)
    x_shape, y_shape = a.choice((), (2,), (2, 2)), a.choice((), (3,))
    return ops.matmul, [a.normal((*x_shape, k)), a.normal((k, *y_shape))]


def linear_example(a: Inputs) -> Example:
    n, m = a.integer(1, 3), a.integer(1, 3)
    values = [a.normal((*a.shape(0, 2), n)), a.normal((m, n)), a.normal((m,))]
    return ops.linear, values[: a.integer(2, 3)]


def conv2d_example(a: Inputs) -> Example:
    padding = a.choice(0, 1, (0, 2), "valid", "same")
    stride = 1 if padding == "same" else a.choice(1, 2, (2, 1))
    rest = (stride, padding, a.choice(1, 2, (1, 2)), groups := a.integer(1, 2))
    kernel = (a.integer(1, 3), a.integer(1, 3))
    c, o = 2 * groups, groups * a.integer(1, 2)
    values = [a.normal((2, c, 5, 6)), a.normal((o, 2, *kernel)), a.normal((o,))]
    return lambda x, w, b: ops.conv2d(x, w, b, *rest), values


def pooled(function: Callable[..., Any], *extra: Any) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        rest = a.choice((2,), (3, 1, 1), ((2, 3), (1, 2)), (3, 2, 1, *extra))
        return lambda t: function(t, *rest), [a.spaced((1, 2, a.integer(4, 7), a.integer(4, 7)))]

    return example


def adaptive(function: Callable[..., Any]) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        size = a.choice(1, 2, (2, 3), 5)
        return lambda t: function(t, size), [a.spaced((1, 2, a.integer(2, 6), a.integer(2, 6)))]

    return example


def pad_example(a: Inputs) -> Example:
    mode = a.choice("constant", "reflect", "replicate", "circular")
    border = tuple(a.integer(0, 2) for _ in range(a.choice(2, 4)))
    return lambda t: ops.pad(t, border, mode, 0.5), [a.normal((*a.shape(0, 2), 3, 4))]


def batch_norm_example(training: bool) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        c = a.integer(1, 3)
        mean, variance = a.normal((c,)), a.positive((c,))

        def function(x: tc.Tensor, weight: tc.Tensor, bias: tc.Tensor) -> tc.Tensor:
            dtype = x.dtype  # the running statistics go along with a complex x
            running = [tc.tensor(v.astype(dtype)) for v in (mean, variance)]
            return ops.batch_norm(x, *running, weight, bias, training)

        return function, [a.normal((2, c, 2, 3)), a.normal((c,)), a.normal((c,))]

    return example


def dropout_example(a: Inputs) -> Example:
    seed, p = a.integer(0, 99), a.choice(0.0, 0.3, 0.9)
    return lambda t: ops.dropout(t, p, True, np.random.default_rng(seed)), [a.normal(a.shape())]


def softplus_example(a: Inputs) -> Example:
    beta = a.choice(1.0, 0.5, 2.0)
    return lambda t: ops.softplus(t, beta), [a.wide(a.shape())]


def maxout_example(a: Inputs) -> Example:
    pieces = a.integer(1, 3)
    x = a.spaced((2, 2 * pieces, *a.shape(0, 2)))
    dim = a.choice(1, 1 - x.ndim)
    return lambda t: ops.maxout(t, pieces, dim), [x]


def loss_example(function: Callable[..., Any], probabilities: bool) -> Callable[[Inputs], Example]:
    def example(a: Inputs) -> Example:
        shape, reduction = a.shape(), a.choice("mean", "sum", "none")
        x = a.rng.uniform(0.2, 0.8, shape) if probabilities else 3 * a.normal(shape)
        y = a.rng.uniform(0, 1, shape)
        return lambda s, t: function(s, t, reduction), [np.asarray(x), np.asarray(y)]

    return example


def cross_entropy_example(a: Inputs) -> Example:
    shape, reduction = (a.integer(1, 3), a.integer(1, 4), *a.shape(0, 2)), a.choice("mean", "none")
    target = tc.tensor(a.rng.integers(0, shape[1], (shape[0], *shape[2:])))
    return lambda t: ops.cross_entropy(t, target, reduction), [3 * a.normal(shape)]


def logsumexp_example(a: Inputs) -> Example:
    x = a.normal(a.shape(1, 3)) * a.choice(1.0, 5.0)
    dim = a.choice(None, 0, -1)
    return lambda t: ops.logsumexp(t, dim, True), [x]


FUNCTIONS: dict[str, Callable[[Inputs], Example]] = {
    "mean": over_axes(ops.mean),
    "var": over_axes(ops.var, 1),
    "std": over_axes(ops.std, 0),
    "prod": over_axes(ops.prod),
    "logsumexp": logsumexp_example,
    "max": extreme(ops.max),
    "min": extreme(ops.min),
    "gather": gather_example,
    "cat": joined(ops.cat),
    "stack": joined(ops.stack),
    "split": rearranged(lambda t, dim: weighted(ops.split(t, 2, dim))),
    "chunk": rearranged(lambda t, dim: weighted(ops.chunk(t, 3, dim))),
    "flatten": rearranged(lambda t, dim: ops.flatten(t, dim)),
    "flip": rearranged(ops.flip),
    "squeeze": rearranged(ops.squeeze),
    "unsqueeze": rearranged(ops.unsqueeze),
    "transpose": rearranged(lambda t, dim: ops.transpose(t, dim, 0)),
    "expand": rearranged(lambda t, dim: ops.expand(t.unsqueeze(dim), (3, 2, *[-1] * (t.ndim + 1)))),
    "matmul": matmul_example,
    "linear": linear_example,
    "conv2d": conv2d_example,
    "max_pool2d": pooled(ops.max_pool2d, 2),
    "avg_pool2d": pooled(ops.avg_pool2d, False),
    "adaptive_max_pool2d": adaptive(ops.adaptive_max_pool2d),
    "adaptive_avg_pool2d": adaptive(ops.adaptive_avg_pool2d),
    "global_avg_pool2d": adaptive(lambda t, _: ops.global_avg_pool2d(t)),
    "pad": pad_example,
    "batch_norm": batch_norm_example(True),
    "batch_norm in use": batch_norm_example(False),
    "dropout": dropout_example,
    "softplus": softplus_example,
    "maxout": maxout_example,
    "mse_loss": loss_example(ops.mse_loss, False),
    "binary_cross_entropy": loss_example(ops.binary_cross_entropy, True),
    "binary_cross_entropy_with_logits": loss_example(ops.binary_cross_entropy_with_logits, False),
    "cross_entropy": cross_entropy_example,
}

TRUE_OR_WHERE = {"all", "any", "argmax", "argmin", "isfinite", "isnan"}
FROM_A_SHAPE = {"arange", "eye", "full", "full_like", "linspace"}
FROM_A_SHAPE |= {"ones", "ones_like", "zeros", "zeros_like"}
WITHOUT_DERIVATIVE = TRUE_OR_WHERE | FROM_A_SHAPE

each_function = pytest.mark.parametrize("name", FUNCTIONS)


def leaves(values: list[np.ndarray]) -> list[tc.Tensor]:
    return [tc.tensor(v, requires_grad=True) for v in values]


def first_gradient(
    function: Callable[..., tc.Tensor], values: list[np.ndarray], g: np.ndarray
) -> list[np.ndarray]:
    tensors = leaves(values)
    function(*tensors).backward(tc.tensor(g))
    return [t.grad.array for t in tensors]


def test_every_public_function_is_an_operation_or_has_a_case_here():
    functions = {name for name in ops.__all__ if not isinstance(getattr(ops, name), Function)}
    assert functions - WITHOUT_DERIVATIVE == {name for name in FUNCTIONS if " " not in name}


@each_function
@given(data=st.data())
@RULE
def test_a_gradient_is_that_of_a_complex_step(name, data):
    with kernels.use("reference"):
        function, values = FUNCTIONS[name](a := Inputs(data))
        g = a.normal(function(*map(tc.tensor, values)).shape)
        found = first_gradient(function, values, g)
        for i, value in enumerate(values):
            assert found[i].shape == value.shape
            for at in np.ndindex(value.shape):
                stepped = [v.astype(complex) for v in values]
                stepped[i][at] += 1j * STEP
                terms = g * function(*map(tc.tensor, stepped)).array.imag / STEP
                assert abs(found[i][at] - terms.sum()) <= 1e-12 * abs(terms).sum()


@each_function
@given(data=st.data())
@settings(RULE, max_examples=6)
def test_a_second_derivative_is_that_of_central_differences(name, data):
    with kernels.use("reference"):
        function, values = FUNCTIONS[name](a := Inputs(data))
        tensors = leaves(values)
        out = function(*tensors)
        g, v, w = (a.normal(out.shape), *([a.normal(x.shape) for x in values] for _ in range(2)))
        first = tc.grad(out, tensors, tc.tensor(g), create_graph=True)
        total = sum((f * x).sum() for f, x in zip(first, w, strict=True))
        if not total.requires_grad:  # linear: its derivative is a constant
            second = [np.zeros_like(x) for x in values]
        else:
            found = tc.grad(total, tensors, allow_unused=True)
            second = [
                np.zeros_like(x) if f is None else f.array
                for f, x in zip(found, values, strict=True)
            ]

        def slope(h: float) -> np.ndarray:
            up, down = (
                first_gradient(
                    function, [np.asarray(x + s * h * d) for x, d in zip(values, v, strict=True)], g
                )
                for s in (1, -1)
            )
            return sum(((p - q) * x).sum() / (2 * h) for p, q, x in zip(up, down, w, strict=True))

        expected = (4 * slope(5e-4) - slope(1e-3)) / 3
        got = sum((s * d).sum() for s, d in zip(second, v, strict=True))
        scale = sum((abs(f.array) * abs(x)).sum() for f, x in zip(first, w, strict=True))
        assert abs(got - expected) <= 1e-7 * (abs(expected) + scale)


@each_function
@given(data=st.data())
@settings(RULE, max_examples=4)
def test_the_fast_kernels_give_the_gradient_of_the_reference(name, data):
    function, values = FUNCTIONS[name](a := Inputs(data))
    g = a.normal(function(*map(tc.tensor, values)).shape)
    fast = first_gradient(function, values, g)
    with kernels.use("reference"):
        plain = first_gradient(function, values, g)
    for f, p in zip(fast, plain, strict=True):
        np.testing.assert_allclose(f, p, rtol=1e-10, atol=1e-12 * abs(p).max(initial=0))
