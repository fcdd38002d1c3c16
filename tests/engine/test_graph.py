"""The walk back: how far, how often, what is freed, and what is refused."""

import gc
import sys
import weakref

import numpy as np
import pytest

import tinycnn as tc
from tinycnn.function import Function, differentiable


def leaf(*values, dtype=np.float64):
    return tc.tensor(values[0] if len(values) == 1 else values, dtype=dtype, requires_grad=True)


@pytest.fixture
def counted():
    """An operation x ↦ x + 0 that counts how often each application's derivative is called."""
    calls = []

    @differentiable
    def pass_on(x, number):
        return x + 0

    @pass_on.derivative("x")
    def _(g, number):
        calls.append(number)
        return g

    return pass_on, calls


# ---- length and number of calls ----


def test_a_chain_of_100_000_additions_goes_back_and_is_freed_without_recursion():
    x = y = leaf(1.0)
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    first = weakref.ref(y.node)
    del y
    assert first() is None


def test_a_chain_of_100_000_additions_is_freed_without_having_gone_back():
    x = y = leaf(1.0)
    for _ in range(100_000):
        y = y + x
    before = sys.getrefcount(x)
    del y
    assert sys.getrefcount(x) < before - 99_000


def test_in_1000_residual_additions_each_derivative_is_called_once(counted):
    pass_on, calls = counted
    x = y = leaf(1.0)
    for i in range(1000):
        y = y + 1e-3 * pass_on(y, i)
    y.backward()
    assert calls == list(range(999, -1, -1))
    assert x.grad.item() == pytest.approx(1.001**1000, rel=1e-12)


def test_1000_doublings_need_a_thousand_calls(counted):
    pass_on, calls = counted
    x = y = leaf(1.0)
    for i in range(1000):
        y = pass_on(y, i)
        y = y / 2 + y / 2
    y.backward()
    assert len(calls) == 1000
    assert x.grad.item() == 1


def test_only_the_derivatives_somebody_asked_for_are_computed():
    calls = []

    @differentiable
    def both(x, y):
        return x * y

    @both.derivative("x")
    def _(g, y):
        calls.append("x")
        return g * y

    @both.derivative("y")
    def _(g, x):
        calls.append("y")
        return g * x

    x, y = leaf(2.0), leaf(3.0)
    both(x, tc.tensor(3.0, dtype=np.float64)).backward()
    assert calls == ["x"]
    tc.grad(both(x, y), y)
    assert calls == ["x", "y"]


def test_a_rule_for_several_arguments_is_told_which_gradients_are_wanted():
    told = []

    @differentiable
    def three(x, y, z):
        return x * y * z

    @three.derivative("z", "x", "y")
    def _(g, wanted, x, y, z):
        told.append(wanted)
        partial = x * y, y * z, x * z
        return tuple(g * p if want else None for p, want in zip(partial, wanted, strict=True))

    x, y, z = leaf(2.0), leaf(3.0), leaf(5.0)
    constant = tc.tensor(3.0, dtype=np.float64)
    three(x, constant, z).backward()
    assert (z.grad.item(), x.grad.item(), constant.grad) == (6, 15, None)
    assert tc.grad(three(x, y, z), y)[0].item() == 10
    (first,) = tc.grad(three(x, y, z), x, create_graph=True)
    assert tc.grad(first, z)[0].item() == 3
    assert told == [(True, True, False), (False, False, True), (False, True, False)]


def test_what_a_rule_needs_hangs_on_which_gradients_are_wanted():
    @differentiable
    def product(x, y):
        return x * y

    @product.derivative("x")
    def _(g, y):
        return g * y

    @product.derivative("y")
    def _(g, x, x_shape):
        assert x.shape == x_shape
        return g * x

    x, constant = leaf(2.0, 3.0), tc.tensor([5.0, 7.0], dtype=np.float64)
    needed = [set(product(*args).node.saved) for args in ((x, constant), (constant, x), (x, x))]
    assert needed == [{"y"}, {"x", "x_shape"}, {"x", "y", "x_shape"}]


def test_a_rule_declared_later_is_heeded():
    @differentiable
    def product(x, y):
        return x * y

    @product.derivative("x")
    def _(g, y):
        return g * y

    x = leaf(2.0)
    with pytest.raises(TypeError, match="product: it has no derivative with respect to 'y'"):
        product(x, x)

    @product.derivative("y")
    def _(g, x):
        return g * x

    product(x, x).backward()
    assert x.grad.item() == 4


def test_gradients_of_single_numbers_are_arrays_wherever_they_meet():
    x, seen = leaf(2.0), []
    hidden = x * 1
    hidden.register_hook(lambda g: seen.append(type(g.array)))
    (hidden * 2 + hidden * hidden + hidden).backward()
    assert seen == [np.ndarray]
    assert type(x.grad.array) is np.ndarray
    assert x.grad.item() == 2 + 4 + 1


# ---- accumulation ----


def test_gradients_of_an_input_used_more_than_once_add_up():
    x = leaf(3.0)
    (x * x + x * 2 + x).backward()
    assert x.grad.item() == 2 * 3 + 2 + 1
    (x * x).backward()
    assert x.grad.item() == 9 + 6


def test_gradients_of_two_leaves_share_memory_neither_with_each_other_nor_with_the_cotangent():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    g = tc.tensor([1.0, 1.0], dtype=np.float64)
    (x + y).backward(g)
    arrays = [x.grad.array, y.grad.array, g.array]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    x.grad.array += 5
    g.array += 7
    np.testing.assert_array_equal(y.grad.array, [1, 1])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_in_memory_of_its_own_is_writable(create_graph):
    x = leaf(1.0, 2.0)
    g = tc.tensor([1.0, 1.0], dtype=np.float64)
    x.reshape(2).backward(g, create_graph=create_graph)
    (y,) = tc.grad((z := leaf(1.0, 2.0)).sum(), z)
    for gradient in (x.grad, y):
        assert not np.shares_memory(gradient.array, g.array)
        gradient.array[0] = 5
    assert g.array[0] == 1


def test_a_gradient_has_the_shape_and_dtype_of_its_tensor():
    x = tc.tensor(np.ones((3, 1)), dtype=np.float32, requires_grad=True)
    y = tc.tensor(np.ones((2, 1, 4)), dtype=np.float64, requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.shape, x.grad.dtype) == ((3, 1), np.float32)
    assert (y.grad.shape, y.grad.dtype) == ((2, 1, 4), np.float64)


def test_what_was_broadcast_is_summed():
    x, y = leaf(2.0), leaf([[1.0, 2.0, 3.0]])
    (x * y * tc.ones(4, 1, dtype=np.float64)).sum().backward()
    assert x.grad.item() == 4 * 6
    np.testing.assert_array_equal(y.grad.array, [[8, 8, 8]])


def test_a_derivative_of_the_wrong_shape_names_the_operation():
    @differentiable
    def crooked(x):
        return x * 2

    @crooked.derivative("x")
    def _(g):
        return g[:1]

    with pytest.raises(RuntimeError, match=r"crooked: its derivative has shape \(1,\)"):
        crooked(leaf(1.0, 2.0)).sum().backward()


def test_a_derivative_that_returns_nothing_names_the_operation():
    @differentiable
    def forgetful(x):
        return x * 2

    @forgetful.derivative("x")
    def _(g):
        g * 2

    with pytest.raises(TypeError, match="forgetful: its derivative returned NoneType"):
        forgetful(leaf(1.0, 2.0)).sum().backward()


def test_an_empty_tensor_has_an_empty_gradient():
    x = tc.zeros(0, 3, requires_grad=True)
    x.sum().backward()
    assert x.grad.shape == (0, 3)


# ---- what is refused ----


def test_a_second_backward_through_a_freed_graph_names_the_operation():
    x = leaf(2.0)
    y = tc.exp(x)
    y.backward()
    with pytest.raises(RuntimeError, match=r"^exp: .*freed.*retain_graph=True"):
        y.backward()
    assert x.grad.item() == pytest.approx(np.exp(2))


def test_a_part_of_a_graph_that_was_freed_with_another_names_the_operation():
    x = leaf(2.0)
    shared = x * x
    (shared * 2).backward()
    with pytest.raises(RuntimeError, match=r"^mul: .*freed"):
        (shared * 3).backward()


def test_a_retained_graph_can_be_walked_again():
    x = leaf(2.0)
    y = x**3
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 36
    with pytest.raises(RuntimeError, match=r"^pow: "):
        y.backward()


def test_a_cotangent_of_the_wrong_shape_names_the_operation():
    y = leaf(1.0, 2.0) * 2
    with pytest.raises(
        RuntimeError, match=r"^mul: the gradient has shape \(3,\), the result \(2,\)"
    ):
        y.backward(tc.ones(3))
    with pytest.raises(RuntimeError, match=r"^mul: .*\(2, 1\)"):
        tc.grad(y, leaf(1.0), tc.ones(2, 1))


def test_a_result_of_many_numbers_needs_a_cotangent():
    with pytest.raises(RuntimeError, match=r"^mul: a result of shape \(2,\) needs a gradient"):
        (leaf(1.0, 2.0) * 2).backward()


def test_integers_and_booleans_have_no_gradient():
    n = tc.tensor([1, 2])
    with pytest.raises(TypeError, match="requires_grad: a int64 tensor has no gradient"):
        n.requires_grad_()
    with pytest.raises(TypeError, match="requires_grad: a int64 tensor"):
        tc.tensor([1, 2], requires_grad=True)
    with pytest.raises(TypeError, match="a int64 tensor has no gradient"):
        n.sum().backward()
    with pytest.raises(TypeError, match="grad: input 0 is a int64 tensor"):
        tc.grad(leaf(1.0) * 2, n)
    x = leaf(1.0, 2.0)
    for out in (x > 1, x.argmax(), x.long()):
        assert not out.requires_grad
        with pytest.raises(TypeError, match="has no gradient"):
            out.backward()


def test_complex_numbers_have_no_gradient_that_is_asked_for_and_never_comes():
    with pytest.raises(TypeError, match="complex128"):
        tc.tensor([1j], requires_grad=True)


def test_a_result_without_a_leaf_that_requires_a_gradient_is_refused():
    with pytest.raises(RuntimeError, match="was not made from one that requires a gradient"):
        (tc.ones(1) * 2).backward()


def test_a_bound_or_a_slope_that_requires_a_gradient_gets_one_or_is_refused():
    for function in (
        lambda x, t: tc.clamp(x, max=t),
        lambda x, t: tc.clamp(x, min=t),
        lambda x, t: tc.leaky_relu(-x, t),
        lambda x, t: tc.elu(-x, t),
    ):
        x, t = leaf(1.5), leaf(1.0)
        try:
            function(x, t).backward()
        except (TypeError, ValueError, RuntimeError):
            continue
        assert t.grad is not None


# ---- memory ----


def test_a_graph_is_freed_as_soon_as_its_result_is_dropped():
    gc.disable()
    try:
        x = tc.tensor(np.ones((1, 1, 4, 4)), dtype=np.float32, requires_grad=True)
        weight = tc.tensor(np.ones((1, 1, 3, 3)), dtype=np.float32, requires_grad=True)
        hidden = tc.relu(tc.conv2d(x, weight, padding=1))
        loss = tc.max_pool2d(hidden, 2).sigmoid().mean()
        nodes = [weakref.ref(t.node) for t in (hidden, loss)]
        del hidden
        assert nodes[0]() is not None
        del loss
        assert [node() for node in nodes] == [None, None]
    finally:
        gc.enable()


def test_backward_lets_go_of_what_the_derivatives_needed():
    x = leaf(1.0, 2.0)
    hidden = tc.exp(x) * 1.5
    y = (hidden * hidden).sum()
    saved = weakref.ref(hidden.array)
    del hidden
    assert saved() is not None
    y.backward()
    assert saved() is None


def test_a_recorded_derivative_is_freed_without_the_cyclic_collector():
    gc.disable()
    try:
        x = leaf(2.0)
        (first,) = tc.grad(x**3, x, create_graph=True)
        node = weakref.ref(first.node)
        del first
        assert node() is None
    finally:
        gc.enable()


# ---- operations as users declare them ----


def test_an_operation_on_arrays_alone_is_the_plain_function():
    assert isinstance(tc.ops.exp, Function)
    assert type(tc.ops.exp(np.zeros(2))) is np.ndarray


def test_an_operation_takes_its_arguments_by_name_too():
    x = leaf(1.0, -1.0)
    tc.leaky_relu(negative_slope=0.5, x=x).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [1, 0.5])
    with pytest.raises(TypeError):
        tc.leaky_relu(x, slope=0.5)
    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        tc.mul(x)
    with pytest.raises(TypeError, match="too many positional arguments"):
        tc.leaky_relu(x, 0.5, 0.5)


def test_arguments_left_out_have_their_defaults():
    x = leaf([1.0, 2.0], [3.0, 4.0])
    assert tc.sum(x).item() == 10
    assert tc.sum(x, 1).shape == (2,)
    assert tc.sum(x, keepdim=True).shape == (1, 1)
