"""Convolution over generated sizes, against PyTorch."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from .harness import agree, both_backends, cases, normal, seeds, using

pytestmark = [
    pytest.mark.parity,
    both_backends,
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
]

small = st.integers(1, 3)
one_or_two = small | st.tuples(small, small)


def pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


class Case(NamedTuple):
    image: tuple[int, ...]
    weight: tuple[int, ...]
    bias: bool
    options: dict[str, Any]


@st.composite
def convolutions(draw) -> Case:
    """Sizes that fit, with every option of a convolution."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    n, c, o = draw(small), groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    dilation = draw(one_or_two)
    padding = draw(
        st.integers(0, 3)
        | st.tuples(st.integers(0, 3), st.integers(0, 3))
        | st.just("valid")
        | st.just("same")
    )
    stride = 1 if padding == "same" else draw(one_or_two)
    if padding != "same":
        borders = pair(0 if padding == "valid" else padding)
        reach = [d * (k - 1) + 1 for d, k in zip(pair(dilation), kernel, strict=True)]
        assume(height + 2 * borders[0] >= reach[0] and width + 2 * borders[1] >= reach[1])
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Case((n, c, height, width), (o, c // groups, *kernel), draw(st.booleans()), options)


@cases(200)
@given(convolutions(), seeds)
def test_conv2d(backend, case, seed):
    arrays = [normal(seed, *case.image), normal(seed + 1, *case.weight)]
    if case.bias:
        arrays.append(normal(seed + 2, case.weight[0]))

    def convolve(lib, x, weight, bias=None):
        return lib.conv2d(x, weight, bias, **case.options)

    with using(backend):
        agree(convolve, *arrays, seed=seed)


@pytest.mark.parametrize("size", [(2, 1, 60, 60), (2, 8, 30, 30), (3, 16, 15, 15)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_the_sizes_of_the_exercise(backend, size, kernel):
    weight = normal(2, 2 * size[1], size[1], kernel, kernel)
    with using(backend):
        agree(
            lambda lib, x, w, b: lib.conv2d(x, w, b, padding="same"),
            *(normal(1, *size), weight, normal(3, 2 * size[1])),
        )


@pytest.mark.parametrize("channels", [1, 5, 17])
def test_depthwise_and_pointwise(backend, channels):
    x = normal(1, 2, channels, 7, 6)
    with using(backend):
        agree(
            lambda lib, x, w: lib.conv2d(x, w, padding=1, groups=channels),
            *(x, normal(2, channels, 1, 3, 3)),
        )
        agree(lambda lib, x, w: lib.conv2d(x, w), x, normal(2, 4, channels, 1, 1))


def test_positional_arguments_have_pytorchs_order(backend):
    arrays = normal(1, 1, 4, 9, 8), normal(2, 6, 2, 2, 3), normal(3, 6)
    with using(backend):
        agree(lambda lib, x, w, b: lib.conv2d(x, w, b, (2, 1), (0, 1), (1, 2), 2), *arrays)


def test_an_image_and_weight_that_are_not_contiguous(backend):
    with using(backend):
        agree(
            lambda lib, x, w: lib.conv2d(x.permute(0, 3, 1, 2), w.flip((2, 3)), padding=1),
            *(normal(1, 2, 6, 5, 3), normal(2, 4, 3, 3, 3)),
        )
        agree(
            lambda lib, x, w: lib.conv2d(x[:, :, ::2, 1:], w.transpose(2, 3)),
            *(normal(1, 2, 3, 9, 6), normal(2, 4, 3, 2, 3)),
        )


def test_one_image_broadcast_to_a_batch(backend):
    with using(backend):
        agree(
            lambda lib, x, w: lib.conv2d(x.expand(3, 2, 5, 5), w),
            *(normal(1, 1, 2, 5, 5), normal(2, 4, 2, 3, 3)),
        )


def test_an_empty_batch(backend):
    with using(backend):
        agree(
            lambda lib, x, w, b: lib.conv2d(x, w, b),
            *(np.zeros((0, 2, 5, 5)), normal(2, 4, 2, 3, 3), normal(3, 4)),
        )


def test_only_the_weight_or_only_the_image_is_differentiated(backend):
    x, weight = normal(1, 2, 3, 6, 6), normal(2, 4, 3, 3, 3)
    with using(backend):
        agree(lambda lib, w: lib.conv2d(lib.leaf(x).detach(), w, stride=2), weight)
        agree(lambda lib, x: lib.conv2d(x, lib.leaf(weight).detach(), stride=2), x)


def test_three_convolutions_in_a_row(backend):
    def chain(lib, x, *weights):
        for weight in weights:
            x = lib.sigmoid(lib.conv2d(x, weight, padding="same"))
        return x

    weights = [normal(i, 3, c, 3, 3) / 3 for i, c in enumerate((2, 3, 3))]
    with using(backend):
        agree(chain, normal(9, 2, 2, 8, 8), *weights)
