"""Generated cases for every operation of tinycnn that has a derivative.

`OPERATIONS` names them, each with a case: a function of `Inputs` that returns the operation's
positional arguments. A test fails for an operation that has none here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

import tinycnn.nn
import tinycnn.ops
from tinycnn.function import Function
from tinycnn.kernels import reference
from tinycnn.nn import backward_hook
from tinycnn.ops import (
    activation,
    arithmetic,
    block,
    convolution,
    loss,
    matrix,
    normalization,
    padding,
    pooling,
    reduction,
    shape,
    transfer,
)
from tinycnn.proof.inputs import Example, Inputs, Shape
from tinycnn.proof.windows import (
    Arguments,
    block_case,
    correlate_case,
    gather_case,
    input_grad_case,
    normalize_case,
    pool_case,
    scatter_case,
    sum_pool_grad_case,
    weight_grad_case,
)

Case: TypeAlias = Callable[[Inputs], Arguments]


def found_operations() -> Iterator[tuple[str, Function[Any]]]:
    """Every operation there is, with rules or without, by the name it has in this file."""
    for package in (tinycnn.ops, tinycnn.nn):
        for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                if isinstance(value, Function) and value.__module__ == module.__name__:
                    yield f"{info.name.rpartition('.')[2]}.{name}", value


def elementwise(values: str, *rest: Any) -> Case:
    """One array of any shape, and settings."""
    return lambda a: (getattr(a, values)(a.maybe_empty()), *rest)


# ---- shapes and parts ------------------------------------------------------------------------


def index_of(a: Inputs, whole: Shape) -> Any:
    """An index into the first axes of an array, of each kind there is."""
    n = whole[0]
    rows = a.rng.integers(0, n, a.integer(1, 5))
    return a.choice(
        a.integer(0, n - 1),
        slice(None, None, a.choice(1, 2, -1)),
        (Ellipsis, slice(0, 1)),
        (None, 0),
        rows,
        [int(row) for row in rows],
        a.rng.random(n) < 0.5,
        (rows, a.rng.integers(0, whole[1], len(rows))),
        (rows[:, None], slice(None)),
    )


def getitem_case(a: Inputs) -> Arguments:
    """An array and an index."""
    x = a.scaled(a.shape(2, 3))
    return x, index_of(a, x.shape)


def place_case(a: Inputs) -> Arguments:
    """What an index takes from an array, the index, and the array's shape."""
    whole = a.shape(2, 3)
    index = index_of(a, whole)
    return a.scaled(np.zeros(whole)[index].shape), index, whole


def some_axes(a: Inputs, ndim: int) -> Any:
    """All axes (None), one, or several."""
    axes = [int(i) for i in a.rng.permutation(ndim)[: a.integer(0, ndim)]]
    one = [int(a.rng.integers(-ndim, ndim))] if ndim else []
    return a.choice(None, *one, *([tuple(axes)] if axes else []))


def sum_case(a: Inputs) -> Arguments:
    """An array, axes, and whether they are kept."""
    x = a.scaled(a.maybe_empty())
    return x, some_axes(a, x.ndim), a.choice(True, False)


def mean_case(a: Inputs) -> Arguments:
    """The same, for a mean, of which there is none without elements."""
    x = a.scaled(a.shape())
    return x, some_axes(a, x.ndim), a.choice(True, False)


def extreme_case(a: Inputs) -> Arguments:
    """The same, for a maximum: with ties, and never empty."""
    x = a.tied(a.shape())
    return x, some_axes(a, x.ndim), a.choice(True, False)


def softmax_case(a: Inputs) -> Arguments:
    """An array and an axis."""
    x = a.normal(a.shape(1, 3)) * a.choice(1.0, 3.0, 30.0)
    return x, a.integer(-x.ndim, x.ndim - 1)


def join_case(a: Inputs) -> Arguments:
    """Two arrays that differ along one axis, which may be empty."""
    whole = a.shape(1, 3)
    dim = a.integer(-len(whole), len(whole) - 1)
    other = list(whole)
    other[dim] = a.integer(0, 3)
    return a.scaled(whole), a.scaled(tuple(other)), dim


def permute_case(a: Inputs) -> Arguments:
    """An array and an order of its axes, some counted from the back."""
    x = a.scaled(a.maybe_empty(1, 3))
    dims = [int(i) for i in a.rng.permutation(x.ndim)]
    return x, tuple(i - x.ndim if a.integer(0, 1) else i for i in dims)


def broadcast_case(a: Inputs) -> Arguments:
    """An array and a shape it can be repeated to."""
    whole = a.maybe_empty(1, 3)
    return a.scaled(a.part(whole)), whole


def reshape_case(a: Inputs) -> Arguments:
    """An array and another shape for it."""
    x = a.scaled(a.maybe_empty())
    return x, a.choice((-1,), x.shape[::-1], (1, *x.shape))


def frame_case(a: Inputs) -> Arguments:
    """An array, a border and a constant."""
    return a.scaled(a.maybe_empty(2, 4)), tuple(a.integer(0, 2) for _ in range(4)), 0.7


# ---- arithmetic ------------------------------------------------------------------------------


def matmul_case(a: Inputs) -> Arguments:
    """Matrices with leading axes that broadcast; the inner axis may be empty."""
    n, k, m = a.integer(1, 3), 0 if a.seldom() else a.integer(1, 3), a.integer(1, 3)
    lead = a.shape(0, 2)
    return a.scaled((*a.part(lead), n, k)), a.scaled((*a.part(lead), k, m))


def linear_case(a: Inputs) -> Arguments:
    """Features, a weight, and a bias or none; the batch may be empty."""
    n, m = a.integer(1, 3), a.integer(1, 3)
    x, weight = a.scaled((*a.maybe_empty(0, 2), n)), a.scaled((m, n))
    return x, weight, a.choice(a.normal((m,)), None)


def div_case(a: Inputs) -> Arguments:
    """A dividend, and a divisor away from 0."""
    whole = a.maybe_empty()
    return a.scaled(a.part(whole)), a.spaced(a.part(whole))


def where_case(a: Inputs) -> Arguments:
    """A condition and two arrays."""
    x, y = a.pair()
    return a.rng.random(np.broadcast_shapes(x.shape, y.shape)) < 0.5, x, y


def pow_case(a: Inputs) -> Arguments:
    """A positive base to any power, or any base to a whole power; also to a number, and of one."""
    whole = a.maybe_empty()
    x, y = a.spaced(a.part(whole)), a.spaced(a.part(whole))
    positive = np.asarray(np.exp(x / 3))
    to_a_number = x, a.choice(0, 1, 2, 3, -1, -2)
    arguments: Arguments = a.choice((positive, y), to_a_number, (positive, 0.5), (1.7, y))
    return arguments


def clamp_case(a: Inputs) -> Arguments:
    """An array and numbers or arrays as its bounds, of which one may be missing."""
    x = a.tied(a.maybe_empty())
    low = np.asarray(a.spaced(a.part(x.shape)) - 1 / 80)
    high = np.asarray(low + 0.4)
    return x, *a.choice((-0.5, 0.7), (None, 0.2), (0.1, None), (low, None), (low, high))


def bernoulli_case(a: Inputs) -> Arguments:
    """Probabilities, some nearly 0, and targets."""
    whole = a.maybe_empty()
    return np.asarray(a.uniform(whole) ** a.choice(1, 4)), a.uniform(whole)


def logits_case(a: Inputs) -> Arguments:
    """Logits, also where the probability is nearly 0 or 1, and targets."""
    whole = a.maybe_empty()
    return a.wide(whole), a.uniform(whole)


OPERATIONS: dict[str, tuple[Function[Any], Case]] = {
    "arithmetic.add": (arithmetic.add, Inputs.pair),
    "arithmetic.sub": (arithmetic.sub, Inputs.pair),
    "arithmetic.mul": (arithmetic.mul, Inputs.pair),
    "arithmetic.div": (arithmetic.div, div_case),
    "arithmetic.maximum": (arithmetic.maximum, Inputs.apart),
    "arithmetic.minimum": (arithmetic.minimum, Inputs.apart),
    "arithmetic.pow": (arithmetic.pow, pow_case),
    "arithmetic.where": (arithmetic.where, where_case),
    "arithmetic.neg": (arithmetic.neg, elementwise("scaled")),
    "arithmetic.exp": (arithmetic.exp, elementwise("wide")),
    "arithmetic.expm1": (arithmetic.expm1, elementwise("wide")),
    "arithmetic.log": (arithmetic.log, elementwise("positive")),
    "arithmetic.log1p": (arithmetic.log1p, elementwise("positive")),
    "arithmetic.sqrt": (arithmetic.sqrt, elementwise("positive")),
    "arithmetic.sign": (arithmetic.sign, elementwise("tied")),
    "arithmetic.abs": (arithmetic.abs, elementwise("tied")),
    "arithmetic.clamp": (arithmetic.clamp, clamp_case),
    "arithmetic.cast": (arithmetic.cast, elementwise("scaled", np.float64)),
    "arithmetic.clone": (arithmetic.clone, elementwise("scaled")),
    "activation.sigmoid": (activation.sigmoid, elementwise("wide")),
    "activation.tanh": (activation.tanh, elementwise("wide")),
    "activation.relu": (activation.relu, elementwise("tied")),
    "activation.relu_grad": (
        activation.relu_grad,
        lambda a: (g := a.scaled(a.maybe_empty()), a.tied(g.shape)),
    ),
    "activation.leaky_relu": (activation.leaky_relu, elementwise("tied", 0.2)),
    "activation.elu": (activation.elu, elementwise("wide", 1.3)),
    "activation.elu_grad": (
        activation.elu_grad,
        lambda a: (g := a.scaled(a.maybe_empty()), a.scaled(g.shape), 1.3),
    ),
    "activation._softplus": (activation._softplus, elementwise("wide")),
    "activation.softmax": (activation.softmax, softmax_case),
    "activation.log_softmax": (activation.log_softmax, softmax_case),
    "activation._logsumexp": (activation._logsumexp, lambda a: softmax_case(a)[:1]),
    "block.fused": (block.fused, block_case),
    "block.add_relu": (block.add_relu, Inputs.pair),
    "convolution.correlate": (convolution.correlate, correlate_case),
    "convolution.conv2d_input_grad": (convolution.conv2d_input_grad, input_grad_case),
    "convolution.conv2d_weight_grad": (convolution.conv2d_weight_grad, weight_grad_case),
    "loss.bernoulli_surprise": (loss.bernoulli_surprise, bernoulli_case),
    "loss.bernoulli_logit_surprise": (loss.bernoulli_logit_surprise, logits_case),
    "matrix._linear": (matrix._linear, linear_case),
    "matrix._matmul": (matrix._matmul, matmul_case),
    "normalization.normalize": (normalization.normalize, normalize_case),
    "padding.frame": (padding.frame, frame_case),
    "pooling.pick_largest": (pooling.pick_largest, pool_case),
    "pooling.max_pool2d_scatter": (pooling.max_pool2d_scatter, scatter_case),
    "pooling.max_pool2d_gather": (pooling.max_pool2d_gather, gather_case),
    "pooling.sum_pool2d": (pooling.sum_pool2d, lambda a: pool_case(a, False)[:4]),
    "pooling.sum_pool2d_input_grad": (pooling.sum_pool2d_input_grad, sum_pool_grad_case),
    "reduction.mean": (reduction.mean, mean_case),
    "reduction.spread": (reduction.spread, broadcast_case),
    "reduction.sum": (reduction.sum, sum_case),
    "reduction.amax": (reduction.amax, extreme_case),
    "reduction.amin": (reduction.amin, extreme_case),
    "shape.reshape": (shape.reshape, reshape_case),
    "shape.permute": (shape.permute, permute_case),
    "shape.broadcast_to": (shape.broadcast_to, broadcast_case),
    "shape.getitem": (shape.getitem, getitem_case),
    "shape.place": (shape.place, place_case),
    "shape.join": (shape.join, join_case),
    "transfer._to": (transfer._to, elementwise("scaled", "cpu")),
    "backward_hook.gate": (backward_hook.gate, elementwise("scaled")),
}

# Without a derivative: their results are true or false.
COMPARISONS = {
    *(f"arithmetic.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    *(f"arithmetic.logical_{name}" for name in ("and", "or", "not")),
    *(f"arithmetic.bitwise_{name}" for name in ("and", "or", "not")),
}


def example(name: str, a: Inputs) -> Example:
    """The operation at a generated point."""
    function, case = OPERATIONS[name]
    arguments = case(a)
    if name == "arithmetic.cast":  # to no less than float64, that complex numbers can pass
        return lambda x: arithmetic.cast(x, np.result_type(x.dtype, np.float64)), arguments[:1]
    if name == "normalization.normalize":
        return _with_its_statistics, (*arguments[:3], arguments[-1])
    return function, arguments


def _with_its_statistics(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """`normalize` where mean and variance move with x, as its derivative takes for granted."""
    return normalization.normalize(x, weight, bias, *reference.moments(x.array), eps)
