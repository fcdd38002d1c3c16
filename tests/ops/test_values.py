"""Results against plain NumPy or counting by hand; the other tests here compare derivatives."""

import math

import numpy as np
import pytest

import tinycnn as tc
import tinycnn.nn.functional as F
from tinycnn import kernels

RNG = np.random.default_rng(0)
IMAGE = RNG.standard_normal((2, 3, 7, 6))


@pytest.fixture(params=["reference", "cpu"], autouse=True)
def _backend(request):
    with kernels.use(request.param):
        yield


def windows(image, kernel, stride, padding, fill):
    """(N, C, H′, W′, kh, kw): each window of an image with a border."""
    edges = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(image, edges, constant_values=fill)
    found = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))
    return found[:, :, ::stride, ::stride]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_convolution_and_pooling_are_what_they_say_of_each_window(stride, padding):
    x, weight, bias = tc.tensor(IMAGE), RNG.standard_normal((4, 3, 3, 2)), RNG.standard_normal(4)
    found = tc.conv2d(x, tc.tensor(weight), tc.tensor(bias), stride, padding)
    seen = windows(IMAGE, (3, 2), stride, padding, 0)
    expected = np.einsum("nchwij,ocij->nohw", seen, weight) + bias[:, None, None]
    np.testing.assert_allclose(found.array, expected, rtol=1e-12, atol=1e-13)

    seen = windows(IMAGE, (3, 2), stride, padding, math.nan)
    rest = ((3, 2), stride, padding)
    np.testing.assert_array_equal(tc.max_pool2d(x, *rest).array, np.nanmax(seen, (4, 5)))
    with_border = tc.avg_pool2d(x, *rest).array
    np.testing.assert_allclose(with_border, np.nansum(seen, (4, 5)) / 6, rtol=1e-12, atol=1e-15)
    without = tc.avg_pool2d(x, *rest, count_include_pad=False).array
    np.testing.assert_allclose(without, np.nanmean(seen, (4, 5)), rtol=1e-12, atol=1e-15)


def test_groups_see_their_own_channels_and_dilation_leaves_gaps():
    x, weight = IMAGE[:, :2], RNG.standard_normal((2, 1, 3, 3))
    found = tc.conv2d(tc.tensor(x), tc.tensor(weight), dilation=2, padding=1, groups=2).array
    wide = np.zeros((2, 1, 5, 5))
    wide[:, :, ::2, ::2] = weight
    for i in range(2):
        alone = tc.conv2d(tc.tensor(x[:, [i]]), tc.tensor(wide[[i]]), padding=1).array
        np.testing.assert_allclose(found[:, [i]], alone, rtol=1e-12, atol=1e-13)


def test_padding_same_keeps_the_size_and_puts_the_odd_rest_behind():
    x, weight = tc.tensor(IMAGE), tc.tensor(RNG.standard_normal((1, 3, 4, 2)))
    found = tc.conv2d(x, weight, padding="same")
    assert found.shape == (2, 1, 7, 6)
    by_hand = tc.conv2d(tc.pad(x, (0, 1, 1, 2)), weight, padding="valid")
    np.testing.assert_allclose(found.array, by_hand.array, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("size", [1, (2, 4), 5])
def test_adaptive_pooling_covers_the_image_with_its_regions(size):
    rows, columns = (size, size) if isinstance(size, int) else size
    for pool, reduce in ((tc.adaptive_avg_pool2d, np.mean), (tc.adaptive_max_pool2d, np.max)):
        found = pool(tc.tensor(IMAGE), size).array
        for i, j in np.ndindex(rows, columns):
            top, bottom = i * 7 // rows, math.ceil((i + 1) * 7 / rows)
            left, right = j * 6 // columns, math.ceil((j + 1) * 6 / columns)
            region = IMAGE[:, :, top:bottom, left:right]
            np.testing.assert_allclose(found[:, :, i, j], reduce(region, (2, 3)), rtol=1e-12)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")],
)
def test_a_border_is_numpys_with_left_and_right_first(mode, name):
    expected = np.pad(IMAGE, ((0, 0), (0, 0), (3, 0), (1, 2)), name)
    np.testing.assert_array_equal(tc.pad(tc.tensor(IMAGE), (1, 2, 3, 0), mode).array, expected)


def test_activations_are_their_formulas():
    x = np.linspace(-4, 4, 33)
    for found, expected in [
        (tc.sigmoid, 1 / (1 + np.exp(-x))),
        (tc.tanh, np.tanh(x)),
        (tc.relu, np.maximum(x, 0)),
        (lambda t: tc.leaky_relu(t, 0.1), np.where(x > 0, x, 0.1 * x)),
        (lambda t: tc.elu(t, 2.0), np.where(x > 0, x, 2 * np.expm1(x))),
        (lambda t: tc.softplus(t, 2.0), np.log1p(np.exp(2 * x)) / 2),
        (lambda t: tc.softmax(t, 0), np.exp(x) / np.exp(x).sum()),
        (lambda t: tc.log_softmax(t, 0), x - np.log(np.exp(x).sum())),
        (lambda t: tc.logsumexp(t, 0), np.log(np.exp(x).sum())),
        (lambda t: tc.clamp(t, -1, 2), np.clip(x, -1, 2)),
    ]:
        np.testing.assert_allclose(found(tc.tensor(x)).array, expected, rtol=1e-12, atol=1e-15)
    image = tc.tensor(IMAGE.reshape(2, 9, 14))
    np.testing.assert_array_equal(tc.maxout(image, 3).array, IMAGE.reshape(2, 3, 3, 14).max(2))


def test_losses_are_their_formulas():
    z, t = RNG.standard_normal((4, 3)), RNG.uniform(0, 1, (4, 3))
    p, labels = 1 / (1 + np.exp(-z)), np.array([0, 2, 1, 1])
    surprise = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    chosen = -np.log(np.exp(z) / np.exp(z).sum(1, keepdims=True))[range(4), labels]
    logits, targets = tc.tensor(z), tc.tensor(t)
    for reduction, reduce in (("mean", np.mean), ("sum", np.sum), ("none", np.asarray)):
        for found, expected in [
            (F.mse_loss(logits, targets, reduction), (z - t) ** 2),
            (F.binary_cross_entropy(tc.tensor(p), targets, reduction), surprise),
            (F.binary_cross_entropy_with_logits(logits, targets, reduction), surprise),
            (F.cross_entropy(logits, tc.tensor(labels), reduction), chosen),
        ]:
            np.testing.assert_allclose(found.array, reduce(expected), rtol=1e-11)


def test_reductions_are_numpys():
    x = tc.tensor(IMAGE)
    for dim in (None, 1, (0, -1)):
        for found, expected in [
            (tc.sum(x, dim), IMAGE.sum(dim)),
            (tc.mean(x, dim), IMAGE.mean(dim)),
            (tc.var(x, dim), IMAGE.var(dim, ddof=1)),
            (tc.std(x, dim, 0), IMAGE.std(dim)),
            (tc.amax(x, dim, True), IMAGE.max(dim, keepdims=True)),
        ]:
            np.testing.assert_allclose(found.array, expected, rtol=1e-12, atol=1e-15)
    values, indices = tc.max(x, 2)
    np.testing.assert_array_equal(values.array, IMAGE.max(2))
    np.testing.assert_array_equal(indices.array, IMAGE.argmax(2))
    np.testing.assert_allclose(tc.prod(x, 3).array, IMAGE.prod(3), rtol=1e-12)
    assert tc.argmin(x).item() == IMAGE.argmin()


def test_a_logarithm_of_no_probability_counts_as_minus_100():
    certain = tc.tensor([0.0, 1.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = F.binary_cross_entropy(certain, tc.tensor([1.0, 0.0]), "none")
    np.testing.assert_array_equal(loss.array, [100, 100])
