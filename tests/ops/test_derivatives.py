"""Every operation's derivative against a complex step, to near machine precision.

For a function f that is analytic near x, Im f(x + ihv)/h is its derivative along v with an error
of order h²; nothing is subtracted, so h may be 1e-200 and the error is that of rounding alone
(Squire & Trapp 1998). The reference kernels take complex arrays, so forward passes are the oracle
of first derivatives. A derivative's rule takes them too, so rules, which the first test has
proved, are the oracle of second derivatives.

The tolerance is 1e-12 of the sum of the absolute values of the terms that a derivative adds up,
with no absolute part: a derivative of 1e-20 must have its digits too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn import kernels
from tinycnn.kernels import reference

from .cases import COMPARISONS, OPERATIONS, Inputs, found_operations

STEP = 1e-200
TOLERANCE = 1e-12
RULE = settings(deadline=None, derandomize=True, max_examples=20, database=None)

each_operation = pytest.mark.parametrize("name", OPERATIONS)


@pytest.fixture(autouse=True)
def _reference_kernels():
    with kernels.use("reference"):
        yield


def normalize_batch(x: Any, weight: Any, bias: Any, _mean: Any, _variance: Any, eps: float) -> Any:
    return tc.ops.normalization.normalize.__wrapped__(x, weight, bias, *reference.moments(x), eps)


# Where the operation itself is no analytic function of its complex arguments.
ANALYTIC = {
    "arithmetic.cast": lambda x, dtype: x,
    "arithmetic.sign": lambda x: np.sign(x.real) + 0j,
    "normalization.normalize": normalize_batch,  # the statistics move with x
}


def forward(name: str, args: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
    """The result for complex arguments, and what is saved with it."""
    function = OPERATIONS[name][0]
    made = ANALYTIC.get(name, function.__wrapped__)(*args)
    if not function._saves:
        return made, {}
    return made[0], dict(zip(function._saves, made[1:], strict=True))


def differentiated(name: str, args: tuple[Any, ...]) -> list[int]:
    """The positions of the arrays that have a derivative."""
    positions = {i for rule in OPERATIONS[name][0].rules for i in rule.of}
    return [i for i in sorted(positions) if isinstance(args[i], np.ndarray)]


def moved(args: tuple[Any, ...], directions: dict[int, Any]) -> tuple[Any, ...]:
    """The arguments an imaginary step away along the directions."""
    return tuple(
        a + 1j * STEP * directions[i] if i in directions else a for i, a in enumerate(args)
    )


def as_tensors(args: tuple[Any, ...], wanted: list[int]) -> list[Any]:
    return [tc.tensor(a, requires_grad=True) if i in wanted else a for i, a in enumerate(args)]


def by_rules(name: str, args: tuple[Any, ...], g: Any) -> dict[int, Any]:
    """The gradients for a cotangent, from the rules on (complex) arrays, without the engine."""
    function = OPERATIONS[name][0]
    result, saved = forward(name, args)
    gradients: dict[int, Any] = {}
    for rule in function.rules:
        if any(args[i] is None for i in rule.of):  # left out: nobody wants its gradient
            continue
        values = []
        for need in rule.needs:
            sources = {"result": result, "saved": saved.get(need.name)}
            value = sources.get(need.source, args[need.position])
            values.append(np.shape(value) if need.source == "shape" else value)
        found = rule.apply(g, *values)
        pieces = found if len(rule.of) > 1 else (found,)
        gradients |= dict(zip(rule.of, pieces, strict=True))
    return gradients


def unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and gradient.shape[i] != 1)
    return gradient.sum(axes, keepdims=True)


def test_every_operation_with_a_derivative_has_a_case_here():
    found = dict(found_operations())
    with_rules = {name for name, function in found.items() if function.rules}
    assert with_rules == set(OPERATIONS)
    assert set(found) - with_rules == COMPARISONS
    assert all(OPERATIONS[name][0] is found[name] for name in OPERATIONS)


def check_first_derivative(name: str, data: Any) -> None:
    args = OPERATIONS[name][1](a := Inputs(data))
    wanted = differentiated(name, args)
    tensors = as_tensors(args, wanted)
    out = OPERATIONS[name][0](*tensors)
    g = a.normal(out.shape)
    if wanted:
        out.backward(tc.tensor(g))
    for i in wanted:
        assert tensors[i].grad.shape == args[i].shape
        assert tensors[i].grad.dtype == np.float64
        for at in np.ndindex(args[i].shape):
            unit = np.zeros(args[i].shape)
            unit[at] = 1
            terms = g * forward(name, moved(args, {i: unit}))[0].imag / STEP
            error = abs(tensors[i].grad.array[at] - terms.sum())
            assert error <= TOLERANCE * abs(terms).sum()


@each_operation
@given(data=st.data())
@RULE
def test_a_first_derivative_is_that_of_a_complex_step(name, data):
    check_first_derivative(name, data)


@each_operation
@given(data=st.data())
@RULE
def test_a_second_derivative_is_that_of_a_complex_step_of_the_first(name, data):
    if name == "arithmetic.abs":
        pytest.skip("its derivative, sign, is no analytic function of a complex number")
    args = OPERATIONS[name][1](a := Inputs(data))
    wanted = differentiated(name, args)
    if not wanted:
        return
    tensors = as_tensors(args, wanted)
    out = OPERATIONS[name][0](*tensors)
    g = tc.tensor(a.normal(out.shape), requires_grad=True)
    inputs = [tensors[i] for i in wanted]
    first = tc.grad(out, inputs, g, create_graph=True)
    w = [a.normal(f.shape) for f in first]
    total = sum((f * x).sum() for f, x in zip(first, w, strict=True))
    seconds = tc.grad(total, [*inputs, g], allow_unused=True)

    v = {i: a.normal(args[i].shape) for i in wanted}
    u = a.normal(out.shape)
    slopes = by_rules(name, moved(args, v), g.array + 1j * STEP * u)
    expected = [
        x * unbroadcast(np.asarray(slopes[i].imag), args[i].shape) / STEP
        for i, x in zip(wanted, w, strict=True)
    ]
    terms = [s.array * d for s, d in zip(seconds, [*v.values(), u], strict=True) if s is not None]
    error = abs(sum(t.sum() for t in terms) - sum(t.sum() for t in expected))
    assert error <= TOLERANCE * sum(abs(t).sum() for t in [*terms, *expected])


def test_the_second_derivative_of_abs_is_zero():
    x = tc.tensor([-2.0, 3.0], requires_grad=True)
    (first,) = tc.grad(tc.abs(x).sum(), x, create_graph=True)
    (second,) = tc.grad((first * first).sum(), x)
    np.testing.assert_array_equal(first.array, [-1, 1])
    np.testing.assert_array_equal(second.array, [0, 0])


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-10])
def test_a_derivative_wrong_by_one_part_in_ten_thousand_million_is_caught(factor, monkeypatch):
    rule = tc.ops.sigmoid.rules[0]
    planted = rule._replace(apply=lambda g, x: factor * rule.apply(g, x))
    monkeypatch.setattr(tc.ops.sigmoid, "rules", [planted])

    @given(data=st.data())
    @settings(RULE, phases=[Phase.generate])  # without the search for a smallest example
    def check(data):
        check_first_derivative("activation.sigmoid", data)

    if factor == 1:
        check()
    else:
        with pytest.raises(AssertionError):
            check()
