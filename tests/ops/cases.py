"""Generated arguments for every operation of tinycnn that has a derivative.

`OPERATIONS` names every `Function` with rules and `FUNCTIONS` every differentiable function made
of them; `test_derivatives.py` fails for one that has no case here. A case is a function of
`Inputs` that returns the positional arguments; the float64 arrays among them are differentiated.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tinycnn.nn
import tinycnn.ops
from tinycnn.function import Function
from tinycnn.kernels import reference
from tinycnn.nn import backward_hook
from tinycnn.ops import (
    activation,
    arithmetic,
    convolution,
    loss,
    matrix,
    normalization,
    padding,
    pooling,
    reduction,
    shape,
)


class Inputs:
    """Shapes and settings drawn by Hypothesis, values from a generator whose seed it draws."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.rng = np.random.default_rng(self.integer(0, 2**32 - 1))

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    def choice(self, *options: Any) -> Any:
        return self._data.draw(st.sampled_from(options))

    def shape(self, least: int = 0, most: int = 3) -> tuple[int, ...]:
        return tuple(self.integer(1, 4) for _ in range(self.integer(least, most)))

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.rng.standard_normal(shape))

    def positive(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(np.exp(self.normal(shape)))

    def wide(self, shape: tuple[int, ...]) -> np.ndarray:
        """Also far out, where an activation is flat."""
        return np.asarray(self.normal(shape) * self.choice(1.0, 10.0, 30.0))

    def spaced(self, shape: tuple[int, ...]) -> np.ndarray:
        """No two values, and no value and 0, nearer than 1/50."""
        n = int(np.prod(shape))
        values = (self.rng.permutation(n) - n // 2 + 0.5) / 20
        return values.reshape(shape)

    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Two arrays that broadcast with each other."""
        whole = self.shape()
        return tuple(self.spaced_apart(self._part(whole), offset) for offset in (0, 1 / 80))

    def spaced_apart(self, shape: tuple[int, ...], offset: float) -> np.ndarray:
        return np.asarray(self.spaced(shape) + offset)

    def _part(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        kept = tuple(1 if self.integer(0, 3) == 0 else n for n in whole)
        return kept[self.integer(0, len(kept)) if self.integer(0, 2) == 0 else 0 :]


Case = Callable[[Inputs], tuple[Any, ...]]


def found_operations() -> Iterator[tuple[str, Function]]:
    """Every operation with or without rules, named as in this file."""
    for package in (tinycnn.ops, tinycnn.nn):
        for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                if isinstance(value, Function) and value.__module__ == module.__name__:
                    yield f"{info.name.rpartition('.')[2]}.{name}", value


# ---- settings of convolution and pooling ----


def sizes(a: Inputs, dilated: bool = True) -> tuple[Any, ...]:
    """(image size, kernel, stride, padding, dilation) that fit each other."""
    kernel = (a.integer(1, 3), a.integer(1, 3))
    dilation = (a.integer(1, 2), a.integer(1, 2)) if dilated else (1, 1)
    border = tuple(a.integer(0, k // 2) for k in (kernel[0], kernel[0], kernel[1], kernel[1]))
    size = tuple(d * (k - 1) + 1 + a.integer(0, 3) for k, d in zip(kernel, dilation, strict=True))
    return size, kernel, (a.integer(1, 3), a.integer(1, 3)), border, dilation


def convolution_case(a: Inputs) -> tuple[Any, ...]:
    """Image, weight, bias, cotangent and the settings."""
    size, kernel, stride, border, dilation = sizes(a)
    groups, n = a.integer(1, 2), a.integer(1, 2)
    c, o = groups * a.integer(1, 2), groups * a.integer(1, 2)
    x, weight = a.normal((n, c, *size)), a.normal((o, c // groups, *kernel))
    out = reference.output_size(x.shape, kernel, stride, border, dilation)
    return x, weight, a.normal((o,)), a.normal((n, o, *out)), (stride, border, dilation, groups)


def correlate_case(a: Inputs) -> tuple[Any, ...]:
    x, weight, bias, _, settings = convolution_case(a)
    return x, weight, a.choice(bias, None), *settings


def input_grad_case(a: Inputs) -> tuple[Any, ...]:
    x, weight, _, g, settings = convolution_case(a)
    return g, weight, x.shape, *settings


def weight_grad_case(a: Inputs) -> tuple[Any, ...]:
    x, weight, _, g, settings = convolution_case(a)
    return g, x, weight.shape, *settings


def pool_case(a: Inputs, dilated: bool = True) -> tuple[Any, ...]:
    size, kernel, stride, border, dilation = sizes(a, dilated)
    return a.spaced((a.integer(1, 2), a.integer(1, 2), *size)), kernel, stride, border, dilation


def pool_index(a: Inputs) -> tuple[Any, ...]:
    x, *settings = pool_case(a)
    y, index = reference.max_pool2d(x, *settings)
    return x, a.normal(y.shape), index, settings


def scatter_case(a: Inputs) -> tuple[Any, ...]:
    x, g, index, settings = pool_index(a)
    return g, index, x.shape, *settings


def gather_case(a: Inputs) -> tuple[Any, ...]:
    x, _, index, settings = pool_index(a)
    return x, index, *settings


def sum_pool_grad_case(a: Inputs) -> tuple[Any, ...]:
    x, kernel, stride, border, _ = pool_case(a, False)
    size = reference.output_size(x.shape, kernel, stride, border, (1, 1))
    return a.normal((*x.shape[:2], *size)), x.shape, kernel, stride, border


def normalize_case(a: Inputs) -> tuple[Any, ...]:
    c = a.integer(1, 3)
    # of two values a channel only ±1 would be left, and a derivative that cancels to almost nothing
    x = a.normal((a.integer(2, 3), c, a.integer(2, 3), a.integer(1, 3))) + 1
    return x, a.normal((c,)), a.normal((c,)), *reference.moments(x), 1e-5


# ---- shapes and parts ----


def index_of(a: Inputs, x_shape: tuple[int, ...]) -> Any:
    """An index into the first axes of an array, of each kind there is."""
    n = x_shape[0]
    rows = a.rng.integers(0, n, a.integer(1, 5))
    return a.choice(
        a.integer(0, n - 1),
        slice(None, None, a.choice(1, 2, -1)),
        (Ellipsis, slice(0, 1)),
        (None, 0),
        rows,
        [int(row) for row in rows],
        a.rng.random(n) < 0.5,
        (rows, a.rng.integers(0, x_shape[1], len(rows))),
        (rows[:, None], slice(None)),
    )


def getitem_case(a: Inputs) -> tuple[Any, ...]:
    x = a.normal(a.shape(2, 3))
    return x, index_of(a, x.shape)


def place_case(a: Inputs) -> tuple[Any, ...]:
    whole = a.shape(2, 3)
    index = index_of(a, whole)
    return a.normal(np.zeros(whole)[index].shape), index, whole


def along(a: Inputs, least: int = 0) -> tuple[tuple[int, ...], Any]:
    """A shape, and one axis, some or all."""
    x_shape = a.shape(least, 3)
    axes = [int(i) for i in a.rng.permutation(len(x_shape))[: a.integer(0, len(x_shape))]]
    one = [int(a.rng.integers(-len(x_shape), len(x_shape)))] if x_shape else []
    return x_shape, a.choice(None, *one, *([tuple(axes)] if axes else []))


def reduce_case(a: Inputs) -> tuple[Any, ...]:
    x_shape, dim = along(a)
    return a.spaced(x_shape), dim, a.choice(True, False)


def softmax_case(a: Inputs) -> tuple[Any, ...]:
    x_shape = a.shape(1, 3)
    return a.normal(x_shape) * a.choice(1.0, 3.0), a.integer(-len(x_shape), len(x_shape) - 1)


def join_case(a: Inputs) -> tuple[Any, ...]:
    x_shape = a.shape(1, 3)
    dim = a.integer(-len(x_shape), len(x_shape) - 1)
    other = list(x_shape)
    other[dim] = a.integer(1, 3)
    return a.normal(x_shape), a.normal(tuple(other)), dim


def permute_case(a: Inputs) -> tuple[Any, ...]:
    x_shape = a.shape(1, 3)
    dims = [int(i) for i in a.rng.permutation(len(x_shape))]
    return a.normal(x_shape), tuple(i - len(dims) if a.integer(0, 1) else i for i in dims)


def broadcast_case(a: Inputs) -> tuple[Any, ...]:
    whole = a.shape(1, 3)
    return a.normal(a._part(whole)), whole


def reshape_case(a: Inputs) -> tuple[Any, ...]:
    x_shape = a.shape(0, 3)
    return a.normal(x_shape), a.choice((-1,), x_shape[::-1], (1, *x_shape))


def matmul_case(a: Inputs) -> tuple[Any, ...]:
    n, k, m = (a.integer(1, 3) for _ in range(3))
    lead = a.shape(0, 2)
    return a.normal((*a._part(lead), n, k)), a.normal((*a._part(lead), k, m))


def where_case(a: Inputs) -> tuple[Any, ...]:
    x, y = a.pair()
    return a.rng.random(np.broadcast_shapes(x.shape, y.shape)) < 0.5, x, y


def pow_case(a: Inputs) -> tuple[Any, ...]:
    x, y = a.pair()
    positive = np.asarray(np.exp(x / 3))
    return a.choice((positive, y), (x, a.choice(0, 1, 2, 3, -1, -2)), (positive, 0.5), (1.7, y))


def clamp_case(a: Inputs) -> tuple[Any, ...]:
    bounds = a.choice((-0.3, 0.7), (None, 0.2), (0.1, None), (np.float32(-1), 1))
    return a.spaced(a.shape()), *bounds


def frame_case(a: Inputs) -> tuple[Any, ...]:
    return a.normal(a.shape(2, 4)), tuple(a.integer(0, 2) for _ in range(4)), 0.7


def bernoulli_case(a: Inputs) -> tuple[Any, ...]:
    x_shape = a.shape()
    return a.rng.uniform(0.01, 0.99, x_shape), a.rng.uniform(0, 1, x_shape)


def elementwise(values: str, *rest: Any) -> Case:
    return lambda a: (getattr(a, values)(a.shape()), *rest)


# The operation `name` of each module; checked by `test_derivatives` to be all there are.
OPERATIONS: dict[str, tuple[Function, Case]] = {
    "arithmetic.add": (arithmetic.add, Inputs.pair),
    "arithmetic.sub": (arithmetic.sub, Inputs.pair),
    "arithmetic.mul": (arithmetic.mul, Inputs.pair),
    "arithmetic.div": (arithmetic.div, Inputs.pair),
    "arithmetic.maximum": (arithmetic.maximum, Inputs.pair),
    "arithmetic.minimum": (arithmetic.minimum, Inputs.pair),
    "arithmetic.pow": (arithmetic.pow, pow_case),
    "arithmetic.where": (arithmetic.where, where_case),
    "arithmetic.neg": (arithmetic.neg, elementwise("normal")),
    "arithmetic.exp": (arithmetic.exp, elementwise("wide")),
    "arithmetic.expm1": (arithmetic.expm1, elementwise("wide")),
    "arithmetic.log": (arithmetic.log, elementwise("positive")),
    "arithmetic.log1p": (arithmetic.log1p, elementwise("positive")),
    "arithmetic.sqrt": (arithmetic.sqrt, elementwise("positive")),
    "arithmetic.sign": (arithmetic.sign, elementwise("normal")),
    "arithmetic.abs": (arithmetic.abs, elementwise("normal")),
    "arithmetic.clamp": (arithmetic.clamp, clamp_case),
    "arithmetic.cast": (arithmetic.cast, elementwise("normal", np.float64)),
    "arithmetic.clone": (arithmetic.clone, elementwise("normal")),
    "activation.sigmoid": (activation.sigmoid, elementwise("wide")),
    "activation.tanh": (activation.tanh, elementwise("wide")),
    "activation.relu": (activation.relu, elementwise("wide")),
    "activation.relu_grad": (
        activation.relu_grad,
        lambda a: (g := a.normal(a.shape()), a.normal(g.shape)),
    ),
    "activation.leaky_relu": (activation.leaky_relu, elementwise("normal", 0.2)),
    "activation.elu": (activation.elu, elementwise("wide", 1.3)),
    "activation._softplus": (activation._softplus, elementwise("wide")),
    "activation.softmax": (activation.softmax, softmax_case),
    "activation.log_softmax": (activation.log_softmax, softmax_case),
    "convolution.correlate": (convolution.correlate, correlate_case),
    "convolution.conv2d_input_grad": (convolution.conv2d_input_grad, input_grad_case),
    "convolution.conv2d_weight_grad": (convolution.conv2d_weight_grad, weight_grad_case),
    "loss.bernoulli_surprise": (loss.bernoulli_surprise, bernoulli_case),
    "matrix._matmul": (matrix._matmul, matmul_case),
    "normalization.normalize": (normalization.normalize, normalize_case),
    "padding.frame": (padding.frame, frame_case),
    "pooling.pick_largest": (pooling.pick_largest, pool_case),
    "pooling.max_pool2d_scatter": (pooling.max_pool2d_scatter, scatter_case),
    "pooling.max_pool2d_gather": (pooling.max_pool2d_gather, gather_case),
    "pooling.sum_pool2d": (pooling.sum_pool2d, lambda a: pool_case(a, False)[:4]),
    "pooling.sum_pool2d_input_grad": (pooling.sum_pool2d_input_grad, sum_pool_grad_case),
    "reduction.sum": (reduction.sum, reduce_case),
    "reduction.amax": (reduction.amax, reduce_case),
    "reduction.amin": (reduction.amin, reduce_case),
    "shape.reshape": (shape.reshape, reshape_case),
    "shape.permute": (shape.permute, permute_case),
    "shape.broadcast_to": (shape.broadcast_to, broadcast_case),
    "shape.getitem": (shape.getitem, getitem_case),
    "shape.place": (shape.place, place_case),
    "shape.join": (shape.join, join_case),
    "backward_hook.gate": (backward_hook.gate, elementwise("normal")),
}

# Without a derivative: their results are true or false.
COMPARISONS = {
    f"arithmetic.{name}"
    for name in (
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "logical_and",
        "logical_or",
        "logical_not",
        "bitwise_and",
        "bitwise_or",
        "bitwise_not",
    )
}
