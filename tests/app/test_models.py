"""Networks by name: each builds, runs, learns, and refuses images that are not for it."""

import inspect

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import models, random
from tinycnn.errors import InputError
from tinycnn.models import LARGEST, MODELS, SMALLEST, USUAL_SHAPE, build, classic
from tinycnn.nn import Linear, Module, Sequential
from tinycnn.nn.functional import binary_cross_entropy_with_logits

SMALL = [name for name in MODELS if name not in USUAL_SHAPE]


@pytest.fixture
def light_heads(monkeypatch):
    """The two big networks without their hundred million linear weights."""
    heads = []

    def head(features, hidden):
        heads.append((features, hidden))
        return Sequential(Linear(features, 1))

    monkeypatch.setattr(classic, "_head", head)
    return heads


def test_every_model_has_a_name_a_smallest_image_and_a_docstring():
    assert MODELS.keys() == SMALLEST.keys()
    assert USUAL_SHAPE.keys() < MODELS.keys()
    assert all(inspect.getdoc(make) for make in MODELS.values())


@pytest.mark.parametrize("name", SMALL)
def test_every_model_for_patches_gives_a_logit_an_image_and_a_gradient_to_every_weight(name):
    random.manual_seed(0)
    model = build(name, (1, 60, 60))
    x = tc.randn(4, 1, 60, 60, generator=np.random.default_rng(0))
    logits = model(x)
    assert logits.shape == (4, 1)
    assert logits.dtype == np.float32
    binary_cross_entropy_with_logits(logits, tc.tensor(np.float32([[0], [1], [0], [1]]))).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert np.isfinite(parameter.grad.numpy()).all(), key


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_image_is_the_smallest_that_runs(name, light_heads, monkeypatch):
    least = SMALLEST[name]
    for side in (least, least + 1):
        model = build(name, (1, side, side)).eval()
        with tc.no_grad():
            assert model(tc.zeros(2, 1, side, side)).shape == (2, 1)
    if least > 1:
        with pytest.raises(InputError, match="too small"):
            build(name, (1, least - 1, least + 5))
        with pytest.raises(InputError, match="too small"):
            build(name, (1, least + 5, least - 1))
        monkeypatch.setitem(models.SMALLEST, name, 1)
        with pytest.raises((ValueError, ZeroDivisionError)):
            build(name, (1, least - 1, least - 1)).eval()(tc.zeros(1, 1, least - 1, least - 1))


@pytest.mark.parametrize("name", SMALL)
def test_images_need_not_be_square_or_grey(name):
    model = build(name, (3, 33, 47)).eval()
    with tc.no_grad():
        assert model(tc.zeros(1, 3, 33, 47)).shape == (1, 1)


def test_the_first_weights_come_from_the_seed():
    def first_weights(seed):
        random.manual_seed(seed)
        return [p.numpy().tobytes() for p in build("exercise", (1, 24, 24)).parameters()]

    assert first_weights(0) == first_weights(0)
    assert first_weights(0) != first_weights(1)


@pytest.mark.parametrize("shape", [(0, 60, 60), (1, 0, 60), (1, -60, -60)])
def test_no_image_at_all_is_too_small(shape):
    with pytest.raises(InputError, match=r"'logistic'.*too small"):
        build("logistic", shape)


def test_absurd_images_are_too_large():
    with pytest.raises(InputError, match=r"'logistic'.*too large"):
        build("logistic", (1, 1, LARGEST + 1))


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="'resnet': there is none; there are exercise, logistic"):
        build("resnet", (1, 60, 60))


@pytest.mark.parametrize(("name", "features"), [("vgg19", 512 * 7 * 7), ("alexnet", 256 * 6 * 6)])
def test_the_two_big_ones_have_the_published_numbers_of_parameters(name, features, light_heads):
    model = build(name, (3, 224, 224))
    assert light_heads == [(features, 4096)]
    body = sum(p.numel() for p in model.features.parameters())
    linear = (features + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1)
    # torchvision's, with one output for its thousand
    published = {"vgg19": 143_667_240, "alexnet": 61_100_840}[name]
    assert body + linear == published - 999 * 4097
    assert isinstance(model, Module)


def test_the_head_of_the_big_ones_is_three_linear_layers():
    sizes = [p.shape for p in classic._head(20, 8).parameters()]
    assert sizes == [(8, 20), (8,), (8, 8), (8,), (1, 8), (1,)]
