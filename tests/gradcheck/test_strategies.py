"""Generated arrays and cases are what their names promise, and failing ones shrink."""

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from tinycnn import ops
from tinycnn.gradcheck.strategies import (
    LAYOUTS,
    arrays,
    broadcast_pair,
    conv2d,
    matmul,
    pool2d,
    reduction,
)

RULE = settings(deadline=None, derandomize=True, max_examples=50, database=None)
KINDS = ["normal", "tie_free", "kink_free", "ill_scaled", "positive"]
CASES = {
    "conv2d": conv2d(dilation=True, groups=True),
    "pool2d": pool2d(),
    "broadcast_pair": broadcast_pair(),
    "reduction": reduction(),
    "matmul": matmul(batch=True),
}


def floats(case):
    return [x for x in case if isinstance(x, np.ndarray)]


def smallest_gap(x):
    return np.diff(np.sort(x.ravel())).min(initial=np.inf)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@RULE
def test_an_array_has_the_kind_of_values_asked_for(kind, dtype, data):
    x = data.draw(arrays(dtype=dtype, kind=kind))
    assert x.dtype == dtype
    assert x.size >= 1
    assert np.isfinite(x).all()
    if kind in ("tie_free", "kink_free"):
        assert smallest_gap(x) > 0.0599
    if kind == "kink_free":
        assert (abs(x - x.round()) > 0.0299).all()
    if kind == "ill_scaled":
        assert ((abs(x) > 0.99e-12) & (abs(x) < 1.01e12)).all()
    if kind == "positive":
        assert (x >= np.float32(0.001)).all()


def test_ill_scaled_values_reach_far_both_ways_and_have_both_signs():
    x = find(arrays((4, 4), kind="ill_scaled"), lambda x: abs(x).max() > 1e10 * abs(x).min() > 0)
    assert (x > 0).any()
    assert (x < 0).any()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_changes_the_memory_and_no_number(layout, shape):
    # the smallest is made of the same choices both times
    plain = find(arrays(shape, layout="contiguous"), lambda x: True)
    other = find(arrays(shape, layout=layout), lambda x: True)
    np.testing.assert_array_equal(plain, other)
    assert other.flags.writeable == (layout != "read-only")
    if shape == (2, 3):
        assert other.flags.c_contiguous == (layout in ("contiguous", "read-only"))


def test_every_layout_is_drawn():
    for wanted in (
        lambda x: x.flags.f_contiguous and not x.flags.c_contiguous,
        lambda x: min(x.strides, default=0) < 0,
        lambda x: x.ndim and x.strides[-1] == 2 * x.itemsize,
        lambda x: not x.flags.writeable,
        lambda x: x.flags.c_contiguous,
    ):
        find(arrays((2, 3)), wanted)


def test_empty_arrays_come_only_when_asked_for():
    assert find(arrays(min_side=0), lambda x: x.size == 0).shape == (0,)

    @given(arrays())
    @RULE
    def never_empty(x):
        assert x.size

    never_empty()


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@RULE
def test_a_case_is_small_enough_to_check_in_milliseconds(name, data):
    arrays_ = floats(data.draw(CASES[name]))
    assert all(1 <= x.size <= 200 for x in arrays_)


@given(conv2d(dilation=True, groups=True))
@RULE
def test_a_convolution_case_is_one_that_conv2d_takes(case):
    x, weight, bias, stride, padding, dilation, groups = case
    y = ops.conv2d(x, weight, bias, stride, padding, dilation, groups)
    assert min(y.shape) >= 1
    assert bias.shape == (weight.shape[0],)


@given(pool2d())
@RULE
def test_a_pooling_case_is_one_that_max_pool2d_takes_and_has_no_ties(case):
    x, kernel_size, stride, padding = case
    assert min(ops.max_pool2d(x, kernel_size, stride, padding).shape) >= 1
    assert smallest_gap(x) > 0.0599
    assert abs(x).min() > 0.0299


def test_an_awkward_convolution_is_among_the_cases():
    def left_over(x, weight, bias, stride, padding):
        return (x.shape[2] + 2 * padding - weight.shape[2]) % stride

    for awkward in (
        lambda x, weight, bias, stride, padding: weight.shape[2] > x.shape[2],
        lambda x, weight, bias, stride, padding: padding > weight.shape[2],
        lambda x, weight, bias, stride, padding: stride > weight.shape[2],
        lambda x, weight, bias, stride, padding: weight.shape[2] != weight.shape[3],
        lambda x, weight, bias, stride, padding: len({*x.shape[:2], *weight.shape[:1]}) == 2,
        left_over,
    ):
        find(conv2d(), lambda case, awkward=awkward: awkward(*case))


@pytest.mark.parametrize("off", ["bias", "stride", "padding", "dilation", "groups"])
def test_what_is_switched_off_is_left_out_of_a_convolution(off):
    flags = dict.fromkeys(("bias", "stride", "padding", "dilation", "groups"), True) | {off: False}
    case = find(conv2d(**flags), lambda case: True)
    assert len(case) == 6
    assert len(floats(case)) == 2 + flags["bias"]
    assert [type(value) for value in case[len(floats(case)) :]] == [int] * (4 - (off != "bias"))


def test_pooling_without_a_stride_has_windows_side_by_side():
    x, window = find(pool2d(stride=False, padding=False), lambda case: case[1] == 3)
    assert x.shape == (1, 1, 3, 3)
    assert window == 3


@given(broadcast_pair())
@RULE
def test_a_broadcast_pair_broadcasts_and_has_no_ties(pair):
    x, y = pair
    assert (x + y).ndim <= 3
    assert smallest_gap(np.concatenate([x.ravel(), y.ravel()])) > 0.0599
    assert abs(y).min() > 0.0299


def test_broadcast_pairs_stretch_either_side():
    find(broadcast_pair(), lambda pair: pair[0].size < (pair[0] + pair[1]).size)
    find(broadcast_pair(), lambda pair: pair[1].ndim < pair[0].ndim)
    find(broadcast_pair(), lambda pair: pair[0].size < (pair[0] + pair[1]).size > pair[1].size)


@given(reduction())
@RULE
def test_a_reduction_case_is_one_that_numpy_takes(case):
    x, axis, keepdims = case
    assert np.max(x, axis, keepdims=keepdims).ndim == x.ndim or not keepdims


def test_reductions_go_along_one_axis_several_and_all():
    for kind in (int, tuple, type(None)):
        find(reduction(), lambda case, kind=kind: isinstance(case[1], kind))
    find(reduction(), lambda case: isinstance(case[1], tuple) and len(case[1]) == 3)


@given(matmul(batch=True))
@RULE
def test_stacks_of_matrices_broadcast(case):
    x, y = case
    assert (x @ y).shape[-2:] == (x.shape[-2], y.shape[-1])


@pytest.mark.parametrize(
    "strategy", [conv2d, pool2d, broadcast_pair, reduction, matmul], ids=lambda s: s.__name__
)
def test_the_arrays_of_a_case_have_the_dtype_asked_for(strategy):
    case = find(strategy(dtype=np.float32), lambda case: True)
    assert {x.dtype for x in floats(case)} == {np.dtype(np.float32)}


def test_a_failing_case_shrinks_to_the_smallest_shape_that_still_fails():
    x, weight, bias, stride, padding = find(
        conv2d(),
        lambda case: case[1].shape[3] > 1 and case[4] > 0 and case[0].shape[1] > 1,
    )
    assert x.shape == (1, 2, 1, 1)
    assert weight.shape == (1, 2, 1, 2)
    assert bias.shape == (1,)
    assert (stride, padding) == (1, 1)
    assert x.flags.c_contiguous
