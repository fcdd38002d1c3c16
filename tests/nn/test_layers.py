"""Layers: containers, dropout, batch normalisation, initialisation, losses."""

import math

import numpy as np
import pytest

import tinycnn as tc
import tinycnn.nn.functional as F
from tinycnn import nn


def images(*shape):
    return tc.tensor(np.random.default_rng(0).standard_normal(shape), dtype=np.float32)


# ---- containers ----


def test_a_sequential_is_called_in_order_and_sliced():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = images(4, 2)
    y = x
    for layer in model:
        y = layer(y)
    np.testing.assert_array_equal(model(x).array, y.array)
    assert len(model) == 3
    assert model[-1] is model[2]
    part = model[:2]
    assert isinstance(part, nn.Sequential)
    assert part[0] is model[0]
    assert list(model[1:].state_dict()) == ["2.weight", "2.bias"]
    np.testing.assert_array_equal(model[2](part(x)).array, y.array)


def test_a_sequential_may_name_its_parts():
    model = nn.Sequential({"first": nn.Linear(2, 3), "last": nn.Linear(3, 1)})
    assert list(model.state_dict()) == ["first.weight", "first.bias", "last.weight", "last.bias"]
    assert model.first.out_features == 3


def test_lists_and_dicts_register_their_modules():
    parts = nn.ModuleList([nn.Linear(2, 2)])
    parts.append(nn.ReLU())
    assert (len(parts), [type(m).__name__ for m in parts]) == (2, ["Linear", "ReLU"])
    assert parts[-1] is parts[1]
    named = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ReLU()})
    assert "a" in named
    assert len(named) == 2
    assert [name for name, _ in named.items()] == ["a", "b"]
    named["a"] = nn.Linear(2, 4)
    assert named["a"].out_features == 4
    assert [name for name, _ in named.items()] == ["a", "b"]
    assert list(named.state_dict()) == ["a.weight", "a.bias"]


def test_a_residual_adds_what_goes_around():
    body = nn.Conv2d(2, 2, 3, padding="same")
    x = images(1, 2, 5, 5).requires_grad_()
    np.testing.assert_array_equal(nn.Residual(body)(x).array, (body(x) + x).array)
    shortcut = nn.Conv2d(2, 2, 1)
    block = nn.Residual(body, shortcut)
    np.testing.assert_array_equal(block(x).array, (body(x) + shortcut(x)).array)
    with pytest.raises(ValueError, match=r"Residual: the body gives \(1, 2, 3, 3\), the shortcut"):
        nn.Residual(nn.Conv2d(2, 2, 3))(x)


def test_branches_are_joined_along_the_channels():
    x = images(2, 3, 4, 4)
    branches = [nn.Conv2d(3, 2, 1), nn.Conv2d(3, 5, 3, padding=1), nn.Identity()]
    out = nn.Concat(*branches)(x)
    assert out.shape == (2, 10, 4, 4)
    np.testing.assert_array_equal(out[:, 2:7].array, branches[1](x).array)
    np.testing.assert_array_equal(out[:, 7:].array, x.array)


def test_every_layer_gives_what_its_function_gives():
    x = images(2, 4, 6, 6)
    for layer, out in [
        (nn.ReLU(), F.relu(x)),
        (nn.LeakyReLU(0.2), F.leaky_relu(x, 0.2)),
        (nn.ELU(0.7), F.elu(x, 0.7)),
        (nn.Sigmoid(), F.sigmoid(x)),
        (nn.Tanh(), F.tanh(x)),
        (nn.Softplus(2.0), F.softplus(x, 2.0)),
        (nn.Maxout(2), F.maxout(x, 2)),
        (nn.Softmax(1), F.softmax(x, 1)),
        (nn.LogSoftmax(-1), F.log_softmax(x, -1)),
        (nn.MaxPool2d(3, 2, 1), F.max_pool2d(x, 3, 2, 1)),
        (nn.AvgPool2d(3, 2, 1, False), F.avg_pool2d(x, 3, 2, 1, False)),
        (nn.AdaptiveAvgPool2d(4), F.adaptive_avg_pool2d(x, 4)),
        (nn.AdaptiveMaxPool2d((2, 4)), F.adaptive_max_pool2d(x, (2, 4))),
        (nn.Flatten(), x.reshape(2, -1)),
        (nn.Flatten(0, 1), x.reshape(8, 6, 6)),
        (nn.Pad((1, 2), "reflect"), F.pad(x, (1, 2), "reflect")),
        (nn.Identity(), x),
    ]:
        np.testing.assert_array_equal(layer(x).array, out.array)
        assert repr(layer).startswith(type(layer).__name__ + "(")


def test_losses_give_what_their_functions_give():
    z, t = images(3, 2), images(3, 2).sigmoid()
    labels = tc.tensor([0, 1, 1])
    for reduction in ("mean", "sum", "none"):
        for loss, out in [
            (nn.MSELoss(reduction), F.mse_loss(z, t, reduction)),
            (nn.BCELoss(reduction), F.binary_cross_entropy(z.sigmoid(), t, reduction)),
            (
                nn.BCEWithLogitsLoss(reduction),
                F.binary_cross_entropy_with_logits(z, t, reduction),
            ),
        ]:
            arguments = (z.sigmoid(), t) if isinstance(loss, nn.BCELoss) else (z, t)
            np.testing.assert_array_equal(loss(*arguments).array, out.array)
        np.testing.assert_array_equal(
            nn.CrossEntropyLoss(reduction)(z, labels).array,
            F.cross_entropy(z, labels, reduction).array,
        )


def test_a_layer_that_cannot_be_made_says_why():
    for call, message in [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: 3 input and 4 output channels do not"),
        (lambda: nn.Conv2d(3, 4, 0), "Conv2d: kernel_size must be one or two integers"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "Conv2d: kernel_size must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_wrong_input_names_the_operation_and_the_sizes():
    with pytest.raises(ValueError, match="conv2d: input has 3 channels, but weight") as caught:
        nn.Conv2d(1, 8, 3)(images(2, 3, 5, 5))
    assert str(caught.value) == "conv2d: input has 3 channels, but weight (8, 1, 3, 3) expects 1"
    with pytest.raises(ValueError, match=r"linear: input has 3 features, but weight \(1, 4\)"):
        nn.Linear(4, 1)(images(2, 3))
    with pytest.raises(ValueError, match=r"batch_norm: input has shape \(2, 3, 5, 5\)"):
        nn.BatchNorm2d(4)(images(2, 3, 5, 5))


# ---- dropout ----


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expected_value(p):
    x = tc.ones(400, 500)
    out = nn.Dropout(p, np.random.default_rng(1))(x).array
    assert set(np.unique(out)) == {0, np.float32(1) / np.float32(1 - p)}
    # the mean of n such elements has standard deviation √(p / (1 − p) / n)
    assert abs(out.mean() - 1) < 5 * math.sqrt(p / (1 - p) / x.numel())
    assert abs((out == 0).mean() - p) < 5 * math.sqrt(p * (1 - p) / x.numel())


def test_dropout_in_use_and_without_probability_is_the_identity():
    x = images(5, 5)
    assert nn.Dropout(0.5).eval()(x) is x
    np.testing.assert_array_equal(nn.Dropout(0.0)(x).array, x.array)
    np.testing.assert_array_equal(nn.Dropout(1.0)(x).array, np.zeros((5, 5)))


def test_dropout_gives_its_gradient_to_what_was_kept():
    x = tc.ones(50, requires_grad=True)
    out = nn.Dropout(0.5)(x)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.array, out.array)


# ---- batch normalisation ----


def test_batch_normalisation_gives_mean_zero_and_variance_one():
    layer = nn.BatchNorm2d(3)
    x = images(8, 3, 5, 5) * 4 + 7
    out = layer(x).array
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.var((0, 2, 3)), 1, rtol=1e-4)
    np.testing.assert_allclose(layer.running_mean.array, 0.1 * x.array.mean((0, 2, 3)), rtol=1e-5)
    unbiased = x.array.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_var.array, 0.9 + 0.1 * unbiased, rtol=1e-5)


def test_batch_normalisation_in_use_takes_the_running_statistics():
    layer = nn.BatchNorm2d(2)
    layer.running_mean, layer.running_var = tc.tensor([1.0, 2.0]), tc.tensor([4.0, 9.0])
    layer.weight.data, layer.bias.data = tc.tensor([2.0, 3.0]), tc.tensor([5.0, 6.0])
    x = images(1, 2, 3, 3)
    shape = (2, 1, 1)
    mean, var = np.reshape([1, 2], shape), np.reshape([4, 9], shape)
    expected = (x.array - mean) / np.sqrt(var + 1e-5) * np.reshape([2, 3], shape)
    np.testing.assert_allclose(
        layer.eval()(x).array, expected + np.reshape([5, 6], shape), rtol=1e-5, atol=1e-6
    )


# ---- initialisation ----


@pytest.mark.parametrize(
    ("fill", "variance"),
    [
        (nn.init.xavier_uniform_, lambda i, o: 2 / (i + o)),
        (nn.init.xavier_normal_, lambda i, o: 2 / (i + o)),
        (nn.init.kaiming_uniform_, lambda i, o: 2 / i),
        (nn.init.kaiming_normal_, lambda i, o: 2 / i),
        (lambda t: nn.init.kaiming_normal_(t, mode="fan_out"), lambda i, o: 2 / o),
        (lambda t: nn.init.kaiming_uniform_(t, a=2.0), lambda i, o: 2 / (1 + 4) / i),
        (lambda t: nn.init.kaiming_normal_(t, nonlinearity="tanh"), lambda i, o: 25 / 9 / i),
        (lambda t: nn.init.normal_(t, 0, 0.3), lambda i, o: 0.09),
        (lambda t: nn.init.uniform_(t, -1, 1), lambda i, o: 1 / 3),
    ],
)
def test_first_weights_have_the_documented_variance(fill, variance):
    tc.manual_seed(0)
    weight = tc.zeros(256, 128, 3, 3, requires_grad=True)
    assert fill(weight) is weight
    assert weight.dtype == np.float32
    n = weight.numel()
    expected = variance(128 * 9, 256 * 9)
    assert abs(weight.array.mean()) < 5 * math.sqrt(expected / n)
    # a normal sample's variance has relative standard deviation √(2 / n), a uniform's less
    assert weight.array.var() == pytest.approx(expected, rel=5 * math.sqrt(2 / n))


def test_constant_weights_and_wrong_wishes():
    weight = tc.zeros(2, 3)
    assert nn.init.constant_(weight, 0.5).tolist() == [[0.5] * 3] * 2
    assert nn.init.ones_(weight).array.all()
    assert not nn.init.zeros_(weight).array.any()
    with pytest.raises(ValueError, match=r"init: a weight of shape \(3,\) has no fan in"):
        nn.init.kaiming_normal_(tc.zeros(3))
    with pytest.raises(ValueError, match="init: mode is 'fan_in' or 'fan_out', not 'fan'"):
        nn.init.kaiming_normal_(weight, mode="fan")
    with pytest.raises(ValueError, match="init: nonlinearity 'gelu' is none of"):
        nn.init.kaiming_normal_(weight, nonlinearity="gelu")


def test_layers_begin_uniform_within_one_over_the_root_of_fan_in():
    tc.manual_seed(0)
    for layer, fan_in in ((nn.Conv2d(4, 50, 5), 100), (nn.Linear(400, 50), 400)):
        bound = 1 / math.sqrt(fan_in)
        for parameter in layer.parameters():
            assert abs(parameter.array).max() <= bound * (1 + 1e-6)
            assert abs(parameter.array).max() > 0.8 * bound


def test_the_same_seed_gives_the_same_network():
    def make():
        tc.manual_seed(5)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 4))

    for a, b in zip(make().parameters(), make().parameters(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)
    generators = [np.random.default_rng(9) for _ in range(2)]
    first, second = (nn.Linear(3, 4, generator=g).weight.array for g in generators)
    np.testing.assert_array_equal(first, second)
