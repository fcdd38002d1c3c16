"""Matrix products of every pair of ranks, and linear maps, against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from .harness import agree, cases, normal, seeds

pytestmark = pytest.mark.parity
side = st.integers(1, 4)


@pytest.mark.parametrize("left", [1, 2, 3, 4])
@pytest.mark.parametrize("right", [1, 2, 3, 4])
@cases(15)
@given(st.data(), side, side, side, seeds)
def test_matmul_of_every_rank(left, right, data, n, k, m, seed):
    lead = mutually_broadcastable_shapes(num_shapes=2, min_dims=2, max_dims=2, max_side=3)
    ahead, behind = data.draw(lead).input_shapes
    x = (k,) if left == 1 else (*ahead[4 - left :], n, k)
    y = (k,) if right == 1 else (*behind[4 - right :], k, m)
    # the leading axes were cut to the rank, from the left, so that they still broadcast
    x, y = normal(seed, *x), normal(seed + 1, *y)
    agree(lambda lib, x, y: lib.matmul(x, y), x, y, seed=seed)
    agree(lambda lib, x, y: x @ y, x, y, order=0)


def test_a_matrix_with_itself():
    agree(lambda lib, x: x @ x, normal(1, 3, 3))
    agree(lambda lib, x: x @ x.T, normal(1, 2, 3))


@pytest.mark.parametrize("sizes", [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((0,), (0,))])
def test_empty_matrices(sizes):
    agree(lambda lib, x, y: x @ y, *map(np.zeros, sizes))


@pytest.mark.parametrize("with_bias", [True, False])
@cases(40)
@given(st.lists(side, max_size=3), side, side, seeds)
def test_linear(with_bias, lead, n, m, seed):
    x, weight, bias = normal(seed, *lead, n), normal(seed + 1, m, n), normal(seed + 2, m)
    given_bias = [bias] if with_bias else []
    agree(lambda lib, x, w, *b: lib.linear(x, w, *b), x, weight, *given_bias, seed=seed)
