"""Rearranging, joining and cutting, against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .harness import agree, cases, normal, seeds

pytestmark = pytest.mark.parity
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def shape_and_axes(draw, count):
    """A shape and some of its axes, counted from either end."""
    shape = draw(shapes)
    axis = st.integers(-len(shape), len(shape) - 1)
    return shape, *(draw(axis) for _ in range(count))


@st.composite
def shape_and_order(draw):
    shape = draw(shapes)
    order = draw(st.permutations(range(len(shape))))
    return shape, tuple(d - len(shape) if draw(st.booleans()) else d for d in order)


@cases(30)
@given(shapes, st.data(), seeds)
def test_reshape_and_view(shape, data, seed):
    lengths = data.draw(st.permutations(shape))
    unknown = data.draw(st.integers(0, len(shape) - 1))
    wanted = [-1 if i == unknown else n for i, n in enumerate(lengths)]
    x = normal(seed, *shape)
    agree(lambda lib, x: lib.reshape(x, tuple(wanted)), x, seed=seed)
    agree(lambda lib, x: x.reshape(*wanted), x)
    agree(lambda lib, x: x.view(wanted), x)
    agree(lambda lib, x: (x * x).reshape(-1), x)


@cases(40)
@given(shape_and_order(), seeds)
def test_permute(where, seed):
    shape, order = where
    x = normal(seed, *shape)
    agree(lambda lib, x: lib.permute(x, order), x, seed=seed)
    agree(lambda lib, x: x.permute(*order) * 2, x)


@cases(30)
@given(shape_and_axes(2), seeds)
def test_transpose(where, seed):
    shape, one, other = where
    agree(lambda lib, x: lib.transpose(x, one, other), normal(seed, *shape), seed=seed)


@cases(30)
@given(shape_and_axes(2), seeds)
def test_flatten(where, seed):
    shape, start, end = where
    if start % len(shape) > end % len(shape):
        start, end = end, start
    x = normal(seed, *shape)
    agree(lambda lib, x: lib.flatten(x, start, end), x, seed=seed)
    agree(lambda lib, x: x.flatten(), x)


@cases(30)
@given(shape_and_axes(1), seeds)
def test_squeeze_and_unsqueeze(where, seed):
    shape, dim = where
    x = normal(seed, *shape)
    agree(lambda lib, x: lib.squeeze(x), x, seed=seed)
    agree(lambda lib, x: lib.squeeze(x, dim), x)
    agree(lambda lib, x: lib.unsqueeze(x, dim), x)
    agree(lambda lib, x: x.unsqueeze(len(shape)), x)


def test_a_single_number_reshapes():
    x = normal(1)
    agree(lambda lib, x: x.reshape(1, 1), x)
    agree(lambda lib, x: x.flatten(), x)
    agree(lambda lib, x: x.squeeze(), x)
    agree(lambda lib, x: x.unsqueeze(-1), x)
    agree(lambda lib, x: x.expand(2, 3), x)


@cases(40)
@given(shapes, st.data(), seeds)
def test_expand_and_broadcast(shape, data, seed):
    shape = tuple(1 if data.draw(st.booleans()) else n for n in shape)
    wide = tuple(data.draw(st.integers(1, 3)) if n == 1 else n for n in shape)
    lead = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    same = [n == m and data.draw(st.booleans()) for n, m in zip(shape, wide, strict=True)]
    kept = tuple(-1 if left else m for left, m in zip(same, wide, strict=True))
    x = normal(seed, *shape)
    agree(lambda lib, x: lib.broadcast_to(x, (*lead, *wide)), x, seed=seed)
    agree(lambda lib, x: x.expand(*lead, *kept), x)
    agree(lambda lib, x: x.expand((*lead, *wide)), x)


@cases(30)
@given(shapes, st.data(), seeds)
def test_flip(shape, data, seed):
    axis = st.integers(-len(shape), len(shape) - 1)
    dims = data.draw(st.lists(axis, min_size=1, unique_by=lambda d: d % len(shape)).map(tuple))
    agree(lambda lib, x: lib.flip(x, dims), normal(seed, *shape), seed=seed)


@cases(40)
@given(shape_and_axes(1), st.lists(st.integers(0, 3), min_size=1, max_size=7), seeds)
def test_cat_of_different_lengths(where, lengths, seed):
    shape, dim = where
    parts = []
    for i, n in enumerate(lengths):
        sizes = list(shape)
        sizes[dim] = n
        parts.append(normal(seed + i, *sizes))
    agree(lambda lib, *parts: lib.cat(parts, dim), *parts, seed=seed)
    agree(lambda lib, *parts: lib.cat(list(parts), dim=dim), *parts, order=0)


@cases(30)
@given(shape_and_axes(1), st.integers(1, 6), seeds)
def test_stack(where, count, seed):
    shape, dim = where
    parts = [normal(seed + i, *shape) for i in range(count)]
    agree(lambda lib, *parts: lib.stack(parts, dim), *parts, seed=seed)
    agree(lambda lib, *parts: lib.stack(parts, len(shape)), *parts, order=0)


def test_the_same_tensor_joined_with_itself():
    agree(lambda lib, x: lib.cat([x, x * x, x], 1), normal(1, 2, 3))


@cases(40)
@given(shape_and_axes(1), st.integers(1, 5), seeds)
def test_split_and_chunk_by_number(where, count, seed):
    shape, dim = where
    x = normal(seed, *shape)
    agree(lambda lib, x: lib.split(x, count, dim), x, seed=seed)
    agree(lambda lib, x: lib.chunk(x, count, dim), x, seed=seed)
    agree(lambda lib, x: [part * part for part in x.chunk(count, dim)], x)


@cases(30)
@given(shapes, st.lists(st.integers(0, 3), min_size=1, max_size=4), seeds)
def test_split_by_lengths(shape, lengths, seed):
    x = normal(seed, *shape, sum(lengths))
    agree(lambda lib, x: lib.split(x, lengths, -1), x, seed=seed)


def test_only_one_piece_is_used():
    agree(lambda lib, x: lib.split(x, [2, 3], 1)[1] * 2, normal(1, 2, 5))


@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_creation(name):
    agree(lambda lib: getattr(lib, name)(2, 3))
    agree(lambda lib, x: getattr(lib, f"{name}_like")(x), normal(1, 2, 3))
    agree(lambda lib: lib.full((2, 3), 0.5))
    agree(lambda lib: lib.eye(3))


@pytest.mark.parametrize("span", [(5,), (2, 7), (1, 9, 3), (5, 0, -2), (0.5,), (1.0, 2.0, 0.25)])
def test_ranges(span):
    agree(lambda lib: lib.arange(*span))
    agree(lambda lib: lib.linspace(-1, 2, len(span) + 3), tolerance=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_conversion_to_another_dtype(dtype):
    x = 3 * normal(1, 2, 3)
    agree(lambda lib, x: x.to(getattr(lib.top, dtype)), x, tolerance=1e-6, order=1)
    agree(lambda lib, x: [x.float(), x.double(), x.long()], x, tolerance=1e-6, order=1)
    assert x.dtype == np.float64
