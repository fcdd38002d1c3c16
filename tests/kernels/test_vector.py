"""Vectors in compiled kernels do what the plain functions say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.caching import NullCache

from tinycnn.kernels.cpu import vector
from tinycnn.kernels.cpu.jit import jit
from tinycnn.kernels.cpu.vector import REGISTER_BYTES, broadcast, lanes, load, store

DTYPES = (np.float32, np.float64)
NAMES = (
    *("add", "subtract", "multiply_add", "if_larger", "if_at_most", "if_equal"),
    *("evens", "odds", "mixed_first", "mixed_last", "zeros"),
)


def all_of_them(array, at, out):
    """Every function of vectors, of those at four positions of an array."""
    n = lanes(array)
    a, b = load(array, at), load(array, at + n)
    c, d = load(array, at + 2 * n), load(array, at + 3 * n)
    store(out, 0, vector.add(a, b))
    store(out, n, vector.subtract(a, b))
    store(out, 2 * n, vector.multiply_add(a, b, c))
    store(out, 3 * n, vector.if_larger(a, b, c, d))
    store(out, 4 * n, vector.if_at_most(a, b, c, d))
    store(out, 5 * n, vector.if_equal(a, b, c, d))
    store(out, 6 * n, vector.evens(a, b))
    store(out, 7 * n, vector.odds(a, b))
    store(out, 8 * n, vector.mixed_first(a, b))
    store(out, 9 * n, vector.mixed_last(a, b))
    store(out, 10 * n, vector.zeros(array))


def anew(function):
    """Compiled, and not as it was once kept on disk: that knows nothing of a change elsewhere."""
    kernel = jit(function)
    kernel._cache = NullCache()
    return kernel


compiled = anew(all_of_them)


def results(function, numbers, at=0):
    out = np.zeros((len(NAMES), lanes(numbers)), numbers.dtype)
    function(numbers, at, out)
    return dict(zip(NAMES, out, strict=True))


@st.composite
def four_vectors(draw, dtype):
    """And some numbers before them. Among them are equal ones and all that are special."""
    special = [0, -0.0, 1, 1, -2, np.nan, np.inf, -np.inf]
    number = st.sampled_from(special) | st.floats(-4, 4, width=32)
    count = 4 * REGISTER_BYTES // np.dtype(dtype).itemsize
    at = draw(st.integers(0, 5))
    numbers = draw(st.lists(number, min_size=at + count, max_size=at + count))
    return np.array(numbers, dtype), at


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_compiled_they_do_what_they_do_in_plain_python(dtype, data):
    numbers, at = data.draw(four_vectors(dtype))
    before = numbers.copy()
    with np.errstate(invalid="ignore"):
        expected = results(all_of_them, numbers, at)
    found = results(compiled, numbers, at)
    tiny = np.finfo(dtype).eps * 32  # plain Python rounds the product too
    for name in NAMES:
        atol = tiny if name == "multiply_add" else 0
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=atol, err_msg=name)
    np.testing.assert_array_equal(numbers, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_is_not_rounded_before_it_is_added_to(dtype):
    """(1 + ε)² = 1 + 2ε + ε², of which rounding would take the ε²."""
    eps = np.finfo(dtype).eps
    n = REGISTER_BYTES // eps.itemsize
    numbers = np.repeat(np.array([1 + eps, 1 + eps, -(1 + 2 * eps), 0], dtype), n)
    np.testing.assert_array_equal(results(compiled, numbers)["multiply_add"], eps * eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_no_number_and_neither_larger_nor_equal(dtype):
    n = REGISTER_BYTES // np.dtype(dtype).itemsize
    for function in (all_of_them, compiled):
        for x, y in ((np.nan, np.inf), (np.nan, np.nan), (1, np.nan), (np.inf, -np.inf)):
            numbers = np.repeat(np.array([x, y, 1, 0], dtype), n)
            with np.errstate(invalid="ignore"):
                found = results(function, numbers)
            assert (found["if_larger"] == (x > y)).all(), (x, y)
            assert (found["if_equal"] == (x == y)).all(), (x, y)


def spread_one(array, i, out):
    """The element in every lane, at the third and fourth line of `out`."""
    n = lanes(out)
    store(out, 2 * n, broadcast(array, i))
    store(out, 3 * n, broadcast(array, i))


@pytest.mark.parametrize("dtype", DTYPES)
def test_positions_are_flat_whatever_the_shape(dtype):
    n = REGISTER_BYTES // np.dtype(dtype).itemsize
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    for function in (spread_one, anew(spread_one)):
        out = np.zeros((5, n), dtype)
        function(array, 17, out)
        np.testing.assert_array_equal(out, np.repeat([[0], [0], [17], [17], [0]], n, 1))


def first_vector(array, out):
    store(out, 0, load(array, 0))


def test_only_contiguous_arrays_have_flat_positions():
    with pytest.raises(Exception, match="vectors are loaded from contiguous arrays"):
        anew(first_vector)(np.zeros((64, 2), np.float32)[:, 0], np.zeros(64, np.float32))


def copied(source, i, target, j, count):
    vector.copy(source, i, target, j, count)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 15, 40])
def test_a_piece_is_copied_and_nothing_beside_it(dtype, count):
    source, target = np.arange(50, dtype=dtype).reshape(2, 25), np.full((5, 12), -1, dtype)
    expected = target.ravel().copy()
    expected[11 : 11 + count] = np.arange(7, 7 + count)
    for function in (copied, anew(copied)):
        target[...] = -1
        function(source, 7, target, 11, count)
        np.testing.assert_array_equal(target.ravel(), expected)


def summed(array):
    return vector.over_lanes(load(array, 1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("special", [1e30, np.inf, np.nan])
def test_the_sum_over_lanes_is_taken_in_float64(dtype, special):
    numbers = np.random.default_rng(0).normal(size=17).astype(dtype)
    for array in (numbers, np.where(np.arange(17) == 2, dtype(special), numbers)):
        exact = math.fsum(array[1 : 1 + lanes(array)].tolist())
        np.testing.assert_allclose(anew(summed)(array), exact, 1e-14)
        np.testing.assert_allclose(summed(array), exact, 1e-14)
