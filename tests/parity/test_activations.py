"""Activations and softmax, against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from .harness import agree, both_backends, cases, normal, numbers, seeds, tied, using

pytestmark = [pytest.mark.parity, both_backends]
shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
scales = st.sampled_from([1, 5, 100])
# PyTorch's derivatives y·(1 − y) and 1 − y² are noise of this size where y rounds to 1; tinycnn's
# are not, and `gradcheck` says so
SATURATED = 1e-14


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
@cases(40)
@given(shapes, numbers, scales, seeds)
def test_activation(backend, name, shape, draw, scale, seed):
    x = scale * draw(seed, *shape)
    with using(backend):
        agree(lambda lib, x: getattr(lib, name)(x), x, seed=seed, noise=SATURATED)


@cases(40)
@given(shapes, numbers, st.sampled_from([0.01, 0.2, 1.0, 0.0]), seeds)
def test_leaky_relu(backend, shape, draw, slope, seed):
    with using(backend):
        agree(lambda lib, x: lib.leaky_relu(x, slope), draw(seed, *shape), seed=seed)
        agree(lambda lib, x: lib.leaky_relu(x, negative_slope=slope), draw(seed, *shape), order=0)


@cases(40)
@given(shapes, st.sampled_from([1.0, 0.5, 2.0]), scales, seeds)
def test_elu(backend, shape, alpha, scale, seed):
    with using(backend):
        agree(lambda lib, x: lib.elu(x, alpha), scale * normal(seed, *shape), seed=seed)
        # at 0 there is no second derivative, and the libraries differ in what they put there
        agree(lambda lib, x: lib.elu(x, alpha), tied(seed, *shape), seed=seed, order=1)


@cases(40)
@given(shapes, numbers, st.sampled_from([1.0, 0.5, 3.0]), scales, seeds)
def test_softplus(backend, shape, draw, beta, scale, seed):
    # PyTorch is linear above its threshold, by default 20, where it is wrong by 1e-10; above 30
    # the difference is less than tolerated, and its formula not yet infinite
    def softplus(lib, x):
        threshold = () if lib.top.__name__ == "tinycnn" else (100,)
        return lib.softplus(x, beta, *threshold)

    with using(backend):
        agree(softplus, scale * draw(seed, *shape), seed=seed, noise=SATURATED)


@cases(40)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.data(), seeds)
def test_maxout_is_the_maximum_of_a_reshaped_axis(backend, groups, pieces, rest, data, seed):
    dim = data.draw(st.sampled_from([0, 1, 2, -1, -3]))
    shape = [2, rest, 3]
    shape[dim] = groups * pieces

    def maxout(lib, x):
        if lib.top.__name__ == "tinycnn":
            return lib.maxout(x, pieces, dim)
        return x.unflatten(dim, (groups, pieces)).amax(dim % 3 + 1)

    with using(backend):
        agree(maxout, normal(seed, *shape), seed=seed)
        agree(maxout, tied(seed, *shape), seed=seed)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@cases(60)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data(), numbers, scales, seeds)
def test_softmax_along_every_axis(backend, name, shape, data, draw, scale, seed):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = scale * draw(seed, *shape)
    with using(backend):
        agree(lambda lib, x: getattr(lib, name)(x, dim), x, seed=seed, noise=1e-13)
        agree(lambda lib, x: getattr(x, name)(dim=dim), x, order=0)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "elu", "softplus", "leaky_relu"])
def test_nan_and_infinity_pass_through(backend, name):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e300])
    with using(backend):
        agree(lambda lib, x: getattr(lib, name)(x), x, order=0)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "elu", "softplus", "softmax"])
def test_a_tensor_that_is_not_contiguous(backend, name):
    dim = [1] if name == "softmax" else []
    with using(backend):
        agree(
            lambda lib, x: getattr(lib, name)(x.transpose(0, 2)[:, ::2], *dim), normal(1, 3, 4, 5)
        )
