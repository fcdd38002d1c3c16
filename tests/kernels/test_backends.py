"""Every fast kernel against the definition, taken in float64."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn as tc
import tinycnn.kernels.cpu.jit as compiler
from tinycnn.kernels import cpu, reference
from tinycnn.kernels.types import Geometry

DTYPES = (np.float32, np.float64)
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
POOLING_WITHOUT_PADDING = (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)
SAME = Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1)  # of a 3x3 convolution


@st.composite
def images(draw, dtype, least=1, most=20):
    """(N, C, H, W) of a size that the fast path shares out in blocks, and a generator."""
    shape = draw(st.tuples(*[st.integers(1, 6)] * 2, *[st.integers(least, most)] * 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.normal(size=shape).astype(dtype), rng


@st.composite
def windows(draw, x):
    """Kernel, stride, padding and dilation that leave at least one output position."""
    kernel, dilation = draw(pairs(1, 4)), draw(st.sampled_from([(1, 1)] * 3 + [(2, 1), (2, 3)]))
    stride = draw(st.sampled_from([(1, 1)] * 3 + [(2, 2), (1, 3)]))
    top, left = draw(pairs(0, 3))
    missing = [
        max(0, d * (k - 1) + 1 - size - before)
        for k, d, size, before in zip(kernel, dilation, x.shape[2:], (top, left), strict=True)
    ]
    padding = top, missing[0] + draw(st.integers(0, 2)), left, missing[1] + draw(st.integers(0, 2))
    return kernel, stride, padding, dilation


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw, dtype):
    x, rng = draw(images(dtype))
    kernel, stride, padding, dilation = draw(windows(x))
    groups = draw(st.sampled_from([1, 1, 1, x.shape[1]]))
    o = groups * draw(st.integers(1, 9 if groups == 1 else 2))
    weight = rng.normal(size=(o, x.shape[1] // groups, *kernel)).astype(dtype)
    bias = rng.normal(size=o).astype(dtype) if draw(st.booleans()) else None
    size = reference.output_size(x.shape, kernel, stride, padding, dilation)
    g = rng.normal(size=(len(x), o, *size)).astype(dtype)
    return x, weight, bias, g, Geometry(stride, padding, dilation, groups)


@st.composite
def conv2d(draw, dtype):
    x, weight, bias, _, geometry = draw(convolutions(dtype))
    return x, weight, bias, geometry


@st.composite
def conv2d_input_grad(draw, dtype):
    x, weight, _, g, geometry = draw(convolutions(dtype))
    return g, weight, x.shape, geometry


@st.composite
def conv2d_weight_grad(draw, dtype):
    x, weight, _, g, geometry = draw(convolutions(dtype))
    return g, x, weight.shape, geometry


@st.composite
def max_pool2d(draw, dtype):
    x, rng = draw(images(dtype))
    x = np.round(x).astype(dtype)  # so that there are ties
    x[rng.random(x.shape) < draw(st.sampled_from([0, 0, 0.1]))] = np.nan
    return x, *draw(windows(x))


@st.composite
def max_pool2d_scatter(draw, dtype):
    x, *geometry = draw(max_pool2d(dtype))
    y, index = reference.max_pool2d(x, *geometry)
    g = np.random.default_rng(draw(st.integers(0, 2**32))).normal(size=y.shape).astype(dtype)
    return g, index, x.shape, *geometry


@st.composite
def sum_pool2d(draw, dtype):
    x, _ = draw(images(dtype))
    kernel, stride, padding, _ = draw(windows(x))
    return x, kernel, stride, padding


@st.composite
def sum_pool2d_input_grad(draw, dtype):
    x, *geometry = draw(sum_pool2d(dtype))
    return reference.sum_pool2d(x, *geometry)[::-1], x.shape, *geometry


@st.composite
def moments(draw, dtype):
    x, _ = draw(images(dtype))
    return (x + x.dtype.type(draw(st.sampled_from([0, 1, 1000]))),)


@st.composite
def batch_norm(draw, dtype):
    x, rng = draw(images(dtype))
    mean, inv_std, weight, bias = rng.normal(size=(4, x.shape[1])).astype(dtype)
    return x, mean, inv_std, weight, bias


@st.composite
def batch_norm_grad(draw, dtype):
    x, *vectors, _ = draw(batch_norm(dtype))
    return x[::-1, ..., ::-1], x, *vectors


@st.composite
def relu(draw, dtype):
    x, rng = draw(images(dtype))
    x[rng.random(x.shape) < 0.1] = draw(st.sampled_from([0, np.nan, np.inf, -np.inf]))
    return (x.transpose(draw(st.permutations(range(4)))),)


@st.composite
def relu_grad(draw, dtype):
    (x,) = draw(relu(dtype))
    return x[::-1], x


@st.composite
def elu(draw, dtype):
    (x,) = draw(relu(dtype))
    return x * 3, draw(st.sampled_from([1, 0, -0.5, 2]))


@st.composite
def elu_grad(draw, dtype):
    (x,) = draw(relu(dtype))
    return np.cos(np.nan_to_num(x[::-1])), x * 3, draw(st.sampled_from([1, 0, -0.5, 2]))


@st.composite
def add_relu(draw, dtype):
    (x,) = draw(relu(dtype))
    return x, x[::-1]


ARGUMENTS = (
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
    max_pool2d,
    max_pool2d_scatter,
    sum_pool2d,
    sum_pool2d_input_grad,
    moments,
    batch_norm,
    batch_norm_grad,
    relu,
    relu_grad,
    add_relu,
    elu,
    elu_grad,
)


def arrays_of(result):
    return result if isinstance(result, tuple) else (result,)


def call(module, name, arguments):
    return arrays_of(getattr(module, name)(*arguments))


def in_float64(arguments):
    return [a.astype(np.float64) if is_float(a) else a for a in arguments]


def is_float(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def assert_close(ours, definition, tolerance):
    """Norm-wise, and NaN and infinity in the same places. The arguments are of order one, and so
    are the terms of a sum, even where they cancel each other."""
    assert ours.shape == definition.shape
    finite = np.isfinite(definition)
    np.testing.assert_array_equal(ours[~finite], definition[~finite])
    error = np.linalg.norm(ours[finite] - definition[finite])
    assert error <= tolerance * (np.linalg.norm(definition[finite]) + np.sqrt(definition.size))


def assert_right(name, arguments):
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    ours = call(cpu, name, arguments)
    definition = call(reference, name, in_float64(arguments))
    dtype = arguments[0].dtype
    for y, expected in zip(ours, definition, strict=True):
        assert y.dtype == (dtype if expected.dtype.kind == "f" else expected.dtype)
        assert y.flags.c_contiguous
        assert_close(y, expected, TOLERANCE[dtype.type])
    for a, b in zip(arguments, before, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert not any(np.shares_memory(a, y) for y in ours)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strategy", ARGUMENTS, ids=lambda s: s.__name__)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_kernel_computes_what_the_reference_defines(strategy, dtype, data):
    assert_right(strategy.__name__, data.draw(strategy(dtype)))


def network_calls(dtype=np.float32, n=9):
    """One call of every kernel, of a size that is cut into tiles and shared among threads."""
    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=(n, c, 60, 45)).astype(dtype) for c in (3, 7))
    w = rng.normal(size=(7, 3, 3, 3)).astype(dtype)
    vectors = rng.normal(size=(4, 3)).astype(dtype)
    y, index = reference.max_pool2d(x, *POOLING_WITHOUT_PADDING)
    return {
        "conv2d": (x, w, g[0, :, 0, 0], SAME),
        "conv2d_input_grad": (g, w, x.shape, SAME),
        "conv2d_weight_grad": (g, x, w.shape, SAME),
        "max_pool2d": (x, *POOLING_WITHOUT_PADDING),
        "max_pool2d_scatter": (y, index, x.shape, *POOLING_WITHOUT_PADDING),
        "sum_pool2d": (x, *POOLING_WITHOUT_PADDING[:3]),
        "sum_pool2d_input_grad": (y, x.shape, *POOLING_WITHOUT_PADDING[:3]),
        "moments": (x,),
        "batch_norm": (x, *vectors),
        "batch_norm_grad": (x[::-1], x, *vectors[:3]),
        "relu": (x,),
        "relu_grad": (x[::-1], x),
        "add_relu": (x[::-1], x),
        "elu": (x, 1.5),
        "elu_grad": (x[::-1], x, 1.5),
    }


def blocks():
    """What the fused kernels give, forward, backward and in use."""
    x, w, b, _ = network_calls()["conv2d"]
    whole = network_calls()["conv2d_input_grad"][0]
    results = []
    for gamma, pool in ((b, True), (b, False), (None, True), (None, False)):
        g = whole[:, :, ::2, :44:2] if pool else whole
        out, variance, _, kept = cpu.conv_block(x, w, b, gamma, gamma, 1e-5, SAME, True, pool)
        found = cpu.conv_block_grad(g, x, w, gamma is not None, SAME, True, kept, True)
        in_use = cpu.conv_block_inference(x, w, b, b, b, b, SAME, True, pool)
        results += [out, variance, in_use, *(d for d in found if d is not None)]
    return results


CONVOLUTIONS = "conv2d", "conv2d_input_grad", "conv2d_weight_grad"


def assert_right_convolutions(x, outputs, kernel, geometry):
    rng = np.random.default_rng(1)
    w = rng.normal(size=(outputs, x.shape[1] // geometry.groups, *kernel)).astype(x.dtype)
    b = rng.normal(size=outputs).astype(x.dtype)
    g = rng.normal(size=reference.conv2d(x, w, b, geometry).shape).astype(x.dtype)
    given = (x, w, b), (x, w, None), (g, w, x.shape), (g, x, w.shape)
    for name, arguments in zip((CONVOLUTIONS[0], *CONVOLUTIONS), given, strict=True):
        assert_right(name, (*arguments, geometry))


@pytest.mark.parametrize("groups", [2, 3, 6])
@pytest.mark.parametrize("dtype", DTYPES)
def test_large_images_go_group_by_group(groups, dtype):
    x = np.random.default_rng(0).normal(size=(3, 6, 40, 41)).astype(dtype)
    for geometry in (SAME, Geometry((2, 1), (0, 1, 2, 0), (1, 2), 1)):
        assert_right_convolutions(x, 12, (3, 2), geometry._replace(groups=groups))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_great_many_weights_are_a_matter_of_matrix_products(dtype):
    x = np.random.default_rng(0).normal(size=(2, 96, 7, 6)).astype(dtype)
    for geometry in (SAME, Geometry((2, 1), (0, 1, 2, 0), (1, 2), 1)):
        assert_right_convolutions(x, 320, (3, 3), geometry)
    assert cpu.can_fuse(x.shape, (96, 96, 3, 3), SAME)
    assert not cpu.can_fuse(x.shape, (320, 96, 3, 3), SAME)


@pytest.mark.parametrize("strategy", ARGUMENTS, ids=lambda s: s.__name__)
def test_the_number_of_threads_does_not_show_in_the_bits(strategy, monkeypatch):
    arguments = network_calls()[strategy.__name__]
    assert_right(strategy.__name__, arguments)
    results = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setattr("tinycnn.kernels.threads._number", threads)
        results.append([y.tobytes() for y in call(cpu, strategy.__name__, arguments)])
    assert all(result == results[0] for result in results)


def test_the_number_of_threads_does_not_show_in_the_bits_of_a_block(monkeypatch):
    before, results = tc.get_num_threads(), []
    monkeypatch.setattr("tinycnn.kernels.threads.WORTH_SHARING", 1)
    try:
        for threads in (1, 2, 3, 7):
            tc.set_num_threads(threads)
            results.append([y.tobytes() for y in blocks()])
    finally:
        tc.set_num_threads(before)
    assert all(result == results[0] for result in results)


def test_kernels_may_be_called_from_several_threads_at_once(monkeypatch):
    monkeypatch.setattr("tinycnn.kernels.threads._number", 2)
    calls = network_calls()

    def all_kernels(_):
        single = [y for name in calls for y in call(cpu, name, calls[name])]
        return [y.tobytes() for y in (*single, *blocks())]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(all_kernels, range(16)))
    assert all(result == results[0] for result in results)


@np.errstate(invalid="ignore")  # NumPy warns of ∞·0 in the reference
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 2, 3, 4), (1, 0, 6, 6)])
def test_nan_and_infinity_go_where_the_definition_says_and_no_further(bad, place):
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 2, 3, 7, 7))
    w = rng.normal(size=(3, 3, 3, 3))
    x[place] = bad
    assert_right("conv2d", (x, w, None, SAME))
    assert_right("conv2d_weight_grad", (g, x, w.shape, SAME))
    assert_right("conv2d_weight_grad", (x, g, w.shape, SAME))
    assert_right("conv2d_input_grad", (x, w, g.shape, SAME))
    w[0, 1, 2, 0] = bad
    assert_right("conv2d", (g, w, None, SAME))
    assert_right("conv2d_input_grad", (g, w, x.shape, SAME))


def test_batch_statistics_keep_their_digits_far_from_zero():
    x = np.random.default_rng(0).normal(1000, 1, (32, 2, 60, 60)).astype(np.float32)
    mean, variance = cpu.moments(x)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), np.float64), rtol=1e-7)
    np.testing.assert_allclose(variance, x.var((0, 2, 3), np.float64), rtol=1e-6)


def test_a_batch_of_no_images_is_no_special_case():
    x = np.zeros((0, 3, 8, 8), np.float32)
    w = np.ones((2, 3, 3, 3), np.float32)
    assert cpu.conv2d(x, w, None, SAME).shape == (0, 2, 8, 8)
    assert cpu.conv2d_weight_grad(x[:, :2], x, w.shape, SAME).shape == w.shape
    assert cpu.max_pool2d(x, *POOLING_WITHOUT_PADDING)[0].shape == (0, 3, 4, 4)
    assert cpu.relu(x).shape == x.shape


def test_arrays_of_different_precision_are_promoted_as_the_reference_does():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3))
    assert cpu.conv2d(x, w, None, SAME).dtype == np.float64
    assert cpu.relu_grad(x, x.astype(np.float64)).dtype == np.float32


def test_shapes_that_do_not_fit_are_refused_before_memory_beside_the_arrays_is_touched():
    x, w, g = np.ones((1, 2, 8, 8)), np.ones((4, 3, 3, 3)), np.ones((1, 4, 9, 9))
    for name, arguments in (
        ("conv2d", (x, w, None, SAME)),
        ("conv2d_input_grad", (x, w, (1, 3, 8, 8), SAME)),
        ("conv2d_weight_grad", (g, x, (4, 2, 3, 3), SAME)),
    ):
        with pytest.raises(ValueError, match=r"matmul|reshape"):
            call(cpu, name, arguments)


def test_a_kernel_compiles_where_no_cache_can_be_kept():
    room = {}
    exec("def double(x):\n    return 2 * x", room)  # source without a file: no place to cache it
    assert compiler.jit(room["double"])(21) == 42


PLAIN = """
import numpy as np
import tinycnn as tc
from tinycnn import kernels, nn
from tinycnn.kernels import cpu, reference
from tinycnn.kernels.types import Geometry
x = np.round(np.random.default_rng(0).normal(size=(2, 2, 5, 5)), 1)
x[1, 0, 2, 2] = np.nan
w, v, geometry = x[:, :, :3, :3], np.ones(2), Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1)
pooling = (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)
g, index = reference.max_pool2d(x, *pooling)
for name, *arguments in (
    ("conv2d", x, w, v, geometry),
    ("conv2d_input_grad", x, w[:1].repeat(2, 0), x.shape, geometry),
    ("conv2d_weight_grad", x[:1], x[:1], w.shape, geometry),
    ("max_pool2d", x, *pooling),
    ("max_pool2d_scatter", g, index, x.shape, *pooling),
    ("sum_pool2d", x, *pooling[:3]),
    ("sum_pool2d_input_grad", g, x.shape, *pooling[:3]),
    ("moments", x),
    ("batch_norm", x, v, v, v, v),
    ("batch_norm_grad", x[::-1], x, v, v, v),
    ("relu", x),
    ("relu_grad", x[::-1], x),
    ("add_relu", x[::-1], x),
    ("elu", x, 1.5),
    ("elu_grad", x[::-1], x, 1.5),
):
    ours, theirs = (np.array([*map(np.ravel, r if isinstance(r, tuple) else (r,))], object)
                    for r in (getattr(m, name)(*arguments) for m in (cpu, reference)))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.astype(float), b.astype(float), 1e-12, 1e-12, err_msg=name)
def block(*behind):
    tc.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), *behind).double()
    image = tc.tensor(np.nan_to_num(x), requires_grad=True)
    y = model(image)
    y.backward(tc.tensor(np.cos(y.array)))
    with tc.no_grad():
        in_use = model.eval()(image)
    return [v.array for v in (y, in_use, image.grad, *(p.grad for p in model.parameters()))]
norm, relu, pool = lambda: nn.BatchNorm2d(5), nn.ReLU, lambda: nn.MaxPool2d(2)
for behind in (norm, relu, pool), (norm, relu), (norm, pool), (relu, pool), (norm,), (relu,):
    ours = block(*(layer() for layer in behind))
    with kernels.use("reference"):
        theirs = block(*(layer() for layer in behind))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, 1e-12, 1e-12, err_msg=str(behind))
assert type(cpu.relu.__globals__["_relu"]).__name__ == "function"
"""


def run(script, **environment):
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_kernels_also_run_as_plain_python():
    result = run(PLAIN, NUMBA_DISABLE_JIT="1")
    assert result.returncode == 0, result.stderr


FORK = """
import os
import numpy as np
from tinycnn.kernels import cpu
x = np.ones((64, 8, 32, 32), np.float32)
cpu.relu(x)
child = os.fork()
if not child:
    cpu.relu(x)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_threads_of_its_own():
    result = run(FORK, NUMBA_NUM_THREADS="2")
    assert result.returncode == 0, result.stderr
