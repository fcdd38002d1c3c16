"""Generated calls of every CUDA kernel, and the check of a result: against the definition, taken
in float64. The tests on the host, on the emulated device and on a real card share them."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinycnn.kernels import cuda, reference
from tinycnn.kernels.types import Geometry

from ..kernels import test_backends as shared
from ..kernels.test_backends import TOLERANCE, arrays_of, assert_close, in_float64, max_pool2d
from ..kernels.test_block import EPS, POOLING, STAGES, Block, one_by_one

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
    lr, *settings = draw(st.tuples(*[st.sampled_from([0.0, 0.1, 0.9])] * 4))
    nesterov = draw(st.booleans())
    rate = np.asarray(lr) if draw(st.booleans()) else lr  # in the device's memory
    return p, g, velocity if draw(st.booleans()) else None, rate, *settings, nesterov


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


def cotangent_of(b):
    """A block with one that has the result's shape."""
    shape = (
        len(b.x),
        len(b.weight),
        *reference.output_size(b.x.shape, b.weight.shape[2:], *b.geometry[:3]),
    )
    shape = *shape[:2], *(n // 2 if b.pool else n for n in shape[2:])
    return b._replace(g=np.random.default_rng(len(b.x)).normal(size=shape).astype(b.x.dtype))


def staged(norm, relu, pool, x, weight, bias, vectors, geometry):
    """A block of these stages whose windows have equal elements, and no rounding decides which one
    is the largest: products are exact."""
    x, weight = (np.round(4 * a) / a.dtype.type(4) for a in (x, weight))
    gamma, beta = vectors if norm else (None, None)
    return cotangent_of(Block(x, weight, bias, gamma, beta, geometry, bool(relu), bool(pool), None))


@st.composite
def conv_block(draw, dtype):
    x, weight, bias, _, geometry = draw(shared.convolutions(dtype))
    assume(cuda.can_fuse(x.shape, weight.shape, geometry))
    vectors = np.random.default_rng(len(x)).normal(size=(2, len(weight))).astype(dtype)
    vectors[0, 0] *= draw(st.integers(0, 1))  # a channel whose elements become equal
    return staged(*draw(st.sampled_from(STAGES)), x, weight, bias, vectors, geometry)


@st.composite
def many_conv_block(draw, dtype):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, weight = rng.normal(size=(2, 1, 95, 98)), rng.normal(size=(2, 1, 1, 3))
    vectors, geometry = rng.normal(size=(2, 2)), Geometry((1, 1), (0, 0, 1, 1), (1, 1), 1)
    arrays = (a.astype(dtype) for a in (x, weight, weight[:, 0, 0, 0], vectors))
    b = staged(*draw(st.sampled_from(STAGES)), *arrays, geometry)
    return b._replace(g=b.g / dtype(64))  # so that the sums are of order one


@st.composite
def conv_block_inference(draw, dtype):
    b = draw(conv_block(dtype))
    rng = np.random.default_rng(len(b.x))
    vectors = rng.normal(size=(3, len(b.weight))).astype(dtype)
    return *b[:3], *vectors, *b[5:8]


def block_and_gradients(*b):
    """By the fused kernels: the result, the variance and each gradient, of those that there are."""
    b = Block(*b)
    out, variance, _, kept = cuda.conv_block(*b[:5], EPS, *b[5:8])
    given = b.weight, b.gamma is not None, b.geometry, b.relu, kept, True
    return tuple(
        a for a in (out, variance, *cuda.conv_block_grad(b.g, b.x, *given)) if a is not None
    )


def block_and_gradients_defined(*b):
    """The same by the operations one by one."""
    b = Block(*b)
    out, variance, (d_x, d_weight, d_bias, *others) = one_by_one(reference, b)
    if b.gamma is not None:
        d_bias = np.zeros(len(b.weight))  # exactly: the mean takes every constant away
    return tuple(a for a in (out, variance, d_x, d_weight, d_bias, *others) if a is not None)


def inference_defined(x, weight, bias, mean, scale, shift, geometry, relu, pool):
    y = reference.conv2d(x, weight, bias, geometry)
    y = reference.batch_norm(y, mean, scale, np.ones_like(scale), shift)
    y = reference.relu(y) if relu else y
    return reference.max_pool2d(y, *POOLING)[0] if pool else y


# What runs and what defines its results, where the reference has no such kernel.
BLOCKS = {
    "conv_block": (block_and_gradients, block_and_gradients_defined),
    "conv_block_inference": (cuda.conv_block_inference, inference_defined),
}

# The strategies of the CPU's kernels that the GPU's have too, and those for what only these have.
CASES = {s.__name__: s for s in shared.ARGUMENTS if s.__name__ in cuda.__all__} | {
    strategy.__name__: strategy
    for strategy in (
        max_pool2d_gather,
        sgd_step,
        many_moments,
        many_batch_norm_grad,
        many_conv2d_weight_grad,
        conv2d_3x3,
        conv2d_input_grad_3x3,
        conv_block,
        many_conv_block,
        conv_block_inference,
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
        run, define = BLOCKS.get(kernel) or (getattr(m, kernel) for m in (cuda, reference))
        ours, definition = run(*sent), define(*wide)
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
    for stages in STAGES:
        assert_right_blocks_at_the_edges(stages, there, back)


def assert_right_blocks_at_the_edges(stages, there, back):
    """NaN and infinity in each array of a block, and images with lines that are in no window."""
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(3, 2, 2, 2)), np.ones(3)
    for padding in ((0, 0, 0, 0), (1, 0, 1, 0)):
        geometry = Geometry((1, 1), padding, (1, 1), 1)
        b = staged(*stages, x, weight, bias, rng.normal(size=(2, 3)), geometry)
        assert_right("conv_block", b, there, back)
        for name, array in b._asdict().items():
            for bad in (np.nan, np.inf, -np.inf) if isinstance(array, np.ndarray) else ():
                changed = array.copy()
                changed.flat[array.size // 2] = bad
                assert_right("conv_block", b._replace(**{name: changed}), there, back)


def assert_right_mask(there=lambda a: a, back=lambda a: a):
    """The mask of dropout is the one that NumPy's generator gives."""
    like = there(np.zeros(1, np.float32))
    for key in (0, 5, 2**64 - 1, 2**100 + 7):
        for shape, p in (((1,), 0.5), ((7,), 0.1), ((8,), 0.5), ((3, 5, 7), 0.9), ((3000,), 0.3)):
            kept = back(cuda.dropout_mask(key, shape, p, like))
            random = np.random.Generator(np.random.Philox(key=key)).random(shape, np.float32)
            assert kept.dtype == bool
            np.testing.assert_array_equal(kept, random >= p)


def assert_right_product(there=lambda a: a, back=lambda a: a):
    """Of matrices as they lie or transposed, with one slice of the inner axis and with several."""
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for n, k, m in ((0, 3, 2), (2, 0, 3), (1, 1, 1), (17, 16, 15), (32, 300, 33), (3, 1000, 1)):
            x, y = rng.normal(size=(n, k)).astype(dtype), rng.normal(size=(k, m)).astype(dtype)
            xs, ys = ((there(a), there(a.T.copy()).T) for a in (x, y))
            for ours in (cuda.matmul(left, right) for left in xs for right in ys):
                assert ours.flags.c_contiguous
                assert ours.dtype == dtype
                wide = x.astype(np.float64) @ y.astype(np.float64)
                assert_close(back(ours), wide, TOLERANCE[dtype])
