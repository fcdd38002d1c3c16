"""Initialisation: the same distributions as PyTorch's, told by many numbers."""

import numpy as np
import pytest

from .harness import normal, ours, theirs

pytestmark = pytest.mark.parity
SHAPES = [(64, 300), (48, 32, 3, 3), (200, 1, 5, 5)]
OPTIONS = [
    {},
    {"a": 0.5},
    {"mode": "fan_out"},
    {"nonlinearity": "relu"},
    {"nonlinearity": "tanh", "mode": "fan_out"},
    {"nonlinearity": "linear"},
    {"nonlinearity": "sigmoid"},
]


def drawn(lib, name, shape, *given, **options):
    lib.top.manual_seed(1)
    weight = lib.nn.Parameter(lib.leaf(np.zeros(shape, np.float32)).detach())
    returned = getattr(lib.nn.init, name)(weight, *given, **options)
    assert returned is weight
    assert weight.requires_grad
    return lib.array(weight)


def same_distribution(found, expected):
    """Mean, standard deviation and fourth moment agree as two samples of one distribution do."""
    assert found.dtype == expected.dtype == np.float32
    n, sigma = found.size, expected.std()
    assert abs(found.mean() - expected.mean()) <= 5 * sigma * np.sqrt(2 / n)
    assert abs(found.std() / sigma - 1) <= 5 / np.sqrt(n)
    kurtosis = [(((v - v.mean()) / v.std()) ** 4).mean() for v in (found, expected)]
    assert abs(kurtosis[0] - kurtosis[1]) <= 5 * np.sqrt(2 * 24 / n)  # 1.8 uniform, 3 normal
    if kurtosis[1] < 2:  # the bounds of a uniform one
        assert abs(np.abs(found).max() / np.abs(expected).max() - 1) <= 0.005


@pytest.mark.parametrize("name", ["uniform_", "normal_"])
def test_plain(name):
    for given in ((), (-0.2, 0.7)):
        same_distribution(*(drawn(lib, name, (100, 100), *given) for lib in (ours, theirs)))


@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [(), (2.0,)])
def test_xavier(name, shape, gain):
    same_distribution(*(drawn(lib, name, shape, *gain) for lib in (ours, theirs)))


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", OPTIONS)
def test_kaiming(name, shape, options):
    same_distribution(*(drawn(lib, name, shape, **options) for lib in (ours, theirs)))


@pytest.mark.parametrize(("name", "given"), [("constant_", (0.5,)), ("zeros_", ()), ("ones_", ())])
def test_constants(name, given):
    found, expected = (drawn(lib, name, (2, 3), *given) for lib in (ours, theirs))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("kind", ["linear", "sigmoid", "tanh", "relu", "leaky_relu"])
def test_gains(kind):
    gain = theirs.nn.init.calculate_gain(kind, *([0.3] if kind == "leaky_relu" else []))
    assert ours.nn.init.gain(kind, 0.3) == pytest.approx(gain, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Conv2d", (16, 32, 5)),
        ("Conv2d", (16, 64, 3, 1, 0, 1, 4)),
        ("Linear", (300, 100)),
        ("BatchNorm2d", (5,)),
    ],
)
def test_the_first_weights_of_a_layer(name, given):
    layers = []
    for lib in (ours, theirs):
        lib.top.manual_seed(2)
        # many layers, as a bias is only a few numbers
        many = [getattr(lib.nn, name)(*given) for _ in range(60)]
        layers.append(
            {
                key: np.stack([lib.array(layer.state_dict()[key]) for layer in many])
                for key in many[0].state_dict()
            }
        )
    found, expected = layers
    assert list(found) == list(expected)
    for key, value in expected.items():
        if value.std() == 0:
            assert np.array_equal(found[key], value)
        else:
            same_distribution(found[key], value)


def test_random_numbers_at_the_top_level():
    for name in ("rand", "randn"):
        ours.top.manual_seed(3)
        theirs.top.manual_seed(3)
        same_distribution(*(lib.array(getattr(lib.top, name)(100, 100)) for lib in (ours, theirs)))


def test_the_test_tells_distributions_apart():
    x = normal(1, 10_000).astype(np.float32)
    y = np.random.default_rng(2).uniform(-np.sqrt(3), np.sqrt(3), 10_000).astype(np.float32)
    for wrong in (y, 1.1 * x, x + np.float32(0.1)):
        with pytest.raises(AssertionError):
            same_distribution(wrong, x)
