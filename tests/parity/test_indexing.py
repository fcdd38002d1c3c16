"""Basic indexing, masks, and arrays of indexes with repeats, against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .harness import agree, cases, normal, ours, seeds, theirs

pytestmark = pytest.mark.parity
SHAPE = (4, 3, 5)


@st.composite
def basic(draw):
    """Integers, slices with positive steps, None and an ellipsis."""
    index = []
    for length in SHAPE[: draw(st.integers(0, 3))]:
        bound = st.none() | st.integers(-length - 1, length + 1)
        cut = st.builds(slice, bound, bound, st.none() | st.integers(1, 3))
        index.append(draw(st.integers(-length, length - 1) | cut))
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), None)
    if draw(st.booleans()):
        index.append(Ellipsis)
    return tuple(index)


@cases(150)
@given(basic(), seeds)
def test_basic_indexes(index, seed):
    agree(lambda lib, x: x[index], normal(seed, *SHAPE), seed=seed)


@st.composite
def advanced(draw):
    """Arrays of indexes, broadcast against each other, among slices."""
    sizes = draw(st.sampled_from([(1,), (6,), (2, 3)]))
    chance = np.random.default_rng(draw(seeds))
    index = []
    for length in SHAPE:
        kind = draw(st.sampled_from(["array", "column", "slice"]))
        if kind == "slice":
            index.append(slice(0, length, draw(st.integers(1, 2))))
        elif kind == "column":
            index.append(chance.integers(-length, length, (*sizes[:-1], 1)))
        else:
            index.append(chance.integers(-length, length, sizes))
    return index


@cases(100)
@given(advanced(), seeds)
def test_arrays_of_indexes_with_repeats(index, seed):
    arrays = [part for part in index if isinstance(part, np.ndarray)]

    def take(lib, x, *tensors):
        left = iter(tensors)
        return x[tuple(next(left) if isinstance(part, np.ndarray) else part for part in index)]

    agree(take, normal(seed, *SHAPE), *arrays, seed=seed)


def test_a_number_beside_an_array_of_indexes_takes_its_axis_away():
    x, i = normal(1, *SHAPE), np.array([2, 0, 2])
    agree(lambda lib, x, i: x[0, i], x, i)
    agree(lambda lib, x, i: x[i, 1], x, i)
    agree(lambda lib, x, i: x[:, 1, i], x, i)
    # NumPy puts the array's axis first here, PyTorch where the array stood
    agree(lambda lib, x, i: x[0, :, i], x, i)
    agree(lambda lib, x, i: x[i, :, 1], x, i)


def test_one_array_as_the_whole_index():
    agree(lambda lib, x, i: x[i], normal(1, 4, 3), np.array([3, 0, 0, -1, 2]))
    agree(lambda lib, x, i: x[i], normal(1, 4, 3), np.array([[3, 0], [0, 1]]))
    agree(lambda lib, x: x[[2, 0, 2]], normal(1, 4, 3))
    agree(lambda lib, x, i: [x[i], x[:, i]], normal(1, 4, 3), np.array(2))


@cases(40)
@given(st.integers(1, 3), st.floats(0, 1), seeds)
def test_masks(axes, share, seed):
    mask = np.random.default_rng(seed).random(SHAPE[:axes]) < share
    agree(lambda lib, x, m: x[m], normal(seed, *SHAPE), mask, seed=seed)


def test_masks_behind_slices_and_beside_numbers():
    x, mask = normal(1, *SHAPE), np.array([True, False, True, True, False])
    agree(lambda lib, x, m: x[..., m], x, mask)
    agree(lambda lib, x, m: x[:, 1, m], x, mask)
    agree(lambda lib, x, m: x[1:3, :, m], x, mask)
    agree(lambda lib, x: x[x > 0], x)


def test_pieces_of_a_tensor_that_overlap():
    agree(lambda lib, x: x[1:] * x[:-1], normal(1, 6))
    agree(lambda lib, x: x[0] * x[0] + x[0:1], normal(1, 4, 3))


def test_iteration_and_length():
    agree(lambda lib, x: [row * (i + 1) for i, row in enumerate(x)], normal(1, 3, 2))
    assert len(ours.leaf(normal(1, 3, 2))) == len(theirs.leaf(normal(1, 3, 2)))


@cases(60)
@given(basic(), seeds)
def test_assignment_to_an_index(index, seed):
    def assign(lib, x, values):
        x, values = x.detach(), values.detach()
        x[index] = 2.5
        x[0, :, 1:3] = 1
        x[values > 1] = -1
        x[1:3] = values[:2]
        return x

    agree(assign, normal(seed, *SHAPE), normal(seed + 1, *SHAPE))
