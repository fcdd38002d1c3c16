"""Elementwise arithmetic, broadcast, against PyTorch."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from .harness import agree, cases, normal, numbers, ours, seeds, theirs, tied

pytestmark = pytest.mark.parity

pairs = mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=4, max_side=4)
triples = mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=4)
shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum"])
@cases(40)
@given(pairs, numbers, seeds)
def test_two_operands_broadcast(name, sizes, draw, seed):
    x, y = (draw(seed + i, *shape) for i, shape in enumerate(sizes.input_shapes))
    agree(lambda lib, x, y: getattr(lib, name)(x, y), x, y, seed=seed)


@cases(40)
@given(pairs, seeds)
def test_division_broadcasts(sizes, seed):
    x, y = (normal(seed + i, *shape) for i, shape in enumerate(sizes.input_shapes))
    agree(lambda lib, x, y: lib.div(x, y), x, y + np.sign(y), seed=seed)


@cases(40)
@given(pairs, seeds)
def test_power_of_two_tensors_broadcasts(sizes, seed):
    x, y = (normal(seed + i, *shape) for i, shape in enumerate(sizes.input_shapes))
    agree(lambda lib, x, y: lib.pow(x, y), np.abs(x) + 0.1, y, seed=seed)


@pytest.mark.parametrize("exponent", [-2, -1, 0, 1, 2, 3, 4, 0.5, 1.5, -0.5])
@cases(5)
@given(shapes, seeds)
def test_power_by_a_number(exponent, shape, seed):
    x = normal(seed, *shape)
    x = x if isinstance(exponent, int) else np.abs(x)
    agree(lambda lib, x: x**exponent, x, seed=seed)


def test_powers_at_zero_have_the_gradients_of_a_polynomial():
    x = np.array([-1.0, 0.0, 0.0, 2.0])
    for exponent in (0, 1, 2, 3):
        agree(lambda lib, x, n=exponent: x**n, x)
    agree(lambda lib, x, y: x**y, np.zeros(3), np.array([1.0, 2.0, 3.0]), order=1)
    agree(lambda lib, x: x ** lib.zeros_like(x), x, order=1)


@pytest.mark.parametrize("base", [2, 0.5])
def test_a_number_to_the_power_of_a_tensor(base):
    agree(lambda lib, y: base**y, normal(1, 3, 2))


@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.parametrize("number", [3, -0.5, np.float64(1.5)])
def test_a_number_on_either_side(operation, number):
    x = normal(1, 3, 4)
    agree(lambda lib, x: operation(x, number), x)
    agree(lambda lib, x: operation(float(number), x), x)


@pytest.mark.parametrize("operation", OPERATORS)
def test_a_tensor_with_itself(operation):
    agree(lambda lib, x: operation(x, x), normal(1, 3, 4) + 4, noise=1e-15)


@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.parametrize("number", [2, 0.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_a_number_leaves_a_tensors_dtype_as_pytorch_does(operation, number, dtype):
    x = np.arange(1, 7).reshape(2, 3).astype(dtype)
    agree(lambda lib, x: operation(x, number), x, tolerance=1e-6)
    agree(lambda lib, x: operation(number, x), x, tolerance=1e-6)


@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_integers_beside_floating_point_become_it(operation, dtype):
    x, n = normal(1, 2, 3).astype(dtype), np.arange(1, 7).reshape(2, 3)
    agree(lambda lib, x, n: operation(x, n), x, n, tolerance=1e-5)
    agree(lambda lib, x, n: operation(n, x), x, n, tolerance=1e-5)


@pytest.mark.parametrize("name", ["neg", "abs", "exp", "expm1", "sign", "clone"])
@cases(20)
@given(shapes, numbers, seeds)
def test_one_operand(name, shape, draw, seed):
    agree(lambda lib, x: getattr(lib, name)(x), draw(seed, *shape), seed=seed)


@pytest.mark.parametrize("name", ["log", "log1p", "sqrt"])
@cases(20)
@given(shapes, seeds)
def test_one_positive_operand(name, shape, seed):
    x = np.exp(3 * normal(seed, *shape))
    agree(lambda lib, x: getattr(lib, name)(x), x, seed=seed)


def test_small_arguments_keep_their_digits():
    x = np.array([1e-300, 1e-30, -1e-17, 1e-12, -1e-5])
    agree(lambda lib, x: lib.expm1(x), x)
    agree(lambda lib, x: lib.log1p(x), x)


@cases(60)
@given(triples, numbers, seeds)
def test_where_broadcasts(sizes, draw, seed):
    condition, x, y = (draw(seed + i, *shape) for i, shape in enumerate(sizes.input_shapes))
    agree(lambda lib, c, x, y: lib.where(c, x, y), condition > 0, x, y, seed=seed)


@pytest.mark.parametrize("number", [0, 1.5])
def test_where_takes_a_number_on_either_side(number):
    x = tied(1, 3, 4)
    agree(lambda lib, x: lib.where(x > 0, x, number), x)
    agree(lambda lib, x: lib.where(x > 0, number, x), x)


@pytest.mark.parametrize("bounds", [(-1, 1), (None, 0.5), (0, None), (-0.3, 0.2), (1, -1)])
@pytest.mark.parametrize("name", ["clamp", "clip"])
@pytest.mark.parametrize("draw", [normal, tied])
def test_clamp_between_numbers(name, bounds, draw):
    agree(lambda lib, x: getattr(lib, name)(x, *bounds), draw(1, 4, 5))
    agree(lambda lib, x: getattr(x, name)(min=bounds[0], max=bounds[1]), draw(2, 4, 5))


@pytest.mark.parametrize("draw", [normal, tied])
def test_clamp_between_tensors(draw):
    low, high = draw(2, 5), draw(3, 4, 1) + 2
    agree(lambda lib, x, low, high: lib.clamp(x, low, high), draw(1, 4, 5), low, high)


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
@cases(20)
@given(pairs, seeds)
def test_comparisons(name, sizes, seed):
    x, y = (tied(seed + i, *shape) for i, shape in enumerate(sizes.input_shapes))
    agree(lambda lib, x, y: getattr(lib, name)(x, y), x, y)
    agree(lambda lib, x: getattr(operator, name)(x, 1), x)


@pytest.mark.parametrize("name", ["logical_and", "logical_or"])
def test_logic(name):
    x, y = tied(1, 4, 5) > 0, tied(2, 5) > 0
    agree(lambda lib, x, y: getattr(lib, name)(x, y), x, y)
    agree(lambda lib, x: lib.logical_not(x), x)
    agree(lambda lib, x, y: (x & y) | ~x, x, y)


def test_what_is_no_number_is_told():
    x = np.array([1.0, np.nan, np.inf, -np.inf])
    agree(lambda lib, x: [lib.isnan(x), lib.isfinite(x)], x)


@pytest.mark.parametrize("name", ["exp", "sqrt", "abs", "neg"])
def test_nan_and_infinity_pass_through(name):
    x = np.array([np.nan, np.inf, 0.0])
    agree(lambda lib, x: getattr(lib, name)(x), x, order=0)


def test_a_numpy_number_becomes_a_tensor_without_axes():
    for lib in (ours, theirs):
        number = lib.leaf(np.float64(0.25))
        (number**0.5 + 1.0 / (1 + number)).backward()
        assert number.grad.item() == pytest.approx(1 - 1 / 1.25**2, rel=1e-14)


@cases(30)
@given(st.lists(st.sampled_from(["*", "+", "exp", "sin-like", "/"]), min_size=2, max_size=8), seeds)
def test_chains_of_operations(steps, seed):
    def chain(lib, x, y):
        for step in steps:
            x = {
                "*": lambda x: x * y,
                "+": lambda x: x + y * 0.5,
                "exp": lambda x: lib.exp(-x * x),
                "sin-like": lambda x: x / (1 + x * x),
                "/": lambda x: x / (2 + y * y),
            }[step](x)
        return x

    agree(chain, normal(seed, 3, 1), normal(seed + 1, 1, 4), seed=seed)
