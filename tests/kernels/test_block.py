"""Convolution, batch norm, ReLU and pooling in one kernel, against the same one by one."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn import kernels
from tinycnn.kernels import cpu, memory, reference
from tinycnn.kernels.cpu.block_forward import MEAN
from tinycnn.kernels.types import Geometry
from tinycnn.ops.block import fused

DTYPES = (np.float32, np.float64)
# norm-wise, of all terms that a result is the sum of
TOLERANCE = {np.float32: 4e-7, np.float64: 1e-15}
POOLING = (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)
EPS = 1e-5
NAMES = "out", "variance", "d_x", "d_weight", "d_bias", "d_gamma", "d_beta"
STAGES = [(norm, relu, pool) for norm in (0, 1) for relu in (0, 1) for pool in (0, 1)]
stages = pytest.mark.parametrize(("norm", "relu", "pool"), STAGES)
pytestmark = pytest.mark.filterwarnings("error")


class Block(NamedTuple):
    """The arguments of `conv_block`, and a cotangent."""

    x: Any
    weight: Any
    bias: Any
    gamma: Any
    beta: Any
    geometry: Geometry
    relu: bool
    pool: bool
    g: Any

    def astype(self, dtype):
        return Block(*(v.astype(dtype) if isinstance(v, np.ndarray) else v for v in self))


def plain(*padding):
    return Geometry((1, 1), padding or (1, 1, 1, 1), (1, 1), 1)


def on_a_grid(rng, *shape):
    """Numbers whose sums of products are exact even in float32, with many equal ones among them:
    so that no rounding decides which one of a window is the largest."""
    return rng.integers(-8, 9, shape) / 4


def block(shape, outputs, kernel, geometry, norm=True, relu=True, pool=True, bias=True, seed=0):
    """Of float64."""
    rng = np.random.default_rng(seed)
    x, weight = on_a_grid(rng, *shape), on_a_grid(rng, outputs, shape[1], *kernel)
    vectors = on_a_grid(rng, outputs), *rng.normal(size=(2, outputs))
    height, width = reference.output_size(shape, kernel, *geometry[:3])
    size = (height // 2, width // 2) if pool else (height, width)
    b, gamma, beta = vectors[0] if bias else None, *(vectors[1:] if norm else (None, None))
    g = rng.normal(size=(len(x), outputs, *size))
    return Block(x, weight, b, gamma, beta, geometry, bool(relu), bool(pool), g)


@st.composite
def blocks(draw):
    """Of the kinds that `can_fuse` takes."""
    axes = []
    for _ in range(2):
        kernel, dilation = draw(st.integers(1, 5)), draw(st.sampled_from([1, 1, 1, 2, 3]))
        reach = dilation * (kernel - 1)
        padding = draw(st.integers(0, reach)), draw(st.integers(0, reach))
        least = max(1, reach + 2 - sum(padding))
        # lines of windows that fill vectors, and others
        size = draw(st.one_of(st.integers(least, least + 25), st.sampled_from([16, 32, 34, 40])))
        axes.append((kernel, dilation, padding, max(size, least)))
    kernels_, dilations, paddings, sizes = zip(*axes, strict=True)
    geometry = Geometry((1, 1), (*paddings[0], *paddings[1]), dilations, 1)
    shape = draw(st.integers(1, 11)), draw(st.integers(1, 9)), *sizes
    flags = [draw(st.booleans()) for _ in range(4)]
    seed = draw(st.integers(0, 2**32))
    return block(shape, draw(st.integers(1, 9)), kernels_, geometry, *flags, seed=seed)


# ---- one by one ----------------------------------------------------------------------------


def one_by_one(backend, b):
    """The result, the convolution's variance, and the gradients, by a backend's operations."""
    y = z = backend.conv2d(b.x, b.weight, b.bias, b.geometry)
    variance = None
    if b.gamma is not None:
        mean, variance = backend.moments(y)
        inv_std = (1 / np.sqrt(variance + EPS)).astype(y.dtype)
        z = backend.batch_norm(y, mean, inv_std, b.gamma, b.beta)
    r = backend.relu(z) if b.relu else z
    out, index = backend.max_pool2d(r, *POOLING) if b.pool else (r, None)
    g = backend.max_pool2d_scatter(b.g, index, r.shape, *POOLING) if b.pool else b.g
    g = backend.relu_grad(g, z) if b.relu else g
    d_gamma = d_beta = None
    if b.gamma is not None:
        g, d_gamma, d_beta = backend.batch_norm_grad(g, y, mean, inv_std, b.gamma)
    d_x = backend.conv2d_input_grad(g, b.weight, b.x.shape, b.geometry)
    d_weight = backend.conv2d_weight_grad(g, b.x, b.weight.shape, b.geometry)
    return out, variance, (d_x, d_weight, g.sum((0, 2, 3)), d_gamma, d_beta)


def together(b):
    """The same, by the kernel."""
    eps, settings_ = EPS, (b.geometry, b.relu, b.pool)
    out, variance, _, kept = cpu.conv_block(b.x, b.weight, b.bias, b.gamma, b.beta, eps, *settings_)
    given = b.weight, b.gamma is not None, b.geometry, b.relu, kept, True
    found = cpu.conv_block_grad(b.g, b.x, *given)
    return out, variance if b.gamma is not None else None, found


def of_terms(b, variance):
    """How large the terms are which the result, the variance and each gradient is the sum of."""
    scale, size = 1.0, b.x[0].size * len(b.weight)
    if b.gamma is not None:
        scale = np.abs(b.gamma / np.sqrt(variance + EPS)).max()
    norm = np.linalg.norm
    y = norm(b.weight) * norm(b.x) + (0 if b.bias is None else norm(b.bias))
    g = norm(b.g)
    to_y = scale * g
    out = scale * y + (0 if b.beta is None else norm(b.beta) * np.sqrt(b.g.size))
    x_hat = g * np.sqrt(len(b.x) * size) * (1 + y / np.sqrt(b.g.size))
    return out, y**2, (to_y * norm(b.weight), to_y * norm(b.x), to_y * np.sqrt(size), x_hat, x_hat)


def assert_right(b):
    before = [v.copy() if isinstance(v, np.ndarray) else v for v in b]
    ours, exact = together(b), one_by_one(reference, b.astype(np.float64))
    bounds = of_terms(b.astype(np.float64), exact[1])
    for name, y, definition, terms in zip(
        NAMES, *((*each[:2], *each[2]) for each in (ours, exact, bounds)), strict=True
    ):
        if definition is None or (name == "d_bias" and b.bias is None):
            continue
        assert y.shape == definition.shape, name
        assert y.dtype == b.x.dtype, name
        assert y.flags.c_contiguous, name
        error = np.linalg.norm(y - definition)
        assert error <= TOLERANCE[b.x.dtype.type] * terms, (name, error, terms)
    arrays = [y for y in (ours[0], ours[1], *ours[2]) if y is not None]
    for a, copy in zip(b, before, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, copy)
            assert not any(np.shares_memory(a, y) for y in arrays)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(b=blocks())
def test_a_block_computes_what_its_operations_do(dtype, b):
    assert_right(b.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "kernel", "geometry"),
    [
        ((2, 1, 2, 300), (3, 3), plain()),  # nearly one line
        ((2, 3, 300, 2), (1, 5), plain(0, 0, 2, 2)),
        ((1, 2, 1, 33), (2, 2), plain(1, 1, 1, 1)),  # one line, in padding
        ((3, 2, 1, 1), (3, 3), plain(2, 2, 2, 2)),
        ((2, 3, 5, 4), (5, 4), plain(4, 4, 3, 3)),  # a kernel as large as the image
        ((1, 2, 6, 9), (5, 5), plain(0, 0, 0, 0)),
        ((1, 1, 2, 2), (1, 1), plain(0, 0, 0, 0)),
        ((9, 1, 60, 60), (3, 3), plain()),
        ((2, 32, 7, 9), (3, 3), plain()),  # several stretches of kernel elements
        ((1, 33, 5, 6), (3, 3), plain()),
        ((2, 9, 65, 130), (3, 3), plain()),  # several stretches of a sum
        ((2, 1, 40, 33), (5, 3), Geometry((1, 1), (3, 0, 4, 1), (2, 3), 1)),
    ],
    ids=str,
)
def test_images_of_extreme_shapes_are_no_special_case(shape, kernel, geometry, dtype):
    for norm, relu, pool in STAGES:
        assert cpu.can_fuse(shape, (5, shape[1], *kernel), geometry)
        assert_right(block(shape, 5, kernel, geometry, norm, relu, pool).astype(dtype))


# ---- what a kernel must not do -------------------------------------------------------------


def bits(b):
    out, variance, found = together(b)
    return [None if y is None else y.tobytes() for y in (out, variance, *found)]


@stages
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("left_behind", [np.nan, np.inf, 1e30])
def test_what_memory_held_before_does_not_matter(norm, relu, pool, dtype, left_behind, monkeypatch):
    empty = memory.empty

    def used(shape, dtype):
        array = empty(shape, dtype)
        array.fill(left_behind)
        return array

    monkeypatch.setattr(memory, "empty", used)
    for size in ((2, 2), (7, 7), (8, 16), (5, 17), (15, 30), (9, 34), (60, 60)):
        assert_right(block((3, 2, *size), 5, (3, 3), plain(), norm, relu, pool).astype(dtype))
    for size in ((8, 8), (7, 15), (24, 17)):  # by tiles
        assert_right(block((3, 8, *size), 9, (3, 3), plain(), norm, relu, pool).astype(dtype))


@stages
def test_results_stay_as_they_are_when_the_kernel_is_called_again(norm, relu, pool):
    first, second = (
        block((9, 3, 60, 60), 8, (3, 3), plain(), norm, relu, pool, seed=seed).astype(np.float32)
        for seed in (0, 1)
    )
    expected = bits(first)
    forward = [
        cpu.conv_block(b.x, b.weight, b.bias, b.gamma, b.beta, EPS, b.geometry, b.relu, b.pool)
        for b in (first, second)
    ]
    backward = [
        cpu.conv_block_grad(b.g, b.x, b.weight, norm, b.geometry, b.relu, kept, True)
        for b, (*_, kept) in zip((first, second), forward, strict=True)
    ]
    found = forward[0][0], forward[0][1] if norm else None, *backward[0]
    assert [None if y is None else y.tobytes() for y in found] == expected


@stages
def test_a_gradient_of_the_image_is_not_made_where_nobody_wants_it(norm, relu, pool):
    b = block((3, 2, 9, 11), 5, (3, 3), plain(), norm, relu, pool)
    *_, kept = cpu.conv_block(
        b.x, b.weight, b.bias, b.gamma, b.beta, EPS, b.geometry, b.relu, b.pool
    )
    given = b.g, b.x, b.weight, norm, b.geometry, b.relu, kept
    without, with_it = (cpu.conv_block_grad(*given, wanted) for wanted in (False, True))
    assert without[0] is None
    for a, c in zip(without[1:], with_it[1:], strict=True):
        np.testing.assert_array_equal(a, c)


@stages
def test_arrays_need_not_be_contiguous(norm, relu, pool):
    b = block((3, 2, 9, 11), 5, (3, 3), plain(), norm, relu, pool).astype(np.float32)

    def strided(a):
        if not isinstance(a, np.ndarray):
            return a
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        view = wide[..., ::-2]
        view[...] = a
        return view.copy().swapaxes(0, -1).copy().swapaxes(0, -1) if a.ndim == 4 else view

    assert bits(Block(*map(strided, b))) == bits(b)


@stages
def test_a_cotangent_of_zeros_gives_gradients_of_zeros(norm, relu, pool):
    b = block((3, 2, 9, 11), 5, (3, 3), plain(), norm, relu, pool).astype(np.float32)
    _, _, found = together(b._replace(g=b.g * 0))
    assert all(not d.any() for d in found if d is not None)


# ---- what must come out --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relu", [False, True])
def test_of_equal_ones_in_a_window_the_first_gets_the_gradient(relu, dtype):
    x = np.random.default_rng(0).integers(-1, 2, (4, 1, 8, 38)).astype(dtype)
    g = np.arange(1, 1 + x.size // 4, dtype=dtype).reshape(4, 1, 4, 19)
    one, geometry = np.ones((1, 1, 1, 1), dtype), plain(0, 0, 0, 0)
    b = Block(x, one, None, None, None, geometry, relu, True, g)
    _, index = reference.max_pool2d(x, *POOLING)
    expected = reference.max_pool2d_scatter(g, index, x.shape, *POOLING)
    expected = np.where(x > 0, expected, 0) if relu else expected
    np.testing.assert_array_equal(together(b)[2][0], expected)


@pytest.mark.parametrize("gamma", [-1.0, 0.0, 1.0])
def test_the_largest_is_picked_behind_the_scale(gamma):
    """Of a channel with a negative scale it is the smallest; with none all are equal."""
    b = block((3, 2, 8, 34), 4, (3, 3), plain())
    for beta in (-1.0, 1.0):
        assert_right(b._replace(gamma=np.full(4, gamma), beta=np.full(4, beta)))


@pytest.mark.parametrize("far", [1000, -30_000])
def test_statistics_keep_their_digits_far_from_zero(far):
    x = np.random.default_rng(0).normal(far, 1, (32, 1, 60, 60)).astype(np.float32)
    one = np.ones((1, 1, 1, 1), np.float32)
    b = Block(x, one, None, one[0, 0, 0], one[0, 0, 0], plain(0, 0, 0, 0), False, False, x)
    wide = x.astype(np.float64)
    out, variance, count, kept = cpu.conv_block(*b[:5], EPS, *b[5:8])
    assert count == x.size
    np.testing.assert_allclose(kept.norm[MEAN], wide.mean(), rtol=1e-7)
    np.testing.assert_allclose(variance, wide.var(), rtol=3e-6)
    # the mean itself is rounded to float32
    atol = np.spacing(np.float32(abs(far))) + 1e-6
    np.testing.assert_allclose(out, (wide - wide.mean()) / wide.std() + 1, rtol=1e-6, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(b=blocks())
def test_inference_computes_what_the_operations_do_with_given_statistics(dtype, b):
    rng = np.random.default_rng(0)
    mean, scale, shift = rng.normal(size=(3, len(b.weight)))
    if b.gamma is None:
        mean, scale, shift = mean * 0, mean * 0 + 1, mean * 0
    z = reference.batch_norm(
        reference.conv2d(*b[:3], b.geometry), mean, scale, scale * 0 + 1, shift
    )
    expected = reference.relu(z) if b.relu else z
    expected = reference.max_pool2d(expected, *POOLING)[0] if b.pool else expected
    arrays = [None if a is None else a.astype(dtype) for a in (*b[:3], mean, scale, shift)]
    out = cpu.conv_block_inference(*arrays, b.geometry, b.relu, b.pool)
    assert (out.dtype, out.shape, out.flags.c_contiguous) == (dtype, expected.shape, True)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(out, expected, rtol=0, atol=8 * np.finfo(dtype).eps * (1 + largest))


@pytest.mark.parametrize("size", [(60, 60), (15, 15)])
def test_float32_loses_no_more_than_by_the_operations_one_by_one(size):
    """On average over numbers that are on no grid."""
    ours, theirs = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        b = block((8, 4, *size), 8, (3, 3), plain(), relu=False, pool=False, seed=seed)
        b = b._replace(x=rng.normal(size=b.x.shape), weight=rng.normal(size=b.weight.shape))
        b = b.astype(np.float32)
        exact = one_by_one(reference, b.astype(np.float64))
        for found, errors in ((together(b), ours), (one_by_one(cpu, b), theirs)):
            pairs = zip((*found[:2], *found[2]), (*exact[:2], *exact[2]), strict=True)
            errors.append([np.linalg.norm(y - z) / np.linalg.norm(z) for y, z in pairs])
    for name, mean, of_operations in zip(NAMES, np.mean(ours, 0), np.mean(theirs, 0), strict=True):
        # the operations take the sums of cotangents in float64
        slack = 3e-7 if name in ("d_gamma", "d_beta") else 0
        assert name == "d_bias" or mean <= 1.5 * of_operations + slack, (name, mean, of_operations)


# ---- NaN and infinity ----------------------------------------------------------------------


def derived(b):
    """Result and gradients by the operation, which leaves to the others what its kernel can't."""
    values = [None if v is None else tc.tensor(v, requires_grad=True) for v in b[:5]]
    out = fused(*values, EPS, b.geometry, b.relu, b.pool, None)
    leaves = [v for v in values if v is not None]
    return [out.array, *(d.array for d in tc.grad(out, leaves, tc.tensor(b.g)))]


@np.errstate(invalid="ignore", over="ignore")  # NumPy warns of ∞·0 in the reference
@stages
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "weight", "bias", "gamma", "beta", "g"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_go_where_the_operations_take_them(where, bad, norm, relu, pool, dtype):
    b = block((3, 2, 6, 9), 5, (3, 3), plain(), norm, relu, pool).astype(dtype)
    if getattr(b, where) is None:
        return
    for place in (0, -1, getattr(b, where).size // 2):
        changed = getattr(b, where).copy()
        changed.reshape(-1)[place] = bad
        b2 = b._replace(**{where: changed})
        ours = derived(b2)
        with kernels.use("reference"):
            exact = derived(b2.astype(np.float64))
        for i, (y, definition) in enumerate(zip(ours, exact, strict=True)):
            finite = np.isfinite(definition)
            np.testing.assert_array_equal(y[~finite], definition[~finite], str((i, place)))
            np.testing.assert_allclose(
                y[finite], definition[finite], 1e-3, 1e-3, err_msg=str((i, place))
            )
