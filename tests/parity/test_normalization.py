"""Batch normalisation with its running statistics, and dropout, against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .harness import agree, both_backends, cases, normal, ours, seeds, theirs, using

pytestmark = [pytest.mark.parity, both_backends]
images = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.integers(2, 6))


def statistics(seed, channels):
    """Running means and variances of some earlier batches."""
    return normal(seed, channels), np.exp(normal(seed + 1, channels))


def batch_norm(training, mean, variance, **options):
    """The operation, which gives the running statistics behind it too."""

    def normalize(lib, x, weight, bias):
        running = [lib.leaf(v).detach() for v in (mean, variance)]
        y = lib.batch_norm(x, *running, weight, bias, training, **options)
        return y, *running

    return normalize


@pytest.mark.parametrize("training", [True, False])
@cases(100)
@given(
    images,
    st.sampled_from([0.1, 0.5, 1.0, 0.01]),
    st.sampled_from([1e-5, 1e-3, 1.0]),
    st.sampled_from([0.0, 100.0]),
    seeds,
)
def test_batch_norm(backend, training, shape, momentum, eps, offset, seed):
    c = shape[1]
    x = normal(seed, *shape) + offset
    function = batch_norm(training, *statistics(seed, c), momentum=momentum, eps=eps)
    # a gradient is what two sums leave of each other; of two values a channel, hardly anything
    noise = 1e-12 * (1 + offset)
    with using(backend):
        agree(function, x, normal(seed + 3, c), normal(seed + 4, c), seed=seed, noise=noise)


def test_positional_arguments_have_pytorchs_order(backend):
    mean, variance = statistics(1, 3)
    arrays = normal(1, 4, 3, 5, 5), normal(2, 3), normal(3, 3)

    def normalize(lib, x, w, b):
        running = [lib.leaf(v).detach() for v in (mean, variance)]
        return lib.batch_norm(x, *running, w, b, True, 0.3, 1e-2), *running

    with using(backend):
        agree(normalize, *arrays, noise=1e-12)


@pytest.mark.parametrize("size", [(8, 8, 60, 60), (8, 16, 30, 30)])
def test_the_sizes_of_the_exercise(backend, size):
    c = size[1]
    arrays = normal(1, *size), normal(2, c), normal(3, c)
    with using(backend):
        agree(batch_norm(True, *statistics(1, c)), *arrays, noise=1e-12)


def test_a_constant_channel(backend):
    x = normal(1, 4, 2, 3, 3)
    x[:, 0] = 7
    with using(backend):
        agree(batch_norm(True, *statistics(1, 2)), x, normal(2, 2), normal(3, 2), noise=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_an_image_that_is_not_contiguous(backend, training):
    mean, variance = statistics(1, 3)
    inner = batch_norm(training, mean, variance)
    with using(backend):
        agree(
            lambda lib, x, w, b: inner(lib, x.permute(0, 3, 1, 2)[:, :, 1:], w, b),
            *(normal(1, 2, 5, 4, 3), normal(2, 3), normal(3, 3)),
            noise=1e-12,
        )


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
def test_dropout_scales_what_it_keeps_by_as_much(backend, p):
    x, g = normal(1, 50, 60), normal(2, 50, 60)
    with using(backend):
        for lib in (ours, theirs):
            leaf = lib.leaf(x)
            y = lib.dropout(leaf, p)
            (gradient,) = lib.grad([y], [leaf], [lib.leaf(g).detach()])
            kept = lib.array(y) != 0
            # the same mask forwards and backwards, and of the expected density, 5 sigma wide
            assert np.allclose(lib.array(y), kept * x / (1 - p), rtol=1e-15, atol=0)
            assert np.allclose(lib.array(gradient), kept * g / (1 - p), rtol=1e-15, atol=0)
            assert abs(kept.mean() - (1 - p)) <= 5 * np.sqrt(p * (1 - p) / kept.size)


def test_dropout_of_everything_and_of_nothing(backend):
    with using(backend):
        agree(lambda lib, x: lib.dropout(x, 1.0, training=True), normal(1, 3, 4))
        agree(lambda lib, x: lib.dropout(x, 0.7, training=False), normal(1, 3, 4))
        agree(lambda lib, x: lib.dropout(x, 0.7, False), normal(1, 3, 4))
