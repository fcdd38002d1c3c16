"""`tc.grad`: inputs of every kind, and derivatives of derivatives."""

import numpy as np
import pytest

import tinycnn as tc


def leaf(*values):
    return tc.tensor(
        values[0] if len(values) == 1 else values, dtype=np.float64, requires_grad=True
    )


def test_grad_leaves_the_grad_attributes_alone():
    x, y = leaf(2.0), leaf(3.0)
    dx, dy = tc.grad(x * x * y, [x, y])
    assert (dx.item(), dy.item()) == (12, 4)
    assert x.grad is None
    assert y.grad is None
    assert not dx.requires_grad


def test_an_input_may_lie_on_the_way():
    x = leaf(2.0)
    hidden = x * x
    y = hidden * hidden + x
    d_hidden, d_x = tc.grad(y, [hidden, x], retain_graph=True)
    assert d_hidden.item() == 2 * 4
    assert d_x.item() == 4 * 8 + 1
    assert tc.grad(y, hidden)[0].item() == 8


def test_an_output_may_be_the_input():
    x = leaf(2.0)
    y = x * 3
    assert tc.grad(y, y)[0].item() == 1
    assert tc.grad(x, x)[0].item() == 1


def test_an_input_the_output_does_not_depend_on_is_an_error_or_none():
    x, y = leaf(2.0), leaf(3.0)
    with pytest.raises(RuntimeError, match="grad: the outputs do not depend on input 1"):
        tc.grad(x * 2, [x, y])
    dx, dy = tc.grad(x * 2, [x, y], allow_unused=True)
    assert dx.item() == 2
    assert dy is None


def test_an_input_without_a_gradient_is_an_error():
    x, constant = leaf(2.0), tc.tensor(1.0)
    with pytest.raises(RuntimeError, match="grad: input 0 does not require a gradient"):
        tc.grad(x * constant, constant)


def test_several_outputs_each_have_their_cotangent():
    x = leaf(1.0, 2.0)
    (d,) = tc.grad([x * 2, x * x], x, [tc.ones(2), tc.tensor([10.0, 100.0])])
    np.testing.assert_array_equal(d.array, [2 + 20, 2 + 400])
    y = x * 2
    (d,) = tc.grad([y.sum(), y[0]], x)
    np.testing.assert_array_equal(d.array, [4, 2])


def test_the_same_output_twice_counts_twice():
    x = leaf(3.0)
    y = x * x
    assert tc.grad([y, y], x)[0].item() == 12


def test_grad_frees_the_graph_unless_told_otherwise():
    x = leaf(2.0)
    y = x * x
    tc.grad(y, x, retain_graph=True)
    tc.grad(y, x)
    with pytest.raises(RuntimeError, match=r"^mul: .*freed"):
        tc.grad(y, x)
    y = x * x
    tc.grad(y, x, create_graph=True)
    tc.grad(y, x)


def test_the_derivatives_of_x_to_the_fourth_come_to_24_at_last():
    x = leaf(1.5)
    y = x**4
    values = []
    for _ in range(5):
        (y,) = tc.grad(y, x, create_graph=True)
        values.append(y.item())
    np.testing.assert_allclose(values, [4 * 1.5**3, 12 * 1.5**2, 24 * 1.5, 24, 0], rtol=1e-14)


def test_the_higher_derivatives_of_exp_and_of_a_product_are_right():
    x = leaf(0.3)
    y = tc.exp(2 * x) * x
    for _ in range(3):
        (y,) = tc.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(np.exp(0.6) * (8 * 0.3 + 12), rel=1e-14)


def test_a_derivative_with_respect_to_the_cotangent_is_the_derivative_forwards():
    x, g = leaf(1.0, 2.0, 3.0), leaf(0.0, 0.0, 0.0)
    (dx,) = tc.grad(tc.sigmoid(x), x, g, create_graph=True)
    (forward,) = tc.grad(dx, g, tc.ones(3))
    s = 1 / (1 + np.exp(-x.array))
    np.testing.assert_allclose(forward.array, s * (1 - s), rtol=1e-14)


def test_backward_with_create_graph_leaves_a_gradient_that_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    penalty = x.grad * x.grad
    x.grad = None
    penalty.backward()
    assert x.grad.item() == 2 * (3 * 4) * (6 * 2)


def test_without_create_graph_a_gradient_is_a_constant():
    x = leaf(2.0)
    (d,) = tc.grad(x**3, x)
    assert d.is_leaf
    with pytest.raises(RuntimeError, match="not made from one that requires a gradient"):
        d.backward()


def test_a_gradient_penalty_through_a_small_network_is_that_of_central_differences():
    rng = np.random.default_rng(0)
    image = tc.tensor(rng.standard_normal((2, 1, 6, 6)), requires_grad=True)
    values = rng.standard_normal((2, 1, 3, 3))

    def penalty(weight):
        hidden = tc.conv2d(image, weight, padding="same")
        hidden = tc.batch_norm(
            hidden, *(f(2, dtype=np.float64) for f in (tc.zeros, tc.ones, tc.ones, tc.zeros)), True
        )
        out = tc.max_pool2d(tc.elu(hidden), 2).tanh().sum()
        (d,) = tc.grad(out, image, create_graph=True)
        return (d * d).sum()

    weight = tc.tensor(values, requires_grad=True)
    (found,) = tc.grad(penalty(weight), weight)
    v = rng.standard_normal(values.shape)
    differences = [
        (penalty(tc.tensor(values + h * v)).item() - penalty(tc.tensor(values - h * v)).item())
        / (2 * h)
        for h in (1e-4, 2e-4)
    ]
    expected = (4 * differences[0] - differences[1]) / 3
    assert (found.array * v).sum() == pytest.approx(expected, rel=1e-7)


def test_an_operation_without_any_derivative_is_refused_where_a_gradient_is_wanted():
    @tc.differentiable
    def double(x):
        return x * 2

    with pytest.raises(TypeError, match="double: it has no derivative with respect to 'x'"):
        double(tc.tensor([1.0], requires_grad=True))
