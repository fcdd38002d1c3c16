"""Pooling over generated sizes, ties included, against PyTorch."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from .harness import agree, both_backends, cases, normal, numbers, seeds, tied, using

pytestmark = [pytest.mark.parity, both_backends]
small = st.integers(1, 3)
images = st.tuples(small, small, st.integers(1, 9), st.integers(1, 9))


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


@st.composite
def windows(draw, dilated):
    """An image's shape, and a window that fits into it."""
    shape, kernel = draw(images), draw(st.integers(1, 4) | st.tuples(small, st.integers(1, 5)))
    options = {"stride": draw(st.none() | small | st.tuples(small, small))}
    dilation = draw(st.just(1) | st.tuples(small, small)) if dilated else 1
    reach = [d * (k - 1) + 1 for d, k in zip(pair(dilation), pair(kernel), strict=True)]
    both = draw(st.tuples(*(st.integers(0, k // 2) for k in pair(kernel))))
    options["padding"] = draw(st.just(min(both)) | st.just(both))
    if dilated:
        options["dilation"] = dilation
    edges = pair(options["padding"])
    assume(all(n + 2 * e >= r for n, e, r in zip(shape[2:], edges, reach, strict=True)))
    return shape, kernel, options


def every_window_meets_the_image(shape, kernel, stride, padding, dilation):
    """Whether no window lies in the padding alone: PyTorch's gradient then writes into memory
    that is not its own, and the process dies.
    """
    sizes = shape[2:], *map(pair, (kernel, stride or kernel, padding, dilation))
    for length, k, s, edge, d in zip(*sizes, strict=True):
        for first in range(-edge, length + edge - d * (k - 1), s):
            if not any(0 <= first + i * d < length for i in range(k)):
                return False
    return True


@cases(150)
@given(windows(dilated=True), numbers, seeds)
def test_max_pool2d_gives_the_first_of_equal_maxima_its_gradient(backend, window, draw, seed):
    shape, kernel, options = window
    assume(every_window_meets_the_image(shape, kernel, **options))
    x = draw(seed, *shape)
    with using(backend):
        agree(lambda lib, x: lib.max_pool2d(x, kernel, **options), x, seed=seed)


@cases(150)
@given(windows(dilated=False), st.booleans(), seeds)
def test_avg_pool2d(backend, window, count_include_pad, seed):
    shape, kernel, options = window
    x, options = normal(seed, *shape), {**options, "count_include_pad": count_include_pad}
    with using(backend):
        agree(lambda lib, x: lib.avg_pool2d(x, kernel, **options), x, seed=seed)


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
@cases(80)
@given(images, st.integers(1, 6) | st.tuples(st.integers(1, 9), st.integers(1, 9)), numbers, seeds)
def test_adaptive_pooling(backend, name, shape, size, draw, seed):
    x = draw(seed, *shape)
    with using(backend):
        agree(lambda lib, x: getattr(lib, name)(x, size), x, seed=seed)


def test_global_pooling_is_the_mean_of_a_channel(backend):
    def pool(lib, x):
        if lib.top.__name__ == "tinycnn":
            return lib.global_avg_pool2d(x)
        return x.mean((2, 3), keepdim=True)

    with using(backend):
        agree(pool, normal(1, 3, 4, 7, 5))


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("size", [60, 30, 15])
def test_the_sizes_of_the_exercise(backend, name, size):
    with using(backend):
        agree(lambda lib, x: getattr(lib, name)(x, 2), normal(1, 2, 8, size, size))
        agree(lambda lib, x: getattr(lib, name)(x, 2), tied(1, 2, 8, size, size))
        agree(lambda lib, x: getattr(lib, name)(x, 3, 2, 1), normal(1, 2, 8, size, size))


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_an_image_that_is_not_contiguous(backend, name):
    with using(backend):
        agree(
            lambda lib, x: getattr(lib, name)(x.permute(0, 3, 2, 1)[:, :, 1:], 2),
            normal(1, 2, 6, 5, 3),
        )


def test_zeros_behind_a_relu_are_ties(backend):
    with using(backend):
        agree(lambda lib, x: lib.max_pool2d(lib.relu(x), 2), normal(1, 2, 3, 8, 8) - 1)


def test_nan_wins_and_minus_infinity_loses(backend):
    x = tied(1, 2, 2, 6, 6)
    x[0, 0, ::3, ::2], x[0, 1, ::2] = np.nan, -np.inf
    x[1, 0, ::2, ::3], x[1, 1] = np.inf, -np.inf
    with using(backend):
        agree(lambda lib, x: lib.max_pool2d(x, 2), x)
        agree(lambda lib, x: lib.max_pool2d(x, 3, 2, 1), x, order=0)
        agree(lambda lib, x: lib.avg_pool2d(x, 2), x)
