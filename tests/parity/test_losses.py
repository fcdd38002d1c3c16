"""Losses with every reduction, against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from .harness import agree, both_backends, cases, normal, seeds, using

pytestmark = [pytest.mark.parity, both_backends]
shapes = array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def probabilities(seed, *shape):
    return np.random.default_rng(seed).uniform(0.02, 0.98, shape)


@reductions
@cases(30)
@given(shapes, seeds)
def test_mse_loss(backend, reduction, shape, seed):
    x, t = normal(seed, *shape), normal(seed + 1, *shape)
    with using(backend):
        agree(lambda lib, x, t: lib.mse_loss(x, t, reduction=reduction), x, t, seed=seed)


@reductions
@cases(30)
@given(shapes, st.booleans(), seeds)
def test_binary_cross_entropy(backend, reduction, shape, hard, seed):
    p, t = probabilities(seed, *shape), probabilities(seed + 1, *shape)
    t = t.round() if hard else t
    with using(backend):
        agree(
            lambda lib, p, t: lib.binary_cross_entropy(p, t, reduction=reduction), p, t, seed=seed
        )


def test_binary_cross_entropy_of_certainty_is_bounded(backend):
    p, t = np.array([0.0, 1.0, 0.0, 1.0, 1e-300]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])

    def loss(lib, p):
        return lib.binary_cross_entropy(p, lib.leaf(t).detach(), reduction="none")

    with using(backend):
        # PyTorch's smallest denominator is 1e-12 in float32, whatever the tensors are
        agree(loss, p, order=1, tolerance=1e-8)


@reductions
@cases(30)
@given(shapes, st.sampled_from([1, 10]), st.booleans(), seeds)
def test_binary_cross_entropy_with_logits(backend, reduction, shape, scale, hard, seed):
    z, t = scale * normal(seed, *shape), probabilities(seed + 1, *shape)
    t = t.round() if hard else t

    def loss(lib, z, t):
        return lib.binary_cross_entropy_with_logits(z, t, reduction=reduction)

    with using(backend):
        agree(loss, z, t, seed=seed, noise=1e-14)


@reductions
@cases(40)
@given(
    st.integers(1, 5), st.integers(1, 5), st.lists(st.integers(1, 3), max_size=2), st.data(), seeds
)
def test_cross_entropy(backend, reduction, n, c, rest, data, seed):
    scale = data.draw(st.sampled_from([1, 20]))
    target = np.random.default_rng(seed).integers(0, c, (n, *rest))

    def loss(lib, x, t):
        return lib.cross_entropy(x, t, reduction=reduction)

    x = scale * normal(seed, n, c, *rest)
    with using(backend):
        agree(loss, x, target, seed=seed, noise=1e-14)
        agree(lambda lib, x, t: lib.cross_entropy(x, t), x, target, order=0, noise=1e-14)


@pytest.mark.parametrize("name", ["MSELoss", "BCELoss", "BCEWithLogitsLoss"])
@pytest.mark.parametrize("reduction", [{}, {"reduction": "sum"}, {"reduction": "none"}])
def test_losses_as_modules(backend, name, reduction):
    p, t = probabilities(1, 3, 4), probabilities(2, 3, 4)
    with using(backend):
        agree(lambda lib, p, t: getattr(lib.nn, name)(**reduction)(p, t), p, t)


def test_cross_entropy_as_a_module(backend):
    x, t = normal(1, 6, 3), np.array([0, 1, 2, 2, 1, 0])
    with using(backend):
        agree(lambda lib, x, t: lib.nn.CrossEntropyLoss()(x, t), x, t)
        agree(lambda lib, x, t: lib.nn.CrossEntropyLoss(reduction="sum")(x, t), x, t)
