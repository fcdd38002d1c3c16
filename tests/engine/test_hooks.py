"""Hooks on tensors, and gradients kept on the way."""

import gc
import weakref

import numpy as np
import pytest

import tinycnn as tc


def leaf(*values):
    return tc.tensor(
        values[0] if len(values) == 1 else values, dtype=np.float64, requires_grad=True
    )


def test_a_hook_on_a_leaf_sees_the_whole_gradient_once():
    x, seen = leaf(2.0), []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 3 + x * x).backward()
    assert seen == [3 + 4]


def test_a_hook_on_a_result_sees_the_whole_gradient_before_it_goes_on():
    x, seen = leaf(2.0), []
    hidden = x * x
    hidden.register_hook(lambda g: seen.append(g.item()))
    x.register_hook(lambda g: seen.append(g.item()))
    (hidden * 3 + hidden).backward()
    assert seen == [4, 16]


@pytest.mark.parametrize("on_leaf", [True, False])
def test_hooks_are_called_in_their_order_and_each_replaces_the_gradient(on_leaf):
    x = leaf(1.0, 2.0)
    hidden = x * 1
    target = x if on_leaf else hidden
    target.register_hook(lambda g: g + 1)
    target.register_hook(lambda g: None)
    target.register_hook(lambda g: g * 10)
    hidden.sum().backward()
    np.testing.assert_array_equal(x.grad.array, [20, 20])


def test_a_removed_hook_is_called_no_more():
    x, seen = leaf(1.0), []
    handle = x.register_hook(lambda g: seen.append("removed"))
    x.register_hook(lambda g: seen.append("kept"))
    handle.remove()
    handle.remove()
    (x * 2).backward()
    assert seen == ["kept"]


def test_a_hook_may_remove_itself():
    x, seen = leaf(1.0), []

    def once(g):
        seen.append(g.item())
        handle.remove()

    handle = x.register_hook(once)
    (x * 2).backward()
    (x * 2).backward()
    assert seen == [2]


def test_a_hook_is_called_by_grad_too_and_its_answer_is_differentiated():
    x = leaf(3.0)
    x.register_hook(lambda g: g * g)
    (d,) = tc.grad(x**2, x, create_graph=True)
    assert d.item() == 36
    handle = x.register_hook(lambda g: g)
    handle.remove()
    x.hooks.clear()
    assert tc.grad(d, x)[0].item() == 8 * 3


@pytest.mark.parametrize("replacement", [tc.ones(3), tc.ones(2, 1)])
def test_a_replacement_of_another_shape_is_an_error(replacement):
    for on_leaf in (True, False):
        x = leaf(1.0, 2.0)
        hidden = x * 2
        (x if on_leaf else hidden).register_hook(lambda g: replacement)
        with pytest.raises((RuntimeError, ValueError), match="shape"):
            hidden.sum().backward()


def test_a_replacement_takes_the_dtype_of_the_gradient():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g.double() * 2)
    x.sum().backward()
    assert x.grad.dtype == np.float32


def test_a_hook_on_a_single_number_gets_an_array():
    x, seen = leaf(2.0), []
    x.register_hook(lambda g: seen.append(g.numpy().shape))
    (x * 2 + x * 3).backward()
    assert seen == [()]


def test_a_hook_needs_a_tensor_that_requires_a_gradient():
    with pytest.raises(RuntimeError, match="register_hook: the tensor does not require a gradient"):
        tc.ones(1).register_hook(print)


def test_a_hook_keeps_no_graph_alive():
    gc.disable()
    try:
        x = leaf(2.0)
        y = x * 2
        y.register_hook(lambda g: g)
        node = weakref.ref(y.node)
        (y * 3).backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_the_gradient_of_a_result_is_kept_where_asked_for():
    x = leaf(2.0)
    kept, forgotten = x * x, x * 5
    kept.retain_grad()
    (kept * kept + forgotten).backward(retain_graph=True)
    assert kept.grad.item() == 8
    assert forgotten.grad is None
    assert x.grad.item() == 8 * 4 + 5
    kept.grad = None
    (kept * 2).backward()
    assert kept.grad.item() == 2


def test_a_kept_gradient_is_the_one_after_the_hooks_and_shares_no_memory():
    x = leaf(1.0, 2.0)
    y = x + 0
    y.retain_grad()
    y.register_hook(lambda g: g * 3)
    g = tc.ones(2, dtype=np.float64)
    y.backward(g)
    np.testing.assert_array_equal(y.grad.array, [3, 3])
    assert not np.shares_memory(y.grad.array, x.grad.array)


def test_retain_grad_on_a_leaf_changes_nothing():
    x = leaf(2.0)
    x.retain_grad()
    (x * x).backward()
    assert x.grad.item() == 4
