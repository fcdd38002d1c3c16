"""3×3 convolutions by tiles, against the definition in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn.kernels import cpu, reference
from tinycnn.kernels.cpu import convolution
from tinycnn.kernels.cpu.convolution import packed
from tinycnn.kernels.cpu.rows import plan
from tinycnn.kernels.cpu.winograd import PLACES
from tinycnn.kernels.types import Geometry

SAME = Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1)


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def made_of_tiles(x, weight, geometry=SAME):
    way = plan(x.shape[1:], weight.shape[2:], geometry)
    return len(packed(weight, way)) == PLACES


@given(
    st.integers(1, 3),
    st.integers(8, 13),
    st.integers(8, 13),
    st.tuples(st.integers(7, 35), st.integers(12, 35)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_tiles_and_their_input_gradient_give_what_the_definition_gives(
    images, channels, outputs, size, padding, dtype
):
    geometry = Geometry((1, 1), padding, (1, 1), 1)
    x, weight = numbers(0, images, channels, *size), numbers(1, outputs, channels, 3, 3)
    bias, eps = numbers(2, outputs), 200 * np.finfo(dtype).eps
    y = cpu.conv2d(*(v.astype(dtype) for v in (x, weight, bias)), geometry)
    np.testing.assert_allclose(y, reference.conv2d(x, weight, bias, geometry), atol=eps, rtol=eps)
    g = numbers(3, *y.shape)
    dx = cpu.conv2d_input_grad(g.astype(dtype), weight.astype(dtype), x.shape, geometry)
    expected = reference.conv2d_input_grad(g, weight, x.shape, geometry)
    np.testing.assert_allclose(dx, expected, atol=eps, rtol=eps)


@pytest.mark.parametrize("size", [30, 45, 60])
def test_it_rounds_less_than_sums_one_by_one(size, monkeypatch):
    x, weight = numbers(0, 1, 16, size, size), numbers(1, 16, 16, 3, 3)
    single = [v.astype(np.float32) for v in (x, weight)]
    exact = reference.conv2d(*(v.astype(np.float64) for v in single), None, SAME)
    assert made_of_tiles(*single)
    error = np.linalg.norm(cpu.conv2d(*single, None, SAME) - exact)
    monkeypatch.setattr(convolution, "FEW", 17)
    assert error < np.linalg.norm(cpu.conv2d(*single, None, SAME) - exact)


@pytest.mark.parametrize("channels", [(1, 8), (8, 4)])
def test_few_channels_are_not_worth_it(channels):
    assert not made_of_tiles(np.ones((1, channels[0], 30, 30)), np.ones((*channels[::-1], 3, 3)))


@pytest.mark.parametrize("where", ["x", "weight"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_what_is_not_finite_or_huge_goes_no_further_than_the_definition_says(where, bad):
    given = {
        "x": numbers(0, 2, 8, 15, 15).astype(np.float32),
        "weight": numbers(1, 8, 8, 3, 3).astype(np.float32),
    }
    given[where][1, 2, 1, 1] = bad
    found = cpu.conv2d(*given.values(), None, SAME)
    with np.errstate(invalid="ignore"):
        expected = reference.conv2d(*given.values(), None, SAME)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("huge", [1e12, 1e25])
def test_a_huge_cotangent_meets_the_plain_sum(huge):
    g = np.ones((1, 8, 15, 15), np.float32)
    weight = numbers(1, 8, 8, 3, 3).astype(np.float32)
    g[0, 3, 4, 5] = huge
    found = cpu.conv2d_input_grad(g, weight, (1, 8, 15, 15), SAME)
    expected = reference.conv2d_input_grad(g, weight, (1, 8, 15, 15), SAME)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
