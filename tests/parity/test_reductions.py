"""Sums, means, extremes and products along axes, against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .harness import agree, cases, normal, numbers, ours, seeds, theirs, tied

pytestmark = pytest.mark.parity


@st.composite
def axes(draw, several=True, none=True):
    """A shape, some of its axes counted from either end, and whether to keep them."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    one = st.integers(-len(shape), len(shape) - 1)
    choices = [one]
    if several:
        many = st.lists(one, min_size=1, unique_by=lambda d: d % len(shape))
        choices += [many.map(tuple), many]
    if none:
        choices.append(st.none())
    return tuple(shape), draw(st.one_of(choices)), draw(st.booleans())


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
@cases(60)
@given(axes(none=False), numbers, seeds)
def test_over_some_axes(name, where, draw, seed):
    shape, dim, keepdim = where
    x = draw(seed, *shape)
    agree(lambda lib, x: getattr(lib, name)(x, dim, keepdim), x, seed=seed)
    agree(lambda lib, x: getattr(x, name)(dim=dim, keepdim=keepdim), x, order=0)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "max", "min", "prod"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 1, 3, 2)])
def test_over_all_axes(name, shape):
    agree(lambda lib, x: getattr(lib, name)(x), normal(1, *shape))
    agree(lambda lib, x: getattr(x, name)(), tied(2, *shape), noise=1e-14)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 3, 2)])
def test_variances_over_all_axes(shape):
    agree(lambda lib, x: [lib.var(x), lib.std(x), x.var()], normal(1, *shape))


@pytest.mark.parametrize("name", ["var", "std"])
@cases(60)
@given(axes(), st.sampled_from([0, 1]), seeds)
def test_variances(name, where, correction, seed):
    shape, dim, keepdim = where
    shape = tuple(n + 2 for n in shape)
    x = normal(seed, *shape)
    options = {"dim": dim, "correction": correction, "keepdim": keepdim}
    agree(lambda lib, x: getattr(lib, name)(x, **options), x, seed=seed)


@pytest.mark.parametrize("name", ["max", "min"])
@cases(40)
@given(axes(several=False, none=False), numbers, seeds)
def test_extremes_with_their_places(name, where, draw, seed):
    shape, dim, keepdim = where

    def extremes(lib, x):
        found = getattr(lib, name)(x, dim, keepdim)
        return found.values, found.indices

    agree(extremes, draw(seed, *shape), seed=seed)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@cases(40)
@given(axes(several=False), numbers, seeds)
def test_places_of_extremes(name, where, draw, seed):
    shape, dim, keepdim = where
    agree(lambda lib, x: getattr(lib, name)(x, dim, keepdim), draw(seed, *shape))


@cases(60)
@given(axes(several=False, none=False), numbers, seeds)
def test_products_also_of_zeros(where, draw, seed):
    shape, dim, keepdim = where
    agree(lambda lib, x: lib.prod(x, dim, keepdim), draw(seed, *shape), seed=seed, noise=1e-14)


@cases(60)
@given(axes(none=False), st.sampled_from([1, 30, 1000]), seeds)
def test_logsumexp(where, scale, seed):
    shape, dim, keepdim = where
    x = scale * normal(seed, *shape)
    agree(lambda lib, x: lib.logsumexp(x, dim, keepdim), x, seed=seed, noise=1e-14)


def test_logsumexp_of_infinities():
    x = np.array([[-np.inf, 0.0], [-np.inf, -np.inf], [np.inf, 1.0]])
    with np.errstate(divide="ignore"):
        agree(lambda lib, x: lib.logsumexp(x, 1), x, order=0)


@pytest.mark.parametrize("name", ["all", "any"])
@cases(20)
@given(axes(several=False), seeds)
def test_logic_over_axes(name, where, seed):
    shape, dim, keepdim = where
    x = tied(seed, *shape)
    agree(lambda lib, x: getattr(lib, name)(x > 0, dim, keepdim), x)
    if not keepdim:
        agree(lambda lib, x: getattr(lib, name)(x != 0), x)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_a_sum_of_nothing_is_zero(shape):
    agree(lambda lib, x: lib.sum(x), np.zeros(shape))
    agree(lambda lib, x: lib.sum(x, 0), np.zeros(shape))


@pytest.mark.parametrize("name", ["sum", "max", "min"])
def test_integers_and_booleans_reduce_to_the_same_dtype(name):
    x = np.arange(6).reshape(2, 3)
    agree(lambda lib, x: getattr(lib, name)(x), x)
    agree(lambda lib, x: lib.sum(x > 2, 1), x)
    agree(lambda lib, x: getattr(lib, name)(x), x.astype(np.int32) if name != "sum" else x)


@cases(40)
@given(axes(several=False, none=False), st.integers(1, 5), seeds)
def test_gather_also_repeatedly(where, count, seed):
    shape, dim, _ = where
    chance = np.random.default_rng(seed)
    sizes = list(shape)
    sizes[dim] = count
    index = chance.integers(0, shape[dim], sizes)
    agree(lambda lib, x, i: lib.gather(x, dim, i), normal(seed, *shape), index, seed=seed)


def test_backward_adds_to_grad_as_pytorch_does():
    found = []
    for lib in (ours, theirs):
        x = lib.leaf(normal(1, 3, 4))
        y = (x * x).sum(0)
        y.backward(lib.leaf(normal(2, 4)).detach(), retain_graph=True)
        y.backward(lib.leaf(normal(3, 4)).detach())
        found.append(lib.array(x.grad))
    assert np.allclose(*found, rtol=1e-12, atol=0)
