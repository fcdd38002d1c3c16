"""Every kernel of the CUDA backend, compiled for the host, against the definition: over generated
cases, its threads in several orders, with shared memory that begins as NaN, writes beside an array
and indexes beside shared memory reported. The wrappers that CuPy would call run as they are.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn.kernels import cuda
from tinycnn.kernels.cuda import launch as launching
from tinycnn.kernels.cuda import products
from tinycnn.kernels.types import Geometry

from .cuda_cases import (
    CASES,
    DTYPES,
    assert_right,
    assert_right_at_the_edges,
    assert_right_mask,
    assert_right_product,
    kernel_of,
)
from .host import host_modules_or_skip, instances, on_the_host

EXAMPLES = 20
host_modules_or_skip()


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """Short sums are cut into slices as well."""
    monkeypatch.setattr(launching, "SLICE", 300)
    with on_the_host(expressions=instances()):
        yield


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_kernel_computes_what_the_reference_defines(case, dtype, data):
    assert_right(kernel_of(case), data.draw(CASES[case](dtype)))


@pytest.mark.parametrize("case", ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"])
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_convolution_of_many_channels_is_a_product_of_matrices(case, data):
    arguments = data.draw(CASES[case](np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "MANY", 1)
        patch.setattr(products, "MEMORY", 1 << 15)  # so that images come in several portions
        assert_right(case, arguments)


@pytest.mark.parametrize("many", [1, 1000])
def test_edges_are_as_the_reference_defines(many, monkeypatch):
    monkeypatch.setattr(products, "MANY", many)
    assert_right_at_the_edges()


def test_dropout_keeps_what_numpys_generator_would():
    assert_right_mask()


def test_a_small_product_of_matrices_is_right_however_they_lie():
    assert_right_product()


def test_shared_memory_of_templates_begins_as_nan():
    code = """template <typename T> __global__ void f(T* y) {
        __shared__ T room[2];
        y[threadIdx.x] = room[threadIdx.x];
        room[threadIdx.x] = 1;
    }"""
    kernel = host_modules_or_skip()(code=code, name_expressions=["f<float>"])
    y = np.zeros(4, np.float32)
    kernel.get_function("f<float>")((2,), (2,), (y,))
    assert np.isnan(y[:2]).all()


def test_a_launch_names_the_argument_that_does_not_fit():
    x = np.ones((4, 4), np.float32)
    y = launching.empty(x, x.shape)
    for wrong, error, said in (
        (x.astype(np.float64), TypeError, "relu: x is float64, but the kernel takes float32"),
        (x[:, ::2], ValueError, "relu: x is not contiguous"),
    ):
        with pytest.raises(error, match=said):
            launching.launch("relu", (x.dtype,), 1, wrong, y, 16)
    with pytest.raises(OverflowError):
        launching.launch("relu", (x.dtype,), 1, x, y, 2**31)
    with pytest.raises(ValueError, match="argument"):
        launching.launch("relu", (x.dtype,), 1, x, y)


def test_calls_that_the_kernels_are_not_made_for_go_to_the_reference():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3))
    same = Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1)
    assert cuda.conv2d(x, w, None, same).dtype == np.float64
    assert cuda.relu(x.astype(np.complex64)).dtype == np.complex64
    assert cuda.sum_pool2d is cuda.reference.sum_pool2d
    assert cuda.can_fuse((1, 1, 2, 2), w.shape, same)
    for shape in ((1, 1, 1, 4), (1, 2, 4, 4), (0, 1, 4, 4), (1, 4, 4), (1, 1, 2**15, 2**15)):
        assert not cuda.can_fuse(shape, w.shape, same)
    with pytest.raises(ValueError, match=r"matmul|reshape"):
        cuda.conv2d(x, np.ones((1, 2, 3, 3), np.float32), None, same)
