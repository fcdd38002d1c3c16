"""Every derivative of the library against an independent one, over a few of the generated cases
of `tinycnn gradcheck`; nothing is without a case, and a small fault is found.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinycnn as tc
import tinycnn.nn.functional as F
from tinycnn import kernels, nn, ops
from tinycnn.function import Function
from tinycnn.kernels import cpu
from tinycnn.proof import prove
from tinycnn.proof.cases import COMPARISONS, OPERATIONS, found_operations
from tinycnn.proof.functions import FUNCTIONS, WITHOUT_DERIVATIVE
from tinycnn.proof.layers import LAYERS, NO_LAYERS
from tinycnn.proof.subjects import OWN_KERNELS, SUBJECTS
from tinycnn.proof.table import plan

FEW = 4


def plain(names):
    """Without what they say of the mode."""
    return {name.removesuffix(" in use") for name in names}


# ---- nothing is without a case ----


def test_every_operation_with_a_derivative_has_cases():
    found = dict(found_operations())
    with_rules = {name for name, function in found.items() if function.rules}
    assert with_rules == set(OPERATIONS)
    assert set(found) - with_rules == COMPARISONS
    assert all(OPERATIONS[name][0] is found[name] for name in OPERATIONS)


def test_every_public_function_is_an_operation_or_has_cases():
    public = {name: getattr(ops, name) for name in ops.__all__}
    made_of_them = {name for name, value in public.items() if not isinstance(value, Function)}
    assert made_of_them - WITHOUT_DERIVATIVE == plain(FUNCTIONS)
    operations = {id(function) for function, _ in OPERATIONS.values()}
    without = {id(value) for name, value in found_operations() if name in COMPARISONS}
    assert {id(public[name]) for name in set(public) - made_of_them} <= operations | without
    assert set(F.__all__) <= set(ops.__all__)


def test_every_layer_has_cases():
    classes = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    assert {f"nn.{name}" for name in classes - NO_LAYERS} == plain(LAYERS)


def test_what_behaves_otherwise_in_training_has_cases_in_both_modes():
    for name in ("nn.BatchNorm2d", "nn.Dropout", "batch_norm", "dropout"):
        assert {name, f"{name} in use"} <= set(SUBJECTS)


# ---- all are right ----


@pytest.mark.parametrize(("name", "backend", "cases"), plan(SUBJECTS, None, FEW))
def test_the_derivatives_are_right(name, backend, cases):
    row = prove.prove(name, backend, cases)
    assert row.ok, row.example
    assert row.cases == cases


# ---- and what is wrong is found ----


def planted(monkeypatch, function, number, factor):
    """A factor in one of an operation's derivatives."""
    rule = function.rules[number]
    wrong = rule._replace(apply=lambda g, *values: factor * rule.apply(g, *values))
    rules = [wrong if i == number else r for i, r in enumerate(function.rules)]
    monkeypatch.setattr(function, "rules", rules)
    monkeypatch.setattr(function, "_plans", {})


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-10])
def test_a_derivative_wrong_by_one_part_in_ten_thousand_million_is_caught(factor, monkeypatch):
    planted(monkeypatch, tc.ops.sigmoid, 0, factor)
    row = prove.prove("activation.sigmoid", "reference", 8)
    assert row.ok == (factor == 1)
    assert row.failures == 0 or "wrong gradient" in row.example


def test_a_wrong_second_derivative_is_caught_though_the_first_is_right(monkeypatch):
    planted(monkeypatch, ops.activation.relu_grad, 0, 1 + 1e-10)
    row = prove.prove("activation.relu", "reference", FEW)
    assert (row.ok, row.first) == (False, 0)


def test_a_failure_is_told_for_the_smallest_case(monkeypatch):
    planted(monkeypatch, tc.ops.exp, 0, 2)
    assert prove.prove("arithmetic.exp", "both", 20).example.startswith("arithmetic.exp(float64[])")


def test_a_fault_of_a_backend_shows_on_that_backend_alone(monkeypatch):
    monkeypatch.setattr(cpu, "relu_grad", lambda g, x: np.where(x > 0, 2 * g, 0))
    assert not prove.prove("activation.relu", "cpu", FEW).ok
    assert prove.prove("activation.relu", "reference", FEW).ok


# ---- backends ----


def test_what_is_checked_on_one_backend_alone_comes_to_no_kernel_of_the_other(monkeypatch):
    used = set()
    find = kernels.of

    class Watched:
        def __getattr__(self, kernel):
            used.add(kernel)
            return getattr(cpu, kernel)

    monkeypatch.setattr(kernels, "of", lambda x: Watched() if find(x) is cpu else find(x))
    differ = set()
    for name in SUBJECTS:
        used.clear()
        prove._over_cases(name, 12, lambda example: differentiated_twice(*example))
        if used & set(cpu.__all__):
            differ.add(name)
    assert differ == OWN_KERNELS


def differentiated_twice(function, arguments):
    """Run the function, its derivative, and that one's, on float64 alone."""
    tensors = [
        tc.tensor(x, requires_grad=True)
        if getattr(x, "dtype", None) in (np.float32, np.float64)
        else x
        for x in arguments
    ]
    leaves = [t for t in tensors if isinstance(t, tc.Tensor) and t.requires_grad]
    made = function(*tensors)
    for out in made if isinstance(made, tuple) else (made,):
        if out.requires_grad:
            g = tc.tensor(np.ones(out.shape, out.dtype), requires_grad=True)
            for first in tc.grad(out, leaves, g, create_graph=True, allow_unused=True):
                if first is not None and first.requires_grad:
                    first.sum().backward(retain_graph=True)
