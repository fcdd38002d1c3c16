"""Generated calls of every CUDA kernel, and the check of a result: against the definition, taken
in float64. The tests on the host, on the emulated device and on a real card share them."""

import numpy as np
from hypothesis import strategies as st

from tinycnn.kernels import cuda, reference
from tinycnn.kernels.types import Geometry

from ..kernels import test_backends as shared
from ..kernels.test_backends import TOLERANCE, arrays_of, assert_close, in_float64, max_pool2d

DTYPES = (np.float32, np.float64)
INPUTS_CHANGE = ("sgd_step",)


@st.composite
def max_pool2d_gather(draw, dtype):
    x, *geometry = draw(max_pool2d(dtype))
    _, index = reference.max_pool2d(x, *geometry)
    return x[::-1], index, *geometry


@st.composite
def sgd_step(draw, dtype):
    shape = draw(st.sampled_from([(), (1,), (3, 5), (255,), (256,), (257,)]))
    p, g, velocity = np.random.default_rng(draw(st.integers(0, 2**32))).normal(size=(3, *shape))
    p, g, velocity = (np.asarray(a, dtype) for a in (p, g, velocity))
    settings = draw(st.tuples(*[st.sampled_from([0.0, 0.1, 0.9])] * 4))
    nesterov = draw(st.booleans())
    return p, g, velocity if draw(st.booleans()) else None, *settings, nesterov


@st.composite
def sum_in_slices(draw, dtype):
    """Few channels and many positions, so that there are several slices."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.normal(size=(2, draw(st.integers(1, 3)), 47, 49)).astype(dtype), rng


@st.composite
def many_moments(draw, dtype):
    return (draw(sum_in_slices(dtype))[0] + dtype(100),)


@st.composite
def many_batch_norm_grad(draw, dtype):
    x, rng = draw(sum_in_slices(dtype))
    return x[::-1] / dtype(64), x, *rng.normal(size=(3, x.shape[1])).astype(dtype)


@st.composite
def many_conv2d_weight_grad(draw, dtype):
    x, rng = draw(sum_in_slices(dtype))
    g = rng.normal(size=(2, 2, 47, 49)) / 64  # so that the sums are of order one
    return g.astype(dtype), x, (2, x.shape[1], 3, 3), Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1)


@st.composite
def conv2d_3x3(draw, dtype):
    """What the kernel for few channels takes: tiles in both directions, parts of channels."""
    n, c, o = draw(st.tuples(st.integers(1, 2), st.integers(1, 3), st.sampled_from([1, 8, 9])))
    h, w = draw(st.tuples(*[st.sampled_from([3, 15, 16, 17, 33])] * 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, weight = rng.normal(size=(n, c, h, w)), rng.normal(size=(o, c, 3, 3))
    bias = rng.normal(size=o).astype(dtype) if draw(st.booleans()) else None
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    return x.astype(dtype), weight.astype(dtype), bias, Geometry((1, 1), padding, (1, 1), 1)


@st.composite
def conv2d_input_grad_3x3(draw, dtype):
    x, weight, _, geometry = draw(conv2d_3x3(dtype))
    size = reference.output_size(x.shape, (3, 3), *geometry[:3])
    shape = len(x), len(weight), *size
    return np.resize(x[..., ::-1], shape), weight, x.shape, geometry


# The strategies of the CPU's kernels, and those for what only the GPU's have.
CASES = {strategy.__name__: strategy for strategy in shared.ARGUMENTS} | {
    strategy.__name__: strategy
    for strategy in (
        max_pool2d_gather,
        sgd_step,
        many_moments,
        many_batch_norm_grad,
        many_conv2d_weight_grad,
        conv2d_3x3,
        conv2d_input_grad_3x3,
    )
}


def kernel_of(case):
    """The function that a strategy makes arguments for."""
    return case.removeprefix("many_").removesuffix("_3x3")


def assert_right(kernel, arguments, there=lambda a: a, back=lambda a: a):
    """The kernel's results for these NumPy arguments; `there` and `back` lead to the device."""
    sent = [there(a.copy()) if isinstance(a, np.ndarray) else a for a in arguments]
    wide = [a.copy() if isinstance(a, np.ndarray) else a for a in in_float64(arguments)]
    dtype, tolerance = arguments[0].dtype, TOLERANCE[arguments[0].dtype.type]
    with np.errstate(all="ignore"):
        ours, definition = getattr(cuda, kernel)(*sent), getattr(reference, kernel)(*wide)
    if kernel in INPUTS_CHANGE:
        ours = tuple(a for a in (sent[0], sent[2]) if a is not None)
        definition = tuple(a for a in (wide[0], wide[2]) if a is not None)
    for y, expected in zip(arrays_of(ours), arrays_of(definition), strict=True):
        assert y.flags.c_contiguous
        y = back(y)
        assert y.dtype == (dtype if expected.dtype.kind == "f" else expected.dtype)
        assert_close(y, expected, tolerance)
    for before, after in zip(arguments, sent, strict=True):
        if isinstance(before, np.ndarray) and kernel not in INPUTS_CHANGE:
            np.testing.assert_array_equal(back(after), before)


def assert_right_at_the_edges(there=lambda a: a, back=lambda a: a):
    """NaN and infinity where the definition says; and the sizes that strategies seldom draw."""
    rng = np.random.default_rng(0)
    for bad in (np.nan, np.inf):
        for geometry in (
            Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1),
            Geometry((1, 1), (3, 1, 2, 1), (2, 1), 1),
        ):
            x, w, b = rng.normal(size=(2, 2, 7, 7)), rng.normal(size=(3, 2, 3, 3)), np.ones(3)
            g = reference.conv2d(x, w, b, geometry)
            x[0, 1, 0, 6] = w[1, 0, 2, 0] = g[1, 2, 0, 0] = bad
            assert_right("conv2d", (x, w, b, geometry), there, back)
            assert_right("conv2d_input_grad", (g, w, x.shape, geometry), there, back)
            assert_right("conv2d_weight_grad", (g, x, w.shape, geometry), there, back)
    x, large = rng.normal(size=(1, 2, 20, 20)), ((17, 16), (1, 1), (8, 8, 8, 8), (1, 1))
    y, index = reference.max_pool2d(x, *large)
    assert index.dtype == np.int32
    assert_right("max_pool2d", (x, *large), there, back)
    assert_right("max_pool2d_scatter", (y, index, x.shape, *large), there, back)
    assert_right("max_pool2d_gather", (x, index, *large), there, back)
    assert_right("max_pool2d_gather", (x, index.astype(np.int64), *large), there, back)
    x, everywhere = np.full((1, 1, 3, 3), -np.inf), ((2, 2), (1, 1), (1, 1, 1, 1), (1, 1))
    assert_right("max_pool2d", (x, *everywhere), there, back)
    y, index = reference.max_pool2d(x, *everywhere)
    assert_right("max_pool2d_gather", (np.ones_like(x), index, *everywhere), there, back)
    none, w = np.zeros((0, 3, 8, 8)), np.ones((2, 3, 3, 3))
    same = Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1)
    assert_right("conv2d", (none, w, None, same), there, back)
    assert_right("conv2d_input_grad", (none[:, :2], w, none.shape, same), there, back)
    assert_right("conv2d_weight_grad", (none[:, :2], none, w.shape, same), there, back)
    assert_right("relu", (none,), there, back)
    assert_right("relu", (np.array(-1.0),), there, back)


def assert_right_mask(there=lambda a: a, back=lambda a: a):
    """The mask of dropout is the one that NumPy's generator gives."""
    like = there(np.zeros(1, np.float32))
    for key in (0, 5, 2**64 - 1, 2**100 + 7):
        for shape, p in (((1,), 0.5), ((7,), 0.1), ((8,), 0.5), ((3, 5, 7), 0.9), ((3000,), 0.3)):
            kept = back(cuda.dropout_mask(key, shape, p, like))
            random = np.random.Generator(np.random.Philox(key=key)).random(shape, np.float32)
            assert kept.dtype == bool
            np.testing.assert_array_equal(kept, random >= p)
