"""detect_anomaly names the first operation that made a NaN or infinity, and where it was called."""

import inspect
import math
from contextlib import contextmanager

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import nn


def line() -> int:
    """The line this is called from."""
    return inspect.currentframe().f_back.f_lineno


@contextmanager
def caught(beginning=""):
    """Expects an AnomalyError in the block; gives a list that will hold its message."""
    messages = []
    try:
        yield messages
    except tc.AnomalyError as error:
        messages.append(str(error))
    assert messages
    assert messages[0].startswith(beginning)


def leaf(*values):
    return tc.tensor(values, requires_grad=True)


def test_a_forward_pass_is_named_with_the_line_that_called_it():
    x = leaf(1.0, 0.0)
    with caught() as error, tc.detect_anomaly():
        y = x * 2
        here = line() + 1
        z = tc.log(y)
        tc.exp(z)
    message = error[0]
    assert message.startswith("log: the forward pass made -inf from finite inputs, called at ")
    assert f"{__file__}:{here} in test_a_forward_pass_is_named" in message


def test_a_backward_pass_is_named_with_the_line_of_its_forward_pass():
    x = leaf(0.0, 4.0)
    with caught() as error, tc.detect_anomaly():
        here = line() + 1
        y = tc.sqrt(x)
        loss = (y * 3).sum()
        loss.backward()
    message = error[0]
    assert message.startswith("sqrt: the backward pass made inf from finite inputs, called at ")
    assert f"{__file__}:{here} in test_a_backward_pass_is_named" in message


def test_a_fault_inside_a_module_is_told_with_the_users_line():
    model = nn.Sequential(nn.Linear(2, 2), nn.Softplus())
    with tc.no_grad():
        model[0].weight.fill_(3e38)
    with caught("linear: the forward pass made inf ") as error, tc.detect_anomaly():
        here = line() + 1
        model(tc.ones(1, 2))
    assert f"{__file__}:{here} in " in error[0]


def test_a_function_made_of_operations_is_told_with_the_users_line():
    with caught() as error, tc.detect_anomaly():
        here = line() + 1
        tc.std(leaf(1.0, 1.0)).backward()
    assert f"{__file__}:{here} in " in error[0]


def test_what_is_made_from_numbers_that_were_not_finite_is_nobodys_fault():
    x = leaf(math.inf, math.nan)
    with tc.detect_anomaly():
        (x * 2 + tc.tensor([math.nan, 1.0])).sum().sigmoid()


def test_a_derivative_that_needs_a_number_that_was_not_finite_is_nobodys_fault():
    x = leaf(1.0)
    with tc.detect_anomaly():
        (x * tc.tensor([math.inf])).sum().backward()
    assert x.grad.item() == math.inf


def test_the_first_operation_is_named_not_those_it_spoils():
    x = leaf(-1.0)
    with pytest.raises(tc.AnomalyError, match=r"^log: "), tc.detect_anomaly():
        (tc.log(x) * 2).exp().sum().backward()


def test_a_recorded_derivative_is_watched_too():
    x = leaf(0.0)
    y = tc.sqrt(x)
    with pytest.raises(tc.AnomalyError, match="inf"), tc.detect_anomaly():
        tc.grad(y, x, create_graph=True)


def test_nothing_is_watched_outside_the_block():
    with pytest.raises(tc.AnomalyError), tc.detect_anomaly():
        tc.log(leaf(0.0))
    with np.errstate(divide="ignore"):
        assert tc.log(leaf(0.0)).item() == -math.inf


def test_a_graph_made_outside_the_block_says_that_its_place_is_unknown():
    y = tc.sqrt(leaf(0.0))
    with pytest.raises(tc.AnomalyError, match=r"an unknown place"), tc.detect_anomaly():
        y.backward()


def test_integers_and_healthy_numbers_pass():
    with tc.detect_anomaly():
        x = leaf(1.0, 2.0)
        (x[tc.tensor([0, 1])] * 2).sum().backward()
        assert tc.tensor([1, 2]).sum().item() == 3
    np.testing.assert_array_equal(x.grad.array, [2, 2])
