"""Borders of every mode, against PyTorch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .harness import agree, both_backends, cases, normal, seeds, using

pytestmark = [pytest.mark.parity, both_backends]
edge = st.integers(0, 4)


@cases(60)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.data(), seeds)
def test_constant(backend, shape, data, seed):
    pad = data.draw(st.tuples(edge, edge) | st.tuples(edge, edge, edge, edge))
    value = data.draw(st.sampled_from([0.0, 1.5, -2.0]))
    x = normal(seed, *shape)
    with using(backend):
        agree(lambda lib, x: lib.pad(x, pad, "constant", value), x, seed=seed)
        agree(lambda lib, x: lib.pad(x, pad), x, order=0)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@cases(60)
@given(st.data(), seeds)
def test_other_modes(backend, mode, data, seed):
    axes = data.draw(st.sampled_from([1, 2]))  # how many are padded
    shape = data.draw(st.lists(st.integers(1, 6), min_size=2 + axes, max_size=2 + axes))
    pad = []
    for length in shape[: -axes - 1 : -1]:
        most = {"reflect": length - 1, "circular": length, "replicate": 4}[mode]
        pad += [data.draw(st.integers(0, most)), data.draw(st.integers(0, most))]
    with using(backend):
        agree(lambda lib, x: lib.pad(x, pad, mode=mode), normal(seed, *shape), seed=seed)


def test_a_padded_image_convolved(backend):
    def convolve(lib, x, weight):
        return lib.conv2d(lib.pad(x, (1, 1, 1, 1), "reflect"), weight)

    with using(backend):
        agree(convolve, normal(1, 2, 2, 5, 6), normal(2, 3, 2, 3, 3))
