"""The CUDA backend on CuPy's arrays: the same cases as on the host, now launched by CuPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn import Tensor, nn, no_grad
from tinycnn.kernels import cuda, reference
from tinycnn.kernels.cuda import launch as launching
from tinycnn.kernels.cuda import products
from tinycnn.kernels.types import Geometry

from ..kernels.test_backends import arrays_of
from .cuda_cases import (
    CASES,
    DTYPES,
    assert_right,
    assert_right_at_the_edges,
    assert_right_mask,
    assert_right_product,
    kernel_of,
)
from .device import counted, cupy_or_skip, emulated

cupy = cupy_or_skip()
pytestmark = pytest.mark.gpu
CONVOLUTIONS = ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"]
SAME = Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_kernel_computes_what_the_reference_defines(case, dtype, data):
    arguments = data.draw(CASES[case](dtype))
    assert_right(kernel_of(case), arguments, cupy.asarray, cupy.asnumpy)


@pytest.mark.parametrize("case", CONVOLUTIONS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_convolution_of_many_channels_is_a_product_of_matrices(case, data):
    arguments = data.draw(CASES[case](np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "MANY", 1)
        patch.setattr(products, "MEMORY", 1 << 15)
        assert_right(case, arguments, cupy.asarray, cupy.asnumpy)


def test_edges_are_as_the_reference_defines():
    assert_right_at_the_edges(cupy.asarray, cupy.asnumpy)


def test_dropout_keeps_what_numpys_generator_would():
    assert_right_mask(cupy.asarray, cupy.asnumpy)


def test_a_small_product_of_matrices_is_right_however_they_lie():
    assert_right_product(cupy.asarray, cupy.asnumpy)


def test_an_array_of_the_host_is_refused():
    x = cupy.ones((4, 4), np.float32)
    with pytest.raises(ValueError, match="relu: y lies on cpu, but the first array on"):
        launching.launch("relu", (x.dtype,), 1, x, np.ones((4, 4), np.float32), 16)


def network_calls(c=8, o=16):
    """Calls as the exercise's network makes them; with more channels, as a larger one does."""
    rng = np.random.default_rng(0)
    x, g = (cupy.asarray(rng.normal(size=(3, n, 30, 30)).astype(np.float32)) for n in (c, o))
    w = cupy.asarray(rng.normal(size=(o, c, 3, 3)).astype(np.float32))
    vector, pooling = g[0, :, 0, 0].copy(), ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    y, index = cuda.max_pool2d(x, *pooling)
    settings = SAME, True, True
    block = x, w, vector, vector, vector, 1e-5, *settings
    out, _, _, kept = cuda.conv_block(*block)
    return {
        "conv2d": (x, w, vector, SAME),
        "conv2d_input_grad": (g, w, x.shape, SAME),
        "conv2d_weight_grad": (g, x, w.shape, SAME),
        "conv_block": block,
        "conv_block_grad": (out, x, w, True, *settings[:2], kept, True),
        "conv_block_inference": (x, w, vector, vector, vector, vector, *settings),
        "moments": (g,),
        "batch_norm": (g, vector, vector, vector, vector),
        "batch_norm_grad": (g, g, vector, vector, vector),
        "relu": (g,),
        "relu_grad": (g, g),
        "add_relu": (g, g),
        "max_pool2d": (x, *pooling),
        "max_pool2d_scatter": (y, index, x.shape, *pooling),
        "max_pool2d_gather": (x, index, *pooling),
        "matmul": (x[0, 0], x[0, 0].T),
        "sgd_step": (w, w.copy(), w.copy(), 0.1, 0.9, 1.0, 1e-4, True),
        "dropout_mask": (7, (100,), 0.5, x),
    }


def test_a_kernel_neither_waits_for_the_device_nor_copies_from_or_to_it():
    if not emulated(cupy):
        pytest.skip("only the emulated device counts")
    calls = [*network_calls().items(), *list(network_calls(32, 32).items())[:3]]
    for name, arguments in calls:
        getattr(cuda, name)(*arguments)  # compiles
        with counted() as done:
            getattr(cuda, name)(*arguments)
        assert done["launches"] > 0
        assert not any(done[what] for what in ("h2d", "d2h", "syncs")), name


def test_what_is_behind_a_convolution_is_three_launches_and_three_on_the_way_back():
    if not emulated(cupy):
        pytest.skip("only the emulated device counts")
    calls, launches = network_calls(), {}
    for name in ("conv_block", "conv_block_grad", "conv_block_inference", *CONVOLUTIONS):
        with counted() as done:
            getattr(cuda, name)(*calls[name])
        launches[name] = done["launches"]
    forward, to_x, to_weight = (launches[name] for name in CONVOLUTIONS)
    assert launches["conv_block"] == forward + 3  # two for the statistics
    assert launches["conv_block_inference"] == forward + 1
    assert launches["conv_block_grad"] == 3 + to_x + to_weight


@pytest.mark.parametrize("moved", [0, 1])
@pytest.mark.parametrize("train", [True, False])
def test_a_block_on_two_devices_names_both(moved, train):
    x = Tensor(cupy.ones((2, 1, 8, 8), np.float32))
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)).train(train)
    model[moved].to("cuda")
    said = "conv_block: its arrays are on cpu and cuda:0"
    with no_grad(), pytest.raises(TypeError, match=said):
        model(x)


@pytest.mark.parametrize("channels", [8, 32])
def test_the_same_call_gives_the_same_bits(channels):
    calls = network_calls(channels, channels)
    for name in (*CONVOLUTIONS, "conv_block_grad"):
        results = [getattr(cuda, name)(*calls[name]) for _ in range(3)]
        bits = {tuple(a.get().tobytes() for a in arrays_of(result)) for result in results}
        assert len(bits) == 1


def test_what_is_missing_is_the_reference():
    assert cuda.sum_pool2d is reference.sum_pool2d
    x = cupy.ones((1, 1, 4, 4), np.float32)
    assert cuda.sum_pool2d(x, (2, 2), (2, 2), (0, 0, 0, 0)).get().ravel().tolist() == [4] * 4
